"""Everything that the map shows, put together from the map, the view and the answer to its query."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app import session
from app.formats import count
from app.map_colours import Colouring
from app.map_payload import MOST_HITS, MOST_TITLES, Drawing, Label, pack, point_flags
from app.map_selection import LEAST_TRUST, drawn, is_among, places_of, topic_labels
from app.map_session import OpenMap, beyond_outline, has_topics, topic_numbers
from app.topic_rows import NOISE

DRAFT_ID = "draft"


@dataclass(frozen=True, slots=True)
class Marks:
    """What is marked beside the colours.

    Attributes:
        rings: row ids that get a numbered ring, best first.
        picked: row id of the picked passage, None for none.
        is_faded: points of low trust are pale.
    """

    rings: tuple[int, ...] = ()
    picked: int | None = None
    is_faded: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """What is sent to the browser.

    Attributes:
        payload: bytes of the map.
        row_ids: uint64 [D], of the points that it draws, in their order.
        map_id: of the stored map; empty for one that is stored nowhere.
    """

    payload: bytes
    row_ids: NDArray[np.uint64]
    map_id: str


def scene_of(opened: session.Opened, shown: OpenMap, colours: Colouring, marks: Marks) -> Scene:
    """The map as it is to be shown.

    Raises:
        Llm2CompError: the filter, the topics or the set cannot be used.
    """
    points = shown.points
    tray = session.tray(opened).rows
    seed = shown.stored.build.recipe.get("seed")
    picked = () if marks.picked is None else (marks.picked,)
    always = (*marks.rings, *tray, *picked)
    at = drawn(points.row_ids, always, seed=seed if isinstance(seed, int) and seed >= 0 else 0)
    row_ids = points.row_ids[at]
    rings = places_of(row_ids, marks.rings[:MOST_HITS])
    left = beyond_outline(opened)
    flags = point_flags(
        at.size,
        hits=[number for _, number in rings],
        tray=is_among(row_ids, np.array(sorted(set(tray)), np.uint64)),
        filtered_out=None if left is None else ~is_among(row_ids, left),
        low_trust=points.trust[at] < LEAST_TRUST if marks.is_faded else None,
        placed=points.is_placed[at],
        picked=next((number for _, number in places_of(row_ids, picked)), None),
    )
    facts = shown.stored.build.facts
    drawing = Drawing(
        shown.stored.id or DRAFT_ID,
        points.x[at],
        points.y[at],
        replace(colours, numbers=colours.numbers[at]),
        flags,
        hits=[(place + 1, number) for place, number in rings],
        labels=_topic_labels(opened, shown, left),
        titles=_titles(opened, row_ids),
        on_the_rim=_count(facts.get("on_rim")),
        notes=_notes(points.row_ids.size, at.size, _count(facts.get("unusable"))),
    )
    return Scene(pack(drawing), row_ids, shown.stored.id)


def _topic_labels(opened: session.Opened, shown: OpenMap, left: NDArray[np.uint64] | None) -> list[Label]:
    """Names of topics at their points, of those points only that are looked at; uint64 [n], None for all."""
    if not has_topics(opened):
        return []
    view, points = session.view(), shown.points

    def make() -> list[Label]:
        numbers, names = topic_numbers(opened, points.row_ids)
        if left is not None:
            numbers = np.where(is_among(points.row_ids, left), numbers, NOISE).astype(np.int32)
        return topic_labels(points.x, points.y, numbers, names)

    beside = session.state_beside(opened.collection.path)
    key = (shown.stored.id, view.topics_run, view.topics_version, beside, _beyond_outline_key())
    return session.derived(opened, "map labels", key, make, place="map")


def _beyond_outline_key() -> tuple[object, ...]:
    return astuple(replace(session.selection(), polygon=(), map_id=""))


def _titles(opened: session.Opened, row_ids: NDArray[np.uint64]) -> Sequence[str]:
    """Titles of the points of a small map, for pointing at them; those of a large one would be larger than it."""
    if not 0 < row_ids.size <= MOST_TITLES:
        return ()
    snapshot = opened.searcher.snapshot
    key = (row_ids.size, int(row_ids[0]), int(row_ids[-1]))
    if row_ids.size != snapshot.rows:  # a map of a part: the key would not tell two parts apart
        return [title or "" for title in snapshot.store.take(row_ids, ["title"])["title"].to_pylist()]
    take = lambda: [t or "" for t in snapshot.store.take(row_ids, ["title"])["title"].to_pylist()]  # noqa: E731
    return session.derived(opened, "map titles", key, take, place="map")


def _notes(points: int, sent: int, unusable: int) -> list[str]:
    notes = []
    if sent < points:
        notes.append(
            f"{count(sent)} of {count(points)} points are drawn, a sample; an outline finds all the passages inside."
        )
    if unusable:
        notes.append(f"{count(unusable)} passages have a vector without a direction and no point.")
    return notes


def _count(value: object) -> int:
    """A number out of a build's facts, which may come from elsewhere."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else 0
