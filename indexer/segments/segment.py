"""A segment: vectors of many rows with their row ids, immutable and rebuildable from the row store.

Folder: `rowid.u64` (ascending), `doc.u64` (hash of each row's document id), `vec.faiss`, for approximate kinds
`ann.faiss` (and `rotation.f32`), and `seg.json`.
"""

import hashlib
import json
import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoder import atomic
from encoder.errors import CollectionError
from indexer.segments.ann import ANN_FILE, AnnIndex, load_ann
from indexer.segments.ann_gpu import GPU_FAILURES, GpuTwin, OpenTwin, open_twin
from indexer.segments.vector_file import VECTOR_FILE, VectorFile, exact_scores
from indexer.storage.manifest import SegmentEntry

ROW_ID_FILE = "rowid.u64"
DOCUMENT_FILE = "doc.u64"
SEGMENT_FILE = "seg.json"
# Milliseconds that an exact filtered scan may take before an approximate index is asked instead.
_EXACT_BUDGET_MS = 50.0
# At opening, a vector file up to this size is hashed as well (a quarter of a second); `verify` hashes any.
_MOST_HASHED_BYTES = 512 << 20
_HASHES: dict[
    tuple[str, int, int, int], str
] = {}  # so that the next publication is opened without reading all
_MOST_HASHES = 1024
# Of rotation, training sample and measured queries.
SEED = 20


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard an approximate search tries, chosen from measured recall when the segment was built.

    Attributes:
        rerank: candidates that are compared exactly.
        nprobe: cells visited, 0 for kinds without cells.
        recall: ann recall@10 of these settings.
        ladder: every setting that was tried, with its recall.
    """

    rerank: int
    nprobe: int
    recall: float
    ladder: list[dict[str, float]]


EXACT_EFFORT = Effort(30, 0, 1.0, [])


@dataclass(frozen=True, slots=True)
class Candidates:
    """Rows of one segment that may be among the best.

    Attributes:
        positions: int64 [N], no repeats, in no promised order.
        scanned: rows compared to find them.
        is_exact: the best `depth` rows are certainly among them.
        nprobe: cells visited, 0 where there are none.
    """

    positions: NDArray[np.int64]
    scanned: int
    is_exact: bool
    nprobe: int


class Segment:
    """An opened segment.

    Args:
        folder: of the segment.
        entry: what the publication says of it.
        dimension: numbers per vector.
        open_twin: makes a copy on the GPU, or says None where there is no GPU with room for it.

    Raises:
        CollectionError: a file is missing, damaged or not the published one.
    """

    def __init__(
        self, folder: Path, entry: SegmentEntry, dimension: int, open_twin: OpenTwin = open_twin
    ) -> None:
        self.folder = folder
        self.entry = entry
        self.notes: list[str] = []
        check_files(folder, entry, is_quick=True)
        try:
            self.row_ids: NDArray[np.uint64] = np.memmap(
                folder / ROW_ID_FILE, "<u8", "r", shape=(entry.rows,)
            )
            self.documents: NDArray[np.uint64] = np.memmap(
                folder / DOCUMENT_FILE, "<u8", "r", shape=(entry.rows,)
            )
        except (OSError, ValueError) as error:
            raise _damaged(folder / ROW_ID_FILE, "it does not hold the rows that were published") from error
        self.vectors = VectorFile(folder / VECTOR_FILE, entry.rows, dimension)
        self.ann: AnnIndex | None = None
        self.effort = EXACT_EFFORT
        if entry.kind != "flat":
            self.ann = load_ann(entry.kind, folder, entry.rows, dimension)
            self.effort = _read_effort(folder / SEGMENT_FILE)
        self._twin: GpuTwin | None = None
        self._twin_opener: OpenTwin | None = open_twin
        self._twin_lock = threading.Lock()

    @property
    def rows(self) -> int:
        """Vectors in the segment, dead ones included."""
        return self.entry.rows

    def candidates(
        self, query: NDArray[np.float32], depth: int, allowed: NDArray[np.bool_] | None, *, exact: bool
    ) -> Candidates:
        """Rows that may be among the best `depth` allowed ones of one query, float32 [D]; see `candidates_batch`."""
        return self.candidates_batch(query[None], depth, allowed, exact=exact)[0]

    def candidates_batch(
        self, queries: NDArray[np.float32], depth: int, allowed: NDArray[np.bool_] | None, *, exact: bool
    ) -> list[Candidates]:
        """Rows that may be among the best `depth` allowed ones, for each query.

        Args:
            queries: float32 [Q, D]; a GPU gets all of them at once.
            depth: rows wanted.
            allowed: bool [rows]; None for all.
            exact: compare every allowed row.
        """
        if not exact and allowed is None and (found := self._ask_twin(queries, depth)) is not None:
            return found
        return [self._on_processor(query, depth, allowed, exact) for query in queries]

    def _on_processor(
        self, query: NDArray[np.float32], depth: int, allowed: NDArray[np.bool_] | None, exact: bool
    ) -> Candidates:
        count = self.rows if allowed is None else int(np.count_nonzero(allowed))
        if not count:
            return Candidates(np.zeros(0, np.int64), 0, True, 0)
        if exact or self.ann is None or self._is_cheap(count, allowed):
            return Candidates(self.vectors.nearest(query, depth, allowed), count, True, 0)
        wanted = max(self.effort.rerank, depth)
        if self.ann.kind == "rabitq":
            return Candidates(self.ann.candidates(query, wanted, 0, allowed), count, False, 0)
        return self._visit_cells(query, wanted, min(depth, count), allowed)

    def _open_twin(self) -> GpuTwin | None:
        """The copy on the GPU, asked for until it is there; a failing GPU costs speed, never an answer."""
        with self._twin_lock:
            if self._twin is None and self._twin_opener is not None:
                try:
                    self._twin = self._twin_opener(self.vectors, self.ann)
                except GPU_FAILURES as error:
                    self._lose_twin(error)
            return self._twin

    def _ask_twin(self, queries: NDArray[np.float32], depth: int) -> list[Candidates] | None:
        twin, nprobe = self._open_twin(), self.effort.nprobe
        wanted = min(self.rows, max(self.effort.rerank, 2 * depth))
        if twin is None or not twin.can_search(wanted, nprobe):
            return None
        try:
            found = twin.candidates(queries, wanted, nprobe)
        except GPU_FAILURES as error:
            self._lose_twin(error)
            return None
        scanned = self.rows if self.ann is None else round(self.rows * nprobe / max(1, self.ann.cells))
        return [Candidates(positions, scanned, False, nprobe) for positions in found]

    def _lose_twin(self, error: BaseException) -> None:
        """Leaves the GPU alone from now on, and says so once, however many threads were waiting for it."""
        self._twin = None
        if self._twin_opener is not None:
            self._twin_opener = None
            reason = (str(error) or type(error).__name__).splitlines()[0][:120]
            self.notes.append(f"the GPU failed ({reason}); searched on the CPU")

    def _is_cheap(self, count: int, allowed: NDArray[np.bool_] | None) -> bool:
        if allowed is None or count == self.rows:
            return False
        scale = self.vectors.dimension / 384
        return (count * 0.25e-3 + self.rows * 3e-6) * scale <= _EXACT_BUDGET_MS

    def _visit_cells(
        self, query: NDArray[np.float32], wanted: int, least: int, allowed: NDArray[np.bool_] | None
    ) -> Candidates:
        """Rows of the nearest cells; filtered, of twice as many until that no longer finds better ones.

        Filters are correlated with the vectors: the number of cells that is enough without one is not with it.
        """
        assert self.ann is not None  # only called for kinds with cells
        share = 1.0 if allowed is None else max(1, int(np.count_nonzero(allowed))) / self.rows
        nprobe = min(self.ann.cells, max(1, round(self.effort.nprobe / max(share, 0.05))))
        before = -np.inf
        while True:
            found = self.ann.candidates(query, wanted, nprobe, allowed)
            last = -np.inf
            if found.size >= least and allowed is not None:
                last = float(-np.sort(-exact_scores(self.vectors.take(found), query))[least - 1])
            is_enough = found.size >= least and (allowed is None or last <= before)
            if is_enough or nprobe >= self.ann.cells:
                scanned = round(self.rows * nprobe / max(1, self.ann.cells))
                return Candidates(found, scanned, False, nprobe)
            nprobe, before = min(self.ann.cells, 2 * nprobe), last


def _read_effort(file: Path) -> Effort:
    try:
        found = Effort(**json.loads(file.read_text(encoding="utf-8"))["effort"])
        if all(isinstance(n, int) and 0 <= n < 2**31 for n in (found.rerank, found.nprobe)):
            return replace(found, recall=min(1.0, float(found.recall)))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise _damaged(file, "it does not say how to search") from error
    raise _damaged(file, "its effort is impossible")


def check_files(folder: Path, entry: SegmentEntry, *, is_quick: bool = False) -> None:
    """Compares the files of a segment with what was published.

    Args:
        folder: of the segment.
        entry: what the publication says.
        is_quick: of a large vector file only the size; files that were hashed before and are unchanged not again.

    Raises:
        CollectionError: a file is missing or not the published one.
    """
    for name in _needed(entry.kind):
        if name not in entry.files:
            raise _damaged(folder / name, "the publication does not name it")
    for name, expected in entry.files.items():
        file = folder / name
        try:
            state = file.stat()
            is_hashed = not is_quick or name != VECTOR_FILE or state.st_size <= _MOST_HASHED_BYTES
            same = state.st_size == expected["size"] and (
                not is_hashed or _hash(file, state, is_quick) == expected["sha256"]
            )
        except (OSError, ValueError) as error:
            raise _damaged(file, "it cannot be read") from error
        if not same:
            raise _damaged(file, "it is not the file that was published")


def _needed(kind: str) -> list[str]:
    names = [ROW_ID_FILE, DOCUMENT_FILE, VECTOR_FILE, SEGMENT_FILE]
    return names if kind == "flat" else [*names, ANN_FILE]


def _hash(file: Path, state: os.stat_result, is_remembered: bool) -> str:
    key = (str(file), state.st_ino, state.st_size, state.st_mtime_ns)
    if not is_remembered or key not in _HASHES:
        while len(_HASHES) >= _MOST_HASHES:
            _HASHES.pop(next(iter(_HASHES)), None)
        _HASHES[key] = atomic.sha256_file(file)
    return _HASHES[key]


def document_key(document_id: str) -> int:
    """64-bit hash that stands for a document id inside a segment."""
    return int.from_bytes(
        hashlib.blake2b(document_id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
    )


def _damaged(file: Path, reason: str) -> CollectionError:
    return CollectionError(
        f"{file.name} is damaged: {reason}",
        str(file),
        f"it is derived: llm2comp rebuild {file.parents[3]}",
    )
