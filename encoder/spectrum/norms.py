"""How long the vectors were before they were made unit length. Zero and non-finite rows have no length here."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Norms:
    """Lengths of rows as given; every field is None without rows."""

    least: float | None
    median: float | None
    most: float | None
    spread: float | None  # from the 5th to the 95th percentile, over the median


def norms_of(lengths: NDArray[np.float64]) -> Norms:
    """A summary of lengths [n]; one beyond the largest float64 counts as that."""
    if not len(lengths):
        return Norms(None, None, None, None)
    lengths = np.minimum(lengths, np.finfo(np.float64).max)
    low, median, high = np.quantile(lengths, (0.05, 0.5, 0.95), method="nearest")
    return Norms(
        float(lengths.min()), float(median), float(lengths.max()), float(high / median - low / median)
    )
