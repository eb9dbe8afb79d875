"""The fp16 vectors of a segment in one file: exact index, filtered index and rerank store at once.

The file is a FAISS `IndexScalarQuantizer(d, QT_fp16, inner product)`: 81 bytes of header, then raw
little-endian fp16 rows, so FAISS maps it into memory and numpy reads the same bytes. The header is computed
and compared byte for byte before FAISS sees the file, so a foreign or damaged one is never deserialised.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.errors import CollectionError
from indexer.segments.faiss_module import load_faiss

VECTOR_FILE = "vec.faiss"
_HEADER_BYTES = 81
_ROW_COUNT_AT = 8
# Below this many allowed rows numpy gathers them faster than FAISS walks the bitmap of all rows.
_GATHER_ROWS = 300
# Above this share of allowed rows a plain scan that over-fetches beats the bitmap.
_OVERFETCH_SHARE = 0.2
# FAISS sums in another order than `exact_scores`, so scores nearer than this may change places.
ROUNDING = 1e-5
_TIE_ROOM = 16
_SCORE_BLOCK = 1024


@lru_cache(maxsize=64)
def file_header(rows: int, dimension: int) -> bytes:
    """The 81 bytes before the rows.

    Args:
        rows: vectors in the file.
        dimension: numbers per vector.
    """
    faiss = load_faiss()
    index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.add(np.zeros((1, dimension), np.float32))
    header = bytearray(faiss.serialize_index(index).tobytes()[: -2 * dimension])
    header[_ROW_COUNT_AT : _ROW_COUNT_AT + 8] = rows.to_bytes(8, "little")
    header[-8:] = (2 * rows * dimension).to_bytes(8, "little")
    return bytes(header)


class VectorFile:
    """Vectors of one segment, read through a memory map.

    Args:
        path: of the file.
        rows: vectors that it must hold.
        dimension: numbers per vector.

    Raises:
        CollectionError: the file is missing, or not such a file of exactly these rows.
    """

    def __init__(self, path: Path, rows: int, dimension: int) -> None:
        self.path = path
        self.rows = rows
        self.dimension = dimension
        self._check()
        try:  # both at once: a reader keeps its maps when the writer cleans the folder away
            self._bytes = np.memmap(path, np.uint8, "r", offset=_HEADER_BYTES, shape=(rows, 2 * dimension))
            faiss = load_faiss()
            self._index: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except (OSError, RuntimeError, ValueError, MemoryError) as error:
            raise self._damaged("it cannot be mapped into memory") from error

    def _check(self) -> None:
        try:
            size = self.path.stat().st_size
            with self.path.open("rb") as stream:
                header = stream.read(_HEADER_BYTES)
        except OSError as error:
            raise self._damaged("it cannot be read") from error
        if size != _HEADER_BYTES + 2 * self.rows * self.dimension:
            raise self._damaged(f"it has {size} bytes")
        if header != file_header(self.rows, self.dimension):
            raise self._damaged("its header is not that of these vectors")

    def _damaged(self, reason: str) -> CollectionError:
        return CollectionError(
            f"{self.path.name} is damaged: {reason}",
            str(self.path),
            f"it is derived: llm2comp rebuild {self.path.parents[3]}",
        )

    @property
    def index(self) -> Any:
        """The FAISS index over the mapped file, for cloning to a GPU."""
        return self._index

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Vectors at `positions` [N], float32 [N, D]."""
        return self._bytes[positions].view(np.float16).astype(np.float32)

    def block(self, start: int, stop: int) -> NDArray[np.float32]:
        """Vectors `start` to `stop` in order, float32 [N, D]."""
        return self.half_block(start, stop).astype(np.float32)

    def half_block(self, start: int, stop: int) -> NDArray[np.float16]:
        """Vectors `start` to `stop` in order as they are stored, a copy, float16 [N, D]."""
        return np.array(self._bytes[start:stop]).view(np.float16)

    def nearest(
        self, query: NDArray[np.float32], depth: int, allowed: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        """Positions of the exact best `depth` rows among the allowed ones, and of all that tie with the last of them.

        Args:
            query: float32 [D].
            depth: rows wanted.
            allowed: bool [rows]; None for all.

        Returns:
            int64 [N] in no promised order, N >= min(depth, allowed rows).
        """
        count = self.rows if allowed is None else int(np.count_nonzero(allowed))
        wanted = min(depth, count)
        if wanted == count:
            return np.arange(self.rows) if allowed is None else np.flatnonzero(allowed)
        if allowed is not None and count <= _GATHER_ROWS:
            positions = np.flatnonzero(allowed)
            scores = exact_scores(self.take(positions), query)
            return positions[scores >= np.partition(scores, count - wanted)[count - wanted]]
        return self._best_with_ties(query, wanted, count, allowed)

    def _best_with_ties(
        self, query: NDArray[np.float32], wanted: int, count: int, allowed: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        asked = wanted + _TIE_ROOM
        while True:
            positions, scores, beyond = self._look(query, min(asked, count), count, allowed)
            least = scores[wanted - 1] - ROUNDING
            if beyond < least:
                return positions[scores >= least]
            asked *= 4

    def _look(
        self, query: NDArray[np.float32], asked: int, count: int, allowed: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], float]:
        """At least `asked` of the best allowed rows by falling score, and a score that no other row exceeds."""
        if allowed is not None and count > _OVERFETCH_SHARE * self.rows:
            depth = min(self.rows, int(1.2 * asked * self.rows / count) + 20)
            positions, scores = self._scan(query, depth, None)
            beyond = float(scores[-1]) if depth < self.rows else -np.inf
            passing = allowed[positions]
            if np.count_nonzero(passing) >= asked:
                return positions[passing], scores[passing], beyond
        positions, scores = self._scan(query, asked, allowed)
        return positions, scores, float(scores[-1]) if asked < count else -np.inf

    def _scan(
        self, query: NDArray[np.float32], depth: int, allowed: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        faiss = load_faiss()
        faiss.omp_set_num_threads(1)  # holds for the calling thread only, so it is said at every call
        if allowed is None:
            scores, positions = self._index.search(query[None], depth)
            return positions[0], scores[0]
        bitmap = np.packbits(allowed, bitorder="little")  # FAISS keeps a pointer: both must outlive the call
        selector = faiss.IDSelectorBitmap(self.rows, faiss.swig_ptr(bitmap))
        parameters = faiss.SearchParameters(sel=selector)
        scores, positions = self._index.search(query[None], depth, params=parameters)
        return positions[0], scores[0]


class VectorFileWriter:
    """Writes a vector file row block by row block, in any order, without holding it in memory.

    By plain writes: through a memory map a full disk would kill the process instead of raising.

    Args:
        path: of the new file.
        rows: vectors it will hold.
        dimension: numbers per vector.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """

    def __init__(self, path: Path, rows: int, dimension: int) -> None:
        self._row_bytes = 2 * dimension
        self._stream = path.open("wb", buffering=0)
        self._stream.write(file_header(rows, dimension))
        self._stream.truncate(_HEADER_BYTES + rows * self._row_bytes)

    def put(self, positions: NDArray[np.int64], vectors: NDArray[np.float16]) -> None:
        """Places vectors, float16 [N, D], at `positions` [N].

        Raises:
            OSError: the disk is full.
        """
        starts = np.flatnonzero(np.diff(positions, prepend=-2) != 1)
        for start, stop in zip(starts, np.append(starts[1:], positions.size), strict=True):
            left = memoryview(vectors[start:stop].astype("<f2", copy=False).tobytes())
            at = _HEADER_BYTES + int(positions[start]) * self._row_bytes
            while left:
                written = os.pwrite(self._stream.fileno(), left, at)
                left, at = left[written:], at + written

    def close(self) -> None:
        """Hands what is left in memory to the operating system."""
        self._stream.close()


def exact_scores(vectors: NDArray[np.floating[Any]], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner products, summed row by row so that equal rows get equal scores wherever they stand.

    A matrix product may round the same row differently at another position, which would break ties at random.

    Args:
        vectors: float32 or float16 [N, D].
        query: float32 [D].

    Returns:
        float32 [N].
    """
    scores = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), _SCORE_BLOCK):  # a block stays in the cache, and memory does not grow
        block = vectors[start : start + _SCORE_BLOCK].astype(np.float32, copy=False)
        scores[start : start + _SCORE_BLOCK] = (block * query).sum(axis=1, dtype=np.float32)
    return scores
