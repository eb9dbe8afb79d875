"""How good the topics of a run are, and which passages stand for them.

Letters: N rows, C topics, D numbers per vector.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.topics.stored import NOISE, unit_rows

EXEMPLARS = 5
MISFITS = 5
NEAREST = 5
REACHED_BY = 0.95

Blocks = Callable[[], Iterator[tuple[NDArray[np.uint64], NDArray[np.float32]]]]


@dataclass(frozen=True, slots=True)
class Measured:
    """What the vectors say of an assignment.

    Attributes:
        means: float32 [C, D], mean of the unit vectors of each topic.
        cohesion: float64 [C], mean cosine of the members to their centroid.
        closeness: float32 [N], cosine to the own centroid; for noise to the nearest one.
        margin: float32 [N], how much closer a row is to its own centroid than to the next; below 0 for misfits.
        nearest: int32 [N], position of the nearest centroid, -1 for rows without a direction.
    """

    means: NDArray[np.float32]
    cohesion: NDArray[np.float64]
    closeness: NDArray[np.float32]
    margin: NDArray[np.float32]
    nearest: NDArray[np.int32]

    @property
    def centroids(self) -> NDArray[np.float32]:
        """Unit rows, float32 [C, D]."""
        return unit_rows(self.means)


def measure(blocks: Blocks, topics: NDArray[np.int32], n_topics: int, dimension: int) -> Measured:
    """Means, cohesion and closeness, in two passes over the vectors.

    Args:
        blocks: gives the row ids and vectors [n, D] of all rows in order, as often as it is called.
        topics: int32 [N], position of each row's topic, -1 for noise.
        n_topics: C.
        dimension: D.
    """
    sums = np.zeros((n_topics, dimension))
    start = 0
    for ids, vectors in blocks():
        of = topics[start : start + ids.size]
        order = np.flatnonzero(of >= 0)
        order = order[np.argsort(of[order], kind="stable")]
        present, first = np.unique(of[order], return_index=True)
        if present.size:  # far faster than `np.add.at`, which takes the numbers one by one
            sums[present] += np.add.reduceat(unit_rows(vectors[order]).astype(np.float64), first, axis=0)
        start += ids.size
    sizes = np.bincount(topics[topics >= 0], minlength=n_topics)
    means = (sums / np.maximum(1, sizes)[:, None]).astype(np.float32)
    # The mean cosine of unit vectors to the direction of their mean is the length of that mean.
    cohesion = np.linalg.norm(means.astype(np.float64), axis=1)
    closeness, margin, nearest = _compare(blocks, topics, unit_rows(means))
    return Measured(means, cohesion, closeness, margin, nearest)


def _compare(
    blocks: Blocks, topics: NDArray[np.int32], centroids: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    closeness = np.zeros(topics.size, np.float32)
    margin = np.zeros(topics.size, np.float32)
    nearest = np.full(topics.size, NOISE, np.int32)
    start = 0
    for ids, vectors in blocks() if centroids.size else ():
        rows = unit_rows(vectors)
        scores = rows @ centroids.T
        of = topics[start : start + ids.size]
        here = slice(start, start + ids.size)
        start += ids.size
        best = scores.argmax(axis=1).astype(np.int32)
        each = np.arange(ids.size)
        own = scores[each, np.where(of >= 0, of, best)]
        scores[each, np.where(of >= 0, of, best)] = -np.inf
        closeness[here] = own
        margin[here] = own - scores.max(axis=1) if scores.shape[1] > 1 else own
        nearest[here] = np.where((rows != 0).any(axis=1), best, NOISE)
    return closeness, margin, nearest


def reach(closeness: NDArray[np.float32]) -> float:
    """The closeness that 95 in 100 members exceed.

    Args:
        closeness: float32 [n], of the members of a topic.
    """
    return round(float(np.quantile(closeness, 1 - REACHED_BY)), 4) if closeness.size else 0.0


def exemplars(members: NDArray[np.int64], measured: Measured, groups: NDArray[np.int64]) -> list[int]:
    """Positions of the most central members, no two with equal vectors.

    Args:
        members: int64 [n], positions of the rows of a topic.
        measured: of the run.
        groups: int64 [N], equal for equal vectors.
    """
    return _first_distinct(
        members[np.argsort(-measured.closeness[members], kind="stable")], groups, EXEMPLARS
    )


def misfits(members: NDArray[np.int64], measured: Measured, groups: NDArray[np.int64]) -> list[int]:
    """Positions of the members that another topic claims most, at most a quarter of a topic.

    Args:
        members: int64 [n], positions of the rows of a topic.
        measured: of the run.
        groups: int64 [N], equal for equal vectors.
    """
    order = members[np.lexsort((measured.closeness[members], measured.margin[members]))]
    return _first_distinct(order, groups, min(MISFITS, members.size // 4))


def _first_distinct(order: NDArray[np.int64], groups: NDArray[np.int64], most: int) -> list[int]:
    chosen: dict[int, int] = {}
    for at in order.tolist():
        if len(chosen) == most:
            break
        chosen.setdefault(int(groups[at]), at)
    return list(chosen.values())


def nearest_topics(centroids: NDArray[np.float32]) -> list[list[tuple[int, float]]]:
    """For each topic the positions of the most similar others with the cosine.

    Args:
        centroids: float32 [C, D] unit rows.
    """
    cosines = centroids @ centroids.T
    np.fill_diagonal(cosines, -np.inf)
    found = []
    for row in cosines:
        order = np.argsort(-row, kind="stable")[: min(NEAREST, len(row) - 1)]
        found.append([(int(at), round(float(row[at]), 4)) for at in order])
    return found


def best_overlaps(
    topics: NDArray[np.int32],
    others: NDArray[np.int32],
    n_topics: int,
    among: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """How much of each topic one group of another run repeats: the greatest Jaccard overlap, float64 [C].

    The overlap is the share of the rows in either that are in both; 1 where the same rows come back as a group.

    Args:
        topics: int32 [N], -1 for noise.
        others: int32 [N], groups of the other run, -1 for noise.
        n_topics: C.
        among: bool [N], the rows that the other run looked at; None for all.
    """
    if among is not None:
        topics, others = topics[among], others[among]
    n_others = int(others.max(initial=-1)) + 1
    if not n_topics or not n_others:
        return np.zeros(n_topics)
    both = (topics >= 0) & (others >= 0)
    cells = topics[both].astype(np.int64) * n_others + others[both]
    shared = np.bincount(cells, minlength=n_topics * n_others).reshape(n_topics, n_others)
    sizes = np.bincount(topics[topics >= 0], minlength=n_topics)
    other_sizes = np.bincount(others[others >= 0], minlength=n_others)
    union = sizes[:, None] + other_sizes[None, :] - shared
    return (shared / np.maximum(1, union)).max(axis=1)
