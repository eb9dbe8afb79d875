"""Older versions of a collection that are still kept, to lay beside the newest.

A version holds what was published: the rows and vectors of that day. All versions of a collection are of one encoder and
one transformation, since `rebuild` with another makes another collection in its place, whose versions begin again.
"""

from dataclasses import replace

from encoder.errors import InputError
from indexer.collection import Collection
from indexer.health.examine import Parts, examine_snapshot
from indexer.health.report import HealthReport
from indexer.progress import Report, silent
from indexer.query.snapshot import Snapshot
from indexer.storage.manifest import publication_numbers, read_publication


def kept_versions(collection: Collection) -> list[int]:
    """Numbers of the versions that can be asked for, ascending, the newest last; costs a directory listing.

    The last three are kept, and all of the last hour.

    Raises:
        CollectionError: the folder cannot be read.
    """
    return publication_numbers(collection.path)


def check_kept(collection: Collection, number: int) -> None:
    """Makes sure that a version can be asked for.

    Raises:
        InputError: there is no such version, or it was cleaned away.
    """
    kept = kept_versions(collection)
    if number not in kept:
        named = ", ".join(map(str, kept))
        raise InputError(
            f"version {number} is not kept",
            str(collection.path),
            f"choose one of {named}; the last three are kept, and those of the last hour"
            if kept
            else "nothing was published yet",
        )


def open_version(collection: Collection, number: int) -> Snapshot:
    """A kept version, opened.

    Raises:
        InputError: there is no such version, or it was cleaned away.
        CollectionError: it is damaged.
    """
    check_kept(collection, number)
    return Snapshot(collection, read_publication(collection.path, number))


def examine_version(
    collection: Collection,
    number: int,
    *,
    parts: Parts | None = None,
    seed: int = 0,
    report: Report = silent,
) -> HealthReport:
    """The health of all vectors of a kept version; what needs the encoder is not looked at.

    Args:
        collection: it is of.
        number: of the version.
        parts: how many rows to look at.
        seed: of everything random.
        report: called as the work goes on.

    Raises:
        InputError: there is no such version, or it was cleaned away.
        CollectionError: it is damaged.
    """
    snapshot = open_version(collection, number)
    found = examine_snapshot(snapshot, "the whole version", parts=parts, seed=seed, report=report)
    return replace(found, origin=replace(found.origin, name=f"{found.origin.name}, version {number}"))
