"""Files that are documents (txt, md, html, pdf), one file a document, as a Reader."""

import datetime as dt
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encoder.errors import InputError
from indexer.sources.compressed import SUFFIXES, ByteStream, readable
from indexer.sources.lines import BATCH_CHARS
from indexer.sources.reader import ColumnSurvey, RawBatch, Reader, RowLog, Survey
from indexer.sources.source import MetadataType
from indexer.sources.text_of import KINDS, UnreadableDocument, title_and_text

_LARGEST_FILE = 500_000_000
_COLUMNS: dict[str, MetadataType] = {
    "id": "string",
    "title": "string",
    "text": "string",
    "folder": "string",
    "format": "string",
    "modified": "timestamp",
}


@dataclass(frozen=True, slots=True)
class DocumentFile:
    """A file that is a document, and the id under which it goes in."""

    path: Path
    id: str


def document_kind(path: Path) -> str | None:
    """txt, md, html or pdf by the file's name, packed or not; None for any other."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in SUFFIXES:
        suffixes.pop()
    return KINDS.get(suffixes[-1]) if suffixes else None


def walk(folder: Path) -> tuple[list[Path], list[str], list[str]]:
    """The files below a folder in a fixed order, notes about what was passed over, and what may not be looked at.

    Hidden files and folders are left out, and so are links that lead out of the folder.
    """
    root = folder.resolve()
    files: list[Path] = []
    refused: list[str] = []
    left_out = 0
    for name, folders, names in os.walk(folder, onerror=lambda error: refused.append(str(error.filename))):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for file in (Path(name) / n for n in sorted(names) if not n.startswith(".")):
            try:
                if file.is_symlink() and not file.resolve().is_relative_to(root):
                    left_out += 1
                elif file.is_file():
                    files.append(file)
            except OSError:  # its folder may be listed and not entered
                refused.append(str(file))
    notes = [f"{left_out} links that lead out of {folder} were not followed"] if left_out else []
    return files, notes, refused


class DocumentsReader(Reader):
    """Documents in the order given.

    Args:
        files: at least one.
        label: how they are called together.
        notes: for the survey to pass on.
    """

    roles: Mapping[str, str] = {"text": "text", "title": "title", "id": "id"}

    def __init__(self, files: Sequence[DocumentFile], label: str, notes: Sequence[str] = ()) -> None:
        self.label = label
        self._files = files
        self._notes = list(notes)
        self._sizes = [_size(file.path) for file in files]
        self.size = sum(self._sizes)
        self._done = 0

    def survey(self, max_bytes: int, log: RowLog) -> Survey:
        """The columns, which are always the same; no file is opened."""
        return Survey({name: ColumnSurvey(type_) for name, type_ in _COLUMNS.items()}, notes=self._notes)

    def batches(self, names: Sequence[str], rows: int, log: RowLog) -> Iterator[RawBatch]:
        """The named columns, a file a row.

        Raises:
            InputError: a file cannot be read and bad rows stop.
        """
        self._done = 0
        records: list[dict[str, Any]] = []
        chars = 0
        for file, size in zip(self._files, self._sizes, strict=True):
            if (record := _read(file, log)) is not None:
                records.append(record)
                chars += len(record["text"])
            self._done += size
            if len(records) == rows or chars > BATCH_CHARS:
                yield _batch(names, records)
                records, chars = [], 0
        if records:
            yield _batch(names, records)

    def fraction_read(self) -> float:
        """Share of the files' bytes that is read."""
        return self._done / self.size if self.size else 1.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _batch(names: Sequence[str], records: list[dict[str, Any]]) -> RawBatch:
    return RawBatch({name: [r[name] for r in records] for name in names}, [str(r["path"]) for r in records])


def _read(file: DocumentFile, log: RowLog) -> dict[str, Any] | None:
    path = file.path
    try:
        with readable(str(path)):
            stream = ByteStream(path)
            try:
                data = stream.file.read(_LARGEST_FILE + 1)
            finally:
                stream.close()
            modified = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC).replace(tzinfo=None)
        if len(data) > _LARGEST_FILE:
            raise UnreadableDocument(f"the file is larger than {_LARGEST_FILE // 10**6} MB")
        kind = document_kind(path) or "txt"
        title, text = title_and_text(data, kind, path)
    except InputError as error:
        log.add(error.what, str(path), error.fix)
        return None
    except UnreadableDocument as error:
        log.add(str(error), str(path), "mend or remove the file")
        return None
    folder = Path(file.id).parent.as_posix()
    values = {"folder": "" if folder == "." else folder, "format": kind, "modified": modified, "path": path}
    return {"id": file.id, "title": title, "text": text, **values}
