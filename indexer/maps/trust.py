"""How far the map can be believed at each point: are its neighbours by vector its neighbours on the map?"""

import numpy as np
from numpy.typing import NDArray

from indexer.maps.neighbours import overlap

NEIGHBOURS = 15


def point_trust(positions: NDArray[np.integer], places: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Share of each point's nearest by vector that are among as many nearest on the map, float32 [N] of 0 to 1.

    NaN where nothing can be said: a point alone, or all points at one place.

    Args:
        positions: [N, K], nearest by vector, without the point itself; the first 15 count.
        places: uint16 [N, 2].
    """
    from scipy.spatial import cKDTree

    positions = positions[:, :NEIGHBOURS]
    count, k = positions.shape
    if not k or (places == places[0]).all():
        return np.full(count, np.nan, np.float32)
    near = cKDTree(places).query(places, k=k + 1)[1]
    own = near == np.arange(count)[:, None]
    own[~own.any(axis=1), -1] = True  # more points than that at its place
    return overlap(near[~own].reshape(count, k), positions)
