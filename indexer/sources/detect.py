"""Which reader a file needs, by its first bytes rather than by its name."""

from pathlib import Path

from encoder.errors import InputError
from indexer.sources.arrow_files import IPC_MARK, IpcReader, ParquetReader
from indexer.sources.compressed import SUFFIXES, ByteStream, readable
from indexer.sources.delimited import DelimitedReader
from indexer.sources.dialect import detect_dialect
from indexer.sources.encoding import detect_encoding
from indexer.sources.folder import DocumentFile, DocumentsReader, document_kind
from indexer.sources.json_lines import JsonReader
from indexer.sources.reader import Reader

_JSON = (".jsonl", ".ndjson", ".json")
_DELIMITED = (".csv", ".tsv", ".tab", ".psv")
TABLES = (".parquet", ".pq", ".arrow", ".feather", *_DELIMITED, *_JSON)
_HEAD_BYTES = 65_536
# A text file is a table when nearly all of its lines have the same number of cells.
_TABLE_FIT = 0.95
# First bytes of what people try and we do not read, with what to do about it.
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive or an office document", "unpack it, or save the sheet as csv"),
    (b"\xd0\xcf\x11\xe0", "an old office document", "save it as csv or as text"),
    (b"SQLite format 3", "an SQLite database", "export the table as csv"),
    (b"\x89HDF", "an HDF5 file", "export the table as parquet"),
    (b"\x80\x04\x95", "a pickle, which would run code when read", "save the table as parquet"),
)


def table_suffix(path: Path) -> str:
    """The suffix that tells the format, in small letters: of a.csv.gz it is .csv."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def file_reader(path: Path, label: str) -> Reader:
    """The reader for one file.

    Raises:
        InputError: it is empty, or of a kind that is not read.
    """
    with readable(label):
        stream = ByteStream(path)
        try:
            head = stream.file.read(_HEAD_BYTES)
        finally:
            stream.close()
    if not head:
        raise InputError(f"{label} is empty", f"{label} ({stream.size} bytes)", "give a file with rows")
    for mark, kind, fix in _FOREIGN:
        if head.startswith(mark):
            raise InputError(f"{label} is {kind}, which is not read", label, fix)
    suffix = table_suffix(path)
    if head.startswith(b"PAR1") or suffix in (".parquet", ".pq"):
        return ParquetReader(path, label)
    if head.startswith(IPC_MARK) or suffix in (".arrow", ".feather"):
        return IpcReader(path, label)
    return _text_reader(path, label, head, suffix)


def _text_reader(path: Path, label: str, head: bytes, suffix: str) -> Reader:
    if suffix in _DELIMITED:
        return DelimitedReader(path, label)
    if suffix in _JSON:
        return JsonReader(path, label)
    if head.startswith(b"%PDF") or document_kind(path) not in ("txt", None):
        return DocumentsReader([DocumentFile(path, label)], label)
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        raise InputError(f"{label} is of a kind that is not read", label, "save it as csv, jsonl or parquet")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return JsonReader(path, label)
    if document_kind(path) == "txt" and not _is_table(head):
        return DocumentsReader([DocumentFile(path, label)], label)
    return DelimitedReader(path, label)


def _is_table(head: bytes) -> bool:
    """Whether a text is rows of cells and not prose with commas."""
    text = head.decode(detect_encoding(head), "replace")
    found = detect_dialect(text, is_whole=len(head) < _HEAD_BYTES)
    return found.width > 1 and found.fit >= _TABLE_FIT and len(text.splitlines()) > 2
