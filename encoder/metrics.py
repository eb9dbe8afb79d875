"""How well a ranking agrees with judgements: recall@k, nDCG@k, reciprocal rank, average precision.

A ranking is a sequence of ids, best first; judgements map ids to gains, of which those above 0 are relevant.
All values lie in [0, 1]. It ranks nothing itself.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.errors import ShapeError, UsageError

Ranking = Sequence[Hashable]
Judgements = Mapping[Any, float]  # the ids are hashable; a mapping's key type is invariant


def recall_at_k(ranking: Ranking, judgements: Judgements, k: int = 10) -> float:
    """Share of the relevant ids that stand among the first k.

    Args:
        ranking: ids, best first, none twice; may be shorter than k.
        judgements: gain of each judged id, at least one above 0; an id that is missing is not relevant.
        k: from 1.

    Raises:
        ShapeError: nothing is relevant, or an id is ranked twice.
        UsageError: k is below 1.
    """
    relevant = _relevant(judgements)
    return sum(item in relevant for item in _first(ranking, k)) / len(relevant)


def ndcg_at_k(ranking: Ranking, judgements: Judgements, k: int = 10) -> float:
    """Graded gains of the first k, discounted by log2(rank + 1), over those of the best ranking possible.

    Args:
        ranking: ids, best first, none twice; may be shorter than k.
        judgements: gain of each judged id, at least one above 0; gains below 0 count as 0.
        k: from 1.

    Raises:
        ShapeError: nothing is relevant, or an id is ranked twice.
        UsageError: k is below 1.
    """
    relevant = _relevant(judgements)
    found = [relevant.get(item, 0.0) for item in _first(ranking, k)]
    best = sorted(relevant.values(), reverse=True)[:k]
    # Rounding must not lift a perfect ranking above 1.
    return min(1.0, _discounted(np.array(found)) / _discounted(np.array(best)))


def reciprocal_rank(ranking: Ranking, judgements: Judgements) -> float:
    """One over the rank of the first relevant id; 0 where none is ranked.

    Args:
        ranking: ids, best first, none twice.
        judgements: gain of each judged id, at least one above 0.

    Raises:
        ShapeError: nothing is relevant, or an id is ranked twice.
    """
    relevant = _relevant(judgements)
    ranks = (rank for rank, item in enumerate(_first(ranking), 1) if item in relevant)
    return 1 / next(ranks, np.inf)


def mean_reciprocal_rank(rankings: Sequence[Ranking], judgements: Sequence[Judgements]) -> float:
    """Mean of `reciprocal_rank` over queries.

    Args:
        rankings: one a query, at least one.
        judgements: of each query.

    Raises:
        ShapeError: there is no query, the two differ in number, nothing is relevant to a query, or an id is
            ranked twice.
    """
    if not rankings or len(rankings) != len(judgements):
        raise ShapeError(
            f"{len(rankings)} rankings and {len(judgements)} judgements were given",
            "mean_reciprocal_rank",
            "give one of both for each query, at least one",
        )
    return float(np.mean([reciprocal_rank(*pair) for pair in zip(rankings, judgements, strict=True)]))


def average_precision(ranking: Ranking, judgements: Judgements) -> float:
    """Mean of the precision at the rank of each relevant id; one that is not ranked counts 0.

    Args:
        ranking: ids, best first, none twice.
        judgements: gain of each judged id, at least one above 0; how far above makes no difference.

    Raises:
        ShapeError: nothing is relevant, or an id is ranked twice.
    """
    relevant = _relevant(judgements)
    ranks = [rank for rank, item in enumerate(_first(ranking), 1) if item in relevant]
    return sum(number / rank for number, rank in enumerate(ranks, 1)) / len(relevant)


def _relevant(judgements: Judgements) -> dict[Hashable, float]:
    relevant = {item: gain for item, gain in judgements.items() if gain > 0}
    if not relevant:
        raise ShapeError(
            "nothing is relevant, so the measure is not defined", "judgements", "leave out such queries"
        )
    return relevant


def _first(ranking: Ranking, k: int | None = None) -> Ranking:
    if k is not None and k < 1:
        raise UsageError(f"k is {k}", "metric", "give a whole number from 1")
    first = ranking[:k]
    if len(set(first)) < len(first):
        raise ShapeError("an id is ranked twice", "ranking", "rank each id once")
    return first


def _discounted(gains_K: NDArray[np.float64]) -> float:
    """Sum of gains [K], each over log2(rank + 1)."""
    return float((gains_K / np.log2(np.arange(2, len(gains_K) + 2))).sum())
