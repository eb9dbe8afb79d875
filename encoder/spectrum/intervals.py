"""How sure the measures of a spectrum are: 95 % intervals of what ever more rows of the same kind would give.

A bootstrap of rows repeats rows, has fewer directions than its rows and pulls every rank down. Here random groups of
rows are left out in turn (delete-a-group jackknife). That removes the first-order bias of a rank from few rows as
well; the second-order part is a rough square of it and widens the interval. Measured on Gaussian, decaying and real
spectra: 95 % intervals cover at least 85 % of the time from 3 rows a dimension on, fewer rows are refused.

The interval is of the limit and not of these rows: with few rows a dimension the measured value lies below it.

Shapes: n rows, D embedding dimension, G groups.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.spectrum.closeness import uniformity_interval, uniformity_of
from encoder.spectrum.covariance import Covariance, spectrum_measures
from encoder.spectrum.gathering import Gathering

LEAST_ROWS_A_DIMENSION = 3
_NORMAL_95 = 1.959964
_SECOND_ORDER = 2.5  # of the squared relative bias; simulated, it was 1.4 to 2.5
_RESOLVED = 4.0  # standard errors between the first two eigenvalues
_LEAST_IN_GROUP = 5
_LEAST_PAIRED = 30


@dataclass(frozen=True, slots=True)
class Interval:
    """A measure of these rows, and where it would end with ever more of them."""

    value: float  # of these rows, as the diagnosis has it
    estimate: float  # without the bias of few rows
    low: float  # 95 % sure
    high: float


@dataclass(frozen=True)
class Intervals:
    """Intervals by the name of the measure; None where one cannot be given."""

    of: dict[str, Interval | None]
    groups: int  # left out in turn
    refused: str  # why ranks have no interval, in a sentence; empty when they have


_RANKS = (
    "effective_rank",
    "effective_rank_centred",
    "participation_ratio",
    "participation_ratio_centred",
    "first_direction",
    "mean_cosine",
)
INTERVAL_MEASURES = (*_RANKS, "uniformity")


def spectrum_intervals(gathering: Gathering) -> Intervals:
    """95 % intervals of the measures of rows that were gathered in detail."""
    found: dict[str, Interval | None] = dict.fromkeys(INTERVAL_MEASURES)
    whole = gathering.total()
    refused = _refusal(whole, gathering.groups)
    if not refused:
        found |= _jackknife(whole, gathering.groups)
    if len(gathering.sample.rows) >= _LEAST_PAIRED:
        closeness = gathering.closeness
        if closeness is not None:
            middle = uniformity_of(closeness)
            found["uniformity"] = Interval(middle, middle, *uniformity_interval(closeness))
    return Intervals(found, len(gathering.groups), refused)


def _refusal(whole: Covariance, groups: list[Covariance]) -> str:
    least = max(LEAST_ROWS_A_DIMENSION * whole.dimension, _LEAST_IN_GROUP * len(groups))
    if not groups or whole.n < least:
        return (
            f"{whole.n:,} {'row is' if whole.n == 1 else 'rows are'} too few for intervals of ranks in {whole.dimension:,} dimensions: "
            f"they need {least:,}."
        )
    return ""


def _jackknife(whole: Covariance, groups: list[Covariance]) -> dict[str, Interval | None]:
    count = len(groups)
    value, is_resolved = _measures(whole)
    left_out = np.stack([_measures(whole.without(part))[0] for part in groups])  # [G, measures]
    pseudo = count * value - (count - 1) * left_out
    estimate = pseudo.mean(axis=0)
    error = pseudo.std(axis=0, ddof=1) / np.sqrt(count)
    half = t_quantile(count - 1) * error
    bias = np.abs(estimate - value)
    # A mean of cosines has no bias to speak of.
    rest = _SECOND_ORDER * bias**2 / np.maximum(np.abs(estimate), np.finfo(float).tiny)
    rest[_RANKS.index("mean_cosine")] = 0.0
    half += rest
    limits = {"mean_cosine": (-1.0, 1.0), "first_direction": (0.0, 1.0)}
    found: dict[str, Interval | None] = {}
    for at, name in enumerate(_RANKS):
        low, high = limits.get(name, (1.0, float(whole.dimension)))
        low, middle, high = np.clip(
            [estimate[at] - half[at], estimate[at], estimate[at] + half[at]], low, high
        )
        is_known = np.isfinite(value[at]) and np.isfinite(half[at])
        # The largest of many equal eigenvalues is biased by more than a first order in 1 / n.
        is_known &= name != "first_direction" or is_resolved
        found[name] = Interval(float(value[at]), float(middle), float(low), float(high)) if is_known else None
    return found


def _measures(covariance: Covariance) -> tuple[NDArray[np.float64], bool]:
    """The measures in the order of `_RANKS`, and whether the first direction is apart from the second."""
    singular_values, eigenvalues = covariance.spectra()
    raw, centred = spectrum_measures(singular_values), spectrum_measures(np.sqrt(eigenvalues))
    n, total = covariance.n, covariance.total
    variance = eigenvalues.sum()
    values = (
        raw.effective_rank,
        centred.effective_rank,
        raw.participation_ratio,
        centred.participation_ratio,
        eigenvalues[0] / variance if variance > 0 else None,
        (total @ total - n) / (n * (n - 1)),
    )
    gap = eigenvalues[0] - eigenvalues[1] if len(eigenvalues) > 1 else eigenvalues[0]
    is_resolved = bool(gap > _RESOLVED * eigenvalues[0] * np.sqrt(2 / n))
    return np.array([np.nan if value is None else value for value in values], np.float64), is_resolved


def t_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, from 4 degrees of freedom on within 0.3 % (Cornish-Fisher)."""
    z = _NORMAL_95
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
