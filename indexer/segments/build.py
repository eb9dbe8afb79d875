"""Building a segment from the row store, in bounded memory; opening and searching it is `indexer.segments.segment`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from encoder import atomic
from encoder.errors import CollectionError
from indexer.segments.ann import build_ann, save_ann
from indexer.segments.recall import choose_effort
from indexer.segments.segment import (
    DOCUMENT_FILE,
    EXACT_EFFORT,
    ROW_ID_FILE,
    SEED,
    SEGMENT_FILE,
    Effort,
    document_key,
)
from indexer.segments.vector_file import VECTOR_FILE, VectorFile, VectorFileWriter
from indexer.storage.manifest import SegmentEntry
from indexer.storage.row_schema import vectors_of
from indexer.storage.store import RowStore
from indexer.storage.store_errors import full_disk_or


def build_segment(
    folder: Path, store: RowStore, row_ids: NDArray[np.uint64], kind: str, dimension: int
) -> tuple[SegmentEntry, str | None]:
    """Writes a segment of the given live rows and forces it to disk.

    Args:
        folder: new folder; the entry's path is only its name.
        store: rows at the version to publish.
        row_ids: uint64 [N], ascending, not empty.
        kind: "flat", "rabitq" or "ivf-sq8".
        dimension: numbers per vector.

    Returns:
        The entry for the publication, and a sentence when the kind had to be given up.

    Raises:
        CollectionError: the disk is full or a row cannot be read.
    """
    try:
        folder.mkdir(parents=True)
        vectors = _write_rows(folder, store, row_ids, dimension)
        note, effort = None, EXACT_EFFORT
        if kind != "flat":
            chosen = _add_ann(folder, vectors, kind)
            if chosen is None:
                note = f"{kind} found too few of the true neighbours of these vectors; flat is used instead"
                kind = "flat"
            else:
                effort = chosen
        _describe(folder, store, vectors, kind, effort)
        files = {name: _fingerprint(folder / name) for name in sorted(f.name for f in folder.iterdir())}
    except OSError as error:
        raise full_disk_or(error, "the segment cannot be written", folder) from error
    return SegmentEntry(folder.name, kind, int(row_ids.size), effort.recall, files), note


def _write_rows(folder: Path, store: RowStore, row_ids: NDArray[np.uint64], dimension: int) -> VectorFile:
    writer = VectorFileWriter(folder / VECTOR_FILE, row_ids.size, dimension)
    documents = np.zeros(row_ids.size, np.uint64)
    written = 0
    newer = f"_rowid >= {int(row_ids[0])}"  # row ids rise, so the rows of a later segment are not read for it
    for batch in store.scan(["doc_id", "vec"], condition=newer):
        ids = batch["_rowid"].to_numpy()
        positions = np.searchsorted(row_ids, ids)
        positions[positions == row_ids.size] = 0
        mine = row_ids[positions] == ids
        if not mine.any():
            continue
        writer.put(positions[mine], vectors_of(batch, dimension)[mine])
        names = batch["doc_id"].filter(pa.array(mine)).to_pylist()
        documents[positions[mine]] = [document_key(name) for name in names]
        written += int(mine.sum())
    writer.close()
    if written != row_ids.size:
        raise CollectionError(
            f"{row_ids.size - written} rows have no vector", str(store.path), "llm2comp verify says which"
        )
    row_ids.astype("<u8").tofile(folder / ROW_ID_FILE)
    documents.astype("<u8").tofile(folder / DOCUMENT_FILE)
    return VectorFile(folder / VECTOR_FILE, row_ids.size, dimension)


def _add_ann(folder: Path, vectors: VectorFile, kind: str) -> Effort | None:
    ann = build_ann(kind, vectors, SEED)
    chosen = choose_effort(ann, vectors, SEED)
    if chosen is None:
        return None
    save_ann(ann, folder)
    return Effort(**chosen)


def _describe(folder: Path, store: RowStore, vectors: VectorFile, kind: str, effort: Effort) -> None:
    described = {
        "format": 1,
        "kind": kind,
        "rows": vectors.rows,
        "dimension": vectors.dimension,
        "built_from_version": store.version,
        "seed": SEED,
        "effort": asdict(effort),
    }
    (folder / SEGMENT_FILE).write_text(json.dumps(described, indent=1) + "\n")


def _fingerprint(file: Path) -> dict[str, Any]:
    atomic.sync_file(file)
    return {"size": file.stat().st_size, "sha256": atomic.sha256_file(file)}
