"""Everything about neighbours in a sample of rows, with the places of the rows among all that were given.

Shapes: S distinct sampled rows, K neighbours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.spectrum import neighbourhood as near_by
from encoder.spectrum.duplicates import Duplicates, distinct, near_duplicates
from encoder.spectrum.gathering import Gathering, row_hashes


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Neighbours in a sample; hubs and outliers are named by their place among all rows that were given."""

    positions: NDArray[np.int64]  # [S] places of the sampled rows, equal ones once, rising
    neighbours: near_by.Neighbours  # among the S
    hubness: near_by.Hubness
    intrinsic_dimension: near_by.IntrinsicDimension | None
    outliers: near_by.Outliers
    near: Duplicates


def look_around(
    gathering: Gathering, *, k: int = near_by.NEIGHBOURS, report: near_by.Report = near_by.nothing
) -> Surroundings:
    """The neighbours of the sampled rows; quadratic in the sample.

    Args:
        gathering: of all rows.
        k: neighbours of each.
        report: is told the share that is done.
    """
    sample = gathering.sample
    kept = distinct(row_hashes(sample.rows)) if len(sample.rows) else np.zeros(0, np.int64)
    positions = sample.positions[kept]
    neighbours = near_by.nearest(sample.rows[kept], k, report=report)
    return Surroundings(
        positions=positions,
        neighbours=neighbours,
        hubness=near_by.hubness(neighbours, positions),
        intrinsic_dimension=near_by.intrinsic_dimension(neighbours),
        outliers=near_by.outliers(neighbours, positions),
        near=near_duplicates(neighbours, positions),
    )
