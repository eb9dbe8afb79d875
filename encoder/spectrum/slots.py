"""What each memory token adds: likeness, size, spectrum, what its absence does, and its share of a score.

An embedding is the mean of the memory states as they are, made unit length (`encoder.pooling`). So a longer
state counts more, and a part that a state has in every text moves all embeddings alike and tells none apart:
likeness is therefore given with and without each memory token's own mean.

Shapes: N texts, M memory tokens, D embedding dimension.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.errors import ShapeError, UsageError
from encoder.spectrum.closeness import slot_similarity
from encoder.spectrum.covariance import Covariance, spectrum_measures
from encoder.spectrum.neighbourhood import nearest
from encoder.spectrum.slot_clusters import link
from encoder.spectrum.what_if import Gain, KnownPairs, gain_of, known_item_ranks

ALIKE = 0.9  # mean cosine from which memory tokens count as one
_MUCH, _LITTLE = 0.7, 0.3  # mean cosine of what differs from text to text
MOST_ROWS = 2000  # texts whose neighbours are looked for, once for every memory token
_ROUNDING = 1e-6  # of a float32 state
_NUMBERS_A_BLOCK = 4 << 20

Report = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Slot:
    """One memory token. Ranks compare only at equal N."""

    norm: float  # mean length of its state; beside the others' its weight in the embedding
    norm_spread: float  # standard deviation of that
    constant_share: float  # of its mean squared length, what is the same in every text; 1 tells nothing
    effective_rank: float | None  # of its unit states, raw
    effective_rank_centred: float | None
    overlap: float | None  # of the k nearest neighbours, how many are so without this memory token too
    recall_change: Gain | None  # of known items among the first k when it is left out; None without queries
    singular_values: tuple[float, ...] = ()  # of its unit states, raw, falling
    eigenvalues: tuple[float, ...] = ()  # of their covariance


@dataclass(frozen=True, eq=False)
class SlotReport:
    """What the memory tokens of an encoder say together and each for itself."""

    n: int  # texts measured
    left_out: int  # texts with a state that is zero or not finite
    dimension: int
    slots: tuple[Slot, ...]  # M
    within: NDArray[np.float64] | None  # [M, M] mean cosine of two states of one text
    within_centred: NDArray[np.float64] | None  # [M, M] the same without each memory token's own mean
    across: NDArray[np.float64] | None  # [M, M] mean cosine of a state and one of another text
    groups: tuple[tuple[int, ...], ...]  # memory tokens, from 0, that carry the same direction; two or more
    alike: float  # mean cosine from which they do
    k: int  # of neighbours and recall
    sampled: int  # texts whose neighbours were looked for
    seed: int  # that drew them
    recall: float | None  # of known items with all memory tokens, among the sampled
    sentence: str


def examine_slots(
    memory: NDArray[np.floating],
    *,
    queries: NDArray[np.floating] | None = None,
    k: int = 10,
    most_rows: int = MOST_ROWS,
    seed: int = 0,
    report: Report | None = None,
) -> SlotReport:
    """What the memory tokens say, from the states of some thousand texts.

    Args:
        memory: [N, M, D] floating, before pooling, not normalised. Texts with a state that is zero or not finite
            are left out.
        queries: [N, M, D] floating, states of a query to which text i is the answer; None for no recall.
        k: neighbours and hits, fewer where there are fewer texts.
        most_rows: texts whose neighbours are looked for, drawn at random from more.
        seed: for that draw.
        report: is told the share that is done.

    Raises:
        ShapeError: `memory` is not [N, M, D], or `queries` has another shape.
        UsageError: k or most_rows is below 1.
    """
    _check(memory, queries, k, most_rows)
    kept = _has_directions(memory)
    if queries is not None:
        kept &= _has_directions(queries)
        queries = queries[kept]
    left_out = int((~kept).sum())
    memory = memory[kept]
    rows = np.sort(np.random.default_rng(seed).permutation(len(memory))[:most_rows])
    dropped = _without_each(memory[rows], None if queries is None else queries[rows], k, report)
    within = slot_similarity(memory)
    groups = () if within is None else _groups(within)
    centred = slot_similarity(_own_means_taken_off(memory)) if len(memory) > 1 else None
    return SlotReport(
        n=len(memory),
        left_out=left_out,
        dimension=memory.shape[2],
        slots=tuple(
            _slot(memory[:, slot], dropped.overlap[slot], dropped.recall_change[slot])
            for slot in range(memory.shape[1] if len(memory) else 0)
        ),
        within=within,
        within_centred=centred,
        across=across_texts(memory),
        groups=groups,
        alike=ALIKE,
        k=dropped.k,
        sampled=len(rows),
        seed=seed,
        recall=dropped.recall,
        sentence=_sentence(within, centred, groups),
    )


def slot_report_to_json(report: SlotReport) -> dict[str, Any]:
    """Every field in types that JSON knows; arrays become lists, memory tokens are counted from 0."""
    return {
        key: value.tolist() if isinstance(value, np.ndarray) else value
        for key, value in asdict(report).items()
    }


def slot_shares(query: NDArray[np.floating], memory: NDArray[np.floating]) -> NDArray[np.float64]:
    """What each memory token adds to the score of a hit.

    The stored vector is the mean of the memory states over its length, so the score is a sum over memory tokens:
    share m = query . state m / (M * length of the mean).

    Args:
        query: [D] floating, unit length.
        memory: [M, D] floating, states of the hit before pooling.

    Returns:
        [M] whose sum is query . embedding, some may be below 0; zeros where the mean is zero and the score 0.

    Raises:
        ShapeError: the two do not fit together, or a state is not finite.
    """
    if memory.ndim != 2 or not len(memory) or query.shape != memory.shape[1:]:
        raise ShapeError(
            f"a query of shape {query.shape} and memory states of shape {memory.shape} do not fit together",
            "slot_shares",
            "give a query [D] and the states [M, D] of one text",
        )
    states, query = memory.astype(np.float64), query.astype(np.float64)
    largest = np.abs(states).max()
    if not np.isfinite(largest):
        raise ShapeError("a memory state is not finite", "slot_shares", "check the encoder's weights")
    if largest > 0:
        states = states / largest  # no overflow in the squares below
    length = float(np.linalg.norm(states.mean(axis=0)))
    return states @ query / (len(states) * length) if length > 0 else np.zeros(len(states))


def across_texts(memory: NDArray[np.floating]) -> NDArray[np.float64] | None:
    """Mean cosine of memory state a of a text and memory state b of another, over all pairs of texts.

    Exact without looking at pairs: the sums of unit states hold every cosine, those within a text are taken off.

    Args:
        memory: [N, M, D] floating, no state zero or not finite.

    Returns:
        [M, M] symmetric, -1 to 1; None from fewer than two texts.
    """
    n, slots, dimension = memory.shape
    if n < 2:
        return None
    total, within = np.zeros((slots, dimension)), np.zeros((slots, slots))
    step = max(1, _NUMBERS_A_BLOCK // (slots * dimension))
    for start in range(0, n, step):
        states = memory[start : start + step].astype(np.float64)
        unit = states / np.linalg.norm(states, axis=-1, keepdims=True)
        total += unit.sum(axis=0)
        within += np.einsum("nad,nbd->ab", unit, unit, optimize=True)
    return (total @ total.T - within) / (n * (n - 1))


@dataclass(frozen=True, slots=True)
class _Without:
    """What leaving out each memory token in turn does."""

    k: int
    recall: float | None
    overlap: list[float | None]  # M
    recall_change: list[Gain | None]  # M


def _without_each(
    memory: NDArray[np.floating], queries: NDArray[np.floating] | None, k: int, report: Report | None
) -> _Without:
    """Neighbours and known items of texts [n, M, D] with all memory tokens and with all but one."""
    n, slots = memory.shape[:2]
    k = max(0, min(k, n - 1))
    ranks = None if queries is None or not k else _ranks(queries, memory, None)
    recall = None if ranks is None else float((ranks <= k).mean())
    if not k or slots < 2:
        return _Without(k, recall, [None] * slots, [None] * slots)
    full = nearest(_pooled(memory, None), k).positions
    overlap: list[float | None] = []
    changes: list[Gain | None] = []
    for slot in range(slots):
        fewer = nearest(_pooled(memory, slot), k).positions
        shared = (full[:, :, None] == fewer[:, None, :]).sum(axis=(1, 2)) / k
        overlap.append(float(shared.mean()))
        changes.append(
            None if ranks is None or queries is None else gain_of(ranks, _ranks(queries, memory, slot), k)
        )
        if report is not None:
            report((slot + 1) / slots)
    return _Without(k, recall, overlap, changes)


def _pooled(memory: NDArray[np.floating], left_out: int | None) -> NDArray[np.float32]:
    """Unit mean [n, D] of memory states [n, M, D], one of them left out; a mean of zero stays zero."""
    states = memory if left_out is None else np.delete(memory, left_out, axis=1)
    mean = states.mean(axis=1, dtype=np.float64)
    lengths = np.linalg.norm(mean, axis=1, keepdims=True)
    return (mean / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _ranks(
    queries: NDArray[np.floating], memory: NDArray[np.floating], left_out: int | None
) -> NDArray[np.int64]:
    right = np.arange(len(memory))
    return known_item_ranks(KnownPairs(_pooled(queries, left_out), _pooled(memory, left_out), right))


def _slot(states: NDArray[np.floating], overlap: float | None, recall_change: Gain | None) -> Slot:
    """Measures of one memory token from its states [N, D], N at least 1."""
    rows = states.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    covariance = Covariance(rows.shape[1])
    covariance.add(rows / norms[:, None])
    singular_values, eigenvalues = covariance.spectra()
    return Slot(
        norm=float(norms.mean()),
        norm_spread=float(norms.std()),
        constant_share=float(min(1.0, (rows.mean(axis=0) ** 2).sum() / (norms**2).mean())),
        effective_rank=spectrum_measures(singular_values).effective_rank,
        effective_rank_centred=spectrum_measures(np.sqrt(eigenvalues)).effective_rank,
        overlap=overlap,
        recall_change=recall_change,
        singular_values=tuple(singular_values.tolist()),
        eigenvalues=tuple(eigenvalues.tolist()),
    )


def _own_means_taken_off(memory: NDArray[np.floating]) -> NDArray[np.float64]:
    """States [N, M, D] without each memory token's mean over texts; what is only rounding becomes zero."""
    states = memory.astype(np.float64)
    rest = states - states.mean(axis=0)
    is_rounding = np.linalg.norm(rest, axis=-1) <= _ROUNDING * np.linalg.norm(states, axis=-1)
    rest[is_rounding] = 0
    return rest


def _groups(within: NDArray[np.float64]) -> tuple[tuple[int, ...], ...]:
    labels = link(within[None], threshold=ALIKE)[0]
    found = [tuple(int(slot) for slot in np.flatnonzero(labels == label)) for label in np.unique(labels)]
    return tuple(group for group in found if len(group) > 1)


def _sentence(
    within: NDArray[np.float64] | None,
    centred: NDArray[np.float64] | None,
    groups: tuple[tuple[int, ...], ...],
) -> str:
    """The report in a sentence or two; memory tokens are counted from 1."""
    if within is None:
        return "There is no text to look at."
    slots = len(within)
    if slots == 1:
        return "There is one memory token: the embedding is its state."
    alike = _off_diagonal(within)
    if groups and len(groups[0]) == slots:
        first = f"All {slots} memory tokens carry the same direction"
    elif groups:
        others = "".join(f", and so do {named(group)}" for group in groups[1:])
        first = f"Memory tokens {named(groups[0])} carry the same direction{others}"
        alike = min(_off_diagonal(within[np.ix_(group, group)]) for group in groups)
    else:
        first = f"No two of the {slots} memory tokens carry the same direction"
    first += f" (mean cosine {alike:.2f})."
    if centred is None:
        return first
    return f"{first} {_without_constants(centred, groups)}"


def _without_constants(centred: NDArray[np.float64], groups: tuple[tuple[int, ...], ...]) -> str:
    """What tells texts apart, of those that carry the same direction, or of all where none do."""
    shared = min(
        (_off_diagonal(centred[np.ix_(group, group)]) for group in groups), default=_off_diagonal(centred)
    )
    words = "much the same" if shared >= _MUCH else "partly the same" if shared >= _LITTLE else "different"
    facts = f"mean cosine {shared:.2f} without the part that is in every text"
    if groups and shared < _MUCH:
        return f"Most of that direction is in every text and tells none apart; the rest, which does, is {words} in each ({facts})."
    if groups:
        return f"What tells texts apart is much the same in each too ({facts})."
    return f"{'But what' if shared >= _LITTLE else 'What'} tells texts apart is {words} in each ({facts})."


def named(slots: tuple[int, ...]) -> str:
    """Memory tokens counted from 1 for people: (2, 3, 4, 6) is "3-5, 7", (0, 1) is "1 and 2"."""
    if len(slots) == 2:
        return f"{slots[0] + 1} and {slots[1] + 1}"
    runs: list[list[int]] = []
    for slot in sorted(slots):
        if runs and slot == runs[-1][-1] + 1:
            runs[-1].append(slot)
        else:
            runs.append([slot])
    return ", ".join(f"{run[0] + 1}-{run[-1] + 1}" if len(run) > 1 else f"{run[0] + 1}" for run in runs)


def _off_diagonal(matrix: NDArray[np.float64]) -> float:
    """Mean off the diagonal, to two digits."""
    return round(float(matrix[~np.eye(len(matrix), dtype=bool)].mean()), 2) + 0.0  # never -0.00


def _has_directions(memory: NDArray[np.floating]) -> NDArray[np.bool_]:
    largest = np.abs(memory).max(axis=-1)
    return (np.isfinite(largest) & (largest > 0)).all(axis=1)


def _check(
    memory: NDArray[np.floating], queries: NDArray[np.floating] | None, k: int, most_rows: int
) -> None:
    """Refuses shapes and numbers that make no sense.

    Raises:
        ShapeError: `memory` is not [N, M, D], or `queries` has another shape.
        UsageError: k or most_rows is below 1.
    """
    if memory.ndim != 3 or 0 in memory.shape[1:]:
        raise ShapeError(
            f"memory states have the shape {memory.shape}, expected [N, M, D]",
            "examine_slots",
            "give the last states of the memory tokens before they are pooled",
        )
    if queries is not None and queries.shape != memory.shape:
        raise ShapeError(
            f"queries have the shape {queries.shape}, the texts {memory.shape}",
            "examine_slots",
            "give the memory states of one query for every text",
        )
    for name, value in (("k", k), ("most_rows", most_rows)):
        if value < 1:
            raise UsageError(f"{name} is {value}", "examine_slots", "give a whole number from 1")
