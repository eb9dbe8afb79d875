"""An assignment of rows to the topics that are stored: qualities, exemplars, misfits, key phrases, labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.query.snapshot import Snapshot
from indexer.storage.row_schema import WORD_COLUMN
from indexer.topics import quality
from indexer.topics.keyphrases import Keyphrases, labels
from indexer.topics.stored import Topic

_TAKEN = 4096


@dataclass(frozen=True, slots=True)
class Assignment:
    """Rows and their topics, before they are described.

    Attributes:
        row_ids: uint64 [N], ascending.
        topics: int32 [N], position in `numbers`; -1 for noise.
        groups: int64 [N], equal for equal vectors.
        numbers: C of them, what each topic is called.
    """

    row_ids: NDArray[np.uint64]
    topics: NDArray[np.int32]
    groups: NDArray[np.int64]
    numbers: Sequence[int]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Rows of each topic, int64 [C]."""
        return np.bincount(self.topics[self.topics >= 0], minlength=len(self.numbers)).astype(np.int64)

    @property
    def stored_numbers(self) -> NDArray[np.int32]:
        """The number of each row's topic, int32 [N], -1 for noise."""
        return np.append(np.array(self.numbers, np.int32), np.int32(-1))[self.topics]


def texts_of(snapshot: Snapshot, row_ids: NDArray[np.uint64]) -> Iterator[str]:
    """The texts of rows with their titles, uint64 [N] in the order given."""
    for start in range(0, row_ids.size, _TAKEN):
        yield from snapshot.store.take(row_ids[start : start + _TAKEN], [WORD_COLUMN])[
            WORD_COLUMN
        ].to_pylist()


def measured(snapshot: Snapshot, found: Assignment) -> quality.Measured:
    """What the vectors say of the assignment."""
    dimension = snapshot.collection.settings.dimension
    return quality.measure(
        lambda: snapshot.vector_blocks(found.row_ids), found.topics, len(found.numbers), dimension
    )


def describe(
    found: Assignment,
    measures: quality.Measured,
    keyphrases: Sequence[Keyphrases],
    stability: Mapping[int, float],
) -> list[Topic]:
    """The topics, in the order of `found.numbers`.

    Args:
        found: the assignment.
        measures: of it.
        keyphrases: of each topic.
        stability: by number; a topic that is missing has none.
    """
    near = quality.nearest_topics(measures.centroids)
    members = _members(found.topics, len(found.numbers))
    names = labels(keyphrases)
    topics = []
    for at, number in enumerate(found.numbers):
        topics.append(
            Topic(
                number=number,
                label=names[at],
                automatic_label=names[at],
                size=int(members[at].size),
                share=members[at].size / max(1, found.row_ids.size),
                cohesion=round(float(measures.cohesion[at]), 6),
                stability=stability.get(number),
                reach=max(0.0, quality.reach(measures.closeness[members[at]])),
                keyphrases=keyphrases[at],
                exemplars=found.row_ids[quality.exemplars(members[at], measures, found.groups)].tolist(),
                misfits=found.row_ids[quality.misfits(members[at], measures, found.groups)].tolist(),
                nearest=[(found.numbers[other], cosine) for other, cosine in near[at]],
            )
        )
    return topics


def _members(topics: NDArray[np.int32], n_topics: int) -> list[NDArray[np.int64]]:
    """Positions of the rows of each topic."""
    order = np.argsort(topics, kind="stable")
    bounds = np.searchsorted(topics[order], np.arange(n_topics + 1))
    return [order[bounds[at] : bounds[at + 1]] for at in range(n_topics)]
