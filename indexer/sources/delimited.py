"""Csv and its relatives as a Reader: streamed, every cell a string, broken rows named by their line."""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from encoder.errors import InputError
from indexer.sources.cells import CellTypes
from indexer.sources.columns import looks_like_id
from indexer.sources.compressed import ByteStream, readable
from indexer.sources.dialect import Dialect, detect_dialect, first_rows, has_header
from indexer.sources.encoding import detect_encoding, has_broken_bytes, without_surrogates
from indexer.sources.lines import BATCH_CHARS, bounded_lines
from indexer.sources.names import distinct
from indexer.sources.reader import SAMPLE_CHARS, SAMPLE_ROWS, ColumnSurvey, RawBatch, Reader, RowLog, Survey
from indexer.sources.row_lines import RowLines

_SAMPLE_BYTES = 1 << 20
_ENCODING_BYTES = 50_000_000
# A document of 50 MB fits into a cell; an unclosed quote stops here and not at the end of the file.
_LONGEST_CELL = 100_000_000


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
            with self._open() as text:
                sample = text.read(_SAMPLE_BYTES)
                is_whole = not text.read(1)
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

    @contextmanager
    def _open(self) -> Iterator[io.TextIOWrapper]:
        self._stream = ByteStream(self._path)
        try:
            # Line ends stay as they are: within quotes they belong to the text.
            yield io.TextIOWrapper(self._stream.file, self._encoding, errors="surrogateescape", newline="")
        finally:
            self._stream.close()

    def _names(self, sample: str) -> list[str]:
        rows = first_rows(sample, self.dialect)
        self._has_header = has_header(rows)
        if not self._has_header:
            names = [f"column_{i + 1}" for i in range(len(rows[0]))]
            self._notes.append(
                f"{self.label} has no header: its columns are called {names[0]} to {names[-1]}"
            )
            return names
        names = distinct([without_surrogates(name) for name in rows[0]])
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
                    columns[name].values = [cell[:SAMPLE_CHARS] for cell in cells if cell]
                    columns[name].n_rows = len(cells)
                if name in ids:
                    ids[name].update(cells)
            n_rows += len(batch.rows)
            bytes_read = self._stream.bytes_looked_at if self._stream else 0
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
        with readable(self.label), self._open() as file:
            lines = RowLines(bounded_lines(file, self.label))
            table: list[list[str]] = []
            labels: list[str] = []
            for row in self._rows(lines, log):
                table.append(row)
                labels.append(f"{self.label} line {lines.first}")
                if len(table) == rows or lines.chars > BATCH_CHARS:
                    yield self._batch(names, table, labels)
                    table, labels, lines.chars = [], [], 0
            if table:
                yield self._batch(names, table, labels)

    def _batch(self, names: Sequence[str], table: list[list[str]], labels: list[str]) -> RawBatch:
        columns: list[Any] = list(zip(*table, strict=True))
        return RawBatch({name: columns[self.names.index(name)] for name in names}, labels)

    def _rows(self, lines: RowLines, log: RowLog) -> Iterator[list[str]]:
        """Rows as wide as the header; after a bad row reading goes on with the next line."""
        reader = csv.reader(lines, **self.dialect.arguments())  # type: ignore[arg-type]
        is_header = self._has_header
        while True:
            row: list[str] = []
            problem = ""
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                problem = _problem(str(error))
            is_blank = not problem and not any(map(str.strip, row))
            if is_blank or is_header:
                is_header = is_header and is_blank
            elif problem := problem or self._row_problem(row, lines.has_odd_bytes):
                fix = "mend the line (a quote or a delimiter too many or too few?)"
                log.add(problem, f"{self.label} line {lines.first}", fix)
                lines.retry_from_second()
            else:
                yield row[: len(self.names)]
            lines.next_row()

    def _row_problem(self, row: list[str], has_odd_bytes: bool) -> str:
        """Why a row cannot be used; "" where it can. Empty cells too many are forgiven: some programs write them."""
        width = len(self.names)
        if len(row) < width or any(row[width:]):
            return f"the row has {len(row)} cells, the header {width}"
        if has_odd_bytes and any(map(has_broken_bytes, row)):
            return f"the line holds bytes that are not {self._encoding.removesuffix('-sig').upper()}"
        return ""

    def fraction_read(self) -> float:
        """Share of the file's bytes that is read."""
        return self._stream.fraction_read() if self._stream else 0.0


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
