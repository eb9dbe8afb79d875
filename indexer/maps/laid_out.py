"""Rows laid out in two dimensions, with their neighbours and how far to trust each point; rows with equal vectors as one."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from indexer.maps.grid import OnGrid, to_grid
from indexer.maps.layouts import LEAST_UMAP_POINTS, pca_layout, umap_layout
from indexer.maps.neighbours import Neighbours, compare, nearest_neighbours
from indexer.maps.trust import NEIGHBOURS, point_trust
from indexer.progress import JobProgress, Report, silent
from indexer.topics.clusters import first_rows, group_equal

if TYPE_CHECKING:
    from indexer.maps.build import MapRecipe

_BLOCK = 8192
# A PCA map is made while somebody waits: of more points, trust is measured at a sample and not known at the others.
TRUSTED_AT_ONCE, _TRUST_SAMPLE = 4_000, 500


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A layout of rows, of which N are usable.

    Attributes:
        usable: bool [all rows], those whose vector has a direction.
        places: uint16 [N, 2].
        trust: float32 [N], NaN where unknown.
        neighbours: int64 [N, K], positions among the N.
        facts: what was found, for the build.
    """

    usable: NDArray[np.bool_]
    places: NDArray[np.uint16]
    trust: NDArray[np.float32]
    neighbours: NDArray[np.int64]
    facts: dict[str, Any]


def lay_out(
    vectors: NDArray[np.float32], recipe: "MapRecipe", *, seconds: dict[str, float], report: Report
) -> LaidOut:
    """Lays out rows, each group of equal vectors as one point.

    Args:
        vectors: float32 [rows, D], unit rows; those that are zero or not finite are left out.
        recipe: to follow.
        seconds: gets what each step took.
        report: hears how far it is.
    """
    groups = group_equal(_blocks(vectors))
    usable = groups >= 0
    first = first_rows(groups)
    # Positions among the usable rows: of each one's group, and of each group's first row.
    of_row = groups[usable]
    of_group = np.cumsum(usable)[first] - 1 if first.size else first
    distinct = vectors if first.size == vectors.shape[0] else vectors[first]
    del vectors
    steps = _Steps(seconds)
    is_umap = recipe.method == "umap" and distinct.shape[0] >= LEAST_UMAP_POINTS
    start, share = pca_layout(lambda: _blocks(distinct), distinct.shape[1])
    steps.end("pca")
    near = _neighbours(distinct, recipe, report)
    steps.end("neighbours")
    layout = start
    if is_umap:
        wanted = slice(0, recipe.neighbours)
        layout = umap_layout(
            near.positions[:, wanted],
            near.similarities[:, wanted],
            start,
            min_dist=recipe.min_dist,
            seed=recipe.seed,
            report=report,
        )
    steps.end("layout")
    on_grid = to_grid(layout)
    report(JobProgress("trust"))
    trust = _trust(distinct, near, on_grid, recipe.seed)
    steps.end("trust")
    facts = {
        "drawn_by": "umap" if is_umap else "pca",
        "distinct": int(first.size),
        "duplicates": int(of_row.size - first.size),
        "mean_trust": round(float(np.nanmean(trust)), 4) if np.isfinite(trust).any() else None,
        "trusted_points": int(np.isfinite(trust).sum()),
        "neighbours_recall": round(near.recall, 4),
        "neighbours_are_exact": near.is_exact,
        "pca_share": round(share, 4),
        **on_grid.facts(),
    }
    neighbours = of_group[near.positions[:, :NEIGHBOURS]]
    return LaidOut(usable, on_grid.places[of_row], trust[of_row], neighbours[of_row], facts)


class _Steps:
    """What each step took, from the end of the one before."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds, self._began = seconds, time.perf_counter()

    def end(self, name: str) -> None:
        now = time.perf_counter()
        self._seconds[name] = now - self._began
        self._began = now


def _neighbours(distinct: NDArray[np.float32], recipe: "MapRecipe", report: Report) -> Neighbours:
    """As many as UMAP or trust want; none for a large PCA map, which is wanted at once."""
    k = max(recipe.neighbours, NEIGHBOURS)
    if recipe.method == "pca":
        k = NEIGHBOURS if distinct.shape[0] <= TRUSTED_AT_ONCE else 0
    return nearest_neighbours(distinct, k, seed=recipe.seed, report=report)


def _trust(
    distinct: NDArray[np.float32], near: Neighbours, on_grid: OnGrid, seed: int
) -> NDArray[np.float32]:
    """Trust of each distinct point, float32 [U]; at a sample where the neighbours of all are not known."""
    count = distinct.shape[0]
    if near.positions.shape[1]:
        return point_trust(near.positions, on_grid.places, np.arange(count))
    trust = np.full(count, np.nan, np.float32)
    if count > 1:
        some = np.sort(np.random.default_rng(seed).choice(count, min(_TRUST_SAMPLE, count), replace=False))
        positions = compare(distinct, some, min(NEIGHBOURS, count - 1), silent)[0]
        trust[some] = point_trust(positions, on_grid.places, some)
    return trust


def _blocks(vectors: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    for start in range(0, vectors.shape[0], _BLOCK):
        yield vectors[start : start + _BLOCK]
