"""How far the map can be believed at each point: are its neighbours by vector its neighbours on the map?"""

import numpy as np
from numpy.typing import NDArray

from indexer.maps.neighbours import overlap

NEIGHBOURS = 15


def point_trust(
    positions: NDArray[np.integer], places: NDArray[np.uint16], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Share of each point's nearest by vector that are among as many nearest on the map, float32 [R] of 0 to 1.

    NaN where nothing can be said: a point alone, or all points at one place.

    Args:
        positions: [R, K], nearest by vector of each point asked for, without itself; the first 15 count.
        places: uint16 [N, 2].
        rows: int64 [R], the points asked for.
    """
    from scipy.spatial import cKDTree

    positions = positions[:, :NEIGHBOURS]
    count, k = positions.shape
    if not k or (places == places[0]).all():
        return np.full(count, np.nan, np.float32)
    near = cKDTree(places).query(places[rows], k=k + 1)[1]
    own = near == rows[:, None]
    own[~own.any(axis=1), -1] = True  # more points than that at its place
    return overlap(near[~own].reshape(count, k), positions)
