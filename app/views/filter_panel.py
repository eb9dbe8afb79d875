"""The filter under the query: conditions built by clicking, and the text that they make, which can be edited."""

import streamlit as st

from app import session
from app.display import esc_md
from app.filter_builder import add_clause, draw_builder
from app.rows import shorten

_LABEL_CHARS = 120
_FILTER = "filter"


def draw_filter(opened: session.Opened, corpus: str) -> None:
    """Draws the panel.

    Args:
        opened: whose columns are offered.
        corpus: its key.
    """
    columns = dict(opened.collection.settings.columns)
    view = session.view()
    label = f"Filter: {esc_md(shorten(view.filter, _LABEL_CHARS))}" if view.filter else "Filter"
    with st.expander(label, icon=":material/filter_alt:", key="filters"):
        # A new key once a condition was added: the builder starts empty again.
        key = f"build_{corpus}_{abs(hash(view.filter))}"
        clause = draw_builder(columns, opened.searcher, key=key) if columns else ""
        text, add, clear = st.columns([6, 2, 1], vertical_alignment="bottom")
        add.button(
            "Add condition",
            icon=":material/add:",
            key="add_clause",
            disabled=not clause,
            on_click=lambda: session.change(filter=add_clause(session.view().filter, clause)),
            width="stretch",
        )
        clear.button(
            "Clear", key="clear_filter", disabled=not view.filter, on_click=drop_filter, width="stretch"
        )
        st.session_state[_FILTER] = view.filter
        text.text_input(
            "Filter as text",
            key=_FILTER,
            placeholder="year >= 2020 and topic = 'x'",
            help="Conditions on columns, topic, tag or note with = != < <= > >= in, between, contains, is null, and, "
            "or, not.",
            on_change=_take_filter,
        )


def drop_filter() -> None:
    """Takes the filter off."""
    session.change(filter="")


def _take_filter() -> None:
    session.change(filter=st.session_state[_FILTER].strip())
