"""Saved searches and long links, in the journals `views/searches.jsonl` and `views/links.jsonl`.

Both hold the parameters of a link as they are; what they mean is the affair of whoever reads the link.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from encoder.errors import InputError
from indexer.annotations import journal
from indexer.collection import Collection

JOURNAL = "searches"
LINKS = "links"
MOST_NAME = 200
MOST_PARAMETERS = 64
MOST_CHARACTERS = 20_000  # of all parameters
_ID_LENGTH = 10
_ID = re.compile(r"[0-9a-f]{10}")


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A search that somebody kept under a name.

    Attributes:
        name: for people; hostile.
        parameters: of the link that repeats it.
        at: when it was saved, ISO 8601, UTC.
        author: who saved it.
    """

    name: str
    parameters: dict[str, str]
    at: str
    author: str


def save_search(
    collection: Collection, name: str, parameters: Mapping[str, str], *, author: str = ""
) -> SavedSearch:
    """Keeps a search; one of the same name is replaced.

    Args:
        collection: it searches.
        name: 1 to 200 characters.
        parameters: of the link.
        author: who saves it; the user of this computer when empty.

    Raises:
        InputError: the name or the parameters are impossible.
        CollectionError: it cannot be written.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= MOST_NAME:
        raise InputError(
            f"{name[:40]!r} cannot name a search", "the search's name", f"use 1 to {MOST_NAME} characters"
        )
    record = {"op": "save", "name": name, "parameters": _checked(parameters)}
    written = journal.append(collection, JOURNAL, record, author=author)
    return SavedSearch(name, written["parameters"], written["at"], written["author"])


def remove_search(collection: Collection, name: str, *, author: str = "") -> None:
    """Takes a search from the list.

    Raises:
        InputError: there is none of that name.
        CollectionError: it cannot be written.
    """
    if not any(found.name == name for found in list_searches(collection)):
        raise InputError(
            f"there is no saved search {name[:40]!r}", str(collection.path), "choose one of the list"
        )
    journal.append(collection, JOURNAL, {"op": "remove", "name": name}, author=author)


def list_searches(collection: Collection) -> list[SavedSearch]:
    """Saved searches by name.

    Raises:
        CollectionError: the journal cannot be read.
    """
    found: dict[str, SavedSearch] = {}
    for record in journal.read(collection, JOURNAL):
        name, parameters = record.get("name"), record.get("parameters")
        if not isinstance(name, str) or not 1 <= len(name) <= MOST_NAME:
            continue
        if record.get("op") == "remove":
            found.pop(name, None)
        elif record.get("op") == "save" and _are_parameters(parameters):
            found[name] = SavedSearch(name, dict(parameters), record["at"], record["author"])  # type: ignore[arg-type]
    return sorted(found.values(), key=lambda search: search.name)


def save_view(collection: Collection, parameters: Mapping[str, str], *, author: str = "") -> str:
    """Keeps the parameters of a link that is too long to send; returns the id that stands for them.

    The same parameters have the same id, and are kept once.

    Raises:
        InputError: the parameters are impossible.
        CollectionError: they cannot be written.
    """
    wanted = _checked(parameters)
    known = _views(collection)
    text = json.dumps(wanted, sort_keys=True, ensure_ascii=False)
    for attempt in range(100):  # another of the same 40 bits would have to be there before
        identifier = hashlib.sha256(f"{attempt}\n{text}".encode()).hexdigest()[:_ID_LENGTH]
        if known.get(identifier) == wanted:
            return identifier
        if identifier not in known:
            break
    journal.append(collection, LINKS, {"view": identifier, "parameters": wanted}, author=author)
    return identifier


def view(collection: Collection, identifier: str) -> dict[str, str]:
    """The parameters that an id stands for.

    Raises:
        InputError: there are none; ids come out of links.
        CollectionError: the journal cannot be read.
    """
    found = _views(collection).get(identifier)
    if found is None:
        raise InputError(
            f"there is no saved view {identifier[:40]!r}",
            str(collection.path),
            "ask whoever sent the link for a new one",
        )
    return found


def _views(collection: Collection) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for record in journal.read(collection, LINKS):
        identifier, parameters = record.get("view"), record.get("parameters")
        if isinstance(identifier, str) and _ID.fullmatch(identifier) and _are_parameters(parameters):
            found.setdefault(identifier, dict(parameters))  # type: ignore[arg-type]
    return found


def _are_parameters(found: Any) -> bool:
    return (
        isinstance(found, dict)
        and len(found) <= MOST_PARAMETERS
        and all(isinstance(name, str) and isinstance(value, str) for name, value in found.items())
        and sum(len(name) + len(value) for name, value in found.items()) <= MOST_CHARACTERS
    )


def _checked(parameters: Mapping[str, str]) -> dict[str, str]:
    found = dict(parameters)
    if not _are_parameters(found):
        raise InputError(
            "the parameters of the link cannot be kept",
            "the link",
            f"use at most {MOST_PARAMETERS} parameters and {MOST_CHARACTERS:,} characters, all of them texts",
        )
    return found
