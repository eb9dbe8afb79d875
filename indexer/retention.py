"""What may be forgotten: old publications, the row versions only they need, and builds nobody names."""

import shutil
import time
from pathlib import Path

from indexer import manifest
from indexer.collection import DERIVED_FOLDER, Collection
from indexer.store import RowStore

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
    """
    cutoff = time.time() - younger_than_s
    numbers = manifest.publication_numbers(collection.path)
    files = {number: manifest.publication_file(collection.path, number) for number in numbers}
    old = [number for number in numbers[:-publications] if files[number].stat().st_mtime < cutoff]
    freed = _forget_builds(collection, set(numbers) - set(old), cutoff, dry_run)
    if dry_run:
        return freed + sum(files[number].stat().st_size for number in old)
    tags = store.tags()
    for number in old:
        files[number].unlink()
    kept_tags = {f"pub-{number}" for number in set(numbers) - set(old)}
    for tag in tags:
        if tag.startswith("pub-") and tag not in kept_tags:
            store.drop_tag(tag)
    return freed + store.clean(keep_s=0.0)


def _forget_builds(collection: Collection, kept: set[int], cutoff: float, dry_run: bool) -> int:
    derived = collection.path / DERIVED_FOLDER
    named: set[str] = set()
    for number in kept:
        for entry in manifest.read_publication(collection.path, number).segments:
            named.add(Path(entry.path).parts[1])
    freed = 0
    for build in derived.iterdir() if derived.is_dir() else ():
        is_half = build.name.endswith(".tmp")  # no writer runs beside us, so nobody is at work on it
        is_segment_build = any(build.glob("seg-*"))
        if build.name in named or not (is_half or (is_segment_build and build.stat().st_mtime < cutoff)):
            continue
        freed += sum(file.stat().st_size for file in build.rglob("*") if file.is_file())
        if not dry_run:
            shutil.rmtree(build)
    return freed
