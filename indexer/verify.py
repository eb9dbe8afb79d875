"""Does what a collection says of itself hold? Every file, row and vector is compared with its description."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from encoder import atomic
from encoder.errors import CollectionError
from indexer.collection import Collection
from indexer.derived import damaged_builds
from indexer.ingest.known import document_hash
from indexer.ingest.rows import passage_id_of
from indexer.own_encoder import own_transform
from indexer.progress import JobProgress, Report, silent
from indexer.segments.ann import AnnIndex
from indexer.segments.recall import measure_recall
from indexer.segments.segment import SEED, Segment, check_files
from indexer.segments.vector_file import VectorFile
from indexer.storage import manifest
from indexer.storage.manifest import Publication, SegmentEntry
from indexer.storage.row_schema import WORD_COLUMN, vectors_of
from indexer.storage.store import ROWS_FOLDER, RowStore

_UNIT_TOLERANCE = 2e-3
# Another processor may round a few scores otherwise.
_RECALL_TOLERANCE = 0.005
_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold.

    Attributes:
        what: a sentence.
        where: the file or row.
        fix: what to do.
    """

    what: str
    where: str
    fix: str


def verify(collection: Collection, *, quick: bool = False, report: Report = silent) -> list[Finding]:
    """What does not fit together; empty when all is well.

    Args:
        collection: to check.
        quick: manifests, sizes and counts; of all files only those of the index are hashed, vector files up to 512 MB.
        report: called as it goes on.
    """
    report(JobProgress("checking files"))
    findings: list[Finding] = []
    try:
        findings += _guarded(str(collection.path), lambda: _check_chain(collection))
        findings += _guarded(str(collection.path), lambda: _check_transform(collection))
        publication = collection.publication()
        if publication is None:
            return [_nothing_published(collection)]
        damaged = list(
            _guarded(str(collection.path), lambda: _check_row_files(collection, publication, quick))
        )
        findings += damaged
        store = collection.open_rows(publication.rows_version)
        findings += _guarded(str(store.path), lambda: _check_counts(collection, publication, store))
        for entry in publication.segments:
            where = str(collection.path / entry.path)
            findings += _guarded(
                where, partial(_check_segment, collection, entry, None if quick or damaged else store)
            )
        if not quick and not damaged:  # of damaged files no row would tell more
            findings += _guarded(str(store.path), lambda: _check_rows(collection, store, report))
        for kind in ("map", "topics"):
            findings += _guarded(str(collection.path), partial(_check_builds, collection, kind, quick))
    except CollectionError as error:
        findings.append(Finding(error.what, error.where, error.fix))
    return findings


def _guarded(where: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of one check; that it cannot be done is one as well."""
    try:
        yield from check()
    except CollectionError as error:
        yield Finding(error.what, error.where, error.fix)
    except (OSError, ValueError, pa.ArrowException) as error:
        yield Finding(
            f"this cannot be read: {str(error)[:200]}",
            where,
            "restore the collection from a copy, or rebuild it",
        )


def _check_segment(collection: Collection, entry: SegmentEntry, store: RowStore | None) -> Iterator[Finding]:
    """Files of a segment, and with a store what is in them."""
    folder = collection.path / entry.path
    check_files(folder, entry, is_quick=store is None)
    segment = Segment(folder, entry, collection.settings.dimension, open_twin=_no_twin)
    yield from _check_order(segment)
    if store is not None:
        yield from _check_recall(segment)
        yield from _check_vectors(segment, store)


def _no_twin(_vectors: VectorFile, _ann: AnnIndex | None) -> None:
    """The files are checked, not the GPU."""


def _nothing_published(collection: Collection) -> Finding:
    return Finding(
        "nothing was published",
        str(collection.path),
        f"finish the job: llm2comp index SOURCE --into {collection.path}",
    )


def _check_transform(collection: Collection) -> Iterator[Finding]:
    own_transform(collection)
    yield from ()


def _check_builds(collection: Collection, kind: str, quick: bool) -> Iterator[Finding]:
    for error in damaged_builds(collection, kind, quick=quick):
        yield Finding(error.what, error.where, error.fix)


def _check_chain(collection: Collection) -> Iterator[Finding]:
    numbers = manifest.publication_numbers(collection.path)
    unreadable: set[int] = set()
    for before, number in zip([0, *numbers], numbers, strict=False):
        file = manifest.publication_file(collection.path, number)
        try:
            publication = manifest.read_publication(collection.path, number)
        except CollectionError as error:
            yield Finding(error.what, error.where, error.fix)
            unreadable.add(number)
            continue
        if before and number == before + 1 and before not in unreadable:
            expected = manifest.file_sha256(collection.path, before)
            if publication.parent != expected:
                yield Finding(
                    f"{file.name} does not follow from the publication before it",
                    str(file),
                    "one of the two was edited; restore it from a copy",
                )


def _check_row_files(collection: Collection, publication: Publication, quick: bool) -> Iterator[Finding]:
    folder = collection.path / ROWS_FOLDER
    fix = "the row store is the only truth: restore this file from a copy, or index the sources again"
    for name, expected in publication.row_files.items():
        file = folder / name
        if not file.is_file():
            yield Finding(f"{name} is missing from the row store", str(file), fix)
        elif file.stat().st_size != expected["size"] or (
            not quick and atomic.sha256_file(file) != expected["sha256"]
        ):
            yield Finding(f"{name} of the row store is damaged", str(file), fix)


def _check_counts(collection: Collection, publication: Publication, store: RowStore) -> Iterator[Finding]:
    live = store.live_row_ids()
    fix = f"llm2comp rebuild {collection.path}"
    if live.size != publication.passages:
        yield Finding(
            f"the publication names {publication.passages} passages, the row store has {live.size}",
            str(store.path),
            fix,
        )
    elif hashlib.sha256(live.astype("<u8").tobytes()).hexdigest() != publication.row_ids_sha256:
        yield Finding("the row store holds other rows than were published", str(store.path), fix)
    if missing := store.rows_without_words():
        yield Finding(f"{missing} passages are not in the word index", str(store.path), fix)


def _check_order(segment: Segment) -> Iterator[Finding]:
    row_ids = np.asarray(segment.row_ids)
    if (row_ids[1:] <= row_ids[:-1]).any():
        yield Finding("the row ids do not rise", str(segment.folder), "llm2comp rebuild")


def _check_recall(segment: Segment) -> Iterator[Finding]:
    """The recall that was measured at build, with the same queries, so that it must come out the same."""
    if segment.ann is None:
        return
    effort = segment.effort
    recall = measure_recall(segment.ann, segment.vectors, effort.rerank, effort.nprobe, SEED)
    if recall < segment.effort.recall - _RECALL_TOLERANCE:
        yield Finding(
            f"the index finds {recall:.3f} of the true neighbours, {segment.effort.recall:.3f} when it was built",
            str(segment.folder),
            "llm2comp rebuild",
        )


def _check_vectors(segment: Segment, store: RowStore) -> Iterator[Finding]:
    """Vectors of the segment against those of the row store, bit for bit."""
    different = 0
    dimension = segment.vectors.dimension
    row_ids = np.asarray(segment.row_ids)
    for batch in store.scan(["vec"], rows=_BATCH):
        ids = batch["_rowid"].to_numpy()
        at = np.minimum(np.searchsorted(row_ids, ids), row_ids.size - 1)
        here = np.flatnonzero(row_ids[at] == ids)
        stored = vectors_of(batch, dimension)[here]
        mine = segment.vectors.take(at[here]).astype(np.float16)
        different += int((stored.view(np.uint16) != mine.view(np.uint16)).any(axis=1).sum())
    if different:
        yield Finding(
            f"{different} vectors of the index differ from the row store",
            str(segment.folder),
            "llm2comp rebuild",
        )


def _check_rows(collection: Collection, store: RowStore, report: Report) -> Iterator[Finding]:
    wanted = ["id", "doc_id", "chunk_no", "doc_hash", "meta_hash", "content_hash", WORD_COLUMN, "vec"]
    dimension = collection.settings.dimension
    wrong: dict[str, list[str]] = {}
    total, seen = max(1, store.count()), 0
    for batch in store.scan(wanted, rows=_BATCH):
        seen += batch.num_rows
        report(JobProgress("checking passages", passages=seen, fraction=min(1.0, seen / total)))
        vectors = vectors_of(batch, dimension).astype(np.float32)
        off = ~(np.abs(np.linalg.norm(vectors, axis=1) - 1) < _UNIT_TOLERANCE)
        for row, is_off in zip(_rows(batch), off, strict=True):
            if document_hash(row[WORD_COLUMN]) != row["content_hash"]:
                wrong.setdefault("the text differs from its hash", []).append(row["id"])
            if row["id"] != passage_id_of(row["doc_id"], row["chunk_no"], row["doc_hash"], row["meta_hash"]):
                wrong.setdefault("the id does not follow from the document", []).append(row["id"])
            if is_off:
                wrong.setdefault("the vector is not of unit length", []).append(row["id"])
    for what, ids in wrong.items():
        yield Finding(
            f"{what}: {len(ids)} passages, first {ids[0]!r}",
            str(store.path),
            "delete these documents and index their source again",
        )


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    return batch.drop_columns(["vec"]).to_pylist()
