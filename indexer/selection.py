"""Which passages somebody chose: a filter, an outline on a map, topics, single rows, a saved set; all at once if several."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoder.errors import InputError
from indexer.annotations.sets import NamedSet, read_set
from indexer.ingest.rows import document_of_passage
from indexer.query.snapshot import Snapshot
from indexer.search import Searcher

if TYPE_CHECKING:
    from indexer.maps.points import MapPoints
    from indexer.topics.current import CurrentTopics

NOISE = -1
_MOST_NAMED = 5  # topics named in the sentence


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen; an empty part chooses nothing away.

    Attributes:
        where: filter.
        map_id: of the map that the outline lies on; empty for the newest.
        polygon: outline as x0, y0, x1, y1, ... on the grid of the map.
        topics_id: of the topics run; empty for the current one.
        topics: numbers of topics, -1 for the passages without one; any of them.
        rows: row ids; None for no such choice, while an empty tuple chooses nothing.
        set_id: of a saved set.
        topics_version: edited version of the run; empty for the one that is current.
    """

    where: str = ""
    map_id: str = ""
    polygon: tuple[int, ...] = ()
    topics_id: str = ""
    topics: tuple[int, ...] = ()
    rows: tuple[int, ...] | None = None
    set_id: str = ""
    topics_version: str = ""

    @property
    def is_everything(self) -> bool:
        """Nothing was chosen away."""
        return not (self.where.strip() or self.polygon or self.topics or self.set_id) and self.rows is None


@dataclass(frozen=True, slots=True)
class Selected:
    """The passages of a selection in one version.

    Attributes:
        row_ids: uint64 [N], ascending, all live.
        missing: chosen rows that were deleted since.
        sentence: in plain words; it quotes filters and names, so it is hostile text.
    """

    row_ids: NDArray[np.uint64]
    missing: int
    sentence: str


def select_rows(searcher: Searcher, selection: Selection, *, points: "MapPoints | None" = None) -> Selected:
    """The live passages that every part of a selection chooses.

    Args:
        searcher: of the collection.
        selection: what was chosen.
        points: of the map of the outline, where the caller has them at hand.

    Raises:
        InputError: the filter, outline, topics or set is impossible or not there.
        CollectionError: a map, topics or a journal is damaged.
    """
    snapshot = searcher.snapshot
    chosen: list[NDArray[np.uint64]] = []
    words: list[str] = []
    missing = 0
    if selection.polygon:
        chosen.append(_inside(snapshot, selection, points))
        words.append("inside the outline")
    if selection.topics:
        chosen.append(_of_topics(snapshot, selection))
        words.append(_topic_words(selection.topics))
    if selection.set_id:
        named = read_set(snapshot.collection, selection.set_id)
        rows, missing = rows_of_set(snapshot, named)
        chosen.append(rows)
        words.append(f'in the set "{named.name}"')
    if selection.rows is not None:
        rows, gone = _live(snapshot, selection.rows)
        missing += gone
        chosen.append(rows)
        words.append("chosen one by one")
    if selection.where.strip():
        words.append(" ".join(selection.where.split()))
    within = None
    for rows in chosen:
        within = rows if within is None else np.intersect1d(within, rows, assume_unique=True)
    scope = searcher.scope(selection.where or None, within=within, snapshot=snapshot)
    row_ids = snapshot.row_ids(scope.allowed)
    return Selected(row_ids, missing, _sentence(row_ids.size, words, missing))


def rows_of_set(snapshot: Snapshot, named: NamedSet) -> tuple[NDArray[np.uint64], int]:
    """The live rows of a saved set, uint64 [N], ascending, and how many of it are gone.

    In a collection that was re-embedded since, where row ids are others, a passage is the one of the same number in
    the same document.

    Args:
        snapshot: of the version.
        named: the set.
    """
    if named.collection_uuid == snapshot.collection.settings.uuid:
        return _live(snapshot, tuple(item.row_id for item in named.items))
    wanted = {_place(item.passage_id) for item in named.items}
    documents = sorted({document_of_passage(item.passage_id) for item in named.items})
    found = []
    for batch in snapshot.store.scan(["id"], condition=pc.field("doc_id").isin(documents)):
        for row, name in zip(batch["_rowid"].to_pylist(), batch["id"].to_pylist(), strict=True):
            if _place(name) in wanted:
                found.append(row)
    return np.array(sorted(found), np.uint64), len(wanted) - len(found)


def _place(passage_id: str) -> str:
    """Document and number of a passage: its id without the hash of its content."""
    return passage_id.rpartition("-")[0]


def _live(snapshot: Snapshot, rows: tuple[int, ...]) -> tuple[NDArray[np.uint64], int]:
    wanted = {row for row in rows if 0 <= row < 2**64}
    ids = np.array(sorted(wanted), np.uint64)
    ids = ids[np.isin(ids, snapshot.row_ids())]
    return ids, len(set(rows)) - ids.size


def _inside(snapshot: Snapshot, selection: Selection, points: "MapPoints | None") -> NDArray[np.uint64]:
    from indexer.maps.points import current_points
    from indexer.maps.polygon import inside
    from indexer.maps.stored import open_map

    if points is None:
        points = current_points(open_map(snapshot.collection, selection.map_id), snapshot)
    try:
        return points.row_ids[inside(points.x, points.y, selection.polygon)]
    except ValueError as error:
        raise InputError(f"the outline cannot be used: {error}", "the outline", "draw it again") from error


def topics_of(snapshot: Snapshot, topics_id: str = "", version: str = "") -> "CurrentTopics":
    """A topics run over the rows of a version.

    Args:
        snapshot: of the version.
        topics_id: of the run; empty for the current one.
        version: edited version; empty for the current one of the current run, else the automatic one.

    Raises:
        InputError: there is none of that name, or none at all.
        CollectionError: it is damaged.
    """
    from indexer.topics.current import current_topics
    from indexer.topics.versions import current_run, open_topics

    if not version:
        run, current = current_run(snapshot.collection)
        topics_id = topics_id or run
        version = current if topics_id == run else ""
    return current_topics(open_topics(snapshot.collection, topics_id, version), snapshot)


def _of_topics(snapshot: Snapshot, selection: Selection) -> NDArray[np.uint64]:
    found = topics_of(snapshot, selection.topics_id, selection.topics_version)
    known = {NOISE, *(topic.number for topic in found.stored.topics)}
    if strangers := [number for number in selection.topics if number not in known]:
        raise InputError(
            f"there is no topic {strangers[0]} in the topics {found.stored.id}",
            str(snapshot.collection.path),
            f"see them: llm2comp topics {snapshot.collection.path}",
        )
    return found.row_ids[np.isin(found.numbers, selection.topics)]


def _topic_words(topics: tuple[int, ...]) -> str:
    numbers = [str(number) for number in topics if number != NOISE]
    named = [
        *numbers[:_MOST_NAMED],
        *([f"{len(numbers) - _MOST_NAMED} more"] if len(numbers) > _MOST_NAMED else []),
    ]
    parts = [f"topic {' or '.join(named)}"] if named else []
    return " or ".join([*parts, *(["without a topic"] if NOISE in topics else [])])


def _sentence(count: int, words: list[str], missing: int) -> str:
    noun = "passage" if count == 1 else "passages"
    gone = f"; {missing:,} of the chosen were deleted since" if missing else ""
    return f"{count:,} {noun}: {', '.join(words) or 'the whole collection'}{gone}"
