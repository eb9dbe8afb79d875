"""Publishing: make rows findable, force them to disk, and name them in a manifest that readers follow.

The manifest is written by create-exclusive; before that moment readers see the previous version, after it the
new one, and a kill anywhere leaves one of the two whole.
"""

import contextlib
import hashlib
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoder import atomic
from encoder.errors import CollectionError, InputError
from indexer.collection import DERIVED_FOLDER, Collection
from indexer.progress import JobProgress, Report, silent
from indexer.retention import forget_old
from indexer.segments.ann import KINDS, choose_kind
from indexer.segments.build import build_segment
from indexer.segments.segment import DOCUMENT_FILE, ROW_ID_FILE, check_files, document_key
from indexer.storage import manifest
from indexer.storage.manifest import Publication, SegmentEntry
from indexer.storage.store import RowStore
from indexer.storage.store_errors import full_disk_or

# Rows outside all segments are compared one by one, in memory: this many take a few milliseconds.
MOST_LOOSE_ROWS = 50_000
MOST_LOOSE_SHARE = 0.1
_MOST_DEAD_SHARE = 0.2
_MERGE_FACTOR = 4


@dataclass(frozen=True, slots=True)
class _Existing:
    """A segment of the previous publication whose files are whole."""

    entry: SegmentEntry
    row_ids: NDArray[np.uint64]
    alive: NDArray[np.bool_]


def publish(
    collection: Collection,
    store: RowStore,
    *,
    index: str | None = None,
    is_anew: bool = False,
    report: Report = silent,
) -> Publication:
    """Publishes the newest rows; returns the standing publication when nothing changed.

    Call it under the writer's lock.

    Args:
        collection: of the rows.
        store: at its newest version.
        index: index kind ("auto", "flat", "rabitq", "ivf-sq8"); None keeps the kind asked for last.
        is_anew: build every segment again, whatever is there; readers keep the old ones until then.
        report: called at each step.

    Raises:
        InputError: there is no such index kind.
        CollectionError: the disk is full or the folder cannot be written; readers keep the previous version.
    """
    previous = collection.publication()
    index = index or (previous.index_choice if previous else "auto")
    _check_kind(index)
    report(JobProgress("word index"))
    store.compact()
    store.index_words(collection.settings.words)
    live = store.live_row_ids()
    existing = [] if is_anew else _whole_segments(collection, previous, live)
    if previous and not is_anew and _stands(collection, previous, existing, _digest(live), index):
        return previous
    report(JobProgress("segments"))
    segments, notes = _renew_segments(collection, store, live, existing, index)
    report(JobProgress("publishing"))
    publication = _commit(collection, store, previous, live, segments, notes, index)
    # What cannot be cleaned now is cleaned by the next publication.
    with contextlib.suppress(CollectionError):
        forget_old(collection, store)
    return publication


def _digest(live: NDArray[np.uint64]) -> str:
    return hashlib.sha256(live.astype("<u8").tobytes()).hexdigest()


def _commit(
    collection: Collection,
    store: RowStore,
    previous: Publication | None,
    live: NDArray[np.uint64],
    segments: list[SegmentEntry],
    notes: list[str],
    index: str,
) -> Publication:
    try:
        publication = Publication(
            number=collection.version() + 1,
            parent=manifest.file_sha256(collection.path, previous.number) if previous else "",
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            rows_version=store.version,
            documents=_count_documents(collection, store, live, segments),
            passages=int(live.size),
            row_ids_sha256=_digest(live),
            segments=segments,
            row_files=_hashed_files(store, previous),
            engines={name: version(name) for name in ("pylance", "numpy", "pyarrow")},
            notes=notes,
            index_choice=index,
        )
        store.tag(f"pub-{publication.number}")
        manifest.write_publication(collection.path, publication)
    except OSError as error:
        raise full_disk_or(error, "the publication cannot be written", collection.path) from error
    return publication


def _check_kind(index: str) -> None:
    if index not in KINDS:
        raise InputError(f"there is no index kind {index!r}", "--index", f"choose {', '.join(KINDS)}")


def _stands(
    collection: Collection, previous: Publication, existing: Sequence[_Existing], digest: str, index: str
) -> bool:
    """Whether the newest publication is whole and says all; a damaged newer one is put right by another."""
    return (
        previous.number == collection.version()
        and previous.row_ids_sha256 == digest
        and previous.index_choice == index
        and len(existing) == len(previous.segments)
    )


def _whole_segments(
    collection: Collection, previous: Publication | None, live: NDArray[np.uint64]
) -> list[_Existing]:
    """Segments of the previous publication that are not damaged; the others are simply built again."""
    found = []
    for entry in previous.segments if previous else ():
        folder = collection.path / entry.path
        try:
            check_files(folder, entry)
        except CollectionError:
            continue
        row_ids = np.fromfile(folder / ROW_ID_FILE, "<u8")
        found.append(_Existing(entry, row_ids, np.isin(row_ids, live, assume_unique=True)))
    return found


def plan_segments(alive: Sequence[int], dead: Sequence[int], loose: int) -> tuple[list[int], bool]:
    """Which segments to keep as they are, and whether to build a new one of all other rows.

    Log-structured: few segments, each row rewritten a logarithmic number of times.

    Args:
        alive: live rows of each segment.
        dead: deleted rows of each segment.
        loose: live rows outside all of them.

    Returns:
        Numbers of the segments to keep, and whether a new segment takes the rest.
    """
    kept = [
        number
        for number, (living, gone) in enumerate(zip(alive, dead, strict=True))
        if living and gone <= _MOST_DEAD_SHARE * (living + gone)
    ]
    rest = loose + sum(alive) - sum(alive[number] for number in kept)
    total = loose + sum(alive)
    if rest <= min(MOST_LOOSE_ROWS, MOST_LOOSE_SHARE * total):
        return kept, False
    for number in sorted(kept, key=lambda number: alive[number]):
        if alive[number] < _MERGE_FACTOR * rest:
            kept.remove(number)
            rest += alive[number]
    return kept, True


def _renew_segments(
    collection: Collection,
    store: RowStore,
    live: NDArray[np.uint64],
    existing: Sequence[_Existing],
    index: str,
) -> tuple[list[SegmentEntry], list[str]]:
    usable = [s for s in existing if index == "auto" or s.entry.kind in (index, "flat")]
    covered = [s.row_ids[s.alive] for s in usable]
    loose = int(live.size) - sum(ids.size for ids in covered)
    kept, is_building = plan_segments(
        [ids.size for ids in covered], [int((~s.alive).sum()) for s in usable], loose
    )
    if index not in ("auto", "flat"):  # a change of kind takes the flat ones along
        kept = [number for number in kept if usable[number].entry.kind == index]
        is_building = is_building or len(kept) < len(usable)
    entries = [usable[number].entry for number in kept]
    if not is_building:
        return entries, []
    rest = np.setdiff1d(live, np.concatenate([np.zeros(0, np.uint64), *(covered[n] for n in kept)]))
    if not rest.size:
        return entries, []
    entry, note = _build(collection, store, rest, index)
    return [*entries, entry], [note] if note else []


def _build(
    collection: Collection, store: RowStore, row_ids: NDArray[np.uint64], index: str
) -> tuple[SegmentEntry, str | None]:
    """Builds under another name and renames, so that a kill never leaves half a segment behind a real name."""
    dimension = collection.settings.dimension
    kind = choose_kind(index, int(row_ids.size), dimension)
    derived = collection.path / DERIVED_FOLDER
    build = uuid.uuid4().hex[:12]
    temporary = derived / f"{build}.tmp"
    try:
        entry, note = build_segment(temporary / "seg-0", store, row_ids, kind, dimension)
        atomic.sync_folder(temporary / "seg-0")
        temporary.rename(derived / build)
        atomic.sync_folder(derived)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise full_disk_or(error, "the segment cannot be written", derived) from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    path = f"{DERIVED_FOLDER}/{build}/seg-0"
    return SegmentEntry(path, entry.kind, entry.rows, entry.recall, entry.files), note


def _count_documents(
    collection: Collection, store: RowStore, live: NDArray[np.uint64], segments: Sequence[SegmentEntry]
) -> int:
    keys: list[NDArray[np.uint64]] = []
    covered: list[NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    for entry in segments:
        folder = collection.path / entry.path
        row_ids = np.fromfile(folder / ROW_ID_FILE, "<u8")
        alive = np.isin(row_ids, live, assume_unique=True)
        keys.append(np.fromfile(folder / DOCUMENT_FILE, "<u8")[alive])
        covered.append(row_ids[alive])
    loose = np.setdiff1d(live, np.concatenate(covered))
    names = store.take(loose, ["doc_id"])["doc_id"].to_pylist() if loose.size else []
    keys.append(np.array([document_key(name) for name in names], np.uint64))
    return int(np.unique(np.concatenate(keys)).size)


def _hashed_files(store: RowStore, previous: Publication | None) -> dict[str, dict[str, object]]:
    """Size and hash of each row file; files never change, so only new ones are read and forced to disk."""
    old = previous.row_files if previous else {}
    names = store.files()
    store.sync([name for name in names if name not in old])
    return {name: old.get(name) or _described(store.path / name) for name in names}


def _described(file: Path) -> dict[str, object]:
    return {"size": file.stat().st_size, "sha256": atomic.sha256_file(file)}
