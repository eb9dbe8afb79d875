"""The map that a session looks at: which one, its points, their colours, and what is marked on it.

The view is the truth. What is made of a map is kept for all sessions by `session.derived`, keyed by the map's id; a map
that is stored nowhere (a server that only shows) has the empty id and belongs to one version.
"""

import threading
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app import mode, session
from app.map_selection import Colour, around, is_among
from app.questions import query_of
from app.topic_session import runs_of, topics_shown
from encoder.errors import CollectionError, Llm2CompError
from indexer.selection import Selection

if TYPE_CHECKING:
    from app.map_colours import Colouring
    from indexer.derived import Build
    from indexer.maps.points import MapPoints
    from indexer.maps.stored import StoredMap

AT_ONCE = 100_000  # passages that PCA maps while somebody waits; 27,139 take 1.1 s
_PASSAGES_NEAR = 10
# Two sessions that open a corpus at the same moment make one map.
_making = threading.Lock()


@dataclass(frozen=True, slots=True)
class OpenMap:
    """A map with its points in the version that is looked at; read only."""

    stored: "StoredMap"
    points: "MapPoints"

    @property
    def is_draft(self) -> bool:
        """Whether it is stored nowhere."""
        return not self.stored.id


def map_list(opened: session.Opened) -> "list[Build]":
    """The stored maps, newest first."""
    from indexer.maps.stored import list_maps

    key = session.state_beside(opened.collection.path)
    return session.derived(opened, "map list", key, lambda: list_maps(opened.collection))


def open_shown(opened: session.Opened) -> OpenMap | None:
    """The map of the view, else the newest of the whole corpus, else the newest; a first one is made at once where that takes seconds, else None.

    Raises:
        Llm2CompError: it is gone or damaged.
    """
    from indexer.maps.stored import open_map

    if identifier := shown_id(opened):
        make = lambda: _with_points(opened, open_map(opened.collection, identifier))  # noqa: E731
        return session.derived(opened, "map", identifier, make, place="map")
    if opened.searcher.snapshot.rows > AT_ONCE:
        return None
    return _first(opened)


def shown_id(opened: session.Opened) -> str:
    """Id of the map of the view, also where it is shown for being the newest; empty where none is stored."""
    return session.view().map or _newest_whole(map_list(opened))


def _newest_whole(builds: "Sequence[Build]") -> str:
    """Id of the newest map that leaves nothing out by a filter, else of the newest; empty without any."""
    whole = (build.id for build in builds if not build.recipe.get("where"))
    return next(whole, builds[0].id if builds else "")


def _with_points(opened: session.Opened, stored: "StoredMap") -> OpenMap:
    from indexer.maps.points import current_points

    return OpenMap(stored, current_points(stored, opened.searcher.snapshot))


def _first(opened: session.Opened) -> OpenMap:
    """The map by PCA of a corpus that has none, stored where things may be stored."""
    from indexer.maps.build import MapRecipe, build_from
    from indexer.maps.stored import list_maps

    recipe = MapRecipe("pca")
    with _making:
        if mode.current().is_read_only:
            return _draft(opened)
        if builds := list_maps(opened.collection):  # another session was faster
            from indexer.maps.stored import open_map

            return _with_points(opened, open_map(opened.collection, builds[0].id))
        try:
            return _with_points(opened, build_from(opened.searcher, recipe))
        except CollectionError:  # its folder is not ours to write in; a damaged one fails again below
            return _draft(opened)


def _draft(opened: session.Opened) -> OpenMap:
    from indexer.maps.build import MapRecipe, draft_map

    make = lambda: _with_points(opened, draft_map(opened.searcher, MapRecipe("pca")))  # noqa: E731
    return session.derived(opened, "map", "", make, place="map")


def draft_points(opened: session.Opened) -> "MapPoints | None":
    """The points of a map that is stored nowhere, which only this server can find again; None where one is stored."""
    if map_list(opened):
        return None
    shown = open_shown(opened)
    return shown.points if shown is not None else None


def colouring(opened: session.Opened, shown: OpenMap, colour: Colour) -> "Colouring":
    """The colours of all points of a map.

    Raises:
        Llm2CompError: the encoder or the topics cannot be used.
    """
    view = session.view()
    parts: tuple[Any, ...] = ()
    if colour.computed == "similarity":
        parts = (view.query, view.like, view.more, view.less)
    elif colour.computed == "topic":
        parts = (view.topics_run, view.topics_version, view.topics)
    key = (shown.stored.id, colour.name, parts, session.state_beside(opened.collection.path))
    make = lambda: _colouring(opened, shown, colour)  # noqa: E731
    return session.derived(opened, "map colours", key, make, place="map")


def _colouring(opened: session.Opened, shown: OpenMap, colour: Colour) -> "Colouring":
    from app.column_colours import colour_points
    from app.map_colours import by_similarity, by_topic, by_trust, one_colour

    points = shown.points
    if colour.computed is None:
        return colour_points(opened.searcher, points, colour.name)
    if colour.computed == "trust":
        return by_trust(points.trust)
    if colour.computed == "topic":
        numbers, names = topic_numbers(opened, points.row_ids)
        places = np.stack([points.x, points.y], axis=1)
        return by_topic(numbers, names, picked=session.view().topics, places=places)
    if colour.computed == "similarity":
        state = session.view()
        return by_similarity(_closeness(opened, points.row_ids), state.query or "the picked passages")
    return one_colour(points.row_ids.size)


def _closeness(opened: session.Opened, row_ids: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Inner product of each row with what is asked, float32 [N]; uint64 [N]."""
    from indexer.query.asked import ask

    snapshot, searcher = opened.searcher.snapshot, opened.searcher
    # Only a text needs the encoder, which the property loads when it is looked at.
    encode = lambda texts: searcher.embedder.encode_query(texts)  # noqa: E731
    asked = session.encode_alone(
        lambda: ask(snapshot, [query_of(session.view())], mode="semantic", encode=encode)[0]
    )
    found = [block @ asked.vector for _, block in snapshot.vector_blocks(row_ids)]
    return np.concatenate([np.zeros(0, np.float32), *found]).astype(np.float32)


def topic_numbers(
    opened: session.Opened, row_ids: NDArray[np.uint64]
) -> tuple[NDArray[np.int32], dict[int, str]]:
    """The topic of each row, int32 [N], -1 for none, and the topics' labels, which are hostile text.

    Args:
        opened: the collection.
        row_ids: uint64 [N], ascending, live.
    """
    current = topics_shown(opened)
    at = np.minimum(np.searchsorted(current.row_ids, row_ids), max(current.row_ids.size - 1, 0))
    numbers = current.numbers[at] if current.row_ids.size else np.full(row_ids.size, -1, np.int32)
    return numbers, {topic.number: topic.label for topic in current.stored.topics}


def has_topics(opened: session.Opened) -> bool:
    """Whether there are topics to show; damaged ones are no reason to show no map, the page Topics says it."""
    if not runs_of(opened):
        return False
    try:
        return bool(topics_shown(opened).row_ids.size)
    except Llm2CompError:
        return False


def beyond_outline(opened: session.Opened) -> NDArray[np.uint64] | None:
    """Row ids uint64 [n] that all but the outline leaves, which the map shows itself; None for all rows.

    Raises:
        Llm2CompError: the filter, the topics or the set cannot be used.
    """
    from indexer.selection import select_rows

    asked = replace(session.selection(), polygon=(), map_id="")
    if asked.is_everything:
        return None
    key = (astuple(asked), session.state_beside(opened.collection.path))
    make = lambda: select_rows(opened.searcher, asked)  # noqa: E731
    return session.derived(opened, "selected", key, make, place="scope").row_ids


def near_rows(opened: session.Opened, passage_id: str) -> tuple[tuple[int, float], ...]:
    """Row id and score of the passages nearest in meaning to one, nearest first, without its own document.

    Raises:
        Llm2CompError: it is gone.
    """
    from indexer.query.asked import RowQuery

    def find() -> tuple[tuple[int, float], ...]:
        found = opened.searcher.search(
            RowQuery(passage_id), _PASSAGES_NEAR, mode="semantic", by="passage", exact=True
        )
        return tuple((row, hit.score) for row, hit in zip(found.row_ids, found.hits, strict=True))

    return session.derived(opened, "near", passage_id, find)


def view_around(opened: session.Opened, rows: Sequence[int]) -> tuple[int, ...]:
    """Where to look on the map that is stored and shown to see some rows; empty for the whole map, or without a map."""
    if not shown_id(opened):
        return ()
    try:
        shown = open_shown(opened)
    except Llm2CompError:  # the page says it
        return ()
    if shown is None:
        return ()
    at = is_among(shown.points.row_ids, np.array(sorted(set(rows)), np.uint64))
    return around(shown.points.x[at], shown.points.y[at])


def exportable(shown: OpenMap, rows: Sequence[int], *, were_found: bool) -> Selection:
    """What is looked at, as a file's README can say it: by outline and filter, or row by row.

    Args:
        shown: the map; an outline on one that is stored nowhere means nothing to a reader.
        rows: row ids of what is looked at.
        were_found: they are hits, not all that outline and filter leave.
    """
    asked = session.selection()
    if were_found or (asked.polygon and shown.is_draft):
        return Selection(rows=tuple(map(int, rows)))
    return asked
