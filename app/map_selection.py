"""What the map page works out between the engine's arrays and the bytes of the component; pure.

Letters: N points of a map, ascending by row id; D of them drawn.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.map_payload import GRID_MAX, Label
from app.rows import shorten
from indexer.query.row_columns import PREFIX

MOST_DRAWN = 300_000  # a changed flag sends the whole map again: 1.8 MB then
MOST_LABELS = 120  # of topics; the browser shows as many as do not touch
LEAST_TRUST = 0.1  # below, a point is pale when that is asked for
_LABEL_CHARS = 32
_HUNDREDTHS = 100
_MIDDLE = GRID_MAX / 2
_WINDOW = 1 / 0.92  # of the grid is in sight at zoom 1, as `drawing.js` has it
_MARGIN = 0.2  # of a window around chosen points, on each side
_LEAST_WINDOW = 0.06  # of the grid: nearer, nothing is left beside the points to compare with

Computed = Literal["none", "topic", "trust", "similarity"]
COMPUTED: dict[Computed, str] = {
    "topic": "Topic",
    "trust": "Trust",
    "similarity": "Closeness to the query",
    "none": "One colour",
}


@dataclass(frozen=True, slots=True)
class Colour:
    """What colours the points.

    Attributes:
        name: as the view and the link name it.
        label: for people; a column's own name is hostile text.
        computed: what is computed; None for a stored column.
    """

    name: str
    label: str
    computed: Computed | None = None


def colours(columns: Iterable[str], *, has_topics: bool, has_query: bool) -> list[Colour]:
    """What points can be coloured by: computed things first, then the stored columns.

    A computed thing that a column shares its name with is called `derived.` and its name, as in filters.

    Args:
        columns: names of the stored columns.
        has_topics: topics were found.
        has_query: something is asked.
    """
    stored = list(columns)
    absent = {"topic": not has_topics, "similarity": not has_query}
    computed = [
        Colour(f"{PREFIX}{name}" if name in stored else name, label, name)
        for name, label in COMPUTED.items()
        if not absent.get(name)
    ]
    return [*computed, *(Colour(name, name) for name in stored)]


def colour_of(name: str, offered: Sequence[Colour]) -> Colour:
    """The colour that a view names; where it names none, or one that is not offered now, topics or one colour."""
    by_name = {colour.name: colour for colour in offered}
    usual = next((colour for colour in offered if colour.computed == "topic"), None)
    return by_name.get(name) or usual or next(colour for colour in offered if colour.computed == "none")


def is_among(row_ids: NDArray[np.uint64], some: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of the points are among some rows, bool [N]; uint64 [N] and uint64 [any], both without repeats."""
    return np.isin(row_ids, some, assume_unique=True)


def places_of(row_ids: NDArray[np.uint64], some: Sequence[int]) -> list[tuple[int, int]]:
    """For each of some rows that has a point: its place among those rows, and the point's number.

    Args:
        row_ids: uint64 [N], ascending.
        some: row ids in any order.
    """
    if not row_ids.size:
        return []
    wanted = np.array(some, np.uint64)
    at = np.minimum(np.searchsorted(row_ids, wanted), row_ids.size - 1)
    return [(place, int(at[place])) for place in np.flatnonzero(row_ids[at] == wanted).tolist()]


def drawn(
    row_ids: NDArray[np.uint64], always: Sequence[int], *, seed: int, most: int = MOST_DRAWN
) -> NDArray[np.intp]:
    """Numbers of the points that are sent to the browser, intp [D], ascending: all, or a seeded sample of many.

    Args:
        row_ids: uint64 [N], ascending.
        always: row ids that are drawn in any case.
        seed: of the sample; the map's own, so that a link shows the same points.
        most: points, not counting those drawn in any case.
    """
    if row_ids.size <= most:
        return np.arange(row_ids.size)
    chosen = np.random.default_rng(seed).choice(row_ids.size, most, replace=False)
    kept = [number for _, number in places_of(row_ids, always)]
    return np.unique(np.concatenate([chosen, np.array(kept, np.intp)]))


def topic_labels(
    x: NDArray[np.uint16], y: NDArray[np.uint16], topics: NDArray[np.int32], names: Mapping[int, str]
) -> list[Label]:
    """The names of the largest topics, each at the point nearest to the median of its points.

    Args:
        x: uint16 [N].
        y: uint16 [N].
        topics: int32 [N], -1 for none.
        names: topic number to its label.
    """
    found, counts = np.unique(topics[topics >= 0], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_LABELS]
    labels = []
    for topic, size in zip(found[order].tolist(), counts[order].tolist(), strict=True):
        mine = np.flatnonzero(topics == topic)
        wide = np.stack([x[mine], y[mine]], axis=1).astype(np.float64)
        # A median may lie in a hole of its topic, where a label would name another's points.
        nearest = mine[np.square(wide - np.median(wide, axis=0)).sum(axis=1).argmin()]
        text = _first_words(names.get(topic, f"topic {topic}"))
        labels.append(Label(text, int(x[nearest]), int(y[nearest]), float(size)))
    return labels


def _first_words(label: str) -> str:
    """As many of a label's phrases as fit on a map, at least one."""
    kept, *rest = label.split(", ")
    for phrase in rest:
        if len(kept) + len(phrase) + 2 > _LABEL_CHARS:
            break
        kept = f"{kept}, {phrase}"
    return shorten(kept, _LABEL_CHARS)


def link_view(view: tuple[float, float, float] | None) -> tuple[int, ...]:
    """Where the browser looks, as the view and the link keep it; empty for the whole map."""
    if view is None:
        return ()
    x, y, zoom = view
    is_whole = zoom == 1 and abs(x - _MIDDLE) <= 1 and abs(y - _MIDDLE) <= 1
    return () if is_whole else (round(x), round(y), max(1, round(zoom * _HUNDREDTHS)))


def start_view(kept: tuple[int, ...]) -> tuple[float, float, float] | None:
    """Where the browser is to look; None for the whole map, also where a link asks for an impossible zoom."""
    if len(kept) != 3:
        return None
    zoom = kept[2] / _HUNDREDTHS
    return (float(kept[0]), float(kept[1]), zoom) if 0.1 <= zoom <= 1_000 else None


def around(x: NDArray[np.uint16], y: NDArray[np.uint16]) -> tuple[int, ...]:
    """Where to look to see some points with a margin, as the view keeps it; empty for the whole map.

    Args:
        x: uint16 [N].
        y: uint16 [N].
    """
    if not x.size:
        return ()
    left, right, bottom, top = (int(end) for end in (x.min(), x.max(), y.min(), y.max()))
    window = max(max(right - left, top - bottom) / GRID_MAX / (1 - 2 * _MARGIN), _LEAST_WINDOW)
    zoom = int(_WINDOW / window * _HUNDREDTHS)
    return ((left + right) // 2, (bottom + top) // 2, zoom) if zoom > _HUNDREDTHS else ()


def typical_first(vectors: NDArray[np.float32]) -> NDArray[np.intp]:
    """Numbers of the rows, those nearest in meaning to the mean of all first, intp [N].

    Args:
        vectors: float32 [N, D], unit rows.
    """
    centre = vectors.mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1], np.float32)
    return np.argsort(-(vectors @ centre), kind="stable")


def sampled(rows: NDArray[np.uint64], most: int) -> NDArray[np.uint64]:
    """The rows, or a sample of so many, always the same; uint64 [N] to [at most `most`], ascending."""
    if rows.size <= most:
        return rows
    return rows[np.sort(np.random.default_rng(0).choice(rows.size, most, replace=False))]


def minutes_for(points: int) -> int:
    """About how long a map by neighbours takes, in whole minutes.

    27,139 passages took 30 s with compiling and 18 s without, 100,000 took 74 s of one processor.
    """
    return max(1, round((30 + 0.0008 * points) / 60))
