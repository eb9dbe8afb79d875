"""Files with columns -> data sets of the library `datasets`, mapped into memory and not read into it."""

import csv
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from encoder.errors import InputError
from encoder.weights import first_line
from train.texts.files import PAIRS, builder_of, files_behind, quiet_datasets

_TEXT = ("string", "large_string", "string_view", "null")
_SHOWN = 8


def open_columns(names: Sequence[str], columns: Sequence[str], *, cache: Path | None = None) -> Any:
    """All rows of some files one after the other.

    Args:
        names: JSON lines, csv or parquet files, or folders of them.
        columns: of text, in the order wanted; the others are not read.
        cache: folder for the mapped files; None for the library's own. An unchanged file is taken from there.

    Returns:
        A `datasets.Dataset` with just these columns, of strings and nulls.

    Raises:
        InputError: a file is missing, of no known kind or damaged, or a column is missing or holds no text.
    """
    from datasets import concatenate_datasets

    with quiet_datasets():
        parts = [_open(path, columns, cache) for path in pair_paths(names)]
        if not parts:
            raise InputError("No file is named.", "pairs.files", "name files or folders")
        return concatenate_datasets(parts)


def pair_paths(names: Sequence[str]) -> list[Path]:
    """The files behind the names, folders expanded, for hashing.

    Raises:
        InputError: a file is missing, or a folder holds none that could be read.
    """
    return [path for name in names for path in files_behind(name, PAIRS)]


def _open(path: Path, columns: Sequence[str], cache: Path | None) -> Any:
    """The columns of a file.

    Raises:
        InputError: the file is of no known kind or damaged, or a column is missing or holds no text.
    """
    from datasets import Features, Value, load_dataset
    from datasets.exceptions import DatasetGenerationError

    kind = builder_of(path, PAIRS)
    try:
        options = _options(path, kind, columns)
        data = load_dataset(
            kind,
            data_files=str(path),
            split="train",
            cache_dir=None if cache is None else str(cache),
            **options,
        )
        _need_text(data, path, columns)
        # Parquet may hold another type of string in every file; data sets are joined by one.
        return data.select_columns(list(columns)).cast(Features({name: Value("string") for name in columns}))
    except (OSError, ValueError, DatasetGenerationError) as error:
        cause = error.__cause__ if isinstance(error, DatasetGenerationError) else None
        reason = cause if isinstance(cause, Exception) else error
        raise InputError(
            f"The file cannot be read: {first_line(reason)}",
            str(path),
            "mend or leave out the file",
        ) from error


def _options(path: Path, kind: str, columns: Sequence[str]) -> dict[str, Any]:
    """What the library is told about a file, whose columns are checked where that is cheap.

    Raises:
        InputError: a column is missing.
    """
    if kind == "parquet":
        import pyarrow.parquet as pq

        _need_columns(pq.read_schema(path).names, path, columns)
        return {"columns": list(columns)}
    if kind == "csv":
        from datasets import Features, Value

        with path.open(encoding="utf-8-sig", newline="") as stream:
            names = next(csv.reader(stream), [])
        _need_columns(names, path, columns)
        # Otherwise pandas makes a number of "007" and nothing at all of "NA" and "null".
        return {"features": Features({name: Value("string") for name in names}), "keep_default_na": False}
    return {}


def _need_columns(names: Sequence[str], path: Path, columns: Sequence[str]) -> None:
    for column in columns:
        if column not in names:
            near = get_close_matches(column, names, n=1)
            there = near[0] if near else ", ".join(names[:_SHOWN])
            raise InputError(
                f"There is no column {column!r}.", str(path), f"name another one; there is {there}"
            )


def _need_text(data: Any, path: Path, columns: Sequence[str]) -> None:
    _need_columns(data.column_names, path, columns)
    for column in columns:
        kind = getattr(data.features[column], "dtype", "list")
        if kind not in _TEXT:
            raise InputError(
                f"The column {column!r} holds {kind}, expected text.", str(path), "name a column of text"
            )
