"""Tables that are already in memory, pandas or Arrow, as a Reader."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from encoder.errors import InputError
from indexer.sources.arrow_files import ArrowReader, first_line
from indexer.sources.encoding import without_surrogates
from indexer.sources.lines import BATCH_CHARS
from indexer.sources.names import distinct_names
from indexer.sources.values import as_text


class TableReader(ArrowReader):
    """An Arrow table in memory."""

    def __init__(self, table: pa.Table, label: str) -> None:
        super().__init__(label)
        self._table = table.rename_columns(distinct_names(table.schema).names)
        self.size = table.num_rows

    @property
    def schema(self) -> pa.Schema:
        """Columns and types, names distinct."""
        return self._table.schema

    @property
    def n_rows(self) -> int:
        """Rows in all."""
        return int(self._table.num_rows)

    def rows_that_fit(self) -> int:
        """How many rows may be held at once, by their mean size."""
        return BATCH_CHARS * self._table.num_rows // max(1, self._table.nbytes)

    def record_batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """The named columns, at most `rows` at a time."""
        yield from self._table.select(list(names)).to_batches(max_chunksize=rows)


def memory_reader(table: Any, label: str) -> TableReader:
    """A reader of an Arrow table or a pandas frame.

    Raises:
        InputError: it is neither, or a column cannot be converted.
    """
    if isinstance(table, pa.Table):
        return TableReader(table, label)
    if isinstance(table, pa.RecordBatch):
        return TableReader(pa.Table.from_batches([table]), label)
    is_frame = hasattr(table, "columns") and hasattr(table, "iloc")
    if not is_frame and hasattr(table, "__arrow_c_stream__"):
        return TableReader(pa.table(table), label)  # what polars and others hand over without a copy
    if not is_frame:
        raise InputError(
            what=f"an object of type {type(table).__name__} is no source",
            where=label,
            fix="give a path, a pandas frame or an Arrow table",
        )
    frame = table.copy(deep=False)
    frame.columns = [str(name) for name in frame.columns]
    return TableReader(_to_arrow(frame, label), label)


def _to_arrow(frame: Any, label: str) -> pa.Table:
    arrays = []
    for position, name in enumerate(frame.columns):
        column = frame.iloc[:, position]
        try:
            arrays.append(pa.array(column, from_pandas=True))
        except (pa.ArrowException, UnicodeEncodeError):
            # Objects of mixed types: as text, which is what people see of them.
            try:
                arrays.append(pa.array([_safe_text(value) for value in column], pa.string()))
            except pa.ArrowException as error:
                raise InputError(
                    f"column {name!r} cannot be read: {first_line(error)}",
                    label,
                    "convert the column to text first",
                ) from error
    return pa.table(arrays, names=list(frame.columns))


def _safe_text(value: Any) -> str | None:
    text = as_text(value)
    return None if text is None else without_surrogates(text)
