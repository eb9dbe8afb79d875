"""What a transformation would do to an embedding space: spectrum, neighbours and known items, before and after.

The transformation is fitted to the sample that is measured. Nothing is stored and nothing is drawn.

Shapes: N rows of the sample, Q queries, C documents of the known items, D embedding dimension, E after.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.errors import ShapeError, UsageError
from encoder.spectrum.closeness import unit_rows
from encoder.spectrum.covariance import checked_rows
from encoder.spectrum.diagnosis import Diagnosis, diagnose
from encoder.spectrum.transforms import NONE, Steps, Transform, fit_transform, parse_steps

_ASKED = 1000  # rows whose neighbours are compared: a standard error of at most 1.6 %
_PAIR_ROWS = 5000  # whose pairs the uniformity sees, for each transformation anew
_NORMAL_95 = 1.959964
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Share:
    """A share of queries, and where it would be with ever more of them."""

    value: float  # 0 to 1
    low: float  # 95 % sure
    high: float
    queries: int


@dataclass(frozen=True, slots=True)
class Gain:
    """How much a share changes by the transformation, the same queries compared one by one."""

    value: float  # -1 to 1
    low: float  # 95 % sure; with 0 between low and high it may be chance
    high: float


@dataclass(frozen=True, eq=False)
class KnownPairs:
    """Queries whose right answer is known.

    Attributes:
        queries: [Q, D] floating.
        documents: [C, D] floating, the right ones and others.
        right: int64 [Q], position of the right document of each query.
    """

    queries: NDArray[np.floating]
    documents: NDArray[np.floating]
    right: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WhatIf:
    """An embedding space under one transformation."""

    spec: str  # "none" for the space as it is
    dimension: int
    diagnosis: Diagnosis  # of the whole sample
    overlap: Share  # of the k nearest neighbours, how many are so without the transformation too
    recall_at_1: Share | None  # known items found first; None where no pairs were given
    recall_at_10: Share | None  # or among the first ten
    gain_at_1: Gain | None  # over "none"; sharper than a look at two intervals that overlap
    gain_at_10: Gain | None


def what_if(
    sample: NDArray[np.floating],
    specs: Sequence[str],
    *,
    pairs: KnownPairs | None = None,
    k: int = 10,
    seed: int = 0,
) -> list[WhatIf]:
    """The space as it is, and under each transformation.

    Args:
        sample: [N, D] floating; zero and non-finite rows are left out, two at least must remain.
        specs: transformations such as "centre+drop:1"; "none" need not be named.
        pairs: known items.
        k: neighbours to compare, fewer where the sample is smaller.
        seed: draws the rows whose neighbours are compared.

    Returns:
        "none" first, then one a spec in the order given.

    Raises:
        UsageError: a spec is not understood or asks for too much, or k is below 1.
        ShapeError: there are fewer than two rows, or the pairs do not fit together.
    """
    steps = [parse_steps(spec) for spec in specs]
    if k < 1:
        raise UsageError(f"k is {k}", "what_if", "compare one neighbour at least")
    rows = unit_rows(checked_rows(np.asarray(sample), None))[0].astype(np.float32)
    if len(rows) < 2:
        raise ShapeError(f"the sample has {len(rows)} rows with a direction", "what_if", "give two at least")
    if pairs:
        _check_pairs(pairs, rows.shape[1])
    k = min(k, len(rows) - 1)
    asked = np.sort(np.random.default_rng(seed).permutation(len(rows))[:_ASKED])
    before = _neighbours(rows, asked, k)
    ranks = None if pairs is None else known_item_ranks(pairs)
    transforms = [None, *(fit_transform(rows, each) for each in steps if each != Steps())]
    now = _Now(rows, asked, before, pairs, ranks, seed)
    return [_under(transform, now) for transform in transforms]


def _check_pairs(pairs: KnownPairs, dimension: int) -> None:
    right = pairs.right
    is_right = (
        pairs.queries.ndim == pairs.documents.ndim == 2
        and pairs.queries.shape[1] == pairs.documents.shape[1] == dimension
        and right.shape == (len(pairs.queries),)
        and len(right) > 0
        and np.issubdtype(right.dtype, np.integer)
        and 0 <= right.min() <= right.max() < len(pairs.documents)
    )
    if not is_right:
        raise ShapeError(
            f"known items of shapes {pairs.queries.shape}, {pairs.documents.shape} and {right.shape} do not fit together",
            "what_if",
            f"give queries [Q, {dimension}], documents [C, {dimension}] and for each query the position of its document",
        )


@dataclass(frozen=True, eq=False, slots=True)
class _Now:
    """The space as it is, and what is asked of every transformation of it."""

    rows: NDArray[np.float32]  # [N, D] unit
    asked: NDArray[np.int64]  # [A] positions of rows
    neighbours: NDArray[np.int64]  # [A, k]
    pairs: KnownPairs | None
    ranks: NDArray[np.int64] | None  # [Q]
    seed: int


def _under(transform: Transform | None, now: _Now) -> WhatIf:
    changed = now.rows if transform is None else transform.apply(now.rows)
    after = now.neighbours
    if transform is not None:
        after = _neighbours(changed, now.asked, now.neighbours.shape[1])
    shared = np.array([np.isin(one, other).mean() for one, other in zip(now.neighbours, after, strict=True)])
    ranks = None if now.pairs is None else known_item_ranks(now.pairs, transform)
    return WhatIf(
        spec=NONE if transform is None else transform.spec,
        dimension=changed.shape[1],
        diagnosis=diagnose(changed, most_pair_rows=_PAIR_ROWS, seed=now.seed),
        overlap=mean_share(shared),
        recall_at_1=None if ranks is None else counted_share(ranks <= 1),
        recall_at_10=None if ranks is None else counted_share(ranks <= 10),
        gain_at_1=None if now.ranks is None or ranks is None else gain_of(now.ranks, ranks, 1),
        gain_at_10=None if now.ranks is None or ranks is None else gain_of(now.ranks, ranks, 10),
    )


def gain_of(before: NDArray[np.int64], after: NDArray[np.int64], k: int) -> Gain:
    """How many more queries have their right document among the first k, as a share, with its interval.

    Args:
        before: [Q] ranks from 1, at least one.
        after: [Q] ranks of the same queries.
        k: from 1.
    """
    change = (after <= k).astype(np.float64) - (before <= k)
    # With one discordant query of each kind more, so that a few queries without any change promise nothing.
    n = len(change)
    variance = (np.abs(change).sum() + 2) / n - change.mean() ** 2
    half = _NORMAL_95 * float(np.sqrt(variance / n))
    mean = float(change.mean())
    return Gain(mean, max(-1.0, mean - half), min(1.0, mean + half))


def known_item_ranks(pairs: KnownPairs, transform: Transform | None = None) -> NDArray[np.int64]:
    """Rank of the right document of each query among all, from 1, int64 [Q]; of equals it comes last.

    Args:
        pairs: known items.
        transform: passed by both sides first; None for none.

    Raises:
        ShapeError: the transformation takes rows of another width.
    """
    queries, documents = _unit(pairs.queries), _unit(pairs.documents)
    if transform is not None:
        queries, documents = transform.apply(queries), transform.apply(documents)
    ranks = np.zeros(len(queries), np.int64)
    for start in range(0, len(queries), _BLOCK):
        scores = queries[start : start + _BLOCK] @ documents.T
        right = pairs.right[start : start + _BLOCK, None]
        ranks[start : start + _BLOCK] = (scores >= np.take_along_axis(scores, right, axis=1)).sum(axis=1)
    return ranks


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows [N, D] of unit length; one without direction stays as it is."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _neighbours(rows: NDArray[np.float32], asked: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The k rows nearest to each asked one, itself left out, in no order, [Q, k]."""
    found = np.zeros((len(asked), k), np.int64)
    for start in range(0, len(asked), _BLOCK):
        some = asked[start : start + _BLOCK]
        scores = rows[some] @ rows.T
        scores[np.arange(len(some)), some] = -np.inf
        found[start : start + _BLOCK] = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return found


def mean_share(shares: NDArray[np.floating]) -> Share:
    """The mean of one share a query, with its interval by the standard error.

    Args:
        shares: [Q], 0 to 1, at least one.
    """
    mean = float(shares.mean())
    error = float(shares.std(ddof=1) / np.sqrt(len(shares))) if len(shares) > 1 else 1.0
    half = _NORMAL_95 * error
    return Share(mean, max(0.0, mean - half), min(1.0, mean + half), len(shares))


def counted_share(is_hit: NDArray[np.bool_]) -> Share:
    """The share of queries that hit, with Wilson's interval for a binomial.

    Args:
        is_hit: bool [Q], at least one.
    """
    n, share, z = len(is_hit), float(is_hit.mean()), _NORMAL_95
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return Share(share, float(max(0.0, middle - half)), float(min(1.0, middle + half)), n)
