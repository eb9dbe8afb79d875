"""A collection with its vectors transformed: from the stored ones, without encoding a text again.

Only the way to a transformation is short. The way back, and from one to another, encodes every document anew: a
transformed row is made unit length, so that the vector it came from is gone, and keeping both would double the disk.
"""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from encoder.embedder import Embedder
from encoder.errors import CollectionError, IndexMismatchError
from encoder.spectrum.transforms import NONE, Steps, Transform, check_steps, fit_transform, parse_steps
from encoder.transformed import transformed_fingerprint, transformed_name
from indexer.collection import Collection
from indexer.ingest.known import drop_superseded
from indexer.progress import JobProgress, Report, silent
from indexer.publish import publish
from indexer.rebuild import begin_copy, copy_beside, put_in_place, rebuild_index, reembed
from indexer.storage import manifest
from indexer.storage.lock import writer_lock
from indexer.storage.row_schema import vectors_of
from indexer.storage.store import RowStore

# Rows of one commit; a commit costs about as much whatever it holds.
_COMMIT_ROWS = 32_768


def rebuild_as(
    collection: Collection,
    *,
    encoder: Embedder | None = None,
    transform: str | None = None,
    index: str | None = None,
    report: Report = silent,
) -> None:
    """Brings a collection to an encoder and a transformation by as little work as that takes.

    Killed and started again it goes on; between the two steps of a longer way a whole collection stands.

    Args:
        collection: to change; its settings are read anew.
        encoder: for all vectors; None keeps the one there is. Another one gives up the transformation.
        transform: steps such as "centre+drop:1", "none" for none; None keeps what there is.
        index: index kind; None keeps the one asked for last.
        report: called as it goes on.

    Raises:
        UsageError: the steps are not understood, or ask for more numbers than the vectors have.
        CheckpointError: texts must be encoded anew, and the encoder that the collection names is gone.
        LockedError: another process writes the collection.
        CollectionError: the rows cannot be read, the disk is full, or something else has the name of the copy.
    """
    settings = collection.settings
    wanted, is_other = _wanted(collection, encoder, transform)
    if not is_other and wanted == (settings.transform or NONE):
        rebuild_index(collection, index=index, report=report)
        return
    if is_other or settings.transform:
        encoder = _bare_encoder(collection) if encoder is None else getattr(encoder, "base", encoder)
        # Before the long way, not after it.
        check_steps(Steps() if transform is None else parse_steps(transform), encoder.dimension)
        reembed(collection, encoder, index=index, report=report)
        collection.settings = manifest.read_settings(collection.path)
    if wanted != NONE:
        retransform(collection, parse_steps(wanted), index=index, report=report)


def changes_vectors(
    collection: Collection, *, encoder: Embedder | None = None, transform: str | None = None
) -> bool:
    """Whether `rebuild_as` would make other vectors: maps and topics are of the old ones, and go with them.

    Raises:
        UsageError: the steps are not understood.
    """
    wanted, is_other = _wanted(collection, encoder, transform)
    return is_other or wanted != (collection.settings.transform or NONE)


def _wanted(collection: Collection, encoder: Embedder | None, transform: str | None) -> tuple[str, bool]:
    """The steps that the vectors shall have passed, and whether the encoder is another one."""
    settings = collection.settings
    is_other = (
        encoder is not None and _dressed_fingerprint(collection, encoder) != settings.encoder_fingerprint
    )
    if transform is not None:
        return str(parse_steps(transform)), is_other
    return NONE if is_other else settings.transform or NONE, is_other


def _dressed_fingerprint(collection: Collection, encoder: Embedder) -> str:
    """That of the encoder with the collection's transformation; of the encoder alone where that cannot be."""
    try:
        return collection.dressed(encoder).fingerprint
    except (CollectionError, IndexMismatchError):  # a damaged transformation is mended by giving it up
        return encoder.fingerprint


def _bare_encoder(collection: Collection) -> Embedder:
    from encoder.checkpoint import load_encoder

    return load_encoder(collection.settings.encoder_spec, only_cached=True)


def retransform(
    collection: Collection, steps: Steps, *, index: str | None = None, report: Report = silent
) -> Transform:
    """Transforms every stored vector of a collection that has no transformation yet, and puts the result in its place.

    The new collection grows beside the old, which answers until the last moment. Passage ids stay, row ids do not.
    Killed and started again it begins anew, which costs minutes for millions of rows. The stored vectors are rounded
    to fp16, so what is indexed later, from unrounded ones, differs from them in the fourth digit.

    Args:
        collection: to replace; its settings are read anew.
        steps: to take, at least one.
        index: index kind; None keeps the one asked for last.
        report: called as it goes on.

    Raises:
        UsageError: the steps ask for more numbers than the vectors have.
        ShapeError: the collection has no row to fit the transformation to.
        LockedError: another process writes the collection.
        CollectionError: the rows cannot be read, the disk is full, or something else has the name of the copy.
    """
    check_steps(steps, collection.settings.dimension)
    path = collection.path.resolve()
    beside = copy_beside(path)
    with writer_lock(path):
        store = collection.open_rows()
        drop_superseded(store)
        published = collection.publication()
        transform = fit_transform(_stored(store, collection.settings.dimension, report), steps)
        begin_copy(beside, collection)
        target = Collection.lay_out(beside, _settings_with(collection, transform), transform)
        with writer_lock(beside):
            rows = target.open_rows()
            _copy_rows(store, rows, transform, report)
            publish(
                target, rows, index=index or (published.index_choice if published else None), report=report
            )
        put_in_place(beside, path)
    collection.settings = manifest.read_settings(path)
    return transform


def _settings_with(collection: Collection, transform: Transform) -> manifest.CollectionSettings:
    old = collection.settings
    return replace(
        old,
        uuid=uuid.uuid4().hex,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        encoder_name=transformed_name(old.encoder_name, transform),
        encoder_fingerprint=transformed_fingerprint(old.encoder_fingerprint, transform),
        dimension=transform.dimension,
        features_required=[*old.features_required, manifest.TRANSFORM_FEATURE],
        transform=transform.spec,
        transform_sha256=transform.sha256,
        base_fingerprint=old.encoder_fingerprint,
    )


def _stored(store: RowStore, dimension: int, report: Report) -> Iterator[NDArray[np.float16]]:
    """Vectors of all live rows, float16 [n, D], block by block."""
    done, total = 0, max(1, store.count())
    for batch in store.scan(["vec"]):
        done += batch.num_rows
        report(JobProgress("fitting", passages=done, fraction=done / total))
        yield vectors_of(batch, dimension)


def _copy_rows(store: RowStore, target: RowStore, transform: Transform, report: Report) -> None:
    done, total = 0, max(1, store.count())
    waiting: list[pa.RecordBatch] = []
    for batch in store.scan(target.schema.names):
        waiting.append(_transformed(batch, target.schema, transform))
        done += batch.num_rows
        if sum(part.num_rows for part in waiting) >= _COMMIT_ROWS:
            target.insert(pa.Table.from_batches(waiting))
            waiting = []
        report(JobProgress("transforming", passages=done, fraction=done / total))
    if waiting:
        target.insert(pa.Table.from_batches(waiting))


def _transformed(batch: pa.RecordBatch, schema: pa.Schema, transform: Transform) -> pa.RecordBatch:
    """The same rows with the other vectors."""
    vectors = transform.apply(vectors_of(batch, len(transform.mean))).astype(np.float16)
    columns = {name: batch[name] for name in schema.names}
    columns["vec"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), transform.dimension)
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)
