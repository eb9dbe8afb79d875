"""A map as it lies in the collection: read with nothing believed, written, listed.

Folder `derived/map-<id>/`, little endian, one entry a point: `rowid.u64`, `xy.u16` (all x, then all y), `trust.u8`
(255: unknown), `flags.u8` (bit 0: placed by its neighbours, not laid out), `neighbours.u32` [N, K].
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoder.errors import InputError
from indexer.collection import Collection
from indexer.derived import Build, build_folder, list_builds, read_build
from indexer.storage.strict_json import damaged

KIND = "map"
FORMAT = 1  # of the files, in the recipe
ROWS_FILE, PLACES_FILE, TRUST_FILE = "rowid.u64", "xy.u16", "trust.u8"
FLAGS_FILE, NEIGHBOURS_FILE = "flags.u8", "neighbours.u32"
_TRUST_STEPS, _TRUST_UNKNOWN = 254, 255
_PLACED = 1
MOST_POINTS = 1_000_000  # six bytes of each go to the page: six megabytes
_MOST_NEIGHBOURS = 256  # of a point


@dataclass(frozen=True, slots=True)
class StoredMap:
    """A map of a collection, as it was built.

    Attributes:
        id: eight hex digits.
        build: recipe and facts.
        row_ids: uint64 [N], ascending.
        x: uint16 [N], 0 to 65,535 on the grid of the map.
        y: uint16 [N].
        trust: float32 [N], share of a row's nearest by vector that are its nearest on the map; NaN where unknown.
        neighbours: uint32 [N, K], positions of each row's nearest among the rows that were laid out, nearest first;
            of rows with equal vectors only one is named, and a row is never its own neighbour.
        is_placed: bool [N], placed by its neighbours when the map was built, not laid out.
    """

    id: str
    build: Build
    row_ids: NDArray[np.uint64]
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    trust: NDArray[np.float32]
    neighbours: NDArray[np.uint32]
    is_placed: NDArray[np.bool_]


def list_maps(collection: Collection) -> list[Build]:
    """The maps of a collection, newest first."""
    return list_builds(collection, KIND)


def neighbour_map(collection: Collection) -> str:
    """Id of the newest map by UMAP, the kind whose crowds mean something; empty where there is none."""
    return next((b.id for b in list_maps(collection) if b.facts.get("drawn_by") == "umap"), "")


def open_map(collection: Collection, identifier: str = "") -> StoredMap:
    """One map of a collection.

    Args:
        collection: it belongs to.
        identifier: its id; empty for the newest.

    Raises:
        InputError: there is none.
        CollectionError: it is damaged.
    """
    if identifier:
        return _read(collection, read_build(collection, KIND, identifier))
    builds = list_maps(collection)
    if not builds:
        raise InputError(
            "this collection has no map", str(collection.path), f"make one: llm2comp map {collection.path}"
        )
    return _read(collection, builds[0])


def write_files(
    folder: Path,
    *,
    row_ids: NDArray[np.uint64],
    places: NDArray[np.uint16],
    trust: NDArray[np.float32],
    neighbours: NDArray[np.uint32],
    is_placed: NDArray[np.bool_],
) -> None:
    """Writes the files of a map.

    Args:
        folder: to write into.
        row_ids: uint64 [N], ascending.
        places: uint16 [N, 2].
        trust: float32 [N] of 0 to 1, NaN where unknown.
        neighbours: uint32 [N, K].
        is_placed: bool [N].

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    known = np.nan_to_num(np.round(trust * _TRUST_STEPS), nan=_TRUST_UNKNOWN)
    (folder / ROWS_FILE).write_bytes(row_ids.astype("<u8").tobytes())
    (folder / PLACES_FILE).write_bytes(np.ascontiguousarray(places.T).astype("<u2").tobytes())
    (folder / TRUST_FILE).write_bytes(known.astype(np.uint8).tobytes())
    (folder / FLAGS_FILE).write_bytes(np.where(is_placed, _PLACED, 0).astype(np.uint8).tobytes())
    (folder / NEIGHBOURS_FILE).write_bytes(neighbours.astype("<u4").tobytes())


def _read(collection: Collection, build: Build) -> StoredMap:
    folder = build_folder(collection, KIND, build.id)
    if build.recipe.get("format") != FORMAT:
        raise damaged(folder, f"its files have the format {str(build.recipe.get('format'))[:20]!r}")
    row_ids = _numbers(build, folder, ROWS_FILE, "<u8").astype(np.uint64)
    count = row_ids.size
    places = _numbers(build, folder, PLACES_FILE, "<u2", 2 * count).astype(np.uint16)
    trust = _numbers(build, folder, TRUST_FILE, "u1", count)
    flags = _numbers(build, folder, FLAGS_FILE, "u1", count)
    neighbours = _numbers(build, folder, NEIGHBOURS_FILE, "<u4").astype(np.uint32)
    if np.any(row_ids[1:] <= row_ids[:-1]):
        raise damaged(folder / ROWS_FILE, "its rows are not in order")
    if neighbours.size % max(count, 1) or np.any(neighbours >= count):
        raise damaged(folder / NEIGHBOURS_FILE, "it names points that the map does not have")
    shares = (trust / _TRUST_STEPS).astype(np.float32)
    shares[trust == _TRUST_UNKNOWN] = np.nan
    return StoredMap(
        build.id,
        build,
        row_ids,
        places[:count],
        places[count:],
        shares,
        neighbours.reshape(count, neighbours.size // max(count, 1)),
        (flags & _PLACED).astype(np.bool_),
    )


def _numbers(build: Build, folder: Path, name: str, kind: str, count: int | None = None) -> NDArray:
    """The numbers of a file that the build names, as many as there must be."""
    file = folder / name
    if name not in build.files:
        raise damaged(folder, f"{name} is missing")
    try:
        size, width = file.stat().st_size, np.dtype(kind).itemsize
        most = MOST_POINTS * width * (_MOST_NEIGHBOURS if name == NEIGHBOURS_FILE else 1)
        fits = size <= most if count is None else size == count * width
        if size % width or not fits:
            raise damaged(file, "its size does not fit the number of points")
        return np.fromfile(file, kind)
    except OSError as error:  # somebody removes the map at this moment
        raise damaged(file, f"it cannot be read: {error.strerror or error}") from error
