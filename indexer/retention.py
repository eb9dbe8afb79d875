"""What may be forgotten: old publications, the row versions only they need, and builds nobody names."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from encoder.errors import CollectionError
from indexer.collection import DERIVED_FOLDER, Collection
from indexer.derived import MAKING
from indexer.storage import manifest
from indexer.storage.manifest import Publication
from indexer.storage.store import RowStore
from indexer.storage.strict_json import NewerFormatError

KEPT_PUBLICATIONS = 3
KEPT_S = 3600.0


def forget_old(
    collection: Collection,
    store: RowStore,
    *,
    publications: int = KEPT_PUBLICATIONS,
    younger_than_s: float = KEPT_S,
    dry_run: bool = False,
) -> int:
    """Removes what no kept publication needs; returns the bytes freed (or that would be).

    Call it under the writer's lock. Whoever has an old version open keeps its mapped files, and is given the
    new version at the next query.

    Args:
        collection: to clean.
        store: its rows.
        publications: how many to keep at least.
        younger_than_s: publications and builds younger than this are kept as well.
        dry_run: only count.

    Raises:
        NewerFormatError: a newer version of the program published here.
        CollectionError: something cannot be removed.
    """
    cutoff = time.time() - younger_than_s
    numbers = manifest.publication_numbers(collection.path)
    try:
        old = _old_publications(collection, numbers, publications, cutoff)
        kept = set(numbers) - set(old)
        freed = _forget_builds(collection, kept, cutoff, dry_run)
        if dry_run:
            return freed + sum(manifest.publication_file(collection.path, n).stat().st_size for n in old)
        for number in old:
            manifest.publication_file(collection.path, number).unlink()
    except OSError as error:
        raise CollectionError(
            f"old files cannot be removed: {error.strerror or error}",
            str(error.filename or collection.path),
            "check the permissions of the folder",
        ) from error
    for tag in store.tags():
        if tag.startswith("pub-") and tag not in {f"pub-{number}" for number in kept}:
            store.drop_tag(tag)
    return freed + store.clean(keep_s=0.0)


def _old_publications(
    collection: Collection, numbers: Sequence[int], publications: int, cutoff: float
) -> list[int]:
    """Those too old to keep, and damaged ones that a whole newer one has replaced."""
    old, is_replaced = [], False
    for age, number in enumerate(reversed(numbers)):
        is_whole = _read(collection, number) is not None
        is_old = manifest.publication_file(collection.path, number).stat().st_mtime < cutoff
        if (age >= publications and is_old and is_replaced) or (is_replaced and not is_whole):
            old.append(number)
        is_replaced |= is_whole
    return old


def _read(collection: Collection, number: int) -> Publication | None:
    try:
        return manifest.read_publication(collection.path, number)
    except NewerFormatError:
        raise
    except CollectionError:
        return None


def _forget_builds(collection: Collection, kept: set[int], cutoff: float, dry_run: bool) -> int:
    derived = collection.path / DERIVED_FOLDER
    named: set[str] = set()
    for number in kept:
        publication = _read(collection, number)
        for entry in publication.segments if publication else ():
            named.add(Path(entry.path).parts[1])
    freed = 0
    for build in derived.iterdir() if derived.is_dir() else ():
        is_half = build.name.endswith(".tmp")  # no writer runs beside us, so nobody is at work on it
        # Maps and topics are made without the lock: a young one may still be at work.
        is_disposable = build.name.endswith(MAKING) or any(build.glob("seg-*"))
        if build.is_symlink():  # never made by us; what it leads to is not ours to delete
            continue
        if build.name in named or not (is_half or (is_disposable and build.stat().st_mtime < cutoff)):
            continue
        freed += sum(file.stat().st_size for file in build.rglob("*") if file.is_file())
        if not dry_run:
            shutil.rmtree(build)
    return freed
