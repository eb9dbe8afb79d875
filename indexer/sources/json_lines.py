"""JSON as a Reader: one object a line, an array of objects, or an object with such an array."""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from encoder.errors import InputError
from indexer.sources.cells import CellTypes
from indexer.sources.columns import looks_like_id
from indexer.sources.compressed import ByteStream, readable
from indexer.sources.encoding import detect_encoding, without_surrogates
from indexer.sources.json_stream import JsonStream, has_one_object_a_line
from indexer.sources.lines import BATCH_CHARS, bounded_lines
from indexer.sources.reader import SAMPLE_CHARS, SAMPLE_ROWS, ColumnSurvey, RawBatch, Reader, RowLog, Survey
from indexer.sources.source import MetadataType

_SAMPLE_BYTES = 1 << 20
Record = dict[str, Any]


class JsonReader(Reader):
    """A JSON file, packed or not; its columns are the keys of its objects.

    Args:
        path: the file.
        label: how it is called in messages.
    """

    def __init__(self, path: Path, label: str) -> None:
        self.label = label
        self._path = path
        self._stream: ByteStream | None = None
        with readable(label):
            self.size = path.stat().st_size
            stream = ByteStream(path)
            sample = stream.file.read(_SAMPLE_BYTES)
            stream.close()
        if not sample.strip():
            raise InputError(f"{label} is empty", f"{label} ({self.size} bytes)", "give a file with rows")
        self._encoding = detect_encoding(sample)
        # JSON is UTF-8 by its standard; only a byte order mark says otherwise.
        if self._encoding not in ("utf-8-sig", "utf-16", "utf-32"):
            self._encoding = "utf-8"
        decoded = sample.decode(self._encoding, "replace").lstrip("\ufeff")
        self._has_lines = has_one_object_a_line(
            decoded,
            is_whole=len(sample) < _SAMPLE_BYTES,
            is_called_lines=any(suffix in (".jsonl", ".ndjson") for suffix in path.suffixes),
        )

    def survey(self, max_bytes: int, log: RowLog) -> Survey:
        """Columns with types and sample values, from the first 1,000 rows and at most `max_bytes` more.

        Raises:
            InputError: it cannot be read, has no rows, or a row is bad and bad rows stop.
        """
        columns: dict[str, _KeySurvey] = {}
        n_rows = bytes_read = 0
        for records, _ in self._records(SAMPLE_ROWS, log):
            for record in records:
                for key in record:
                    if key not in columns:
                        columns[key] = _KeySurvey(key)
            for key, column in columns.items():
                column.add([record.get(key) for record in records])
            n_rows += len(records)
            bytes_read = self._stream.bytes_looked_at if self._stream else 0
            if bytes_read > max_bytes:
                break
        if not n_rows:
            raise InputError(f"{self.label} has no rows", self.label, "give a file with rows")
        sampled = min(n_rows, SAMPLE_ROWS)
        return Survey({key: column.result(n_rows, sampled) for key, column in columns.items()}, bytes_read)

    def batches(self, names: Sequence[str], rows: int, log: RowLog) -> Iterator[RawBatch]:
        """The named columns from the first row on, at most `rows` at a time.

        Raises:
            InputError: it is damaged, or a row is bad and bad rows stop.
        """
        for records, labels in self._records(rows, log):
            yield RawBatch({name: [record.get(name) for record in records] for name in names}, labels)

    def _records(self, rows: int, log: RowLog) -> Iterator[tuple[list[Record], list[str]]]:
        records: list[Record] = []
        labels: list[str] = []
        chars = 0
        with readable(self.label):
            self._stream = ByteStream(self._path)
            try:
                found = (
                    self._lines(self._stream, log) if self._has_lines else self._objects(self._stream, log)
                )
                for where, record, size in found:
                    records.append(record)
                    labels.append(where)
                    chars += size
                    if len(records) == rows or chars > BATCH_CHARS:
                        yield records, labels
                        records, labels, chars = [], [], 0
            finally:
                self._stream.close()
        if records:
            yield records, labels

    def _lines(self, stream: ByteStream, log: RowLog) -> Iterator[tuple[str, Record, int]]:
        lines: Iterator[bytes] = bounded_lines(stream.file, self.label)
        if self._encoding != "utf-8":
            text = io.TextIOWrapper(stream.file, self._encoding, errors="replace", newline="\n")
            lines = (line.encode("utf-8") for line in bounded_lines(text, self.label))
        for number, line in enumerate(lines, start=1):
            where = f"{self.label} line {number}"
            try:
                record = json.loads(line.decode("utf-8"))
            except UnicodeDecodeError as error:
                log.add(f"byte {error.start + 1} of the line is not UTF-8", where, "save the file as UTF-8")
            except (ValueError, RecursionError) as error:
                if line.strip():
                    log.add(f"the line is not JSON: {error}", where, "mend the line")
            else:
                if isinstance(record, dict):
                    yield where, _clean(record) if b"\\u" in line else record, len(line)
                else:
                    log.add(f"the line is JSON but no object: {_start(record)}", where)

    def _objects(self, stream: ByteStream, log: RowLog) -> Iterator[tuple[str, Record, int]]:
        text = io.TextIOWrapper(stream.file, self._encoding, errors="surrogateescape")
        items = JsonStream(text, self.label)
        for number, record in enumerate(items.items(), start=1):
            where = f"{self.label} row {number}"
            if items.is_broken:
                log.add("the row holds bytes that are not UTF-8", where, "save the file as UTF-8")
            elif not isinstance(record, dict):
                log.add(f"the item is no object: {_start(record)}", where)
            else:
                yield where, _clean(record), items.chars
            items.chars = 0

    def fraction_read(self) -> float:
        """Share of the file's bytes that is read."""
        return self._stream.fraction_read() if self._stream else 0.0


def _start(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:40]


def _clean(value: Any) -> Any:
    """The value with U+FFFD for lone surrogates, which JSON can spell and nothing can store."""
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value


class _KeySurvey:
    """What is seen under one key."""

    def __init__(self, name: str) -> None:
        self._types: set[type] = set()
        self._has_odd_lists = False
        self._cells = CellTypes(("date", "timestamp"))
        self._values: list[Any] = []
        self._ids: set[Any] | None = set() if looks_like_id(name) else None
        self._n_values = 0

    def add(self, values: list[Any]) -> None:
        known = [value for value in values if value is not None]
        self._types |= set(map(type, known))
        self._cells.add(value for value in known if type(value) is str)
        if list in self._types:
            self._has_odd_lists = self._has_odd_lists or any(
                type(item) is not str for value in known if type(value) is list for item in value
            )
        if len(self._values) < SAMPLE_ROWS:
            room = SAMPLE_ROWS - len(self._values)
            self._values += [v[:SAMPLE_CHARS] if type(v) is str else v for v in known[:room]]
        self._n_values += len(known)
        if self._ids is not None and self._types <= {str, int}:
            self._ids.update(known)

    def result(self, n_rows: int, sampled: int) -> ColumnSurvey:
        type_, form = self._type()
        is_unique = self._ids is not None and len(self._ids) == n_rows
        return ColumnSurvey(type_, form, self._values, sampled, is_unique)

    def _type(self) -> tuple[MetadataType | None, str]:
        if not self._types:
            return None, ""
        if self._types == {str}:
            return self._cells.result()
        if self._types == {list} and not self._has_odd_lists:
            return "list<string>", ""
        for types, name in _JSON_TYPES:
            if self._types <= types:
                return name, ""
        return "string", ""


_JSON_TYPES: tuple[tuple[set[type], MetadataType], ...] = (
    ({bool}, "bool"),
    ({int}, "int64"),
    ({int, float}, "float64"),
)
