"""The spectrum of many rows, and how many directions it uses.

Rows are taken as they are; `encoder.spectrum` makes them unit length first.

Shapes: N rows, D embedding dimension, R = min(N, D).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.errors import ShapeError

_RANK_ME_FLOOR = 1e-7  # as RankMe defines it
_ROUNDING = 1e-12  # so that 9 of 10 equal eigenvalues are 90 %


@dataclass(frozen=True)
class SpectrumMeasures:
    """How many directions a spectrum uses; every field is None when all singular values are 0."""

    effective_rank: float | None  # exp of the entropy of singular values over their sum (Roy & Vetterli)
    rank_me: float | None  # the same with 1e-7 added to every share (Garrido et al.)
    participation_ratio: float | None  # (sum of eigenvalues) squared over the sum of their squares
    stable_rank: float | None  # sum of eigenvalues over the largest
    n90: int | None  # fewest directions that hold 90 % of the sum of eigenvalues
    n99: int | None


class Covariance:
    """Second moments of rows that come in blocks, in float64; memory D x D, whatever N is.

    Up to D rows are kept as they are: the eigenvalues of their N x N products are the same, and much cheaper
    where few texts of a wide model are watched during training.

    Args:
        dimension: D.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.n = 0
        self._sum = np.zeros(dimension)
        self._rows: list[NDArray[np.float64]] = []
        self._products: NDArray[np.float64] | None = None

    def add(self, rows: NDArray[np.floating]) -> None:
        """Counts rows in.

        Args:
            rows: [N, D] finite, may be empty; taken as they are, not normalised.

        Raises:
            ShapeError: they are not D wide.
        """
        rows = checked_rows(rows, self.dimension)
        self.n += len(rows)
        self._sum += rows.sum(axis=0)
        if self._products is None:
            self._rows.append(rows.copy())  # what was given may change before it is looked at
            if self.n <= self.dimension:
                return
            self._products = np.zeros((self.dimension, self.dimension))
            rows = np.concatenate(self._rows)
            self._rows = []
        self._products += rows.T @ rows

    @property
    def total(self) -> NDArray[np.float64]:
        """Sum of all rows, [D]."""
        return self._sum.copy()

    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean [D] and raw second moments [D, D], both over N; zeros without rows."""
        return self._sum / max(self.n, 1), self._added_products() / max(self.n, 1)

    def without(self, part: "Covariance") -> "Covariance":
        """The rows of this one that are not in `part`, which has to be a part of it."""
        rest = Covariance(self.dimension)
        rest.n = self.n - part.n
        rest._sum = self._sum - part._sum
        rest._products = self._added_products() - part._added_products()
        return rest

    def spectra(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Singular values of the raw rows and eigenvalues of their covariance.

        What rounding leaves of a zero (below max(N, D) * epsilon of the largest raw eigenvalue) is 0.

        Returns:
            [R] singular values of rows / sqrt(N), falling; and [R] eigenvalues of the covariance (over N - 1),
            falling, [0] when N < 2.
        """
        if self.n == 0:
            return np.zeros(0), np.zeros(0)
        raw, centred = self._matrices()
        count = min(self.n, self.dimension)
        raw_values = np.linalg.eigvalsh(raw)[::-1][:count]
        floor = raw_values[0] * max(self.n, self.dimension) * np.finfo(np.float64).eps
        singular_values = np.sqrt(np.where(raw_values > floor, raw_values, 0.0))
        if self.n < 2:
            return singular_values, np.zeros(0)
        values = np.linalg.eigvalsh(centred)[::-1][:count]
        return singular_values, np.where(values > floor, values, 0.0) * (self.n / (self.n - 1))

    def _added_products(self) -> NDArray[np.float64]:
        """Sum of the products of all rows with themselves, [D, D]."""
        if self._products is not None:
            return self._products
        rows = np.concatenate([np.zeros((0, self.dimension)), *self._rows])
        return rows.T @ rows

    def _matrices(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Two square matrices with the eigenvalues of the raw and the centred second moments (over N)."""
        if self._products is None:
            rows = np.concatenate(self._rows)
            centred = rows - self._sum / self.n
            return rows @ rows.T / self.n, centred @ centred.T / self.n
        mean = self._sum / self.n
        raw = self._products / self.n
        return raw, raw - np.outer(mean, mean)


def merged(parts: Sequence[Covariance]) -> Covariance:
    """The second moments of the rows of all parts together.

    Args:
        parts: at least one, of one dimension.
    """
    if len(parts) == 1:
        return parts[0]
    whole = Covariance(parts[0].dimension)
    whole.n = sum(part.n for part in parts)
    whole._sum = np.sum([part._sum for part in parts], axis=0)
    if whole.n <= whole.dimension:  # then no part has so many that it gave its rows up
        whole._rows = [rows for part in parts for rows in part._rows]
        return whole
    whole._products = np.zeros((whole.dimension, whole.dimension))
    for part in parts:
        whole._products += part._added_products()
    return whole


def spectrum_measures(singular_values: NDArray[np.floating]) -> SpectrumMeasures:
    """How many directions a spectrum uses.

    Args:
        singular_values: [R], not negative, in any order; may be empty.
    """
    values = np.sort(np.asarray(singular_values, np.float64))[::-1]
    if not values.size or values[0] == 0:
        return SpectrumMeasures(None, None, None, None, None, None)
    values = values / values[0]  # no overflow and no underflow in the squares below
    share = values / values.sum()
    power = values**2
    held = np.cumsum(power) / power.sum() + _ROUNDING
    return SpectrumMeasures(
        effective_rank=_exp_entropy(share[share > 0]),
        rank_me=_exp_entropy(share + _RANK_ME_FLOOR),
        participation_ratio=float(power.sum() ** 2 / (power**2).sum()),
        stable_rank=float(power.sum()),
        n90=int(np.argmax(held >= 0.9)) + 1,
        n99=int(np.argmax(held >= 0.99)) + 1,
    )


def iso_score(eigenvalues: NDArray[np.floating], dimension: int) -> float | None:
    """How evenly the variance fills all directions: 0 one direction, 1 all alike (Rudman et al.).

    Args:
        eigenvalues: [R] of the covariance; those that are missing up to `dimension` count as 0.
        dimension: D.

    Returns:
        0 to 1, or None when there is no variance or only one dimension.
    """
    length = float(np.linalg.norm(eigenvalues))
    if dimension < 2 or length == 0:
        return None
    values = np.zeros(dimension)
    values[: len(eigenvalues)] = eigenvalues
    most = dimension - np.sqrt(dimension)
    defect = np.linalg.norm(values * (np.sqrt(dimension) / length) - 1) ** 2 / (2 * most)
    used = (dimension - defect * most) ** 2 / dimension
    return float(np.clip((used - 1) / (dimension - 1), 0.0, 1.0))


def checked_rows(rows: NDArray[np.floating], dimension: int | None) -> NDArray[np.float64]:
    """Rows [N, D] in float64.

    Raises:
        ShapeError: they are not D wide.
    """
    check_axes(rows)
    if dimension is not None and rows.shape[1] != dimension:
        raise ShapeError(
            f"a block of embeddings is {rows.shape[1]} wide, the first one {dimension}",
            "encoder.spectrum",
            "measure the embeddings of one encoder at a time",
        )
    return np.asarray(rows, np.float64)


def check_axes(rows: NDArray[np.floating]) -> None:
    """Refuses what are no rows [N, D].

    Raises:
        ShapeError: another number of axes, or D = 0.
    """
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ShapeError(
            f"embeddings have the shape {rows.shape}, expected [N, D]",
            "encoder.spectrum",
            "give one row a text",
        )


def _exp_entropy(share: NDArray[np.float64]) -> float:
    return float(np.exp(-(share * np.log(share)).sum()))
