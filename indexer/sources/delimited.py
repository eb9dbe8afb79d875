"""Csv and its relatives as a Reader: streamed, every cell a string, broken rows named by their line."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from encoder.errors import InputError
from indexer.sources.arrow_files import distinct
from indexer.sources.cells import CellTypes
from indexer.sources.columns import looks_like_id
from indexer.sources.compressed import ByteStream, readable
from indexer.sources.dialect import Dialect, detect_dialect, has_header
from indexer.sources.encoding import detect_encoding, has_broken_bytes
from indexer.sources.reader import SAMPLE_ROWS, ColumnSurvey, RawBatch, Reader, RowLog, Survey

_SAMPLE_BYTES = 1 << 20
_ENCODING_BYTES = 50_000_000
# A document of 50 MB fits into a cell; an unclosed quote stops here and not at the end of the file.
_LONGEST_CELL = 200_000_000


class DelimitedReader(Reader):
    """A csv or tsv file, packed or not.

    Args:
        path: the file.
        label: how it is called in messages.
        delimiter: None to find it.
    """

    def __init__(self, path: Path, label: str, delimiter: str | None = None) -> None:
        self.label = label
        self._path = path
        self._stream: ByteStream | None = None
        csv.field_size_limit(_LONGEST_CELL)
        with readable(label):
            self.size = path.stat().st_size
            self._encoding = self._detect_encoding()
            text = self._open()
            sample = text.read(_SAMPLE_BYTES)
            is_whole = not text.read(1)
            text.close()
        if not sample.strip():
            raise InputError(f"{label} is empty", f"{label} ({self.size} bytes)", "give a file with rows")
        self.dialect: Dialect = detect_dialect(sample, is_whole, delimiter)
        self._notes: list[str] = []
        self.names = self._names(sample)

    def _detect_encoding(self) -> str:
        """By the first megabyte, and where that is plain ASCII, by the first later bytes that are not."""
        stream = ByteStream(self._path)
        try:
            sample = stream.file.read(_SAMPLE_BYTES)
            done = len(sample)
            while sample.isascii() and done < _ENCODING_BYTES and (more := stream.file.read(_SAMPLE_BYTES)):
                done += len(more)
                sample = more
        finally:
            stream.close()
        return detect_encoding(sample)

    def _open(self) -> io.TextIOWrapper:
        self._stream = ByteStream(self._path)
        return io.TextIOWrapper(self._stream.file, self._encoding, errors="surrogateescape", newline="")

    def _names(self, sample: str) -> list[str]:
        rows: list[list[str]] = []
        reader = csv.reader(io.StringIO(sample, newline=""), **self.dialect.arguments())  # type: ignore[arg-type]
        while len(rows) < 50:
            try:
                row = next(reader)
            except StopIteration:
                break
            except csv.Error:
                continue
            if any(cell.strip() for cell in row):
                rows.append(row)
        self._has_header = has_header(rows)
        if not self._has_header:
            names = [f"column_{i + 1}" for i in range(len(rows[0]))]
            self._notes.append(
                f"{self.label} has no header: its columns are called {names[0]} to {names[-1]}"
            )
            return names
        names = distinct(rows[0])
        if doubled := sorted({name.strip() for name in rows[0] if name.strip() and rows[0].count(name) > 1}):
            self._notes.append(
                f"{self.label} has doubled column names, numbered from the second: {', '.join(doubled)}"
            )
        return names

    def survey(self, max_bytes: int, log: RowLog) -> Survey:
        """Columns with types and sample values, from the first 1,000 rows and at most `max_bytes` more.

        Raises:
            InputError: it cannot be read, has no rows, or a row is bad and bad rows stop.
        """
        types = [CellTypes() for _ in self.names]
        columns = {name: ColumnSurvey(None) for name in self.names}
        ids = {name: set[str]() for name in self.names if looks_like_id(name)}
        n_rows = bytes_read = 0
        for batch in self.batches(self.names, SAMPLE_ROWS, log):
            for tracker, (name, cells) in zip(types, batch.columns.items(), strict=True):
                tracker.add(cells)
                if not n_rows:
                    columns[name].values = [cell for cell in cells if cell]
                    columns[name].n_rows = len(cells)
                if name in ids:
                    ids[name].update(cells)
            n_rows += len(batch.rows)
            bytes_read = self._stream.bytes_read if self._stream else 0
            if bytes_read > max_bytes:
                break
        if not n_rows:
            raise InputError(f"{self.label} has a header and no rows", self.label, "give a file with rows")
        for tracker, (name, column) in zip(types, columns.items(), strict=True):
            column.type, column.form = tracker.result()
            column.is_unique = name in ids and len(ids[name]) == n_rows and "" not in ids[name]
        return Survey(columns, bytes_read, self._notes)

    def batches(self, names: Sequence[str], rows: int, log: RowLog) -> Iterator[RawBatch]:
        """The named columns from the first row on, at most `rows` at a time.

        Raises:
            InputError: it is damaged, or a row is bad and bad rows stop.
        """
        where = [self.names.index(name) for name in names]
        table: list[list[str]] = []
        labels: list[str] = []
        with readable(self.label):
            for line, row in self._rows(log):
                table.append(row)
                labels.append(f"{self.label} line {line}")
                if len(table) == rows:
                    yield self._batch(names, where, table, labels)
                    table, labels = [], []
        if table:
            yield self._batch(names, where, table, labels)

    @staticmethod
    def _batch(names: Sequence[str], where: list[int], table: list[list[str]], labels: list[str]) -> RawBatch:
        columns: list[Any] = list(zip(*table, strict=True))
        return RawBatch({name: columns[i] for name, i in zip(names, where, strict=True)}, labels)

    def _rows(self, log: RowLog) -> Iterator[tuple[int, list[str]]]:
        """Rows of the right width with the line they begin on; after a bad row reading goes on with the next line."""
        width, is_first = len(self.names), self._has_header
        with self._open() as file:
            lines = _Lines(file)
            reader = csv.reader(lines, **self.dialect.arguments())  # type: ignore[arg-type]
            while True:
                try:
                    row = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    problem = _problem(str(error))
                else:
                    if len(row) == width or _is_padded(row, width):
                        problem = _broken(row) if lines.has_odd_bytes else ""
                    elif not row:
                        lines.next_row()
                        continue
                    else:
                        problem = f"the row has {len(row)} cells, the header {width}"
                if is_first:
                    is_first = False
                elif problem:
                    log.add(
                        problem, f"{self.label} line {lines.first}", "mend the line (a quote or a delimiter?)"
                    )
                    lines.retry_from_second()
                elif len(row) > 1 or row[0].strip():
                    yield lines.first, row[:width]
                lines.next_row()

    def fraction_read(self) -> float:
        """Share of the file's bytes that is read."""
        return self._stream.fraction_read() if self._stream else 0.0


class _Lines:
    """The lines of a file for `csv.reader`, remembering those of the current row so that they can be read again.

    A quote that is opened and never closed swallows good rows: reading again from the second line loses one line only.
    """

    def __init__(self, file: io.TextIOWrapper) -> None:
        self._file = file
        self._row: list[str] = []
        self._again: list[str] = []
        self.first = 1
        self.has_odd_bytes = False

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else next(self._file)
        if not self.has_odd_bytes and not line.isascii():
            self.has_odd_bytes = True
        self._row.append(line)
        return line

    def next_row(self) -> None:
        self.first += len(self._row)
        self._row.clear()

    def retry_from_second(self) -> None:
        self._again.extend(reversed(self._row[1:]))
        del self._row[1:]


def _is_padded(row: list[str], width: int) -> bool:
    """Whether a row is only too wide by empty cells, as some programs write them."""
    return len(row) > width and not any(row[width:])


def _broken(row: list[str]) -> str:
    return "the line holds bytes that are not UTF-8" if any(map(has_broken_bytes, row)) else ""


def _problem(error: str) -> str:
    if "unexpected end of data" in error:
        return "a quote is opened here and never closed"
    if "field larger" in error:
        return (
            f"a cell that begins here is longer than {_LONGEST_CELL:,} characters: is a quote never closed?"
        )
    if "expected after" in error:
        return "text follows a closing quote: is a quote inside the text not doubled?"
    return f"the row cannot be parsed ({error})"
