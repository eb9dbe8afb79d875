"""A segment: vectors of many rows with their row ids, immutable and rebuildable from the row store.

Folder: `rowid.u64` (ascending), `doc.u64` (hash of each row's document id), `vec.faiss`, for approximate kinds
`ann.faiss` (and `rotation.f32`), and `seg.json`.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder import atomic
from encoder.errors import CollectionError
from indexer.ann import AnnIndex, build_ann, load_ann, save_ann
from indexer.manifest import SegmentEntry
from indexer.recall import choose_effort
from indexer.store import RowStore
from indexer.vector_file import VECTOR_FILE, VectorFile, VectorFileWriter

ROW_ID_FILE = "rowid.u64"
DOCUMENT_FILE = "doc.u64"
SEGMENT_FILE = "seg.json"
# Milliseconds that an exact filtered scan may take before an approximate index is asked instead.
_EXACT_BUDGET_MS = 50.0
_SEED = 20


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard an approximate search tries, chosen from measured recall when the segment was built.

    Attributes:
        rerank: candidates that are compared exactly.
        nprobe: cells visited, 0 for kinds without cells.
        recall: ann recall@10 of these settings.
        ladder: every setting that was tried, with its recall.
    """

    rerank: int
    nprobe: int
    recall: float
    ladder: list[dict[str, float]]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Rows of one segment that may be among the best.

    Attributes:
        positions: int64 [N], no repeats.
        scanned: rows compared to find them.
        is_exact: the best `depth` rows are certainly among them.
        nprobe: cells visited, 0 where there are none.
    """

    positions: NDArray[np.int64]
    scanned: int
    is_exact: bool
    nprobe: int


class Segment:
    """An opened segment.

    Args:
        folder: of the segment.
        entry: what the publication says of it.
        dimension: numbers per vector.

    Raises:
        CollectionError: a file is missing, damaged or not the published one.
    """

    def __init__(self, folder: Path, entry: SegmentEntry, dimension: int) -> None:
        self.folder = folder
        self.entry = entry
        check_files(folder, entry, skip={VECTOR_FILE})  # its header and size are checked byte for byte below
        self.row_ids: NDArray[np.uint64] = np.memmap(folder / ROW_ID_FILE, "<u8", "r", shape=(entry.rows,))
        self.documents: NDArray[np.uint64] = np.memmap(
            folder / DOCUMENT_FILE, "<u8", "r", shape=(entry.rows,)
        )
        self.vectors = VectorFile(folder / VECTOR_FILE, entry.rows, dimension)
        self.ann: AnnIndex | None = None
        self.effort = Effort(30, 0, 1.0, [])
        if entry.kind != "flat":
            self.ann = load_ann(entry.kind, folder, entry.rows, dimension)
            self.effort = Effort(**json.loads((folder / SEGMENT_FILE).read_text())["effort"])

    @property
    def rows(self) -> int:
        """Vectors in the segment, dead ones included."""
        return self.entry.rows

    def candidates(
        self, query: NDArray[np.float32], depth: int, allowed: NDArray[np.bool_] | None, *, exact: bool
    ) -> Candidates:
        """Rows that may be among the best `depth` allowed ones.

        Args:
            query: float32 [D].
            depth: rows wanted.
            allowed: bool [rows]; None for all.
            exact: compare every allowed row.
        """
        count = self.rows if allowed is None else int(np.count_nonzero(allowed))
        if exact or self.ann is None or self._is_cheap(count, allowed):
            return Candidates(self.vectors.nearest(query, depth, allowed), count, True, 0)
        wanted = max(self.effort.rerank, depth)
        if self.ann.kind == "rabitq":
            return Candidates(self.ann.candidates(query, wanted, 0, allowed), count, False, 0)
        return self._visit_cells(query, wanted, min(depth, count), allowed)

    def _is_cheap(self, count: int, allowed: NDArray[np.bool_] | None) -> bool:
        if allowed is None or count == self.rows:
            return False
        scale = self.vectors.dimension / 384
        return (count * 0.25e-3 + self.rows * 3e-6) * scale <= _EXACT_BUDGET_MS

    def _visit_cells(
        self, query: NDArray[np.float32], wanted: int, least: int, allowed: NDArray[np.bool_] | None
    ) -> Candidates:
        assert self.ann is not None  # only called for kinds with cells
        share = 1.0 if allowed is None else max(1, int(np.count_nonzero(allowed))) / self.rows
        nprobe = min(self.ann.cells, max(1, round(self.effort.nprobe / max(share, 0.05))))
        while True:
            found = self.ann.candidates(query, wanted, nprobe, allowed)
            if found.size >= least or nprobe >= self.ann.cells:
                scanned = round(self.rows * nprobe / max(1, self.ann.cells))
                return Candidates(found, scanned, False, nprobe)
            nprobe = min(self.ann.cells, 2 * nprobe)


def check_files(folder: Path, entry: SegmentEntry, skip: set[str] | None = None) -> None:
    """Compares the files of a segment with what was published.

    Args:
        folder: of the segment.
        entry: what the publication says.
        skip: names to leave out.

    Raises:
        CollectionError: a file is missing or not the published one.
    """
    for name, expected in entry.files.items():
        if name in (skip or ()):
            continue
        file = folder / name
        try:
            same = file.stat().st_size == expected["size"] and atomic.sha256_file(file) == expected["sha256"]
        except OSError as error:
            raise _damaged(file, "it cannot be read") from error
        if not same:
            raise _damaged(file, "it is not the file that was published")


def document_key(document_id: str) -> int:
    """64-bit hash that stands for a document id inside a segment."""
    return int.from_bytes(
        hashlib.blake2b(document_id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
    )


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
    folder.mkdir(parents=True)
    try:
        vectors = _write_rows(folder, store, row_ids, dimension)
        note, effort = None, Effort(30, 0, 1.0, [])
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
        raise CollectionError(
            f"the segment cannot be written: {error.strerror or error}",
            str(folder),
            "free some space and run the same command again; it goes on",
        ) from error
    return SegmentEntry(folder.name, kind, int(row_ids.size), effort.recall, files), note


def _write_rows(folder: Path, store: RowStore, row_ids: NDArray[np.uint64], dimension: int) -> VectorFile:
    writer = VectorFileWriter(folder / VECTOR_FILE, row_ids.size, dimension)
    documents = np.zeros(row_ids.size, np.uint64)
    written = 0
    for batch in store.scan(["doc_id", "vec"]):
        ids = batch["_rowid"].to_numpy()
        positions = np.searchsorted(row_ids, ids)
        positions[positions == row_ids.size] = 0
        mine = row_ids[positions] == ids
        if not mine.any():
            continue
        vectors = batch["vec"].values.to_numpy().reshape(-1, dimension)
        writer.put(positions[mine], vectors[mine])
        names = batch["doc_id"].filter(_mask(mine)).to_pylist()
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


def _mask(mine: NDArray[np.bool_]) -> Any:
    import pyarrow as pa

    return pa.array(mine)


def _add_ann(folder: Path, vectors: VectorFile, kind: str) -> Effort | None:
    ann = build_ann(kind, vectors, _SEED)
    chosen = choose_effort(ann, vectors, _SEED)
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
        "seed": _SEED,
        "effort": asdict(effort),
    }
    (folder / SEGMENT_FILE).write_text(json.dumps(described, indent=1) + "\n")


def _fingerprint(file: Path) -> dict[str, Any]:
    atomic.sync_file(file)
    return {"size": file.stat().st_size, "sha256": atomic.sha256_file(file)}


def _damaged(file: Path, reason: str) -> CollectionError:
    return CollectionError(
        f"{file.name} is damaged: {reason}",
        str(file),
        f"it is derived: llm2comp rebuild {file.parents[3]}",
    )
