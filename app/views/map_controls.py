"""What is above the map: the query, the colours, the topics, which map, and whether low trust is pale."""

import numpy as np
import streamlit as st

from app import session
from app.display import one_line
from app.formats import ago, count, parse_moment
from app.map_selection import LEAST_TRUST, Colour, colour_of, colours
from app.map_session import OpenMap, has_topics, map_list
from app.questions import is_asked
from app.rows import shorten
from app.topic_session import exactly, topics_shown
from app.view_state import ViewState
from indexer.derived import Build

_QUERY, _COLOUR, _TOPICS, _MAP, _FADE = "map_query", "map_colour", "map_topics", "map_id", "map_fade"
_LABEL_CHARS = 60
_MOST_PICKED = 8  # topics that are coloured apart from all others
_USUAL_NEIGHBOURS = 15  # of a map by UMAP
_COLOUR_HELP = (
    "Grey points have no value. Numbers and days run from dark to bright between their 1 % and 99 % quantiles; of "
    "texts the 8 most frequent are coloured. Topics all have a colour; far from each other two may have the same, and "
    "pointing at a passage names its topic."
)


def offered(opened: session.Opened) -> list[Colour]:
    """What the points can be coloured by now."""
    columns = opened.collection.settings.columns
    return colours(columns, has_topics=has_topics(opened), has_query=is_asked(session.view()))


def draw_controls(opened: session.Opened) -> None:
    """Draws the line above the map."""
    parts = (
        [_draw_colour, _draw_topics, _draw_map_choice]
        if has_topics(opened)
        else [_draw_colour, _draw_map_choice]
    )
    query, *rest = st.columns([4, *([3] * len(parts))], vertical_alignment="bottom")
    with query:
        _draw_query()
    for place, draw in zip(rest, parts, strict=True):
        with place:
            draw(opened)


def _draw_query() -> None:
    view = session.view()
    st.session_state[_QUERY] = view.query
    st.text_input(
        "Query",
        key=_QUERY,
        type="search",
        icon=":material/search:",
        placeholder="Where is it? Ask in your own words",
        help="Its hits are ringed on the map and listed beside it, the first ten with their rank.",
        on_change=lambda: session.change(query=st.session_state[_QUERY], like=""),
    )
    if view.like or view.more or view.less:
        st.button(
            "Leave the picked examples",
            key="map_leave",
            icon=":material/close:",
            on_click=session.change,
            kwargs={"like": "", "more": (), "less": ()},
            type="tertiary",
        )


def _draw_colour(opened: session.Opened) -> None:
    found = {colour.name: colour for colour in offered(opened)}
    st.session_state[_COLOUR] = colour_of(session.view().colour, list(found.values())).name
    st.selectbox(
        "Colour by",
        list(found),
        key=_COLOUR,
        format_func=lambda name: shorten(one_line(found[name].label), _LABEL_CHARS),
        help=_COLOUR_HELP,
        on_change=lambda: _keep_row(colour=st.session_state[_COLOUR]),
    )


def _draw_topics(opened: session.Opened) -> None:
    current = topics_shown(opened)
    names = {topic.number: f"{topic.label} ({count(topic.size)})" for topic in current.stored.topics} | {
        -1: "(no topic)"
    }
    st.session_state[_TOPICS] = [number for number in session.view().topics if number in names]
    st.multiselect(
        "Only topics",
        list(names),
        key=_TOPICS,
        format_func=lambda number: shorten(one_line(names[number]), _LABEL_CHARS),
        max_selections=_MOST_PICKED,
        placeholder="all",
        help="Passages of other topics turn grey, and are not listed.",
        on_change=lambda: session.change(
            topics=tuple(st.session_state[_TOPICS]),
            **(exactly(current.stored) if st.session_state[_TOPICS] else {}),
        ),
    )


def _draw_map_choice(opened: session.Opened) -> None:
    builds = {build.id: build for build in map_list(opened)}
    if not builds:
        return
    view = session.view()
    st.session_state[_MAP] = view.map if view.map in builds else next(iter(builds))
    st.selectbox(
        "Map",
        list(builds),
        key=_MAP,
        format_func=lambda identifier: recipe_line(builds[identifier]),
        help="Maps of this corpus, newest first. An outline belongs to its map and goes when another is shown.",
        on_change=lambda: session.change(map=st.session_state[_MAP], polygon=(), map_view=()),
    )


def recipe_line(build: Build) -> str:
    """A map in one line of a list, short enough for its field: of the recipe only what is not usual.

    Recipes may come from elsewhere, so the line is cleaned.
    """
    recipe = build.recipe
    parts = [str(build.facts.get("drawn_by", "?")).upper()]
    if build.facts.get("drawn_by") == "umap" and recipe.get("neighbours") != _USUAL_NEIGHBOURS:
        parts.append(f"{recipe.get('neighbours')} neighbours")
    if recipe.get("seed") != 0:
        parts.append(f"seed {recipe.get('seed')}")
    if recipe.get("where"):
        parts.append(f"where {recipe['where']}")
    made = parse_moment(build.created_at)
    return shorten(one_line(", ".join([*parts, ago(made) if made else "?"])), _LABEL_CHARS)


def is_faded(shown: OpenMap) -> bool:
    """Whether points of low trust are to be pale."""
    return _is_trust_known(shown) and bool(st.session_state.get(_FADE))


def draw_fade(shown: OpenMap) -> None:
    """Draws the switch for it, where the trust of most points is known."""
    if not _is_trust_known(shown):
        return
    st.toggle(
        "Pale where the map cannot be trusted",
        key=_FADE,
        help=f"Points of trust below {LEAST_TRUST}: of their 15 nearest in meaning at most one is near on the map.",
    )


def _is_trust_known(shown: OpenMap) -> bool:
    known = np.isfinite(shown.points.trust)
    return bool(known.size) and float(known.mean()) >= 0.5


def _keep_row(**fields: str) -> None:
    """Changes what only the map shows; the picked passage stays."""
    view: ViewState = session.view()
    session.change(row=view.row, page=view.page, **fields)
