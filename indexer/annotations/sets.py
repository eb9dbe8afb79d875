"""Named sets of passages, in the journal `views/sets.jsonl`: what the tray holds, kept under a name."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from encoder.errors import InputError
from indexer.annotations import journal
from indexer.collection import Collection

JOURNAL = "sets"
MOST_PASSAGES = 10_000
MOST_NAME = 200
_MOST_TEXT = 2_000  # of an item's passage id, or of how it got there
_MOST_BYTES = 40_000  # of the items of one record
_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class SetItem:
    """One passage of a set.

    Attributes:
        row_id: of the passage, in the collection that the set names.
        passage_id: of the passage.
        how: it got there, in words: "query", "polygon", "topic 3", "neighbour".
    """

    row_id: int
    passage_id: str
    how: str = ""


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A set of passages that somebody saved.

    Attributes:
        id: eight hex digits, as links name it.
        name: for people; hostile.
        version: publication that the passages were chosen from.
        collection_uuid: of the collection then; after a re-embedding it is another, and row ids mean nothing.
        items: in the order in which they were chosen.
        at: when it was saved, ISO 8601, UTC.
        author: who saved it.
    """

    id: str
    name: str
    version: int
    collection_uuid: str
    items: tuple[SetItem, ...]
    at: str
    author: str


def save_set(
    collection: Collection, name: str, items: Sequence[SetItem], *, version: int, author: str = ""
) -> NamedSet:
    """Keeps a new set; the order is kept, a passage that comes twice counts once.

    Args:
        collection: of the passages.
        name: 1 to 200 characters.
        items: 1 to 10,000 passages.
        version: publication that they were chosen from.
        author: who saves it; the user of this computer when empty.

    Raises:
        InputError: the name or the number of passages is impossible.
        CollectionError: it cannot be written.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= MOST_NAME:
        raise InputError(
            f"{name[:40]!r} cannot name a set", "the set's name", f"use 1 to {MOST_NAME} characters"
        )
    unique = tuple({item.row_id: item for item in items}.values())
    if not 1 <= len(unique) <= MOST_PASSAGES:
        raise InputError(
            f"a set of {len(unique):,} passages cannot be kept",
            "the set",
            f"choose 1 to {MOST_PASSAGES:,}; more are better described by a filter",
        )
    identifier = uuid.uuid4().hex[:8]
    parts = _parts(unique)
    head: dict[str, Any] = {
        "set": identifier,
        "name": name,
        "version": version,
        "collection": collection.settings.uuid,
    }
    records = [{**head, "part": at, "parts": len(parts), "items": part} for at, part in enumerate(parts)]
    written = journal.append_all(collection, JOURNAL, records, author=author)[0]
    return NamedSet(identifier, name, version, head["collection"], unique, written["at"], written["author"])


def remove_set(collection: Collection, identifier: str, *, author: str = "") -> None:
    """Takes a set from the list.

    Raises:
        InputError: there is none of that id.
        CollectionError: it cannot be written.
    """
    read_set(collection, identifier)
    journal.append(collection, JOURNAL, {"set": identifier, "op": "remove"}, author=author)


def read_set(collection: Collection, identifier: str) -> NamedSet:
    """The set of that id.

    Raises:
        InputError: there is none; ids come out of links.
        CollectionError: the journal cannot be read.
    """
    for found in list_sets(collection):
        if found.id == identifier:
            return found
    raise InputError(
        f"there is no set {identifier[:40]!r} in this collection",
        str(collection.path),
        "it was removed, or belongs to another collection",
    )


def list_sets(collection: Collection) -> list[NamedSet]:
    """Sets that can be read whole, newest first.

    Raises:
        CollectionError: the journal cannot be read.
    """
    heads: dict[str, dict[str, Any]] = {}
    items: dict[str, list[SetItem]] = {}
    for record in journal.read(collection, JOURNAL):
        identifier = record.get("set")
        if not isinstance(identifier, str) or not _ID.fullmatch(identifier):
            continue
        if record.get("op") == "remove":
            heads.pop(identifier, None)
            continue
        part = _read_items(record.get("items"))
        if part is None or not _is_head(record):
            continue
        if record["part"] == 0:
            heads[identifier], items[identifier] = {**record, "seen": 0}, []
        head = heads.get(identifier)
        if head is not None and head["seen"] == record["part"] and len(items[identifier]) <= MOST_PASSAGES:
            head["seen"] += 1
            items[identifier] += part
    found = [_set_of(head, items[name]) for name, head in heads.items() if head["seen"] == head["parts"]]
    return [each for each in reversed(found) if 1 <= len(each.items) <= MOST_PASSAGES]


def _set_of(head: dict[str, Any], items: list[SetItem]) -> NamedSet:
    return NamedSet(
        head["set"],
        head["name"],
        head["version"],
        head["collection"],
        tuple({item.row_id: item for item in items}.values()),
        head["at"],
        head["author"],
    )


def _is_head(record: dict[str, Any]) -> bool:
    numbers = [record.get("version"), record.get("part"), record.get("parts")]
    name = record.get("name")
    return (
        all(type(number) is int and 0 <= number < 2**40 for number in numbers)
        and isinstance(name, str)
        and 1 <= len(name) <= MOST_NAME
        and isinstance(record.get("collection"), str)
    )


def _read_items(found: Any) -> list[SetItem] | None:
    if not isinstance(found, list):
        return None
    items = []
    for entry in found:
        if not isinstance(entry, list) or len(entry) != 3:
            return None
        row_id, passage_id, how = entry
        if type(row_id) is not int or not 0 <= row_id < 2**63:
            return None
        if not isinstance(passage_id, str) or not isinstance(how, str):
            return None
        items.append(SetItem(row_id, passage_id, how))
    return items


def _parts(items: Sequence[SetItem]) -> list[list[list[Any]]]:
    """The items in groups that each fit into one record."""
    parts: list[list[list[Any]]] = [[]]
    size = 0
    for item in items:
        if len(item.passage_id) > _MOST_TEXT or len(item.how) > _MOST_TEXT:
            raise InputError(
                "a passage id, or how it got there, is too long to be kept",
                item.passage_id[:80],
                f"at most {_MOST_TEXT:,} characters are kept",
            )
        more = 40 + 6 * (len(item.passage_id) + len(item.how))  # at most six bytes a character in JSON
        if parts[-1] and size + more > _MOST_BYTES:
            parts.append([])
            size = 0
        parts[-1].append([item.row_id, item.passage_id, item.how])
        size += more
    return parts
