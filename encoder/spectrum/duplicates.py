"""Rows that say the same: equal ones among all rows, nearly equal ones in a sample.

Shapes: N rows, K neighbours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.spectrum.neighbourhood import Neighbours

NEAR_COSINE = 0.98
MOST_GROUPS = 20
MOST_IN_GROUP = 100


@dataclass(frozen=True)
class DuplicateGroup:
    """Rows that say the same."""

    size: int
    positions: tuple[int, ...]  # rising, at most MOST_IN_GROUP


@dataclass(frozen=True)
class Duplicates:
    """How many rows say the same as another."""

    rows: int  # that were looked at
    repeated: int  # rows with at least one like them
    groups: int
    largest: tuple[DuplicateGroup, ...]  # by falling size, at most MOST_GROUPS

    @property
    def share(self) -> float | None:
        """Rows with at least one like them, 0 to 1; None without rows."""
        return self.repeated / self.rows if self.rows else None


def exact_duplicates(hashes: NDArray[np.uint64], positions: NDArray[np.int64]) -> Duplicates:
    """Rows with the same hash.

    Args:
        hashes: [N] of `gathering.row_hashes`.
        positions: [N] what the rows are called in the groups.
    """
    _, labels = np.unique(hashes, return_inverse=True)
    return _grouped(labels.astype(np.int64), positions)


def near_duplicates(
    neighbours: Neighbours, positions: NDArray[np.int64], *, cosine: float = NEAR_COSINE
) -> Duplicates:
    """Rows with a neighbour of at least this cosine, in groups that such neighbours connect.

    A group larger than the K neighbours that are known may come out in pieces; how many rows are repeated is exact.

    Args:
        neighbours: of N rows.
        positions: [N] what the rows are called in the groups.
        cosine: from which two rows say the same.
    """
    near = neighbours.cosines >= cosine
    left = np.repeat(np.arange(len(near)), near.sum(axis=1))
    right = neighbours.positions[near]
    return _grouped(_connected(len(near), left, right), positions)


def distinct(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Places of the first row of every hash, [n] rising, of hashes [N]."""
    return np.sort(np.unique(hashes, return_index=True)[1]).astype(np.int64)


def _grouped(labels: NDArray[np.int64], positions: NDArray[np.int64]) -> Duplicates:
    """Groups of rows [N] with the same label."""
    counts = np.bincount(labels) if len(labels) else np.zeros(0, np.int64)
    repeated = np.flatnonzero(counts > 1)
    first = np.argsort(-counts[repeated], kind="stable")[:MOST_GROUPS]
    largest = []
    for label in repeated[first]:
        members = np.sort(positions[labels == label])
        largest.append(DuplicateGroup(len(members), tuple(int(at) for at in members[:MOST_IN_GROUP])))
    return Duplicates(len(labels), int(counts[repeated].sum()), len(repeated), tuple(largest))


def _connected(n: int, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lowest row that each of n rows is connected with by pairs [P], [n]."""
    labels = np.arange(n)
    while True:
        lowest = np.minimum(labels[left], labels[right])
        now = labels.copy()
        np.minimum.at(now, labels[left], lowest)
        np.minimum.at(now, labels[right], lowest)
        while not np.array_equal(now, now[now]):
            now = now[now]
        if np.array_equal(now, labels):
            return labels
        labels = now
