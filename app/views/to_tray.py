"""Hits into the tray: the picked one, those of the page, or all."""

import streamlit as st

from app import session
from app.display import esc_md
from app.formats import count
from app.rows import ROWS_A_PAGE
from app.tray import MOST_ROWS, Origin, Way
from indexer.hits import Hit, SearchResult


def draw_tray_button(opened: session.Opened, result: SearchResult, picked: Hit) -> None:
    """Draws the popover; what the tray holds already is not added twice."""
    rows = dict(zip((hit.id for hit in result.hits), result.row_ids, strict=True))
    last_page = -(-len(result.hits) // ROWS_A_PAGE)
    start = (min(session.view().page, last_page) - 1) * ROWS_A_PAGE
    page = result.row_ids[start : start + ROWS_A_PAGE]
    with st.popover("Add to tray", icon=":material/inbox:", key="to_tray", width="stretch"):
        for name, label, chosen in (
            ("picked", "The picked hit", (rows[picked.id],)),
            ("page", f"The {count(len(page))} of this page", page),
            ("all", f"All {count(len(result.hits))}", result.row_ids[:MOST_ROWS]),
        ):
            st.button(
                esc_md(label),
                key=f"to_tray_{name}",
                on_click=_add,
                args=(opened, chosen, result.query),
                width="stretch",
            )


def _add(opened: session.Opened, rows: tuple[int, ...], query: str) -> None:
    view = session.view()
    way: Way = "neighbour" if view.like else "query"
    before = len(session.tray(opened))
    session.add_to_tray(opened, rows, Origin(way, "" if view.like else query, opened.version))
    added = len(session.tray(opened)) - before
    if not added and before:
        session.notice("The tray holds them already.")
