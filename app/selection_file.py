"""Chosen passages as the bytes of a file that a browser saves, and a name for it that says what it holds."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from indexer.selection import Selection

# Ending to media type; zip holds parquet and jsonl with a README on where they come from.
SELECTION_FILES = {
    "zip": "application/zip",
    "parquet": "application/vnd.apache.parquet",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv",
}
_PART_CHARS = 40
_MOST_BYTES = 180  # of a stem: file systems take 255 of a name, and browsers add " (1)" and their own endings
_MOST_NAMED = 3  # topics


def selection_file(
    collection: Any,
    chosen: Selection,
    name: str,
    *,
    link: str = "",
    origins: Mapping[int, str] | None = None,
) -> bytes:
    """The bytes of the file, by rising row id, or in the order of `origins`.

    Args:
        collection: of the passages.
        chosen: which.
        name: of the file, with an ending of `SELECTION_FILES`; the files within a zip lie in a folder of its stem.
        link: address of the view that it was made in, for the README of a zip.
        origins: row id to how it was come by, which becomes a column.

    Raises:
        Llm2CompError: the selection is impossible, or the collection is damaged.
    """
    from indexer.bundle import export_bundle
    from indexer.export import export_passages
    from indexer.search import Searcher

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        if file.suffix == ".zip":
            export_bundle(Searcher(collection), chosen, file, link=link, origins=origins)
        else:
            export_passages(collection, file, selection=chosen, origins=origins)
        return file.read_bytes()


def file_stem(corpus: str, chosen: Selection, size: int, *, what: str = "", noun: str = "passage") -> str:
    """The name of a file without its ending: "arxiv-topic-12-234-passages"; letters, digits and hyphens, at most 180 bytes.

    Args:
        corpus: key of the collection.
        chosen: which passages.
        size: how many.
        what: said instead of what the selection says: a query.
        noun: of what is counted, in the singular.
    """
    said = [what] if what else list(_said(chosen))
    parts = [_safe(part) for part in (corpus, *(said or ["all"]))]
    counted = f"{size}-{noun if size == 1 else f'{noun}s'}"
    begin = "-".join(filter(None, parts)).encode()[: _MOST_BYTES - len(counted)].decode(errors="ignore")
    return "-".join(filter(None, [begin.strip("-"), counted]))


def _said(chosen: Selection) -> list[str]:
    numbers = [str(number) if number >= 0 else "none" for number in chosen.topics]
    more = ["and more"] if len(numbers) > _MOST_NAMED else []
    topics = [" ".join(["topic", *numbers[:_MOST_NAMED], *more])] if numbers else []
    outline = ["outline"] if chosen.polygon else []
    named = ["set"] if chosen.set_id else []
    picked = ["picked"] if chosen.rows is not None else []
    return [*topics, *outline, *named, *picked, *([chosen.where] if chosen.where.strip() else [])]


def _safe(text: str) -> str:
    """What no file system, archive or shell can stumble over."""
    return re.sub(r"[\W_]+", "-", text.casefold())[:_PART_CHARS].strip("-")
