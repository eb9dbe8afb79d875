"""What is known of passages beyond their rows, as columns of an export: topics, tags, notes, places on a map."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from encoder.errors import InputError
from indexer.annotations import notes, tags
from indexer.query.computed import spread
from indexer.search import Searcher
from indexer.selection import Selection, topics_of


@dataclass(frozen=True, slots=True)
class ExtraColumn:
    """A value for some rows, null for the others.

    Attributes:
        name: of the column.
        row_ids: uint64 [N], ascending.
        values: N of them.
    """

    name: str
    row_ids: NDArray[np.uint64]
    values: pa.Array

    def of(self, rows: NDArray[np.uint64]) -> pa.Array:
        """The values of these rows, uint64 [n] in any order, as an array of the same length."""
        if not self.row_ids.size:
            return pa.nulls(rows.size, self.values.type)
        at = np.minimum(np.searchsorted(self.row_ids, rows), self.row_ids.size - 1)
        is_missing = self.row_ids[at] != rows
        return self.values.take(pa.array(at, pa.int64(), mask=is_missing))


def extra_columns(searcher: Searcher, selection: Selection) -> list[ExtraColumn]:
    """The columns that exist: topic, topic_label, tags, notes, x, y, trust.

    Args:
        searcher: of the collection.
        selection: names the topics run and the map; else the current ones.

    Raises:
        CollectionError: a map, topics or a journal is damaged.
        InputError: the map or the topics that the selection names are not there.
    """
    snapshot = searcher.snapshot
    tagged = tags.tags_by_document(tags.tagged_documents(snapshot.collection))
    noted: dict[str, str] = {}
    for note in notes.read_notes(snapshot.collection):
        noted[note.document_id] = "\n".join(filter(None, [noted.get(note.document_id), note.text]))
    found = _topic_columns(searcher, selection)
    for name, values, kind in (("tags", tagged, pa.list_(pa.string())), ("notes", noted, pa.string())):
        if values:
            row_ids, spread_out = spread(snapshot, values)
            found.append(ExtraColumn(name, row_ids, pa.array(spread_out, kind)))
    return found + _map_columns(searcher, selection)


def origin_column(origins: Mapping[int, str]) -> ExtraColumn:
    """How each row was come by, as a column; null for rows that it does not name."""
    row_ids = np.array(sorted(origins), np.uint64)
    return ExtraColumn("origin", row_ids, pa.array([origins[int(row)] for row in row_ids], pa.string()))


def in_order(row_ids: NDArray[np.uint64], origins: Mapping[int, str]) -> NDArray[np.uint64]:
    """The rows, uint64 [N] to [N]: first those that are named, in that order, then the others."""
    places = {row: place for place, row in enumerate(origins)}
    return np.array(sorted(row_ids.tolist(), key=lambda row: places.get(row, len(places))), np.uint64)


def _topic_columns(searcher: Searcher, selection: Selection) -> list[ExtraColumn]:
    try:
        found = topics_of(searcher.snapshot, selection.topics_id, selection.topics_version)
    except InputError:
        if selection.topics_id:
            raise
        return []
    names = {topic.number: topic.label for topic in found.stored.topics}
    has_topic = np.isin(found.numbers, list(names))
    row_ids, numbers = found.row_ids[has_topic], found.numbers[has_topic]
    labels = pa.array([names[number] for number in numbers.tolist()], pa.string())
    return [
        ExtraColumn("topic", row_ids, pa.array(numbers, pa.int32())),
        ExtraColumn("topic_label", row_ids, labels),
    ]


def _map_columns(searcher: Searcher, selection: Selection) -> list[ExtraColumn]:
    from indexer.maps.points import current_points
    from indexer.maps.stored import open_map

    try:
        stored = open_map(searcher.collection, selection.map_id)
    except InputError:
        if selection.map_id:
            raise
        return []
    points = current_points(stored, searcher.snapshot)
    trust: Any = pa.array(points.trust, pa.float32(), mask=np.isnan(points.trust))
    return [
        ExtraColumn("x", points.row_ids, pa.array(points.x)),
        ExtraColumn("y", points.row_ids, pa.array(points.y)),
        ExtraColumn("trust", points.row_ids, trust),
    ]
