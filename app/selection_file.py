"""Chosen passages as the bytes of a file that a browser saves."""

import tempfile
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


def selection_file(collection: Any, chosen: Selection, name: str) -> bytes:
    """The bytes of the file, by rising row id.

    Args:
        collection: of the passages.
        chosen: which.
        name: of the file, with an ending of `SELECTION_FILES`; the files within a zip lie in a folder of its stem.

    Raises:
        Llm2CompError: the selection is impossible, or the collection is damaged.
    """
    from indexer.bundle import export_bundle
    from indexer.export import export_passages
    from indexer.search import Searcher

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        if file.suffix == ".zip":
            export_bundle(Searcher(collection), chosen, file)
        else:
            export_passages(collection, file, selection=chosen)
        return file.read_bytes()
