"""A stored map brought up to date: the rows that are gone left out, the rows that came since placed on it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.maps.near import nearest_mapped
from indexer.maps.placing import NEAREST, place
from indexer.maps.stored import StoredMap
from indexer.query.snapshot import Snapshot

REFIT_SHARE = 0.2  # placed points above which a new map is advised


@dataclass(frozen=True, slots=True)
class MapPoints:
    """The points of a map for one published version.

    Attributes:
        row_ids: uint64 [N], ascending, all live.
        x: uint16 [N].
        y: uint16 [N].
        trust: float32 [N], 0 to 1; NaN where unknown, as for placed points.
        is_placed: bool [N], placed by its neighbours, not laid out.
        gone: points of the map whose rows were deleted since.
        unplaced: live rows without a point: not in the sample, or without a usable vector.
    """

    row_ids: NDArray[np.uint64]
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    trust: NDArray[np.float32]
    is_placed: NDArray[np.bool_]
    gone: int
    unplaced: int = 0

    @property
    def placed_share(self) -> float:
        """Placed points of all points."""
        return float(self.is_placed.mean()) if self.is_placed.size else 0.0

    @property
    def needs_refit(self) -> bool:
        """So many points are placed that the map should be built anew."""
        return self.placed_share > REFIT_SHARE


def current_points(stored: StoredMap, snapshot: Snapshot) -> MapPoints:
    """The points of a map in the version that a snapshot shows.

    Rows added since lie at the median of their nearest mapped rows, marked. Rows that the map left out when it was
    built stay out: those beside its sample, and all but the filter's where it was made of a filter.

    Args:
        stored: the map.
        snapshot: of the same collection.
    """
    live = snapshot.row_ids()
    kept = np.isin(stored.row_ids, live, assume_unique=True)
    ids, x, y = stored.row_ids[kept], stored.x[kept], stored.y[kept]
    missing = np.setdiff1d(live, ids, assume_unique=True)
    new = missing[missing > _newest_row(stored)] if not stored.build.recipe.get("where") else missing[:0]
    fitted = np.flatnonzero(~stored.is_placed[kept])
    nearest, usable = nearest_mapped(snapshot, new, ids[fitted], NEAREST)
    new = new[usable]
    places = place(nearest[usable], x[fitted], y[fitted]) if new.size else np.zeros((0, 2), np.uint16)
    row_ids = np.concatenate([ids, new])
    order = np.argsort(row_ids)
    unknown = np.full(new.size, np.nan, np.float32)
    return MapPoints(
        row_ids[order],
        np.concatenate([x, places[:, 0]])[order],
        np.concatenate([y, places[:, 1]])[order],
        np.concatenate([stored.trust[kept], unknown])[order],
        np.concatenate([stored.is_placed[kept], np.ones(new.size, np.bool_)])[order],
        int(stored.row_ids.size - ids.size),
        int(missing.size - new.size),
    )


def _newest_row(stored: StoredMap) -> int:
    """Row id above which rows are newer than the map; -1 where it is not known."""
    newest = stored.build.facts.get("newest_row")
    return newest if isinstance(newest, int) else -1
