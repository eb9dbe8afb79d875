"""open_sources: from what a person names (paths, globs, folders, tables, a pipe) to one Source."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from encoder.errors import InputError
from indexer.sources.reader import Reader
from indexer.sources.source import OnBadRow, Source
from indexer.sources.specs import readers_of
from indexer.sources.table_source import TableSource


def open_sources(
    specs: Sequence[Any],
    *,
    text: str | None = None,
    title: str | None = None,
    id: str | None = None,
    metadata: Sequence[str] | None = None,
    on_bad_row: OnBadRow = "stop",
) -> Source:
    """One source over everything named, in the order named.

    Args:
        specs: paths, globs, folders, `-` for standard input, pandas frames, Arrow tables; at least one.
        text: the column to search; None to guess.
        title: the column of titles; None to guess, and to do without where there is none; "" for none.
        id: the column of identifiers; the same.
        metadata: the columns to keep beside; None for all, up to 200.
        on_bad_row: stop at the first bad row, or skip and count bad rows.

    Raises:
        InputError: a spec is missing, empty, damaged or no source, or the columns do not fit.
    """
    if isinstance(specs, (str, Path)) or hasattr(specs, "columns"):
        specs = [specs]
    readers: list[Reader] = [reader for spec in specs for reader in readers_of(spec, is_only=len(specs) == 1)]
    if not readers:
        raise InputError("no source was named", "the arguments", "name at least one file, folder or table")
    roles = {"text": text, "title": title, "id": id}
    source = TableSource(source_name(specs), readers, roles=roles, metadata=metadata, on_bad_row=on_bad_row)
    source.is_lasting = all(_is_lasting(spec) for spec in specs)
    return source


def _is_lasting(spec: Any) -> bool:
    """Whether the spec has a name by which a later run can mean the same; a pipe has not."""
    if not isinstance(spec, (str, Path)) or str(spec) == "-":
        return False
    path = Path(spec).expanduser()
    return path.is_file() or path.is_dir() or not path.exists()  # what does not exist is a pattern


def source_name(specs: Sequence[Any]) -> str:
    """A short label, the same for the same files from whatever folder they are named.

    Up to three paths in full, more by their first and a hash of all.
    """
    names = [_label(spec) for spec in specs]
    if len(names) <= 3:
        return ", ".join(names)
    digest = hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()[:6]
    return f"{names[0]} and {len(names) - 1:,} more ({digest})"


def _label(spec: Any) -> str:
    if not isinstance(spec, (str, Path)):
        return "table"
    return "stdin" if str(spec) == "-" else str(Path(spec).expanduser().resolve())
