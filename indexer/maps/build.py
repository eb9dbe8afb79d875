"""A map of a collection, built: the rows chosen, laid out, trusted, the rest placed, all of it kept with its recipe."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.errors import InputError
from indexer.derived import Build, write_build
from indexer.maps.laid_out import LaidOut, lay_out
from indexer.maps.layouts import check_umap
from indexer.maps.near import nearest_mapped
from indexer.maps.placing import NEAREST, place
from indexer.maps.stored import FORMAT, KIND, MOST_POINTS, StoredMap, open_map, write_files
from indexer.progress import JobProgress, Report, silent
from indexer.query.snapshot import Snapshot
from indexer.search import Searcher

METHODS = ("umap", "pca")
MOST_ROWS = 300_000
_BLOCK = 8192
_LIBRARIES = ("llm2comp", "numpy", "scipy", "faiss-cpu", "faiss-gpu", "umap-learn", "numba")


@dataclass(frozen=True, slots=True)
class MapRecipe:
    """Everything that decides a map of given rows.

    Attributes:
        method: "umap", or "pca": at once, but it keeps fewer neighbours together.
        neighbours: that UMAP looks at, 2 to 200; more show the whole, fewer the detail.
        min_dist: how close UMAP may put points, 0 to 0.99.
        seed: of all random choices, 0 or more.
        most_rows: rows that are laid out; of more, a seeded sample, and the others are placed among it.
        where: filter; empty for all rows.
    """

    method: str = "umap"
    neighbours: int = 15
    min_dist: float = 0.1
    seed: int = 0
    most_rows: int = MOST_ROWS
    where: str = ""

    def check(self) -> None:
        """Makes sure that it can be followed.

        Raises:
            InputError: a value is impossible.
            MissingExtraError: UMAP is asked for and not installed.
        """
        if self.method not in METHODS:
            raise InputError(
                f"there is no method {self.method!r}", "the map", f"choose {' or '.join(METHODS)}"
            )
        for name, least, most in (
            ("neighbours", 2, 200),
            ("min_dist", 0.0, 0.99),
            ("seed", 0, 2**32 - 1),
            ("most_rows", 1, MOST_POINTS),
        ):
            if not least <= getattr(self, name) <= most:
                raise InputError(
                    f"{name} {getattr(self, name)} is impossible", "the map", f"choose {least:,} to {most:,}"
                )
        if self.method == "umap":
            check_umap()


@dataclass(frozen=True, slots=True)
class _Points:
    """What is written: of N points, uint64, uint16 [N, 2], float32, uint32 [N, K], bool."""

    row_ids: NDArray[np.uint64]
    places: NDArray[np.uint16]
    trust: NDArray[np.float32]
    neighbours: NDArray[np.uint32]
    is_placed: NDArray[np.bool_]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """By name: uint64 [N], uint16 [N, 2], float32 [N], uint32 [N, K], bool [N]."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class _Made:
    """A map of a version, with what its build says of it."""

    snapshot: Snapshot
    points: _Points
    recipe: dict[str, Any]
    facts: dict[str, Any]


def build_map(
    searcher: Searcher,
    *,
    method: str = "umap",
    neighbours: int = 15,
    min_dist: float = 0.1,
    seed: int = 0,
    most_rows: int = MOST_ROWS,
    report: Report = silent,
) -> StoredMap:
    """A new map of all rows of a collection; see `MapRecipe` and `build_from`."""
    return build_from(searcher, MapRecipe(method, neighbours, min_dist, seed, most_rows), report=report)


def build_from(searcher: Searcher, recipe: MapRecipe, *, report: Report = silent) -> StoredMap:
    """A new map, stored whole or not at all; the same rows and recipe give the same coordinates.

    Args:
        searcher: of the collection; its newest version is mapped.
        recipe: to follow.
        report: hears how far it is.

    Raises:
        InputError: the recipe is impossible, or no row passes its filter.
        MissingExtraError: UMAP is not installed.
        CollectionError: the collection is damaged, or the map cannot be written.
    """
    made = _make(searcher, recipe, report)
    report(JobProgress("writing"))
    build = write_build(
        made.snapshot.collection,
        KIND,
        version=made.snapshot.publication.number,
        recipe=made.recipe,
        facts=made.facts,
        write=lambda folder: write_files(folder, **made.points.arrays()),
    )
    return open_map(made.snapshot.collection, build.id)


def draft_map(searcher: Searcher, recipe: MapRecipe, *, report: Report = silent) -> StoredMap:
    """The map that `build_from` would store, kept nowhere; its id is empty. Arguments and errors as there."""
    made = _make(searcher, recipe, report)
    collection, points = made.snapshot.collection, made.points
    build = Build(
        KIND,
        "",
        datetime.now(UTC).isoformat(timespec="seconds"),
        made.snapshot.publication.number,
        collection.settings.encoder_fingerprint,
        made.recipe,
        made.facts,
    )
    x, y = (np.ascontiguousarray(points.places[:, axis]) for axis in (0, 1))
    return StoredMap("", build, points.row_ids, x, y, points.trust, points.neighbours, points.is_placed)


def _make(searcher: Searcher, recipe: MapRecipe, report: Report) -> "_Made":
    recipe.check()
    seconds: dict[str, float] = {}
    snapshot, rows = _chosen_rows(searcher, recipe.where)
    generator = np.random.default_rng(recipe.seed)
    drawn = _sample(rows, MOST_POINTS, generator)
    fitted = _sample(drawn, recipe.most_rows, generator)
    with _timed(seconds, "reading", report):
        vectors = _vectors(snapshot, fitted, report)
    laid_out = lay_out(vectors, recipe, seconds=seconds, report=report)
    del vectors  # half a gigabyte in a large map
    with _timed(seconds, "placing", report):
        points = _all_points(snapshot, drawn, fitted, laid_out, report)
    live = snapshot.row_ids()
    facts = {
        "rows": int(rows.size),
        "points": int(points.row_ids.size),
        "share": round(drawn.size / rows.size, 6) if rows.size else 1.0,
        "laid_out": int(laid_out.usable.sum()),
        "placed": int(points.is_placed.sum()),
        "unusable": int(drawn.size - points.row_ids.size),
        **laid_out.facts,
        "coordinates": hashlib.sha256(points.places.astype("<u2").tobytes()).hexdigest(),
        "newest_row": int(live[-1]) if live.size else -1,
        "seconds": {step: round(taken, 2) for step, taken in seconds.items()},
    }
    full = {"format": FORMAT, **asdict(recipe), "metric": "cosine", "versions": _versions()}
    return _Made(snapshot, points, full, facts)


def _chosen_rows(searcher: Searcher, where: str) -> tuple[Snapshot, NDArray[np.uint64]]:
    """The newest version and its rows that pass the filter, uint64 [N], ascending."""
    snapshot = searcher.snapshot
    rows = snapshot.row_ids(searcher.scope(where or None, snapshot=snapshot).allowed)
    if where and not rows.size:
        raise InputError("no passage passes the filter", where, "choose a wider filter")
    return snapshot, rows


def _sample(rows: NDArray[np.uint64], most: int, generator: np.random.Generator) -> NDArray[np.uint64]:
    if rows.size <= most:
        return rows
    return rows[np.sort(generator.choice(rows.size, most, replace=False))]


def _vectors(snapshot: Snapshot, rows: NDArray[np.uint64], report: Report) -> NDArray[np.float32]:
    found = np.empty((rows.size, snapshot.collection.settings.dimension), np.float32)
    for start in range(0, rows.size, _BLOCK):
        found[start : start + _BLOCK] = snapshot.vectors(rows[start : start + _BLOCK])
        done = min(start + _BLOCK, rows.size)
        report(JobProgress("reading", passages=done, fraction=done / rows.size))
    return found


def _all_points(
    snapshot: Snapshot,
    drawn: NDArray[np.uint64],
    fitted: NDArray[np.uint64],
    laid_out: LaidOut,
    report: Report,
) -> _Points:
    """The rows laid out and the rows placed among them, by row id."""
    mapped, places = fitted[laid_out.usable], laid_out.places
    rest = np.setdiff1d(drawn, fitted, assume_unique=True)
    nearest, usable = nearest_mapped(snapshot, rest, mapped, NEAREST, report=report)
    rest, nearest = rest[usable], nearest[usable]
    added = place(nearest, places[:, 0], places[:, 1]) if rest.size else np.zeros((0, 2), np.uint16)
    row_ids = np.concatenate([mapped, rest])
    order = np.argsort(row_ids)
    moved = np.empty(order.size, np.int64)  # from the order of laying out to that of row ids
    moved[order] = np.arange(order.size)
    k = laid_out.neighbours.shape[1]
    # Cells may find fewer than K of a placed row: its nearest stands for the missing ones.
    filled = np.where(nearest < 0, nearest[:, :1], nearest) if rest.size else nearest
    of_rest = filled[:, np.minimum(np.arange(k), max(filled.shape[1] - 1, 0))] if k else filled[:, :0]
    neighbours = moved[np.concatenate([laid_out.neighbours, of_rest]).astype(np.int64)]
    unknown = np.full(rest.size, np.nan, np.float32)
    return _Points(
        row_ids[order],
        np.concatenate([places, added])[order],
        np.concatenate([laid_out.trust, unknown])[order],
        neighbours[order].astype(np.uint32),
        (np.arange(order.size) >= mapped.size)[order],
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def _timed(seconds: dict[str, float], step: str, report: Report) -> Iterator[None]:
    """Adds up what a step takes, and reports its begin."""
    report(JobProgress(step))
    began = time.perf_counter()
    yield
    seconds[step] = seconds.get(step, 0.0) + time.perf_counter() - began
