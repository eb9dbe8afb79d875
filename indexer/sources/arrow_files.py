"""Arrow data as a Reader: parquet and arrow files; types are kept, nothing is inferred."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from encoder.errors import InputError
from indexer.sources.arrow_values import BEYOND, is_left_out, metadata_type, python_values
from indexer.sources.columns import looks_like_id
from indexer.sources.compressed import readable
from indexer.sources.lines import BATCH_CHARS
from indexer.sources.names import distinct_names
from indexer.sources.reader import SAMPLE_CHARS, SAMPLE_ROWS, ColumnSurvey, RawBatch, Reader, RowLog, Survey

IPC_MARK = b"ARROW1"
# Whether ids are unique is looked at this far; the indexing job sees the rest.
_UNIQUE_ROWS = 200_000
_UNIQUE_BATCH = 16_384


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
        with self._soundly():
            for batch in self._small_batches(names, SAMPLE_ROWS):
                for name in names:
                    values = python_values(batch.column(name))
                    is_time = columns[name].type in ("date", "timestamp")
                    known = [v for v in values if v is not None and not (is_time and v == BEYOND)]
                    columns[name].values = [v[:SAMPLE_CHARS] if type(v) is str else v for v in known]
                    columns[name].n_rows = len(values)
                break
        for name in filter(looks_like_id, names):
            columns[name].is_unique = self._is_unique(name)
        notes = [f"left out, since they hold bytes or vectors: {', '.join(out)}"] if out else []
        return Survey(columns, notes=notes)

    def _is_unique(self, name: str) -> bool:
        if pa.types.is_nested(self.schema.field(name).type):
            return False
        seen: set[Any] = set()
        n = 0
        with self._soundly():
            for batch in self._small_batches([name], _UNIQUE_BATCH):
                seen.update(python_values(batch.column(name)))
                n += batch.num_rows
                if len(seen) < n or None in seen or n >= _UNIQUE_ROWS:
                    break
        return len(seen) == n and None not in seen

    def batches(self, names: Sequence[str], rows: int, log: RowLog) -> Iterator[RawBatch]:
        """The named columns from the first row on.

        Raises:
            InputError: it is damaged.
        """
        with self._soundly():
            for batch in self._small_batches(names, rows):
                columns = {name: python_values(batch.column(name)) for name in names}
                first = self._done + 1
                self._done += batch.num_rows
                yield RawBatch(columns, [f"{self.label} row {first + i}" for i in range(batch.num_rows)])

    def _small_batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        found = self.record_batches(names, max(1, min(rows, self.rows_that_fit())))
        return (batch for batch in found if batch.num_rows)

    @contextmanager
    def _soundly(self) -> Iterator[None]:
        """Read from the first row on, and say of what Arrow cannot read that the file is damaged."""
        self._done = 0
        try:
            yield
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            raise InputError(
                f"{self.label} is damaged after row {self._done:,}: {first_line(error)}",
                f"{self.label} row {self._done + 1:,}",
                "fetch or make the file again",
            ) from error

    def rows_that_fit(self) -> int:
        """How many rows may be held at once, by their mean size."""
        return BATCH_CHARS

    def fraction_read(self) -> float:
        """Share of the rows that is read."""
        return self._done / self.n_rows if self.n_rows else 1.0


class ParquetReader(ArrowReader):
    """A parquet file, read a few pages at a time whatever the size of its row groups; open only while it is read."""

    def __init__(self, path: Path, label: str) -> None:
        super().__init__(label)
        self._path = path
        with readable(label):
            self.size = path.stat().st_size
            try:
                with pq.ParquetFile(path) as file:
                    self._names = file.schema_arrow.names
                    self._schema = distinct_names(file.schema_arrow)
                    self._n_rows = int(file.metadata.num_rows)
                    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
                    self._bytes = sum(group.total_byte_size for group in groups)
            except pa.ArrowException as error:
                raise InputError(
                    f"{label} is not a whole parquet file: {first_line(error)}",
                    f"{label} ({self.size:,} bytes)",
                    "fetch or make the file again; a download may have been cut off",
                ) from error

    @property
    def schema(self) -> pa.Schema:
        """Columns and types, names distinct."""
        return self._schema

    @property
    def n_rows(self) -> int:
        """Rows in all."""
        return self._n_rows

    def rows_that_fit(self) -> int:
        """How many rows may be held at once, by their mean size."""
        return BATCH_CHARS * self._n_rows // max(1, self._bytes)

    def record_batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """The named columns, at most `rows` at a time."""
        is_renamed = self._schema.names != self._names
        # Without pre-buffering and with a buffer a row group is streamed and not held: memory stays flat.
        with pq.ParquetFile(self._path, buffer_size=1 << 20, pre_buffer=False) as file:
            # With doubled names a projection by name cannot say which: all columns are read.
            columns = None if is_renamed else list(names)
            for batch in file.iter_batches(rows, columns=columns, use_threads=False):
                yield batch.rename_columns(self._schema.names) if is_renamed else batch


class IpcReader(ArrowReader):
    """An Arrow file, of the file kind (feather) or the stream kind, one stored batch in memory at a time."""

    def __init__(self, path: Path, label: str) -> None:
        super().__init__(label)
        self._path = path
        with readable(label):
            self.size = path.stat().st_size
            try:
                batches = self._file_batches()
                first = next(batches, None)
                self._names = first.schema.names if first is not None else []
                self._schema = distinct_names(first.schema) if first is not None else pa.schema([])
                self._n_rows = sum(
                    (batch.num_rows for batch in batches), first.num_rows if first is not None else 0
                )
            except (pa.ArrowException, OSError) as error:
                raise InputError(
                    f"{label} is not a whole Arrow file: {first_line(error)}",
                    label,
                    "fetch or make the file again",
                ) from error

    def _file_batches(self) -> Iterator[pa.RecordBatch]:
        # Read and not mapped, and validated: Arrow trusts offsets, and a damaged file would end the process.
        with pa.OSFile(str(self._path)) as file:
            if file.read(6) == IPC_MARK:
                content = pa.ipc.open_file(file)
                found = (content.get_batch(number) for number in range(content.num_record_batches))
            else:
                file.seek(0)
                found = iter(pa.ipc.open_stream(file))
            for batch in found:
                batch.validate(full=True)
                yield batch

    @property
    def schema(self) -> pa.Schema:
        """Columns and types, names distinct."""
        return self._schema

    @property
    def n_rows(self) -> int:
        """Rows in all."""
        return self._n_rows

    def rows_that_fit(self) -> int:
        """How many rows may be held at once, by their mean size."""
        return BATCH_CHARS * self._n_rows // max(1, self.size)

    def record_batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """The named columns, at most `rows` at a time."""
        for batch in self._file_batches():
            chosen = batch.rename_columns(self._schema.names).select(list(names))
            for start in range(0, chosen.num_rows, rows):
                yield chosen.slice(start, rows)


def first_line(error: BaseException) -> str:
    """What a library said, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
