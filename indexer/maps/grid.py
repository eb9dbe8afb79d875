"""Coordinates of a layout onto the integer grid of a map, in a square box that a few far points cannot stretch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.maps.polygon import GRID

CENTRE = GRID // 2 + 1
_LAST = GRID - 1  # an outline does not hold its upper end, so nothing could be drawn around a point on GRID
_OUTER = 0.005  # share of the points on either side that cannot stretch the box
_STRETCH = 0.5  # how far beyond the others, in their own span, a point still counts
_MARGIN = 0.02


@dataclass(frozen=True, slots=True)
class OnGrid:
    """Points on the grid.

    Attributes:
        places: uint16 [N, 2].
        box: least x, least y, greatest x, greatest y of the grid in the layout's numbers.
        on_rim: points outside of the box, moved to its edge.
        is_single: all points have the same position.
    """

    places: NDArray[np.uint16]
    box: tuple[float, float, float, float]
    on_rim: int
    is_single: bool

    def facts(self) -> dict[str, Any]:
        """What the build keeps of it."""
        return {"box": list(self.box), "on_rim": self.on_rim, "is_single_place": self.is_single}


def to_grid(layout: NDArray[np.floating]) -> OnGrid:
    """Puts a layout onto the grid; both axes by the same factor, so that distances stay true.

    Args:
        layout: floating [N, 2], finite, may be empty.
    """
    wide: NDArray[np.float64] = layout.astype(np.float64)
    if not layout.shape[0]:
        return OnGrid(np.zeros((0, 2), np.uint16), (0.0, 0.0, 1.0, 1.0), 0, False)
    low, high = _range(wide)
    side = float((high - low).max()) * (1 + 2 * _MARGIN)
    is_single = bool((wide == wide[0]).all())
    if not side > 0:  # one place, or a few far points beside one place
        side = 1.0
    corner = (low + high) / 2 - side / 2
    scaled = np.round((wide - corner) / side * GRID)
    if is_single:
        scaled[:] = CENTRE
    on_rim = int(((scaled < 0) | (scaled > _LAST)).any(axis=1).sum())
    box = (float(corner[0]), float(corner[1]), float(corner[0] + side), float(corner[1] + side))
    return OnGrid(np.clip(scaled, 0, _LAST).astype(np.uint16), box, on_rim, is_single)


def _range(layout: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and greatest of each axis, float64 [2] each, of the points that may stretch the box."""
    ordered = np.sort(layout, axis=0)
    cut = int(np.ceil(_OUTER * (layout.shape[0] - 1))) if layout.shape[0] > 3 else 0
    inner_low, inner_high = ordered[cut], ordered[-1 - cut]
    reach = _STRETCH * (inner_high - inner_low)
    return np.maximum(ordered[0], inner_low - reach), np.minimum(ordered[-1], inner_high + reach)
