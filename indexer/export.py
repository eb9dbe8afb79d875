"""A collection as a file that other programs read: one record a passage."""

import csv
import json
import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from encoder.errors import InputError
from indexer.collection import Collection
from indexer.export_columns import ExtraColumn, extra_columns, in_order, origin_column
from indexer.progress import JobProgress, Report, silent
from indexer.search import Searcher
from indexer.selection import Selection, select_rows
from indexer.storage.row_schema import WORD_COLUMN

FORMATS = (".parquet", ".jsonl", ".csv")
_BLOCK = 4096
# Spreadsheets run a cell that begins like this; the apostrophe makes it text again.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def export_passages(
    collection: Collection,
    file: Path,
    *,
    vectors: bool = False,
    selection: Selection | None = None,
    origins: Mapping[int, str] | None = None,
    report: Report = silent,
) -> int:
    """Writes id, document_id, title, text, start, end and the metadata of published passages.

    Where they exist there are also topic, topic_label, tags, notes, and x, y, trust of a map, see
    `indexer.export_columns`. The file appears when it is whole. In csv a cell that a spreadsheet would run gets an
    apostrophe in front.

    Args:
        collection: to export.
        file: new file, .parquet, .jsonl or .csv; an existing one is replaced.
        vectors: add the vector as a list of numbers (.parquet and .jsonl).
        selection: the passages wanted, written by rising row id; None for all.
        origins: row id to how somebody came by it: a column `origin`, and the order of the rows that it names.
        report: called as it goes on.

    Returns:
        Passages written.

    Raises:
        InputError: the file's ending is unknown, csv was asked to hold vectors, or the selection is impossible.
        CollectionError: nothing was published, or rows cannot be read.
    """
    _check_ending(file, vectors)
    searcher = Searcher(collection).held()  # rows, columns and topics of one version
    selection = selection or Selection()
    row_ids = None if selection.is_everything else select_rows(searcher, selection).row_ids
    extras = extra_columns(searcher, selection)
    if origins is not None:
        row_ids = in_order(searcher.snapshot.row_ids() if row_ids is None else row_ids, origins)
        extras = [origin_column(origins), *extras]
    return write_rows(searcher, file, row_ids, extras=extras, vectors=vectors, report=report)


def _check_ending(file: Path, vectors: bool) -> None:
    ending = file.suffix.lower()
    if ending not in FORMATS:
        raise InputError(f"{file.name} has no known ending", str(file), f"end it with {', '.join(FORMATS)}")
    if vectors and ending == ".csv":
        raise InputError("a csv cell cannot hold a vector", str(file), "export to .parquet or .jsonl")


def write_rows(
    searcher: Searcher,
    file: Path,
    row_ids: NDArray[np.uint64] | None,
    *,
    extras: Sequence[ExtraColumn] = (),
    vectors: bool = False,
    report: Report = silent,
) -> int:
    """Writes passages to a file that appears when it is whole; returns how many.

    Args:
        searcher: of the collection.
        file: with one of the known endings.
        row_ids: uint64 [N], live, in the order wanted; None for all.
        extras: columns beside those of the rows.
        vectors: add the vector.
        report: called as it goes on.

    Raises:
        InputError: the file cannot be written.
        CollectionError: rows cannot be read.
    """
    searcher = searcher.held()
    temporary = file.with_name(f".{file.name}.part")
    total = max(1, searcher.snapshot.rows if row_ids is None else row_ids.size)
    written = 0
    try:
        with ExitStack() as stack:
            write = _WRITERS[file.suffix.lower()](temporary, stack)
            for batch in _batches(searcher, row_ids, vectors):
                table = _shown(batch, searcher.collection.settings.column_fields, vectors, extras)
                write(table)
                written += table.num_rows
                report(JobProgress("exporting", passages=written, fraction=written / total))
        temporary.replace(file)
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"the file cannot be written: {reason}", str(file), "choose another place"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
    return written


def _batches(
    searcher: Searcher, row_ids: NDArray[np.uint64] | None, vectors: bool
) -> Iterator[pa.RecordBatch]:
    """The rows with `_rowid`; at least one batch, since the columns are part of the answer."""
    fields = searcher.collection.settings.column_fields
    wanted = ["id", "doc_id", "title", WORD_COLUMN, "text_at", "char_start", "char_end", *fields.values()]
    wanted += ["vec"] if vectors else []
    store, is_empty = searcher.snapshot.store, True
    for batch in store.scan(wanted) if row_ids is None else _taken(searcher, row_ids, wanted):
        is_empty = False
        yield batch
    if is_empty:
        yield pa.RecordBatch.from_pylist([], schema=store.schema.append(pa.field("_rowid", pa.uint64())))


def _taken(
    searcher: Searcher, row_ids: NDArray[np.uint64], wanted: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    for at in range(0, row_ids.size, _BLOCK):
        some = row_ids[at : at + _BLOCK]
        table = searcher.snapshot.store.take(some, wanted).append_column("_rowid", pa.array(some))
        yield table.combine_chunks().to_batches()[0]


def _shown(
    batch: pa.RecordBatch, fields: dict[str, str], vectors: bool, extras: Sequence[ExtraColumn]
) -> pa.Table:
    starts = batch["text_at"].to_pylist()
    texts = [content[at:] for content, at in zip(batch[WORD_COLUMN].to_pylist(), starts, strict=True)]
    columns: dict[str, Any] = {
        "id": batch["id"],
        "document_id": batch["doc_id"],
        "title": batch["title"],
        "text": pa.array(texts, pa.string()),
        "start": batch["char_start"],
        "end": batch["char_end"],
    }
    for name, stored in fields.items():
        columns[_free_name(name, columns)] = batch[stored]
    rows = batch["_rowid"].to_numpy()
    for extra in extras:
        columns[_free_name(extra.name, columns, "derived")] = extra.of(rows)
    if vectors:
        dimension = batch["vec"].type.list_size
        numbers = batch["vec"].flatten().to_numpy(zero_copy_only=False).astype(np.float32)
        columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(numbers), dimension)
    return pa.table(columns)


def _free_name(name: str, taken: Container[str], prefix: str = "metadata") -> str:
    while name in taken or name == "vector":
        name = f"{prefix}.{name}"
    return name


def _parquet(file: Path, stack: ExitStack) -> Callable[[pa.Table], None]:
    writer: list[pq.ParquetWriter] = []

    def write(table: pa.Table) -> None:
        if not writer:
            writer.append(stack.enter_context(pq.ParquetWriter(file, table.schema)))
        writer[0].write_table(table)

    return write


def _jsonl(file: Path, stack: ExitStack) -> Callable[[pa.Table], None]:
    stream = stack.enter_context(file.open("w", encoding="utf-8"))

    def write(table: pa.Table) -> None:
        for row in table.to_pylist():
            stream.write(json.dumps(_json_values(row), ensure_ascii=False, default=str) + "\n")

    return write


def _json_values(row: dict[str, Any]) -> dict[str, Any]:
    """The row without NaN and infinities, which JSON does not know."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }


def _csv(file: Path, stack: ExitStack) -> Callable[[pa.Table], None]:
    stream = stack.enter_context(file.open("w", encoding="utf-8", newline=""))
    writer = csv.writer(stream)
    has_header = False

    def write(table: pa.Table) -> None:
        nonlocal has_header
        if not has_header:
            writer.writerow([safe_cell(name) for name in table.column_names])
            has_header = True
        for row in table.to_pylist():
            writer.writerow([safe_cell(value) for value in row.values()])

    return write


def safe_cell(value: Any) -> str:
    """The value as a csv cell that no spreadsheet takes for a formula; numbers stay numbers.

    Args:
        value: any JSON-like value; lists are joined by "; ".
    """
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    text = "; ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


_WRITERS = {".parquet": _parquet, ".jsonl": _jsonl, ".csv": _csv}
