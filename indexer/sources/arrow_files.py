"""Arrow data as a Reader: parquet and arrow files, tables in memory; types are kept, nothing is inferred."""

import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from encoder.errors import InputError
from indexer.sources.columns import looks_like_id
from indexer.sources.compressed import readable
from indexer.sources.reader import SAMPLE_ROWS, ColumnSurvey, RawBatch, Reader, RowLog, Survey
from indexer.sources.source import MetadataType

_UNIQUE_ROWS = 200_000


def metadata_type(arrow: pa.DataType) -> MetadataType | None:
    """The type that such a column has in a collection; None where nothing is known because all is null."""
    if pa.types.is_dictionary(arrow):
        return metadata_type(arrow.value_type)
    for test, type_ in _TYPES:
        if test(arrow):
            return type_
    if _is_list(arrow) and _is_string(arrow.value_type):
        return "list<string>"
    return None if pa.types.is_null(arrow) else "string"


def _is_string(arrow: pa.DataType) -> bool:
    return pa.types.is_string(arrow) or pa.types.is_large_string(arrow) or pa.types.is_string_view(arrow)


def _is_list(arrow: pa.DataType) -> bool:
    return pa.types.is_list(arrow) or pa.types.is_large_list(arrow) or pa.types.is_fixed_size_list(arrow)


_TYPES: tuple[tuple[Any, MetadataType], ...] = (
    (_is_string, "string"),
    (pa.types.is_boolean, "bool"),
    (pa.types.is_integer, "int64"),
    (pa.types.is_floating, "float64"),
    (pa.types.is_decimal, "float64"),
    (pa.types.is_date, "date"),
    (pa.types.is_timestamp, "timestamp"),
)


def is_left_out(arrow: pa.DataType) -> bool:
    """Whether a column is no use as metadata: bytes, pictures, and vectors of numbers."""
    if pa.types.is_binary(arrow) or pa.types.is_large_binary(arrow) or pa.types.is_fixed_size_binary(arrow):
        return True
    if _is_list(arrow):
        inner = arrow.value_type
        return (
            pa.types.is_integer(inner) or pa.types.is_floating(inner) or _is_list(inner) or is_left_out(inner)
        )
    return pa.types.is_struct(arrow) and any(
        is_left_out(arrow.field(i).type) for i in range(arrow.num_fields)
    )


def python_values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values as Python objects of the column's metadata type; structs, maps and odd lists as JSON text."""
    arrow = column.type
    if pa.types.is_dictionary(arrow):
        return python_values(pc.cast(column, arrow.value_type))
    if pa.types.is_timestamp(arrow):
        return pc.cast(column, pa.timestamp("us"), safe=False).to_pylist()
    if pa.types.is_date64(arrow):
        return pc.cast(column, pa.date32()).to_pylist()
    if pa.types.is_decimal(arrow):
        return pc.cast(column, pa.float64(), safe=False).to_pylist()
    values: list[Any] = column.to_pylist()
    if pa.types.is_nested(arrow) and metadata_type(arrow) == "string":
        return [None if v is None else json.dumps(v, ensure_ascii=False, default=str) for v in values]
    return values


class ArrowReader(Reader):
    """Arrow record batches; children say where they come from."""

    def __init__(self, label: str) -> None:
        self.label = label
        self._done = 0

    @property
    @abstractmethod
    def schema(self) -> pa.Schema:
        """Columns and types, names distinct."""

    @property
    @abstractmethod
    def n_rows(self) -> int:
        """Rows in all."""

    @abstractmethod
    def record_batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """The named columns, at most `rows` at a time."""

    def survey(self, max_bytes: int, log: RowLog) -> Survey:
        """Columns with types and sample values.

        Raises:
            InputError: it has no columns or no rows.
        """
        if not self.n_rows:
            raise InputError(f"{self.label} has no rows", self.label, "give a file with rows")
        out = [field.name for field in self.schema if is_left_out(field.type)]
        names = [field.name for field in self.schema if field.name not in out]
        columns = {name: ColumnSurvey(metadata_type(self.schema.field(name).type)) for name in names}
        for batch in self.record_batches(names, SAMPLE_ROWS):
            for name in names:
                values = python_values(batch.column(name))
                columns[name].values = [value for value in values if value is not None]
                columns[name].n_rows = len(values)
            break
        for name in filter(looks_like_id, names):
            columns[name].is_unique = self._is_unique(name)
        notes = [f"left out, since they hold bytes or vectors: {', '.join(out)}"] if out else []
        return Survey(columns, notes=notes)

    def _is_unique(self, name: str) -> bool:
        seen: set[Any] = set()
        n = 0
        for batch in self.record_batches([name], 16_384):
            column = batch.column(name)
            if column.null_count or pa.types.is_nested(column.type):
                return False
            seen.update(column.to_pylist())
            n += len(column)
            if len(seen) < n or n >= _UNIQUE_ROWS:
                break
        return len(seen) == n

    def batches(self, names: Sequence[str], rows: int, log: RowLog) -> Iterator[RawBatch]:
        """The named columns from the first row on.

        Raises:
            InputError: it is damaged.
        """
        self._done = 0
        try:
            for batch in self.record_batches(names, rows):
                columns = {name: python_values(batch.column(name)) for name in names}
                first = self._done + 1
                self._done += batch.num_rows
                yield RawBatch(columns, [f"{self.label} row {first + i}" for i in range(batch.num_rows)])
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            raise InputError(
                f"{self.label} is damaged after row {self._done:,}: {first_line(error)}",
                f"{self.label} row {self._done + 1:,}",
                "fetch or make the file again",
            ) from error

    def fraction_read(self) -> float:
        """Share of the rows that is read."""
        return self._done / self.n_rows if self.n_rows else 1.0


class ParquetReader(ArrowReader):
    """A parquet file, read a few pages at a time whatever the size of its row groups."""

    def __init__(self, path: Path, label: str) -> None:
        super().__init__(label)
        with readable(label):
            self.size = path.stat().st_size
            try:
                # Without pre-buffering and with a buffer a row group is streamed and not held: memory stays flat.
                self._file = pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
            except pa.ArrowException as error:
                raise InputError(
                    f"{label} is not a whole parquet file: {first_line(error)}",
                    f"{label} ({self.size:,} bytes)",
                    "fetch or make the file again; a download may have been cut off",
                ) from error
        self._schema = distinct_names(self._file.schema_arrow)

    @property
    def schema(self) -> pa.Schema:
        """Columns and types, names distinct."""
        return self._schema

    @property
    def n_rows(self) -> int:
        """Rows in all."""
        return int(self._file.metadata.num_rows)

    def record_batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """The named columns, at most `rows` at a time."""
        renamed = self._schema.names != self._file.schema_arrow.names
        # With doubled names a projection by name cannot say which: all columns are read.
        for batch in self._file.iter_batches(
            rows, columns=None if renamed else list(names), use_threads=False
        ):
            yield batch.rename_columns(self._schema.names) if renamed else batch


class TableReader(ArrowReader):
    """An Arrow table in memory or mapped from a file."""

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

    def record_batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """The named columns, at most `rows` at a time."""
        yield from self._table.select(list(names)).to_batches(max_chunksize=rows)


def distinct_names(schema: pa.Schema) -> pa.Schema:
    """The schema with a number after each name that was there before: a, a_2."""
    return pa.schema(
        [field.with_name(name) for field, name in zip(schema, distinct(schema.names), strict=True)],
        schema.metadata,
    )


def distinct(names: Sequence[str]) -> list[str]:
    """The names, stripped, each once: an empty one becomes column_3, a second `a` becomes a_2."""
    taken = {name.strip() for name in names}
    seen: set[str] = set()
    result = []
    for position, raw in enumerate(names, start=1):
        name = raw.strip() or f"column_{position}"
        candidate, number = name, 2
        while candidate in seen or (number > 2 and candidate in taken):
            candidate, number = f"{name}_{number}", number + 1
        seen.add(candidate)
        result.append(candidate)
    return result


def first_line(error: BaseException) -> str:
    """What a library said, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
