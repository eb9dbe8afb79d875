"""The table of all topics; a click picks one, for this page and as what all pages look at."""

from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from app import session
from app.topic_rows import listed, overview
from app.topic_session import exactly, picked_number, within

if TYPE_CHECKING:
    from indexer.topics.current import CurrentTopics
    from indexer.topics.stored import StoredTopics

_HEADER_PX, _ROW_PX, _MOST_PX = 38, 35, 640
TOPIC_HELP = {
    "passages": "Passages of the topic now.",
    "here": "Passages of the topic within what the bar above says.",
    "share": "Share of all passages of the corpus.",
    "cohesion": "Mean cosine of the topic's passages to their centre; near 1 they say almost the same.",
    "stability": "How much of the topic comes back when topics are found again in another way, 0 to 1.",
    "exemplar": "Title of the passage that is nearest to the centre of the topic.",
}


def draw_table(opened: session.Opened, current: "CurrentTopics") -> None:
    """Draws the table, with the picked topic marked."""
    stored, numbers = current.stored, listed(current)
    looked_at = within(opened)
    rows = overview(current, opened.searcher.snapshot, looked_at)
    frame = pd.DataFrame(rows).astype({"number": "Int64"})
    key = f"topics_table_{stored.id}_{abs(hash((stored.version, stored.edits, looked_at is None)))}"
    # The view is the truth: the mark follows it, also when a chip took the topic off.
    st.session_state[key] = {
        "selection": {"rows": [numbers.index(picked_number(current))], "columns": [], "cells": []}
    }
    st.dataframe(
        frame,
        key=key,
        hide_index=True,
        on_select=partial(_take_topic, key, numbers, stored),
        selection_mode=["single-row", "single-cell"],  # a click on a label picks its topic too
        height=min(_MOST_PX, _HEADER_PX + _ROW_PX * len(rows)),
        placeholder="",
        alt="Topics by size",
        column_config=_columns(_most_share(rows), is_narrowed=looked_at is not None),
    )


def _most_share(rows: list[dict[str, Any]]) -> float:
    """Of the topics; noise may hold more than all of them."""
    return max((row["share"] for row in rows if row["number"] is not None), default=1.0)


def _columns(most: float, *, is_narrowed: bool) -> dict[str, Any]:
    config = st.column_config
    return {
        "number": config.NumberColumn("#", width=40, help="Number of the topic, in filters too: topic = 3."),
        "label": config.TextColumn("Topic", width=210 if is_narrowed else 270),
        "passages": config.NumberColumn(
            "Passages", width=70, format="localized", help=TOPIC_HELP["passages"]
        ),
        "here": config.NumberColumn("Here", width=60, format="localized", help=TOPIC_HELP["here"]),
        "share": config.ProgressColumn(
            "Share", width=80, format="percent", max_value=max(most, 1e-9), help=TOPIC_HELP["share"]
        ),
        "cohesion": config.NumberColumn("Cohesion", width=70, format="%.2f", help=TOPIC_HELP["cohesion"]),
        "stability": config.NumberColumn("Stability", width=70, format="%.2f", help=TOPIC_HELP["stability"]),
        "exemplar": config.TextColumn("Most central passage", width=240, help=TOPIC_HELP["exemplar"]),
    }


def _take_topic(key: str, numbers: list[int], stored: "StoredTopics") -> None:
    chosen = st.session_state[key].selection
    # A click on a cell leaves the mark where it was, so the cell says more.
    places = [row for row, _ in chosen.cells] + list(chosen.rows)
    picked = (numbers[places[0]],) if places and places[0] < len(numbers) else ()
    session.change(topics=picked, **exactly(stored))
