"""Named versions of a topics run: what people edited, replayed from the journal "topics", and which run is current.

A rename lives in the journal alone; an edit that moves passages also made a build of its own, which the record names.
Every edit says how many edits its author had seen. One that touches what somebody else changed meanwhile is not
applied, by anybody who reads the journal, so that two writers never need a lock; both records stay.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from encoder.errors import InputError
from indexer.annotations import journal
from indexer.collection import Collection
from indexer.derived import Build, list_builds
from indexer.topics.stored import KIND, StoredTopics, Topic, read_run

JOURNAL = "topics"
AUTOMATIC = ""
AUTOMATIC_NAME = "(automatic)"  # asks for the automatic run where "" asks for the version that is current
MOST_NAME = 60
MOST_LABEL = 120
ACTIONS = ("rename", "merge", "split", "assign")
_ID = re.compile(r"[0-9a-f]{8}")
_TEXTS = ("key", "base", "version", "action", "label", "build", "at", "author", "detail")
# Control, bidirectional and unpaired characters: a label is shown in many places.
_UNSHOWN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]+"
)


@dataclass(frozen=True, slots=True)
class Edit:
    """One record of the journal.

    Attributes:
        key: made by its author, names this very edit.
        base: id of the automatic run.
        version: name of the version.
        action: one of `ACTIONS`.
        topics: numbers that it touches; empty for noise.
        label: of a rename.
        build: that holds the result, "" for a rename.
        seen: how many edits of the version its author had seen.
        at: when, ISO 8601, UTC.
        author: who.
        detail: parameters, for people to read.
    """

    key: str
    base: str
    version: str
    action: str
    topics: tuple[int, ...]
    label: str
    build: str
    seen: int
    at: str
    author: str
    detail: str


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a run.

    Attributes:
        base: id of the automatic run.
        name: "" for the automatic one.
        edits: that hold, in order.
        refused: edits that came too late, with the edit that was before them.
    """

    base: str
    name: str
    edits: tuple[Edit, ...] = ()
    refused: tuple[tuple[Edit, Edit], ...] = ()


def clean_label(text: str, most: int = MOST_LABEL) -> str:
    """A label or name on one line, without control characters; "" when nothing is left."""
    return " ".join(_UNSHOWN.sub(" ", text).split())[:most].strip()


def list_runs(collection: Collection) -> list[Build]:
    """Automatic runs, newest first; what edits made is not among them."""
    return [build for build in list_builds(collection, KIND) if "base" not in build.recipe]


def list_versions(collection: Collection, base: str) -> list[Version]:
    """The edited versions of a run, in the order in which they were begun."""
    return [replay(base, name, edits) for name, edits in _by_version(collection, base).items()]


def read_version(collection: Collection, base: str, name: str) -> Version:
    """What was edited; a version that nobody edited has no edits."""
    return replay(base, name, _by_version(collection, base).get(name, []))


def _by_version(
    collection: Collection, base: str, records: list[dict[str, Any]] | None = None
) -> dict[str, list[Edit]]:
    """The edits of a run by the name of their version, of which each has one at least."""
    every = map(_as_edit, _records(collection) if records is None else records)
    edits = [edit for edit in every if edit and edit.base == base]
    if any(edit.build for edit in edits):  # one whose result is gone, or was never made, says nothing
        made = {build.id for build in list_builds(collection, KIND) if build.recipe.get("base") == base}
        edits = [edit for edit in edits if not edit.build or edit.build in made]
    found: dict[str, list[Edit]] = {}
    for edit in edits:
        found.setdefault(edit.version, []).append(edit)
    return found


def replay(base: str, name: str, edits: Sequence[Edit]) -> Version:
    """Which edits of a version hold: those that collide with none that their author had not seen.

    Two collide that touch a topic both, or that both moved passages: each holds the whole assignment then. The first
    edit always holds. Time grows with the edits and not with their pairs, since a journal may come from elsewhere.

    Args:
        base: run.
        name: of the version.
        edits: of this version, in the order of the journal.
    """
    held: list[Edit] = []
    refused: list[tuple[Edit, Edit]] = []
    touching: dict[int | None, list[int]] = {}  # topic, None for all that moved passages, to places in `held`
    for edit in edits:
        touched = {*edit.topics, *([None] if edit.build else [])}
        unseen = (touching.get(what, []) for what in touched)
        earlier = [places[at] for places in unseen if (at := bisect_left(places, edit.seen)) < len(places)]
        if earlier:
            refused.append((edit, held[min(earlier)]))
            continue
        for what in touched:
            touching.setdefault(what, []).append(len(held))
        held.append(edit)
    return Version(base, name, tuple(held), tuple(refused))


def current_run(collection: Collection) -> tuple[str, str]:
    """Id and version of the run that filters, exports and pages use: the one chosen last, else the newest.

    Raises:
        InputError: there is none.
    """
    runs = [build.id for build in list_runs(collection)]
    records = _records(collection)
    edited: dict[str, dict[str, list[Edit]]] = {}
    for record in reversed(records):
        base, version = record.get("base"), record.get("version")
        if record.get("action") != "choose" or base not in runs or not isinstance(version, str):
            continue
        if version != AUTOMATIC and base not in edited:
            edited[base] = _by_version(collection, base, records)
        if version == AUTOMATIC or version in edited[base]:
            return base, version
    if not runs:
        raise InputError(
            "there are no topics of this collection yet",
            str(collection.path),
            f"make them: llm2comp topics {collection.path}",
        )
    return runs[0], AUTOMATIC


def choose(collection: Collection, identifier: str, version: str = AUTOMATIC, *, author: str = "") -> None:
    """Makes a run, or a version of it, the current one.

    Raises:
        InputError: there is none of that name.
        CollectionError: it cannot be written down.
    """
    open_topics(collection, identifier, version)
    version = AUTOMATIC if version == AUTOMATIC_NAME else version
    journal.append(
        collection, JOURNAL, {"action": "choose", "base": identifier, "version": version}, author=author
    )


def open_topics(collection: Collection, identifier: str = "", version: str = "") -> StoredTopics:
    """A run as it was edited.

    Args:
        collection: it belongs to.
        identifier: of the automatic run; the current one, with its version, when empty.
        version: name of the edited version; "" for the automatic one, and "(automatic)" for that of the current run.

    Raises:
        InputError: there is none of that id or name.
        CollectionError: it is damaged.
    """
    if not identifier:
        identifier, current = current_run(collection)
        version = version or current
    if version in (AUTOMATIC, AUTOMATIC_NAME):
        return read_run(collection, identifier)
    found = read_version(collection, identifier, version)
    if not found.edits:
        names = ", ".join(f"{known.name!r}" for known in list_versions(collection, identifier)[:20])
        raise InputError(
            f"the topics {identifier} have no version {version[:MOST_NAME]!r}",
            str(collection.path),
            f"its versions are: {names or 'none; an edit makes one'}",
        )
    return apply(collection, found)


def apply(collection: Collection, version: Version) -> StoredTopics:
    """The run with the edits of a version.

    Raises:
        InputError: a build that an edit made is gone.
        CollectionError: it is damaged.
    """
    builds = [edit.build for edit in version.edits if edit.build]
    run = read_run(collection, builds[-1] if builds else version.base)
    labels = given_labels(version)
    topics = [_named(topic, labels) for topic in run.topics]
    return replace(run, id=version.base, version=version.name, edits=len(version.edits), topics=topics)


def given_labels(version: Version) -> dict[int, str]:
    """The names that people gave and that still hold, by the number of the topic."""
    labels: dict[int, str] = {}
    for edit in version.edits:
        if edit.action == "rename":
            labels[edit.topics[0]] = edit.label
        elif edit.action == "split":  # the name was that of the whole
            labels.pop(edit.topics[0], None)
    return labels


def _named(topic: Topic, labels: dict[int, str]) -> Topic:
    return replace(topic, label=labels.get(topic.number, topic.automatic_label))


def _records(collection: Collection) -> list[dict[str, Any]]:
    return journal.read(collection, JOURNAL)


def _as_edit(record: dict[str, Any]) -> Edit | None:
    """The edit that a record describes; None for any other, since a journal may come from elsewhere."""
    topics, seen = record.get("topics"), record.get("seen")
    if not isinstance(topics, list) or not all(_is_count(number) for number in topics) or not _is_count(seen):
        return None
    texts = {name: record.get(name) for name in _TEXTS}
    if record.get("action") not in ACTIONS or not all(isinstance(text, str) for text in texts.values()):
        return None
    edit = Edit(topics=tuple(topics), seen=int(str(seen)), **{n: str(text) for n, text in texts.items()})
    return edit if _is_sound(edit) else None


def _is_sound(edit: Edit) -> bool:
    is_rename = edit.action == "rename"
    names_build = bool(_ID.fullmatch(edit.build)) if not is_rename else edit.build == ""
    is_named = edit.version not in (AUTOMATIC, AUTOMATIC_NAME)
    is_named = is_named and clean_label(edit.version, MOST_NAME) == edit.version
    fits_action = len(edit.topics) == 1 or edit.action not in ("rename", "split")
    fits_action = fits_action and (bool(edit.label) or not is_rename)
    is_clean = clean_label(edit.label) == edit.label
    return bool(_ID.fullmatch(edit.base)) and names_build and is_named and fits_action and is_clean


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
