"""Who is near whom: exact nearest neighbours of a sample, hubs, intrinsic dimension, rows that stand alone.

Rows that are equal in half precision count once: among equals "nearest" would be an accident.

Shapes: N rows, K neighbours, D embedding dimension.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 10
HUB_TIMES = 5  # a hub is among the nearest of so many times more rows than the average row
OUTLIER_Z = 5.0  # robust standard deviations below the median
MOST_LISTED = 50
_ROWS_A_BLOCK = 512
_TRIMMED = 0.1  # of the ratios of TwoNN, the largest: they tell of the density and not of the dimension
_LEAST_RATIOS = 20
_MAD_TO_SIGMA = 1.4826

Report = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest rows of every row, by rising distance."""

    positions: NDArray[np.int64]  # [N, K] among the N rows; never the row itself
    distances: NDArray[np.float64]  # [N, K] Euclidean between unit rows, 0 to 2

    @property
    def cosines(self) -> NDArray[np.float64]:
        """Cosines of the neighbours, [N, K], falling."""
        return 1 - self.distances**2 / 2


@dataclass(frozen=True, eq=False)
class Hubness:
    """How unevenly rows are neighbours of others; skewness is 0 when all are alike."""

    k: int
    counts: NDArray[np.int64]  # [N] rows that have this one among their k nearest
    skewness: float | None  # of the counts; None when all are equal, or without rows
    antihub_share: float | None  # rows that nobody has among the nearest: a search hardly finds them
    most: int
    hubs: tuple[tuple[int, int], ...]  # (position, count) from HUB_TIMES * k on, falling, at most MOST_LISTED
    hub_count: int  # of all hubs


@dataclass(frozen=True, slots=True)
class IntrinsicDimension:
    """How many numbers are needed near a row, by TwoNN, with its 95 % interval."""

    value: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class Outliers:
    """Rows whose k-th neighbour is far away beside what is usual here."""

    median: float | None  # cosine of the k-th neighbour
    spread: float | None  # its robust standard deviation; None when more than half of the rows are alike
    rows: tuple[tuple[int, float], ...]  # (position, robust z), falling, at most MOST_LISTED
    count: int  # of all outliers


def nothing(_fraction: float) -> None:
    """Shows nothing."""


def nearest(unit: NDArray[np.float32], k: int = NEIGHBOURS, *, report: Report = nothing) -> Neighbours:
    """Exact nearest neighbours by cosine; equal ones in an order that is not told.

    Candidates come from float32 products, k of them are compared again without cancellation.

    Args:
        unit: [N, D] rows of unit length.
        k: neighbours, N - 1 at most are given.
        report: is told the share that is done.
    """
    n = len(unit)
    k = max(0, min(k, n - 1))
    positions, distances = np.zeros((n, k), np.int64), np.zeros((n, k))
    for start in range(0, n if k else 0, _ROWS_A_BLOCK):
        rows = unit[start : start + _ROWS_A_BLOCK]
        cosines = rows @ unit.T
        cosines[np.arange(len(rows)), start + np.arange(len(rows))] = -np.inf
        found = np.argpartition(cosines, n - k, axis=1)[:, n - k :] if k < n else cosines.argsort(axis=1)
        apart = np.stack([_distance(rows, unit[found[:, at]]) for at in range(k)], axis=1)
        order = np.lexsort((found, apart), axis=1)
        positions[start : start + len(rows)] = np.take_along_axis(found, order, axis=1)
        distances[start : start + len(rows)] = np.take_along_axis(apart, order, axis=1)
        report(min(1.0, (start + len(rows)) / n))
    return Neighbours(positions, distances)


def hubness(neighbours: Neighbours, positions: NDArray[np.int64] | None = None) -> Hubness:
    """How unevenly the rows are neighbours of others.

    Args:
        neighbours: of N rows.
        positions: [N] what the rows are called among the hubs; None: 0 to N - 1.
    """
    n, k = neighbours.positions.shape
    counts = np.bincount(neighbours.positions.ravel(), minlength=n)
    if not n or not k:
        return Hubness(k, counts, None, None, 0, (), 0)
    away = counts - counts.mean()
    variance = float((away**2).mean())
    hubs = np.flatnonzero(counts >= HUB_TIMES * k)
    called = np.arange(n) if positions is None else positions
    listed = hubs[np.argsort(-counts[hubs], kind="stable")][:MOST_LISTED]
    return Hubness(
        k=k,
        counts=counts,
        skewness=float((away**3).mean() / variance**1.5) if variance > 0 else None,
        antihub_share=float((counts == 0).mean()),
        most=int(counts.max()),
        hubs=tuple((int(called[at]), int(counts[at])) for at in listed),
        hub_count=len(hubs),
    )


def intrinsic_dimension(neighbours: Neighbours) -> IntrinsicDimension | None:
    """How many numbers are needed near a row (TwoNN, Facco et al.), from distances to the first two neighbours.

    Their ratio is Pareto distributed with the dimension as its exponent. The largest tenth is left out as
    censored, which keeps the estimate of maximum likelihood in closed form.

    Args:
        neighbours: of rows that all differ, with two neighbours or more.

    Returns:
        None from too few rows, or when first and second neighbour are equally far everywhere.
    """
    if neighbours.distances.shape[1] < 2:
        return None
    first, second = neighbours.distances[:, 0], neighbours.distances[:, 1]
    ratios = np.sort(np.log(second[first > 0] / first[first > 0]))
    kept = int(len(ratios) * (1 - _TRIMMED))
    if kept < _LEAST_RATIOS:
        return None
    total = float(ratios[:kept].sum() + (len(ratios) - kept) * ratios[kept - 1])
    if total <= 0:
        return None
    value = (kept - 1) / total
    half = 1.96 * value / np.sqrt(kept)
    return IntrinsicDimension(value, float(value - half), float(value + half), len(ratios))


def outliers(neighbours: Neighbours, positions: NDArray[np.int64] | None = None) -> Outliers:
    """Rows whose furthest listed neighbour is much less alike than the median row's.

    Args:
        neighbours: of N rows.
        positions: [N] what the rows are called in the list; None: 0 to N - 1.
    """
    n, k = neighbours.positions.shape
    if not n or not k:
        return Outliers(None, None, (), 0)
    cosines = neighbours.cosines[:, -1]
    median = float(np.median(cosines))
    spread = _MAD_TO_SIGMA * float(np.median(np.abs(cosines - median)))
    if spread <= 0:
        return Outliers(median, None, (), 0)
    z = (median - cosines) / spread
    found = np.flatnonzero(z >= OUTLIER_Z)
    called = np.arange(n) if positions is None else positions
    listed = found[np.argsort(-z[found], kind="stable")][:MOST_LISTED]
    return Outliers(median, spread, tuple((int(called[at]), float(z[at])) for at in listed), len(found))


def _distance(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Euclidean distances [n] of rows [n, D], as exact as the rows are however close they lie."""
    difference = first - second
    return np.sqrt(np.einsum("nd,nd->n", difference, difference, dtype=np.float64))
