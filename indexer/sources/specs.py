"""What a person named, as readers: a path, a glob, a folder, a table in memory, a pipe."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from encoder.errors import InputError
from indexer.sources.compressed import readable
from indexer.sources.detect import TABLES, file_reader, table_suffix
from indexer.sources.folder import DocumentFile, DocumentsReader, document_kind, walk
from indexer.sources.memory import memory_reader
from indexer.sources.pipe import PipedFile, standard_input
from indexer.sources.reader import Reader
from indexer.sources.saved_dataset import SavedDatasetReader, is_saved_dataset, saved_dataset_readers

# What lies beside tables in a downloaded folder and is not meant.
_BESIDE_TABLES = ("readme", "license", "licence", "changelog", "contributing", "notice", "citation")


def readers_of(spec: Any, *, is_only: bool) -> list[Reader]:
    """The readers for one spec, at least one.

    Args:
        spec: path, glob, folder, `-`, pandas frame or Arrow table.
        is_only: whether no other spec is named; the ids of a folder's files begin with the folder otherwise.

    Raises:
        InputError: there is nothing there that can be read.
    """
    if not isinstance(spec, (str, Path)):
        return [_memory_reader(spec)]
    if str(spec) == "-":
        return [_piped_reader(standard_input(), "stdin")]
    path = Path(spec).expanduser()
    if path.is_dir():
        return _folder_readers(path, str(spec), is_only)
    if any(mark in str(spec) for mark in "*?[") and not path.exists():
        return _glob_readers(path, str(spec))
    if path.exists() and not path.is_file():
        with readable(str(spec)), path.open("rb") as pipe:
            return [_piped_reader(pipe, str(spec))]
    return [file_reader(path, str(spec))]


def _memory_reader(table: Any) -> Reader:
    if hasattr(table, "with_format") and hasattr(table, "features"):
        return SavedDatasetReader(table, "dataset")
    return memory_reader(table, "table")


def _piped_reader(pipe: IO[bytes], label: str) -> Reader:
    piped = PipedFile(pipe, label)
    reader = file_reader(piped.path, label)
    reader.keeps = piped  # the file goes when the reader goes
    return reader


def _glob_readers(pattern: Path, label: str) -> list[Reader]:
    found = sorted(Path(name) for name in glob.glob(str(pattern), recursive=True))  # noqa: PTH207 - may be absolute
    files = [path for path in found if path.is_file()]
    if not files:
        raise InputError(f"no file matches {label!r}", label, "check the pattern, and put it in quotes")
    documents = [path for path in files if document_kind(path) and table_suffix(path) not in TABLES]
    readers: list[Reader] = (
        [DocumentsReader([DocumentFile(path, path.as_posix()) for path in documents], label)]
        if len(documents) == len(files) > 1
        else [file_reader(path, str(path)) for path in files]
    )
    if "**" in pattern.parts:  # glob passes over what may not be looked at, without a word
        start = pattern.parts[: next(i for i, part in enumerate(pattern.parts) if glob.has_magic(part))]
        readers[0].unread = walk(Path(*start))[2]
    return readers


def _folder_readers(folder: Path, label: str, is_only: bool) -> list[Reader]:
    if is_saved_dataset(folder):
        return list(saved_dataset_readers(folder, label))
    files, notes, refused = walk(folder)
    tables = [path for path in files if table_suffix(path) in TABLES]
    documents = [path for path in files if document_kind(path)]
    if tables:
        documents = [path for path in documents if not path.name.lower().startswith(_BESIDE_TABLES)]
    if tables and documents and all(table_suffix(path) == ".json" for path in tables):
        tables = []  # settings that lie among documents
    if tables and documents:
        raise InputError(
            what=f"folder {label} holds tables ({len(tables):,}) and documents ({len(documents):,})",
            where=f"{label}, for example {tables[0].name} and {documents[0].name}",
            fix=f"say which are meant, in quotes: '{label}/**/*{tables[0].suffix}' or '{label}/**/*{documents[0].suffix}'",
        )
    if not tables and not documents:
        raise InputError(
            what=f"folder {label} has no file that can be read (of {len(files):,} files)",
            where="; ".join([label, *notes, *(f"{place} may not be read" for place in refused[:3])]),
            fix="parquet, csv, tsv, json, jsonl, txt, md, html and pdf are read",
        )
    readers: list[Reader] = (
        [file_reader(path, str(Path(label) / path.relative_to(folder))) for path in tables]
        if tables
        else [_documents_reader(folder, documents, label, notes, is_only)]
    )
    readers[0].unread = refused
    return readers


def _documents_reader(
    folder: Path, paths: Sequence[Path], label: str, notes: Sequence[str], is_only: bool
) -> DocumentsReader:
    prefix = "" if is_only else f"{Path(label).as_posix()}/"
    files = [DocumentFile(path, prefix + path.relative_to(folder).as_posix()) for path in paths]
    return DocumentsReader(files, label, notes)
