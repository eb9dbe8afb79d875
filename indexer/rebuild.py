"""Making derived things new: the index of the same vectors, or every vector with another encoder."""

import contextlib
import ctypes
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoder import atomic
from encoder.embedder import Embedder
from encoder.errors import CollectionError
from indexer.collection import REBUILD_MARK, Collection
from indexer.ingest.job import AddReport, add_source
from indexer.ingest.known import drop_superseded
from indexer.ingest.rows_source import RowsSource
from indexer.progress import Report, silent
from indexer.publish import publish
from indexer.segments.segment import document_key
from indexer.storage.lock import place_lock, writer_lock
from indexer.storage.manifest import SETTINGS_FILE, Publication
from indexer.storage.store import RowStore
from indexer.storage.store_errors import full_disk_or

VIEWS_FOLDER = "views"
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
_NONE = np.zeros(0, np.uint64)


def rebuild_index(
    collection: Collection, *, index: str | None = None, report: Report = silent
) -> Publication:
    """Builds all segments anew from the row store and publishes them; readers keep the old ones until then.

    Args:
        collection: to rebuild.
        index: index kind; None keeps the one asked for last.
        report: called as it goes on.

    Raises:
        LockedError: another process writes the collection.
        CollectionError: the row store cannot be read, or the disk is full.
    """
    with writer_lock(collection.path):
        store = collection.open_rows()
        drop_superseded(store)
        _discard_old_state(collection.path.resolve())
        return publish(collection, store, index=index, is_anew=True, report=report)


def reembed(
    collection: Collection, encoder: Embedder, *, index: str | None = None, report: Report = silent
) -> AddReport:
    """Cuts and encodes every document with another encoder, then puts the new collection in place of the old.

    The new one grows beside the old, which answers until the last moment. Killed and started again it goes on.
    Passages stay as long as they were, unless the new encoder takes in less.

    Args:
        collection: to replace.
        encoder: the new one.
        index: index kind; None keeps the one asked for last.
        report: called as it goes on.

    Raises:
        LockedError: another process writes the collection.
        CollectionError: the rows cannot be read, the disk is full, or something else has the name of the copy.
    """
    path = collection.path.resolve()
    beside = copy_beside(path)
    with writer_lock(path):
        drop_superseded(collection.open_rows())
        published = collection.publication()
        target = _continue_or_create(beside, collection, encoder)
        _forget_deleted(target, collection)
        index = index or (published.index_choice if published else None)
        done = add_source(target, RowsSource(collection), encoder, index=index, report=report)
        put_in_place(beside, path)
    return done


def copy_beside(path: Path) -> Path:
    """Where the new state of the collection at `path` grows."""
    return path.with_name(f"{path.name}.rebuild")


def put_in_place(beside: Path, path: Path) -> None:
    """The new folder takes the name of the old, with what people saved about it; then the old one is deleted.

    Whoever writes a journal meanwhile waits, and finds the new folder.

    Raises:
        CollectionError: the folders cannot change places; the old one stands as before.
    """
    views = path / VIEWS_FOLDER
    try:
        with place_lock(path):
            if views.is_dir() and not views.is_symlink():  # what a link leads to is not of this collection
                copied = beside / VIEWS_FOLDER
                shutil.copytree(views, copied, symlinks=True, dirs_exist_ok=True, copy_function=_copy_to_disk)
                atomic.sync_folder(copied)
            exchange_folders(beside, path)
    except OSError as error:
        raise full_disk_or(error, "the new collection cannot be put in place of the old", path) from error
    _discard_old_state(path)


def _copy_to_disk(source: str, target: str) -> None:
    """A copy that survives a power cut, since the original is deleted a moment later."""
    shutil.copy2(source, target)
    atomic.sync_file(Path(target))


def _discard_old_state(path: Path) -> None:
    """Deletes what the collection at `path` was made from, which lies beside it; an unfinished copy of it is kept."""
    beside = copy_beside(path)
    there = _opened(beside) if beside.is_dir() and not beside.is_symlink() else None
    if there is None or there.settings.uuid != _mark_of(path):
        return
    with contextlib.suppress(OSError):  # what stays is taken away by the next rebuild
        _discard(beside, last=SETTINGS_FILE)
        (path / REBUILD_MARK).unlink()


def exchange_folders(one: Path, other: Path) -> None:
    """Swaps two names in one step, so that a kill leaves a whole collection under each.

    Systems other than Linux get two renames; a kill between them leaves the old folder as `<other>.before-rebuild`.

    Raises:
        OSError: a folder cannot be renamed, or `<other>.before-rebuild` is taken.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename and rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        atomic.sync_folder(other.parent)
        return
    retired = other.with_name(f"{other.name}.before-rebuild")
    if _is_present(retired):
        retired.rmdir()  # an error unless it is empty: what lies in it is not ours to delete
    other.rename(retired)
    one.rename(other)
    retired.rename(one)
    atomic.sync_folder(other.parent)


def _forget_deleted(target: Collection, collection: Collection) -> None:
    """Takes out of the unfinished copy what was deleted from the collection since it was begun."""
    present = np.unique(np.concatenate([_NONE, *_document_keys(collection.open_rows())]))
    with writer_lock(target.path):
        store = target.open_rows()
        gone = [_NONE]
        for batch in store.scan(["doc_id"]):
            keys = [document_key(name) for name in batch["doc_id"].to_pylist()]
            is_gone = ~np.isin(np.array(keys, np.uint64), present)
            gone.append(batch["_rowid"].to_numpy()[is_gone].astype(np.uint64))
        store.delete(np.concatenate(gone))


def _document_keys(store: RowStore) -> Iterator[NDArray[np.uint64]]:
    for batch in store.scan(["doc_id"]):
        yield np.array([document_key(name) for name in pc.unique(batch["doc_id"]).to_pylist()], np.uint64)


def _continue_or_create(beside: Path, collection: Collection, encoder: Embedder) -> Collection:
    """The unfinished copy that an earlier run left for the same encoder, or a new empty one."""
    old = collection.settings
    window = min(old.window, encoder.max_tokens)
    overlap = old.overlap * window // old.window
    if _is_present(beside):
        _check_own(beside, collection)
        target = _opened(beside) if _mark_of(beside) == old.uuid else None
        if target and _made_by(target, encoder) and (window, overlap) == _cut_of(target):
            return target
    begin_copy(beside, collection)
    return Collection.create(
        beside,
        name=old.name,
        encoder=encoder,
        columns=old.columns,
        window=window,
        overlap=overlap,
        words=old.words,
    )


def begin_copy(beside: Path, collection: Collection) -> None:
    """An empty folder beside the collection, marked as ours; what an earlier run left there is discarded.

    Raises:
        CollectionError: something else has the name, or the folder cannot be made.
    """
    mark = collection.settings.uuid
    if _is_present(beside):
        _check_own(beside, collection)
        _discard(beside, last=REBUILD_MARK if _mark_of(beside) == mark else SETTINGS_FILE)
    try:
        beside.mkdir()
        (beside / REBUILD_MARK).write_text(mark)  # first: whatever a kill leaves is known as ours
    except OSError as error:
        raise full_disk_or(error, "the new collection cannot be made beside the old", beside) from error


def _is_present(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _check_own(beside: Path, collection: Collection) -> None:
    """Makes sure that what lies beside is our copy, or the old state that a kill kept from being taken away.

    Raises:
        CollectionError: it is something else, which nobody asked us to delete.
    """
    if beside.is_dir() and not beside.is_symlink():
        if _mark_of(beside) == collection.settings.uuid or not any(beside.iterdir()):
            return
        there = _opened(beside)
        if there and there.settings.uuid == _mark_of(collection.path):
            return
    raise CollectionError(
        f"{beside.name} is in the way: the new collection would be made there, and it is not ours to delete",
        str(beside),
        "move it elsewhere, or delete it yourself",
    )


def _mark_of(folder: Path) -> str | None:
    """Uuid of the collection that the one in `folder` was made from; None without such a mark."""
    try:
        return (folder / REBUILD_MARK).read_text()
    except (OSError, ValueError):
        return None


def _opened(folder: Path) -> Collection | None:
    try:
        return Collection.open(folder)
    except CollectionError:
        return None


def _made_by(target: Collection, encoder: Embedder) -> bool:
    return target.settings.encoder_fingerprint == encoder.fingerprint


def _cut_of(target: Collection) -> tuple[int, int]:
    return target.settings.window, target.settings.overlap


def _discard(folder: Path, *, last: str) -> None:
    """Deletes a folder; the file that says what it is goes last, so that a kill leaves nothing unknown."""
    for entry in folder.iterdir():
        if entry.name == last:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    shutil.rmtree(folder)
