"""The computed columns of a collection: `topic` (number), `tag` (list) and `note` (text), made when first asked for."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.annotations import journal, notes, tags
from indexer.query.row_columns import RowColumn
from indexer.query.snapshot import Snapshot
from indexer.segments.segment import document_key

KINDS: Mapping[str, str] = {"topic": "int64", "tag": "list<string>", "note": "string"}


class ComputedColumns:
    """Topics of the newest run, tags and notes as they are now; safe to use from many threads."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[Any, ...], RowColumn]] = {}
        self._lock = threading.Lock()

    @property
    def kinds(self) -> Mapping[str, str]:
        """Names that filters may use, with their type."""
        return KINDS

    def column(self, name: str, snapshot: Snapshot) -> RowColumn:
        """The column as of now, over the rows of a snapshot.

        Raises:
            InputError: no topics were made yet.
            CollectionError: what it is made of cannot be read.
        """
        state = _STATES[name](snapshot)
        key = (snapshot.collection.settings.uuid, snapshot.publication.number, state)
        with self._lock:
            kept = self._kept.get(name)
        if kept is not None and kept[0] == key:
            return kept[1]
        row_ids, values = _MAKERS[name](snapshot)
        column = RowColumn(name, KINDS[name], row_ids, values, state)
        with self._lock:
            self._kept[name] = (key, column)
        return column


def spread(snapshot: Snapshot, values: Mapping[str, Any]) -> tuple[NDArray[np.uint64], list[Any]]:
    """What documents have, for their live rows: row ids uint64 [N], ascending, and as many values.

    Args:
        snapshot: of the rows.
        values: document id to value.
    """
    live = snapshot.row_ids()
    if not values:
        return live[:0], []
    names = list(values)
    keys = np.array([document_key(name) for name in names], np.uint64)
    order = np.argsort(keys)
    documents = snapshot.documents(live)
    at = np.minimum(np.searchsorted(keys, documents, sorter=order), keys.size - 1)
    here = keys[order[at]] == documents
    return live[here], [values[names[position]] for position in order[at[here]]]


def _tags(snapshot: Snapshot) -> tuple[NDArray[np.uint64], list[Any]]:
    return spread(snapshot, tags.tags_by_document(tags.tagged_documents(snapshot.collection)))


def _notes(snapshot: Snapshot) -> tuple[NDArray[np.uint64], list[Any]]:
    found: dict[str, list[str]] = {}
    for note in notes.read_notes(snapshot.collection):
        found.setdefault(note.document_id, []).append(note.text)
    return spread(snapshot, {name: "\n".join(texts) for name, texts in found.items()})


def _topics(snapshot: Snapshot) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    from indexer.topics.current import current_topics
    from indexer.topics.stored import NOISE
    from indexer.topics.versions import open_topics

    found = current_topics(open_topics(snapshot.collection), snapshot)
    has_topic = found.numbers != NOISE
    return found.row_ids[has_topic], found.numbers[has_topic].astype(np.int64)


def _state_of_topics(snapshot: Snapshot) -> str:
    from indexer.topics.versions import current_run

    run, version = current_run(snapshot.collection)
    return f"{run}.{version}.{_state_of(snapshot, 'topics')}"


def _state_of(snapshot: Snapshot, name: str) -> str:
    return ".".join(map(str, journal.state(snapshot.collection, name)))


_MAKERS: dict[str, Callable[[Snapshot], tuple[NDArray[np.uint64], Any]]] = {
    "topic": _topics,
    "tag": _tags,
    "note": _notes,
}
_STATES: dict[str, Callable[[Snapshot], str]] = {
    "topic": _state_of_topics,
    "tag": lambda snapshot: _state_of(snapshot, tags.JOURNAL),
    "note": lambda snapshot: _state_of(snapshot, notes.JOURNAL),
}
