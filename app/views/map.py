"""The map page: the corpus as points, and beside it what was chosen of them; the parts are drawn by the files beside."""

import streamlit as st

from app import library, session
from app.display import esc_md
from app.formats import count, plural
from app.map_colours import Colouring
from app.map_scene import Marks, scene_of
from app.map_selection import Colour, colour_of
from app.map_session import OpenMap, colouring, has_topics, near_rows, open_shown
from app.questions import is_asked
from app.views.demo import start_demo
from app.views.map_builds import draw_first, draw_jobs, draw_new, draw_offer
from app.views.map_canvas import draw_canvas
from app.views.map_controls import draw_controls, draw_fade, is_faded, offered
from app.views.map_files import draw_picture_files
from app.views.map_list import draw_list
from app.views.map_passage import draw_passage, picked_row
from app.views.messages import show_empty_library, show_error
from encoder.errors import Llm2CompError
from indexer.hits import SearchResult

_MAP_WIDTH, _LIST_WIDTH = 17, 11  # shares of the page
_TRUST_HELP = (
    "Trust: share of a passage's 15 nearest in meaning that are among its 15 nearest on the map. Two dimensions cannot "
    "keep all neighbours together, so check what looks close. Placed: put beside its neighbours "
    "after the map was made."
)


def page() -> None:
    """Draws the whole page."""
    st.title("Map", anchor=False)
    if not library.known():
        show_empty_library(start_demo)
        return
    opened = session.opened()
    if not opened.searcher.snapshot.rows:
        st.text("This corpus holds no passages, so there is nothing to map.")
        return
    draw_jobs(opened)
    shown = _open(opened)
    if shown is not None:
        _draw_map(opened, shown)


def _open(opened: session.Opened) -> OpenMap | None:
    try:
        with st.spinner("Drawing the first map …", show_time=True):
            shown = open_shown(opened)
    except Llm2CompError as error:
        show_error(error)
        if session.view().map:
            st.button(
                "Show the newest map",
                key="newest_map",
                on_click=session.change,
                kwargs={"map": "", "polygon": (), "map_view": ()},
            )
        return None
    if shown is None:
        draw_first(opened)
    return shown


def _draw_map(opened: session.Opened, shown: OpenMap) -> None:
    draw_offer(opened, shown)
    draw_controls(opened)
    result, failure = _answer(opened)
    picked = picked_row(opened)
    left, right = st.columns([_MAP_WIDTH, _LIST_WIDTH], gap="medium")
    with left:
        try:
            colours = _colours(opened, shown, colour_of(session.view().colour, offered(opened)))
            rings = result.row_ids if result is not None else ()
            if picked is not None and not rings:
                rings = tuple(row for row, _ in near_rows(opened, picked.passage_id))
            marks = Marks(rings, picked.row if picked else None, is_faded=is_faded(shown))
            draw_canvas(opened, scene_of(opened, shown, colours, marks))
            _draw_origin(opened, shown)
            with st.container(horizontal=True, vertical_alignment="center"):
                draw_fade(shown)
                st.space("stretch")
                draw_picture_files(opened, shown, colours)
                draw_new(opened, shown)
        except Llm2CompError as error:
            show_error(error)
            return
    with right:
        if failure is not None:
            show_error(failure)
        if picked is not None:
            draw_passage(opened, shown, picked)
        draw_list(opened, shown, result)


def _answer(opened: session.Opened) -> tuple[SearchResult | None, Llm2CompError | None]:
    """The answer to the query, where there is one; the map is there all the same where it cannot be answered."""
    view = session.view()
    if not is_asked(view):
        return None, None
    try:
        with st.spinner("Searching …", show_time=True):
            return session.search(opened, view), None
    except Llm2CompError as error:
        return None, error


def _colours(opened: session.Opened, shown: OpenMap, colour: Colour) -> Colouring:
    try:
        return colouring(opened, shown, colour)
    except Llm2CompError as error:
        show_error(error)
        return colouring(opened, shown, Colour("", "", "none"))


def _draw_origin(opened: session.Opened, shown: OpenMap) -> None:
    st.caption(esc_md(origin_line(shown, opened.searcher.snapshot.rows)), help=_TRUST_HELP)
    if shown.is_draft:
        st.caption("This map is kept nowhere: this server only shows, or the corpus cannot be written to.")
    if has_topics(opened):
        st.caption("The words on the map name the largest topics; zoom in for more.")


def origin_line(shown: OpenMap, rows: int) -> str:
    """How the map was made and how far it holds, in one line of plain words."""
    recipe, facts, points = shown.stored.build.recipe, shown.stored.build.facts, shown.points
    is_umap = facts.get("drawn_by") == "umap"
    trust = facts.get("mean_trust")
    parts = [
        f"UMAP, {recipe.get('neighbours')} neighbours, least distance {recipe.get('min_dist')}"
        if is_umap
        else "PCA",
        f"seed {recipe.get('seed')}",
        f"{count(points.row_ids.size)} of {plural(rows, 'passage')}",
        f"mean trust {trust:.2f}" if isinstance(trust, float) else "trust not known",
        f"{count(int(points.is_placed.sum()))} placed",
        f"{count(points.gone)} deleted since",
    ]
    return " · ".join(parts)
