"""Vectors of any encoder out of a file: `.npy`, or `.parquet` with a column of lists; read in blocks, never unpickled.

Shapes: N rows, D dimension.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from encoder.errors import InputError

ENDINGS = (".npy", ".parquet")
_MOST_DIMENSIONS = 65_536
_BLOCK_NUMBERS = 4 << 20
# What numpy raises for headers that nobody's numpy wrote: the text of a Python dictionary, in which anything may stand.
_BAD_HEADER = (ValueError, TypeError, OverflowError, RecursionError, MemoryError, SyntaxError, TokenError)
_FIX = (
    "give an array [texts, numbers] of floats in .npy, or a .parquet file with a column of lists of numbers"
)


@dataclass(frozen=True, slots=True)
class VectorSource:
    """Vectors in a file.

    Attributes:
        path: of the file.
        rows: N.
        dimension: D.
        column: of a parquet file that holds them; empty for .npy.
    """

    path: Path
    rows: int
    dimension: int
    column: str = ""

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """The vectors in order, float32 [n, D] a block; rows with nulls come as NaN.

        Raises:
            InputError: the file ends early, or rows differ in length.
        """
        return _parquet_blocks(self) if self.column else _npy_blocks(self)


def open_vectors(path: Path | str, column: str = "") -> VectorSource:
    """The vectors of a file, looked at but not yet read.

    Args:
        path: of a `.npy` or `.parquet` file.
        column: of a parquet file; when empty the only column of lists, or the one called vector or embedding.

    Raises:
        InputError: it is missing, damaged, something else, or holds no matrix of floats.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise InputError(
            f"{path.name} has no ending that holds vectors", str(path), f"use {' or '.join(ENDINGS)}"
        )
    try:
        return _open_npy(path) if ending == ".npy" else _open_parquet(path, column)
    except (OSError, EOFError, pa.ArrowException, *_BAD_HEADER) as error:
        reason = (getattr(error, "strerror", None) or str(error) or "it ends early").splitlines()[0]
        raise InputError(f"the vectors cannot be read: {reason[:200]}", str(path), _FIX) from error


def _open_npy(path: Path) -> VectorSource:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path.name} holds several arrays", str(path), _FIX)
    if array.ndim != 2 or array.dtype.kind != "f":
        raise InputError(
            f"{path.name} holds {array.dtype} {list(array.shape)}, expected floats [N, D]", str(path), _FIX
        )
    return VectorSource(path, int(array.shape[0]), _checked(int(array.shape[1]), path))


def _npy_blocks(source: VectorSource) -> Iterator[NDArray[np.float32]]:
    array = np.load(source.path, mmap_mode="r", allow_pickle=False)
    step = max(1, _BLOCK_NUMBERS // source.dimension)
    for start in range(0, source.rows, step):
        with np.errstate(over="ignore"):  # a float64 beyond float32 is infinite, and counted so
            yield np.array(array[start : start + step], np.float32)


def _open_parquet(path: Path, column: str) -> VectorSource:
    file = pq.ParquetFile(path)
    name = column or _vector_column(file.schema_arrow, path)
    if name not in file.schema_arrow.names:
        raise InputError(f"there is no column {name!r}", str(path), _columns(file.schema_arrow))
    kind = file.schema_arrow.field(name).type
    if not _is_vector(kind):
        raise InputError(f"the column {name!r} holds {kind}, not lists of floats", str(path), _FIX)
    if pa.types.is_fixed_size_list(kind):
        return VectorSource(path, file.metadata.num_rows, _checked(kind.list_size, path), name)
    for batch in file.iter_batches(batch_size=64, columns=[name]):
        for length in batch.column(0).value_lengths().to_pylist():
            if length:
                return VectorSource(path, file.metadata.num_rows, _checked(length, path), name)
    raise InputError(f"no row of the column {name!r} holds a vector", str(path), _FIX)


def _parquet_blocks(source: VectorSource) -> Iterator[NDArray[np.float32]]:
    step = max(1, _BLOCK_NUMBERS // source.dimension)
    done = 0
    try:
        for batch in pq.ParquetFile(source.path).iter_batches(batch_size=step, columns=[source.column]):
            yield _matrix(batch.column(0), source, done)
            done += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"the vectors cannot be read after {done:,} rows: {str(error).splitlines()[0][:200]}",
            str(source.path),
            "the file is damaged; write it again",
        ) from error


def _matrix(column: pa.Array, source: VectorSource, done: int) -> NDArray[np.float32]:
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    wrong = np.flatnonzero((lengths != source.dimension) & (lengths != 0))
    if wrong.size:
        raise InputError(
            f"row {done + int(wrong[0]):,} (the first is row 0) has {lengths[wrong[0]]} numbers, others {source.dimension}",
            str(source.path),
            "keep the vectors of one encoder in a file",
        )
    found = np.full((len(column), source.dimension), np.nan, np.float32)
    present = lengths == source.dimension
    kept = column.filter(pa.array(present))
    numbers = kept.flatten().to_numpy(zero_copy_only=False)
    found[present] = np.asarray(numbers, np.float32).reshape(-1, source.dimension)
    return found


def _vector_column(schema: pa.Schema, path: Path) -> str:
    names = [field.name for field in schema if _is_vector(field.type)]
    for usual in ("vector", "embedding", "embeddings"):
        if usual in names:
            return usual
    if len(names) != 1:
        raise InputError(
            f"{len(names)} columns hold lists of floats" if names else "no column holds lists of floats",
            str(path),
            f"name the one to look at: {', '.join(names[:5])}" if names else _FIX,
        )
    return str(names[0])


def _is_vector(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return is_list and pa.types.is_floating(kind.value_type)


def _columns(schema: pa.Schema) -> str:
    return f"the columns are: {', '.join(schema.names[:20])}"


def _checked(dimension: int, path: Path) -> int:
    if not 1 <= dimension <= _MOST_DIMENSIONS:
        raise InputError(f"vectors of {dimension:,} numbers are impossible", str(path), _FIX)
    return dimension
