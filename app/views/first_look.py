"""The search page before a question: what the corpus holds, and questions to begin with."""

import pandas as pd
import streamlit as st

from app import session
from app.display import clean_for_display, esc_md
from app.formats import count, size
from app.rows import shorten
from app.theme import COLUMN_KINDS, SYNTAX_HELP
from app.views.facets import topic_labels
from encoder.errors import Llm2CompError

_TOPICS, _LABEL_CHARS = 12, 60


def draw_first_look(opened: session.Opened) -> None:
    """Draws the topics as buttons that ask for them, where there are any, and the facts."""
    _draw_topics(opened)
    _draw_facts(opened)


def _draw_topics(opened: session.Opened) -> None:
    try:
        labels = list(topic_labels(opened).values())[:_TOPICS]
    except Llm2CompError:
        return  # damaged: the page of topics says so
    if not labels:
        return
    st.caption("The largest topics of this corpus; a click searches for one.")
    with st.container(horizontal=True, key="try"):
        for place, label in enumerate(labels):
            st.button(
                esc_md(shorten(label, _LABEL_CHARS)),
                key=f"try_{place}",
                on_click=session.change,
                kwargs={"query": " ".join(label.replace(",", " ").split())},
            )


def _draw_facts(opened: session.Opened) -> None:
    info = opened.info
    with st.container(border=True, key="facts"):
        documents, passages, volume, encoder = st.columns(4)
        documents.metric("Documents", count(info["documents"]), help="Records of the sources.")
        passages.metric(
            "Passages", count(info["passages"]), help="Pieces that are searched; one or more a document."
        )
        volume.metric("On disk", size(info["bytes"]))
        encoder.metric("Numbers a passage", count(info["dimension"]), help="Length of the encoder's vectors.")
        st.caption(SYNTAX_HELP)
    columns = opened.collection.settings.columns
    if columns:
        rows = [
            {"column": clean_for_display(name), "holds": COLUMN_KINDS[kind]} for name, kind in columns.items()
        ]
        st.caption("Columns to filter by")
        st.dataframe(pd.DataFrame(rows), hide_index=True, height="content", width="content", key="columns")
