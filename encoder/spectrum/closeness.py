"""Measures of pairs of rows: uniformity, alignment, likeness of memory states.

A row that is zero or not finite has no direction and is left out.

Shapes: N rows, M memory tokens, D embedding dimension.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.errors import ShapeError
from encoder.spectrum.covariance import checked_rows

_BLOCK_NUMBERS = 4 << 20  # 32 MiB of float64 at a time
_PAIR_BLOCK = 1024
_SMALL_SQUARE = 1e-200
_TWO_SIDED_95 = 1.959964


def slot_similarity(memory: NDArray[np.floating]) -> NDArray[np.float64] | None:
    """Mean cosine between the memory states of a text, over texts.

    Args:
        memory: [N, M, D] floating. Texts with a state that is zero or not finite are left out.

    Returns:
        [M, M] with ones on the diagonal, or None when no text is left.

    Raises:
        ShapeError: `memory` has another number of axes, or no memory tokens.
    """
    if memory.ndim != 3 or 0 in memory.shape[1:]:
        raise ShapeError(
            f"memory states have the shape {memory.shape}, expected [N, M, D]",
            "slot_similarity",
            "give the last states of the memory tokens before they are pooled",
        )
    texts, slots, dimension = memory.shape
    total, count = np.zeros((slots, slots)), 0
    step = max(1, _BLOCK_NUMBERS // (slots * dimension))
    for start in range(0, texts, step):
        states = _unit(memory[start : start + step])
        total += np.einsum("nad,nbd->ab", states, states, optimize=True)
        count += len(states)
    if not count:
        return None
    similarity = total / count
    np.fill_diagonal(similarity, 1.0)
    return similarity


def alignment(first: NDArray[np.floating], second: NDArray[np.floating]) -> float | None:
    """Mean squared distance between the unit embeddings of positive pairs (Wang & Isola).

    Args:
        first: [N, D] floating.
        second: [N, D] floating; row i is the positive of row i. Pairs with a row that is zero or not finite
            are left out.

    Returns:
        0 (equal) to 4 (opposite), or None when no pair is left.

    Raises:
        ShapeError: the two shapes differ, or are not [N, D].
    """
    first, second = checked_rows(first, None), checked_rows(second, None)
    if first.shape != second.shape:
        raise ShapeError(
            f"the pairs have the shapes {first.shape} and {second.shape}",
            "alignment",
            "give one row of each for every pair",
        )
    pair = _unit(np.stack([first, second], axis=1))
    return float(((pair[:, 0] - pair[:, 1]) ** 2).sum(axis=1).mean()) if len(pair) else None


class RowSample:
    """At most `most` unit rows of all that come, each as likely as another; the same whatever the blocks."""

    def __init__(self, most: int, seed: int) -> None:
        self.most = most
        self.rows = np.zeros((0, 0), np.float32)
        self.positions = np.zeros(0, np.int64)  # [S] of the rows among all that were given, rising
        self._keys = np.zeros(0)
        self._random = np.random.default_rng(seed)

    def add(self, rows: NDArray[np.float64], positions: NDArray[np.int64]) -> None:
        """Looks at rows [N, D] with positions [N]; the `most` lowest random keys stay, in order of arrival."""
        keys = self._random.random(len(rows))
        bound = self._keys.max(initial=0.0) if len(self._keys) >= self.most else 1.0
        taken = keys < bound
        if not taken.any():
            return
        arrived = rows[taken].astype(np.float32)
        merged = np.concatenate([self.rows, arrived]) if len(self.rows) else arrived
        keys = np.concatenate([self._keys, keys[taken]])
        where = np.concatenate([self.positions, positions[taken]])
        if len(keys) > self.most:
            stays = np.sort(np.argpartition(keys, self.most)[: self.most])
            merged, keys, where = merged[stays], keys[stays], where[stays]
        self.rows, self.positions, self._keys = merged, where, keys


@dataclass(frozen=True, eq=False)
class Directions:
    """Rows that have a direction, made unit length, of a block [N, D]."""

    unit: NDArray[np.float64]  # [n, D]
    kept: NDArray[np.intp]  # [n] their places in the block, rising
    norms: NDArray[np.float64]  # [n] lengths they had
    zeros: int
    non_finite: int


def directions(rows: NDArray[np.float64]) -> Directions:
    """Rows of unit length without the zero and non-finite ones.

    Args:
        rows: [N, D], N may be 0.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("nd,nd->n", rows, rows)
    is_plain = (squares > _SMALL_SQUARE) & (squares < 1 / _SMALL_SQUARE)  # False for a NaN
    if is_plain.all():
        norms = np.sqrt(squares)
        return Directions(rows / norms[:, None], np.arange(len(rows)), norms, 0, 0)
    # Over their largest number first, so that no square overflows or vanishes.
    scale = np.where(is_plain, 1.0, np.abs(rows).max(axis=1))
    kept = np.flatnonzero(np.isfinite(scale) & (scale > 0))
    non_finite = int((~np.isfinite(scale)).sum())
    scaled = rows[kept] / scale[kept, None]
    lengths = np.sqrt(np.einsum("nd,nd->n", scaled, scaled))
    with np.errstate(over="ignore"):
        norms = lengths * scale[kept]
    return Directions(scaled / lengths[:, None], kept, norms, len(rows) - len(kept) - non_finite, non_finite)


def unit_rows(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], int, int]:
    """Rows [n, D] of unit length without the zero and non-finite ones, and how many of these there were.

    Args:
        rows: [N, D], N may be 0.
    """
    found = directions(rows)
    return found.unit, found.zeros, found.non_finite


def _unit(groups: NDArray[np.floating]) -> NDArray[np.float64]:
    """Vectors [N, G, D] of unit length, without the groups that hold a zero or non-finite one."""
    largest = np.abs(groups).max(axis=-1, keepdims=True).astype(np.float64)
    has_direction = (np.isfinite(largest) & (largest > 0)).all(axis=(1, 2))
    # Over their largest number first, so that no square overflows or vanishes.
    vectors = groups[has_direction] / largest[has_direction]
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def uniformity_of(closeness: NDArray[np.float64]) -> float:
    """Logarithm of the mean over i < j of exp(-2 |y_i - y_j|^2) (Wang & Isola): -8 to 0, lower is more spread.

    Args:
        closeness: [N] of `pair_closeness`, N > 1.
    """
    return float(min(np.log(closeness.mean()), 0.0))


def uniformity_interval(closeness: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the uniformity of ever more such rows.

    The mean over pairs is a U-statistic: its deviation is twice that of the mean over the partners of a row,
    and unlike a rank it has no bias that rows could remove.

    Args:
        closeness: [N] of `pair_closeness`, N > 1.
    """
    spread = 2 * float(closeness.std(ddof=1)) / len(closeness) ** 0.5 / float(closeness.mean())
    middle = uniformity_of(closeness)
    return max(middle - _TWO_SIDED_95 * spread, -8.0), min(middle + _TWO_SIDED_95 * spread, 0.0)


def pair_closeness(unit: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Mean over all other rows of exp(-2 |y_i - y_j|^2), of every row.

    Args:
        unit: [N, D] rows of unit length.

    Returns:
        [N] exp(-8) to 1, or None when N < 2.
    """
    n = len(unit)
    if n < 2:
        return None
    totals = np.zeros(n)
    for start in range(0, n, _PAIR_BLOCK):
        left = unit[start : start + _PAIR_BLOCK]
        for other in range(start, n, _PAIR_BLOCK):
            closeness = left @ unit[other : other + _PAIR_BLOCK].T
            closeness -= 1
            closeness *= 4
            np.exp(closeness, out=closeness)
            if other == start:
                np.fill_diagonal(closeness, 0)
            else:
                totals[other : other + _PAIR_BLOCK] += closeness.sum(axis=0, dtype=np.float64)
            totals[start : start + _PAIR_BLOCK] += closeness.sum(axis=1, dtype=np.float64)
    return totals / (n - 1)
