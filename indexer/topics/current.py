"""A stored run over the rows of today: rows that are gone left out, rows added since assigned by their vectors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.query.snapshot import Snapshot
from indexer.search import Searcher
from indexer.topics.stored import NOISE, StoredTopics, unit_rows
from indexer.topics.versions import open_topics


@dataclass(frozen=True, slots=True)
class CurrentTopics:
    """The topic of every live row.

    Attributes:
        stored: the run.
        row_ids: uint64 [N] ascending, all live rows.
        numbers: int32 [N], topic of each row, -1 for noise.
        closeness: float32 [N], cosine to the centroid of its topic, for noise to the nearest.
        is_added: bool [N], rows that are younger than the run.
        gone: rows of the run that were deleted since.
    """

    stored: StoredTopics
    row_ids: NDArray[np.uint64]
    numbers: NDArray[np.int32]
    closeness: NDArray[np.float32]
    is_added: NDArray[np.bool_]
    gone: int

    def members(self, number: int) -> NDArray[np.uint64]:
        """Row ids uint64 [n] of a topic (-1: of noise), most central first, ties by row id."""
        at = np.flatnonzero(self.numbers == number)
        return self.row_ids[at[np.argsort(-self.closeness[at], kind="stable")]]


def current_topics(stored: StoredTopics, snapshot: Snapshot) -> CurrentTopics:
    """The run over the rows of a version.

    A row added since gets the topic of the nearest centroid. In a run by density it must also be as close to it as
    95 in 100 of the topic's passages are, else it is noise.

    Args:
        stored: the run.
        snapshot: of the version.
    """
    row_ids = snapshot.row_ids()
    is_added = ~np.isin(row_ids, stored.row_ids, assume_unique=True)
    is_kept = np.isin(stored.row_ids, row_ids, assume_unique=True)
    numbers = np.full(row_ids.size, NOISE, np.int32)
    closeness = np.zeros(row_ids.size, np.float32)
    numbers[~is_added], closeness[~is_added] = stored.numbers[is_kept], stored.closeness[is_kept]
    if is_added.any() and stored.topics:
        least = _least_closeness(stored)
        found = [
            assign_nearest(vectors, stored, least) for _, vectors in snapshot.vector_blocks(row_ids[is_added])
        ]
        numbers[is_added] = np.concatenate([part for part, _ in found])
        closeness[is_added] = np.concatenate([part for _, part in found])
    return CurrentTopics(stored, row_ids, numbers, closeness, is_added, int((~is_kept).sum()))


def _least_closeness(stored: StoredTopics) -> NDArray[np.float32]:
    """How close to each centroid a new row must be, float32 [C]."""
    if stored.build.recipe.get("method") == "kmeans":
        return np.full(len(stored.topics), -np.inf, np.float32)
    return np.array([topic.reach for topic in stored.topics], np.float32)


def assign_nearest(
    vectors: NDArray[np.float32], stored: StoredTopics, least: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The topic with the nearest centroid.

    Args:
        vectors: float32 [n, D].
        stored: a run with at least one topic.
        least: float32 [C], the cosine that a row must reach.

    Returns:
        Topic numbers int32 [n], -1 for rows that are too far or have no direction, and cosines float32 [n].
    """
    rows = unit_rows(vectors)
    scores = rows @ stored.centroids.T
    best = scores.argmax(axis=1)
    cosines = scores[np.arange(best.size), best]
    is_near = (cosines >= least[best]) & (rows != 0).any(axis=1)
    numbers = np.array([topic.number for topic in stored.topics], np.int32)
    return np.where(is_near, numbers[best], NOISE).astype(np.int32), cosines.astype(np.float32)


def topic_column(
    searcher: Searcher, identifier: str = "", version: str = ""
) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """The topic of every live row: row ids uint64 [N] ascending, and numbers int32 [N], -1 for noise.

    Args:
        searcher: of the collection.
        identifier: of the run; the current one when empty.
        version: of the run, "" for the automatic one.

    Raises:
        InputError: there are no topics, or none of that name.
        CollectionError: they are damaged.
    """
    snapshot = searcher.snapshot
    found = current_topics(open_topics(snapshot.collection, identifier, version), snapshot)
    return found.row_ids, found.numbers
