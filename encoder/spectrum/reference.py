"""What N random directions of D dimensions would give: the curve and the ranks to lay beside measured ones.

The spectrum of few random rows is not flat. Its mean shape is the law of Marchenko and Pastur, in closed form for any
N and D, so nothing has to be simulated. It is a curve of the mean: single draws differ by a few tenths of a percent.

Shapes: R = min(N - 1, D), or 1 where that is 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.spectrum.covariance import SpectrumMeasures, iso_score, spectrum_measures

_GRID = 20_001


@dataclass(frozen=True, eq=False)
class Reference:
    """The spectrum of as many random directions."""

    n: int
    dimension: int
    eigenvalues: NDArray[np.float64]  # [R] of the covariance of unit rows, falling; their sum is 1
    measures: SpectrumMeasures
    iso_score: float | None

    @property
    def first_direction(self) -> float | None:
        """Share of the first direction, or None without rows."""
        return float(self.eigenvalues[0]) if len(self.eigenvalues) else None


def isotropic(n: int, dimension: int) -> Reference:
    """What n random directions of `dimension` dimensions give when centred."""
    eigenvalues = _marchenko_pastur(n, dimension) if n > 1 and dimension else np.zeros(0)
    return Reference(
        n=n,
        dimension=dimension,
        eigenvalues=eigenvalues,
        measures=spectrum_measures(np.sqrt(eigenvalues)),
        iso_score=iso_score(eigenvalues, dimension) if dimension else None,
    )


def _marchenko_pastur(n: int, dimension: int) -> NDArray[np.float64]:
    """Mean eigenvalues [R] of the covariance of n random directions, falling."""
    count = min(n - 1, dimension)
    # Non-zero eigenvalues of N x D and of D x N are the same, so that only the smaller ratio matters.
    ratio = count / max(n - 1, dimension)
    angle = np.linspace(0, np.pi, _GRID)
    value = 1 + ratio - 2 * np.sqrt(ratio) * np.cos(angle)
    # Over the angle the density has no roots at its ends. At ratio 1 it is 0 / 0 at the first point.
    density = np.sin(angle) ** 2 / np.maximum(value, np.finfo(float).tiny)
    density[0] = 2.0 if ratio == 1 else density[0]
    held = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    at = (np.arange(count, 0, -1) - 0.5) / count * held[-1]
    found = np.interp(at, held, value)
    return found / found.sum()
