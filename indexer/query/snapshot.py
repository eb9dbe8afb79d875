"""One published version, opened: row store, segments, and the rows that lie outside of them.

Immutable once made, so that any number of threads may search it; a newer publication is a new snapshot.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from encoder.errors import CollectionError
from indexer.collection import Collection
from indexer.segments.ann_gpu import OpenTwin, open_twin
from indexer.segments.segment import Candidates, Segment, document_key
from indexer.segments.vector_file import exact_scores
from indexer.storage.manifest import Publication
from indexer.storage.row_schema import vectors_of
from indexer.storage.store import RowStore

_KEPT_MASKS = 32
# Rows outside all segments are kept as float32, for speed; the many rows of a damaged segment as stored.
_MOST_WIDE_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Allowed:
    """Which rows a search may return.

    Attributes:
        parts: one mask a part (each segment, then the loose rows), bool [rows of the part]; None for all of them.
        count: allowed live rows.
    """

    parts: tuple[NDArray[np.bool_] | None, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Nearest:
    """The best rows by vector, best first, ties by row id.

    Attributes:
        row_ids: uint64 [N].
        scores: float32 [N], exact inner products of the stored fp16 vectors.
        documents: uint64 [N], hash of each row's document id.
        scanned: rows compared.
        is_exact: no row outside can be better.
        nprobe: cells visited; None where there are none.
    """

    row_ids: NDArray[np.uint64]
    scores: NDArray[np.float32]
    documents: NDArray[np.uint64]
    scanned: int
    is_exact: bool
    nprobe: int | None


class Snapshot:
    """An opened publication.

    Args:
        collection: it belongs to.
        publication: to open.
        open_twin: makes copies of segments on the GPU where there is one.

    Raises:
        CollectionError: the rows of this publication cannot be read.
    """

    def __init__(
        self, collection: Collection, publication: Publication, open_twin: OpenTwin = open_twin
    ) -> None:
        self.collection = collection
        self.publication = publication
        self.store: RowStore = collection.open_rows(publication.rows_version)
        self._notes: list[str] = list(publication.notes)
        if publication.number != collection.version():
            self._notes.append("a newer publication is damaged; this is the one before it (llm2comp verify)")
        self.segments = self._open_segments(open_twin)
        live = self.store.live_row_ids()
        self._live = tuple(_mask_of(segment.row_ids, live) for segment in self.segments)
        self._load_loose(live)
        self.rows = int(live.size)
        self._masks: OrderedDict[str, Allowed] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of this version, one sentence each."""
        return (*self._notes, *(note for segment in self.segments for note in segment.notes))

    def _open_segments(self, open_twin: OpenTwin) -> list[Segment]:
        opened = []
        for entry in self.publication.segments:
            try:
                folder = self.collection.path / entry.path
                opened.append(Segment(folder, entry, self.collection.settings.dimension, open_twin))
            except CollectionError as error:  # its rows are then read from the row store, below
                self._notes.append(f"{error.what}; the rows themselves were searched. {error.fix}")
        return opened

    def _load_loose(self, live: NDArray[np.uint64]) -> None:
        covered = [
            segment.row_ids if mask is None else segment.row_ids[mask]
            for segment, mask in zip(self.segments, self._live, strict=True)
        ]
        self._loose_ids = np.setdiff1d(live, np.concatenate([np.zeros(0, np.uint64), *covered]))
        dimension = self.collection.settings.dimension
        width = np.float32 if self._loose_ids.size <= _MOST_WIDE_ROWS else np.float16
        self._loose_vectors: NDArray[Any] = np.zeros((self._loose_ids.size, dimension), width)
        self._loose_documents = np.zeros(self._loose_ids.size, np.uint64)
        if not self._loose_ids.size:
            return
        for batch in self.store.scan(["doc_id", "vec"], condition=f"_rowid >= {int(self._loose_ids[0])}"):
            mine, at = _find(self._loose_ids, batch["_rowid"].to_numpy())
            self._loose_vectors[at] = vectors_of(batch, dimension)[mine]
            names = batch["doc_id"].take(pa.array(mine)).to_pylist()
            self._loose_documents[at] = [document_key(name) for name in names]

    @property
    def kinds(self) -> list[str]:
        """Index kinds of the segments, without repeats; "flat" when there is no segment."""
        return list(dict.fromkeys(segment.entry.kind for segment in self.segments)) or ["flat"]

    @property
    def recall(self) -> float:
        """Least ann recall@10 measured in any segment, 1.0 when all are exact."""
        return min((segment.effort.recall for segment in self.segments), default=1.0)

    def everything(self) -> Allowed:
        """All live rows."""
        loose = None if self._loose_ids.size else np.zeros(0, np.bool_)
        return Allowed((*self._live, loose), self.rows)

    def allow(self, name: str, condition: Any) -> Allowed:
        """The live rows that satisfy a filter.

        Args:
            name: canonical text of the filter, under which the answer is kept.
            condition: the compiled filter.
        """
        return self.allow_kept(name, lambda: self.store.matching(condition))

    def allow_kept(self, name: str, find: Callable[[], NDArray[np.uint64]]) -> Allowed:
        """The live rows that `find` gives, uint64 [N], ascending; asked once for each name while it is kept.

        Args:
            name: says all that decides the answer.
            find: finds them.
        """
        with self._lock:
            if name in self._masks:
                self._masks.move_to_end(name)
                return self._masks[name]
        allowed = self.allow_rows(find())
        with self._lock:
            self._masks[name] = allowed
            while len(self._masks) > _KEPT_MASKS:
                self._masks.popitem(last=False)
        return allowed

    def allow_rows(self, row_ids: NDArray[np.uint64]) -> Allowed:
        """Exactly these live rows, uint64 [N], ascending."""
        parts = [np.isin(segment.row_ids, row_ids, assume_unique=True) for segment in self.segments]
        parts.append(np.isin(self._loose_ids, row_ids, assume_unique=True))
        return Allowed(tuple(parts), int(row_ids.size))

    def nearest(
        self, query: NDArray[np.float32], depth: int, allowed: Allowed, *, exact: bool = False
    ) -> Nearest:
        """The best `depth` allowed rows of one query, float32 [D]; see `nearest_batch`."""
        return self.nearest_batch(query[None], depth, allowed, exact=exact)[0]

    def nearest_batch(
        self, queries: NDArray[np.float32], depth: int, allowed: Allowed, *, exact: bool = False
    ) -> list[Nearest]:
        """The best `depth` allowed rows of each query.

        Args:
            queries: float32 [Q, D], unit length.
            depth: most rows.
            allowed: rows to choose from.
            exact: compare every allowed row, whatever the index.
        """
        found = [
            segment.candidates_batch(queries, depth, mask, exact=exact)
            for segment, mask in zip(self.segments, allowed.parts, strict=False)
        ]
        return [
            self._merged(query, depth, [of_segment[number] for of_segment in found], allowed.parts[-1])
            for number, query in enumerate(queries)
        ]

    def _merged(
        self,
        query: NDArray[np.float32],
        depth: int,
        found: list[Candidates],
        loose: NDArray[np.bool_] | None,
    ) -> Nearest:
        """The best of the candidates of all segments and of the rows outside them, by their exact scores."""
        ids, scores, documents = [], [], []
        scanned, is_exact, nprobe = 0, True, 0
        for segment, candidates in zip(self.segments, found, strict=True):
            positions = candidates.positions
            ids.append(np.asarray(segment.row_ids[positions]))
            documents.append(np.asarray(segment.documents[positions]))
            scores.append(exact_scores(segment.vectors.take(positions), query))
            scanned += candidates.scanned
            is_exact &= candidates.is_exact
            nprobe = max(nprobe, candidates.nprobe)
        chosen: Any = slice(None) if loose is None else np.flatnonzero(loose)
        ids.append(self._loose_ids[chosen])
        documents.append(self._loose_documents[chosen])
        scores.append(exact_scores(self._loose_vectors[chosen], query))
        scanned += ids[-1].size
        all_ids, all_scores = np.concatenate(ids), np.concatenate(scores)
        best = _best(all_ids, all_scores, depth)
        return Nearest(
            all_ids[best],
            all_scores[best],
            np.concatenate(documents)[best],
            scanned,
            is_exact,
            nprobe or None,
        )

    def score_rows(
        self, row_ids: NDArray[np.uint64], query: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint64]]:
        """Exact scores and document hashes of live rows.

        Args:
            row_ids: uint64 [N], of live rows.
            query: float32 [D].

        Returns:
            float32 [N] and uint64 [N].
        """
        scores = np.full(row_ids.size, np.nan, np.float32)
        documents = np.zeros(row_ids.size, np.uint64)
        for segment in self.segments:
            here, at = _find(np.asarray(segment.row_ids), row_ids)
            scores[here] = exact_scores(segment.vectors.take(at), query)
            documents[here] = segment.documents[at]
        here, at = _find(self._loose_ids, row_ids)
        scores[here] = exact_scores(self._loose_vectors[at], query)
        documents[here] = self._loose_documents[at]
        return scores, documents

    def row_ids(self, allowed: Allowed | None = None) -> NDArray[np.uint64]:
        """The allowed live rows, uint64 [N], ascending; all live rows when None."""
        allowed = allowed or self.everything()
        sources = [np.asarray(segment.row_ids) for segment in self.segments]
        parts = zip([*sources, self._loose_ids], allowed.parts, strict=True)
        chosen = [ids if mask is None else ids[mask] for ids, mask in parts]
        return np.sort(np.concatenate([np.zeros(0, np.uint64), *chosen]))

    def documents(self, row_ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Hashes of the document ids (`document_key`) of live rows, uint64 [N].

        Args:
            row_ids: uint64 [N], of live rows.
        """
        found = np.zeros(row_ids.size, np.uint64)
        for segment in self.segments:
            here, at = _find(np.asarray(segment.row_ids), row_ids)
            found[here] = segment.documents[at]
        here, at = _find(self._loose_ids, row_ids)
        found[here] = self._loose_documents[at]
        return found

    def vectors(self, row_ids: NDArray[np.uint64]) -> NDArray[np.float32]:
        """The stored vectors of live rows in the order given, float32 [N, D].

        Args:
            row_ids: uint64 [N], of live rows.
        """
        found = np.zeros((row_ids.size, self.collection.settings.dimension), np.float32)
        for segment in self.segments:
            here, at = _find(np.asarray(segment.row_ids), row_ids)
            found[here] = segment.vectors.take(at)
        here, at = _find(self._loose_ids, row_ids)
        found[here] = self._loose_vectors[at]
        return found

    def vector_blocks(
        self, row_ids: NDArray[np.uint64], rows: int = 8192
    ) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.float32]]]:
        """Row ids [n] and vectors [n, D] float32 of live rows, block by block, so that any number fits in memory.

        Args:
            row_ids: uint64 [N], of live rows.
            rows: of a block.
        """
        for start in range(0, row_ids.size, rows):
            some = row_ids[start : start + rows]
            yield some, self.vectors(some)

    def vector(self, row_id: int) -> NDArray[np.float32]:
        """The stored vector of one live row, float32 [D]."""
        return self.vectors(np.array([row_id], np.uint64))[0]


def _best(row_ids: NDArray[np.uint64], scores: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
    """Positions of the best `depth` rows, ties by row id; only rows that can be among them are sorted."""
    near: NDArray[np.int64] = np.arange(scores.size)
    if scores.size > depth:
        near = np.flatnonzero(scores >= np.partition(scores, scores.size - depth)[scores.size - depth])
    return near[np.lexsort((row_ids[near], -scores[near]))[:depth]]


def _mask_of(row_ids: NDArray[np.uint64], live: NDArray[np.uint64]) -> NDArray[np.bool_] | None:
    alive = np.isin(row_ids, live, assume_unique=True)
    return None if alive.all() else alive


def _find(
    sorted_ids: NDArray[np.uint64], wanted: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of `wanted` are in `sorted_ids`, and where there."""
    if not sorted_ids.size or not wanted.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    at = np.minimum(np.searchsorted(sorted_ids, wanted), sorted_ids.size - 1)
    here = np.flatnonzero(sorted_ids[at] == wanted)
    return here, at[here]
