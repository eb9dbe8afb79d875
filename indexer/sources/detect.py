"""Which readers a spec stands for, by the first bytes of a file rather than by its name."""

import glob
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from encoder.errors import InputError
from indexer.sources.arrow_files import ParquetReader
from indexer.sources.compressed import SUFFIXES, ByteStream, readable
from indexer.sources.delimited import DelimitedReader
from indexer.sources.json_lines import JsonReader
from indexer.sources.memory import memory_reader
from indexer.sources.reader import Reader

TABLE_SUFFIXES = (".parquet", ".pq", ".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json")
# First bytes of what people try and we do not read, with what to do about it.
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive or an office document", "unpack it, or save the sheet as csv"),
    (b"\xd0\xcf\x11\xe0", "an old office document", "save it as csv or as text"),
    (b"SQLite format 3", "an SQLite database", "export the table as csv"),
    (b"\x89HDF", "an HDF5 file", "export the table as parquet"),
    (b"\x80\x04\x95", "a pickle, which would run code when read", "save the table as parquet"),
)


def readers_of(spec: Any) -> Iterator[Reader]:
    """The readers for one path, glob, folder, table, or `-`.

    Raises:
        InputError: there is nothing there that can be read.
    """
    if not isinstance(spec, (str, Path)):
        yield memory_reader(spec, "table")
        return
    path = Path(spec).expanduser()
    if path.is_file():
        yield file_reader(path, str(spec))
    elif any(mark in str(spec) for mark in "*?["):
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))  # noqa: PTH207 - a pattern may be absolute
        files = [name for name in found if name.is_file()]
        if not files:
            raise InputError(
                f"no file matches {str(spec)!r}", str(spec), "check the pattern (and quote it in the shell)"
            )
        for name in files:
            yield file_reader(name, str(name))
    else:
        raise InputError(f"there is no file {spec}", str(spec), "check the path")


def file_reader(path: Path, label: str) -> Reader:
    """The reader for one file.

    Raises:
        InputError: it is empty, or of a kind that is not read.
    """
    with readable(label):
        stream = ByteStream(path)
        try:
            head = stream.file.read(4096)
        finally:
            stream.close()
    if not head:
        raise InputError(f"{label} is empty", f"{label} ({stream.size} bytes)", "give a file with rows")
    for mark, kind, fix in _FOREIGN:
        if head.startswith(mark):
            raise InputError(f"{label} is {kind}", label, fix)
    suffix = _suffix(path)
    if head.startswith(b"PAR1") or suffix in (".parquet", ".pq"):
        return ParquetReader(path, label)
    if suffix in (".json", ".jsonl", ".ndjson") or (
        suffix not in (".csv", ".tsv", ".tab") and _looks_like_json(head)
    ):
        return JsonReader(path, label)
    return DelimitedReader(path, label)


def _suffix(path: Path) -> str:
    """The suffix that tells the format: of a.csv.gz it is .csv."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _looks_like_json(head: bytes) -> bool:
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")
