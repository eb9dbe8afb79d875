"""The fp16 vectors of a segment in one file: exact index, filtered index and rerank store at once.

The file is a FAISS `IndexScalarQuantizer(d, QT_fp16, inner product)`: 81 bytes of header, then raw
little-endian fp16 rows, so FAISS maps it into memory and numpy reads the same bytes. The header is computed
and compared byte for byte before FAISS sees the file, so a foreign or damaged one is never deserialised.
"""

from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.errors import CollectionError
from indexer.faiss_module import load_faiss

VECTOR_FILE = "vec.faiss"
_HEADER_BYTES = 81
_ROW_COUNT_AT = 8
# Below this many allowed rows numpy gathers them faster than FAISS walks the bitmap of all rows.
_GATHER_ROWS = 300
# Above this share of allowed rows a plain scan that over-fetches beats the bitmap.
_OVERFETCH_SHARE = 0.2


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
        self._bytes = np.memmap(path, np.uint8, "r", offset=_HEADER_BYTES, shape=(rows, 2 * dimension))

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

    @cached_property
    def _index(self) -> Any:
        faiss = load_faiss()
        return faiss.read_index(str(self.path), faiss.IO_FLAG_MMAP_IFC)

    @property
    def index(self) -> Any:
        """The FAISS index over the mapped file, for cloning to a GPU."""
        return self._index

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Vectors at `positions` [N], float32 [N, D]."""
        return self._bytes[positions].view(np.float16).astype(np.float32)

    def block(self, start: int, stop: int) -> NDArray[np.float32]:
        """Vectors `start` to `stop` in order, float32 [N, D]."""
        return np.ascontiguousarray(self._bytes[start:stop]).view(np.float16).astype(np.float32)

    def halves(self, start: int, stop: int) -> NDArray[np.float16]:
        """Vectors `start` to `stop` as stored, float16 [N, D]."""
        return np.ascontiguousarray(self._bytes[start:stop]).view(np.float16)

    def nearest(
        self, query: NDArray[np.float32], depth: int, allowed: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        """Positions of the exact best `depth` rows among the allowed ones, in no promised order.

        Args:
            query: float32 [D].
            depth: most positions.
            allowed: bool [rows]; None for all.

        Returns:
            int64 [min(depth, allowed rows)].
        """
        if allowed is None:
            return self._scan(query, min(depth, self.rows))
        count = int(np.count_nonzero(allowed))
        wanted = min(depth, count)
        if wanted == 0:
            return np.zeros(0, np.int64)
        if count <= _GATHER_ROWS or wanted == count:
            positions = np.flatnonzero(allowed)
            if wanted == count:
                return positions
            scores = self.take(positions) @ query
            return positions[np.argpartition(-scores, wanted - 1)[:wanted]]
        if count > _OVERFETCH_SHARE * self.rows:
            found = self._scan(query, min(self.rows, int(1.2 * wanted * self.rows / count) + 20))
            found = found[allowed[found]]
            if found.size >= wanted:
                return found[:wanted]
        return self._scan(query, wanted, allowed)

    def _scan(
        self, query: NDArray[np.float32], depth: int, allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        faiss = load_faiss()
        faiss.omp_set_num_threads(1)  # holds for the calling thread only, so it is said at every call
        if allowed is None:
            return self._index.search(query[None], depth)[1][0]
        bitmap = np.packbits(allowed, bitorder="little")  # FAISS keeps a pointer: both must outlive the call
        selector = faiss.IDSelectorBitmap(self.rows, faiss.swig_ptr(bitmap))
        found = self._index.search(query[None], depth, params=faiss.SearchParameters(sel=selector))[1][0]
        return found[found >= 0]


class VectorFileWriter:
    """Writes a vector file row block by row block, in any order, without holding it in memory.

    Args:
        path: of the new file.
        rows: vectors it will hold.
        dimension: numbers per vector.
    """

    def __init__(self, path: Path, rows: int, dimension: int) -> None:
        with path.open("wb") as stream:
            stream.write(file_header(rows, dimension))
            stream.truncate(_HEADER_BYTES + 2 * rows * dimension)
        self._rows = np.memmap(path, np.float16, "r+", offset=_HEADER_BYTES, shape=(rows, dimension))

    def put(self, positions: NDArray[np.int64], vectors: NDArray[np.float16]) -> None:
        """Places vectors, float16 [N, D], at `positions` [N]."""
        self._rows[positions] = vectors

    def close(self) -> None:
        """Hands what is left in memory to the operating system."""
        self._rows.flush()
        del self._rows


def exact_scores(vectors: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner products, summed row by row so that equal rows get equal scores wherever they stand.

    A matrix product may round the same row differently at another position, which would break ties at random.

    Args:
        vectors: float32 [N, D].
        query: float32 [D].

    Returns:
        float32 [N].
    """
    return (vectors * query).sum(axis=1, dtype=np.float32)
