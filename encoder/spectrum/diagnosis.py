"""Measures of an embedding space: how many directions it uses, how crowded it is, how alike memory states are.

Plain numpy, so that training, evaluation and pages share it. Rows are made unit length first. "Raw" measures
see the mean direction, centred ones do not: both are given. A measure that is not defined is None, never NaN.
It gives no verdict and draws nothing.

Shapes: N rows, M memory tokens, D embedding dimension, R = min(N, D).
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.spectrum.closeness import slot_similarity, uniformity_of
from encoder.spectrum.covariance import Covariance, iso_score, spectrum_measures
from encoder.spectrum.gathering import Blocks, Gathering, blocks_of, gather

__all__ = [
    "MOST_PAIR_ROWS",
    "Blocks",
    "Diagnosis",
    "blocks_of",
    "diagnose",
    "diagnosis_of",
    "diagnosis_to_json",
]

MOST_PAIR_ROWS = 20_000  # all pairs of rows are quadratic: beyond this, a sample


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What N embeddings look like together. Effective ranks compare only at equal N."""

    n: int  # rows measured: given rows without zero and non-finite ones
    zero_rows: int  # left out: they have no direction
    non_finite_rows: int  # left out: they hold a NaN or an infinity
    dimension: int
    singular_values: NDArray[np.float64]  # [R] of unit rows / sqrt(N), raw, falling
    eigenvalues: NDArray[np.float64]  # [R] of the covariance of unit rows, falling; [0] when n < 2
    effective_rank: float | None  # raw, 1 to min(N, D)
    effective_rank_centred: float | None  # 1 to min(N - 1, D)
    rank_me: float | None  # raw
    participation_ratio: float | None
    participation_ratio_centred: float | None
    stable_rank: float | None
    stable_rank_centred: float | None
    n90: int | None  # centred
    n99: int | None  # centred
    numerical_rank: int | None  # raw eigenvalues above max(N, D) * epsilon of the largest
    iso_score: float | None  # centred, 0 to 1
    mean_cosine: float | None  # over all pairs i < j, exact
    uniformity: float | None  # over all pairs i < j of the sample, -8 to 0; lower is more spread
    sampled_rows: int  # rows whose pairs uniformity saw
    seed: int  # that drew them
    slot_similarity: NDArray[np.float64] | None  # [M, M]
    slot_similarity_mean: float | None  # off the diagonal; 1: the memory tokens say the same

    @property
    def first_direction(self) -> float | None:
        """Share of the variance that the first direction carries, centred; None without variance."""
        total = float(self.eigenvalues.sum())
        return float(self.eigenvalues[0]) / total if total > 0 else None


def diagnose(
    embeddings: Blocks,
    *,
    memory: NDArray[np.floating] | None = None,
    most_pair_rows: int = MOST_PAIR_ROWS,
    seed: int = 0,
) -> Diagnosis:
    """The measures of an embedding space, from all rows in one pass.

    Args:
        embeddings: [N, D] floating, of any length, N may be 0; or blocks of such rows.
        memory: [N, M, D] floating, memory states of the same or of other texts.
        most_pair_rows: rows whose pairs are looked at for the uniformity; drawn at random from more.
        seed: for that draw, which depends on the order of the rows and not on the blocks.

    Raises:
        ShapeError: embeddings are not [N, D] with D > 0, blocks differ in D, or memory is not [N, M, D].
    """
    return diagnosis_of(gather(embeddings, most_pair_rows, seed=seed), memory=memory)


def diagnosis_of(gathering: Gathering, *, memory: NDArray[np.floating] | None = None) -> Diagnosis:
    """The measures of rows that were looked at, and of memory states [N, M, D].

    Raises:
        ShapeError: memory is not [N, M, D].
    """
    similarity = None if memory is None else slot_similarity(memory)
    covariance, sample = gathering.total(), gathering.sample
    singular_values, eigenvalues = covariance.spectra()
    raw, centred = spectrum_measures(singular_values), spectrum_measures(np.sqrt(eigenvalues))
    return Diagnosis(
        n=covariance.n,
        zero_rows=gathering.zero_rows,
        non_finite_rows=gathering.non_finite_rows,
        dimension=covariance.dimension,
        singular_values=singular_values,
        eigenvalues=eigenvalues,
        effective_rank=raw.effective_rank,
        effective_rank_centred=centred.effective_rank,
        rank_me=raw.rank_me,
        participation_ratio=raw.participation_ratio,
        participation_ratio_centred=centred.participation_ratio,
        stable_rank=raw.stable_rank,
        stable_rank_centred=centred.stable_rank,
        n90=centred.n90,
        n99=centred.n99,
        numerical_rank=int(np.count_nonzero(singular_values)) if covariance.n else None,
        iso_score=iso_score(eigenvalues, covariance.dimension),
        mean_cosine=_mean_cosine(covariance),
        uniformity=None if gathering.closeness is None else uniformity_of(gathering.closeness),
        sampled_rows=len(sample.rows),
        seed=gathering.seed,
        slot_similarity=similarity,
        slot_similarity_mean=_off_diagonal_mean(similarity),
    )


def diagnosis_to_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Every field in types that JSON knows; arrays become lists."""
    return {
        key: value.tolist() if isinstance(value, np.ndarray) else value
        for key, value in asdict(diagnosis).items()
    }


def _mean_cosine(covariance: Covariance) -> float | None:
    """Over i < j: the squared length of the sum of unit rows holds every cosine."""
    n, total = covariance.n, covariance.total
    return float((total @ total - n) / (n * (n - 1))) if n > 1 else None


def _off_diagonal_mean(similarity: NDArray[np.float64] | None) -> float | None:
    if similarity is None or len(similarity) < 2:
        return None
    return float(similarity[~np.eye(len(similarity), dtype=bool)].mean())
