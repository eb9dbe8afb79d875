"""The search page before a question: what the corpus holds, and questions to begin with."""

import pandas as pd
import streamlit as st

from app import session
from app.display import clean_for_display, esc_md
from app.examples import example_queries, example_topics
from app.formats import count, size
from app.rows import shorten
from app.theme import COLUMN_KINDS, SYNTAX_HELP, TERM_HELP
from app.views.facets import draw_scope_facets

_LABEL_CHARS = 60


def draw_first_look(opened: session.Opened) -> None:
    """Draws questions and topics as buttons, where the corpus has topics, columns to narrow down by, and the facts."""
    _draw_examples(opened)
    _draw_topics(opened)
    draw_scope_facets(opened)
    _draw_facts(opened)


def _draw_examples(opened: session.Opened) -> None:
    queries = example_queries(opened)
    if not queries:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="try"):
        st.text("Try:")
        for place, query in enumerate(queries):
            st.button(
                esc_md(shorten(query, _LABEL_CHARS)),
                key=f"try_{place}",
                on_click=session.change,
                kwargs={"query": query},
                type="tertiary",
            )


def _draw_topics(opened: session.Opened) -> None:
    topics = example_topics(opened)
    if not topics:
        return
    st.caption(
        "The largest topics of this corpus", help="Found by comparing all passages; a click opens one."
    )
    has_page = "topics" in st.session_state.get(session.PAGES, {})
    with st.container(horizontal=True, key="topics"):
        for number, label in topics:
            st.button(
                esc_md(shorten(label, _LABEL_CHARS)),
                key=f"topic_{number}",
                on_click=_open_topic if has_page else _ask_for,
                args=(number if has_page else label,),
            )


def _open_topic(number: int) -> None:
    session.go("topics", topics=(number,))


def _ask_for(label: str) -> None:
    session.change(query=" ".join(label.replace(",", " ").split()))


def _told(term: str) -> str:
    """The glossary's sentence."""
    sentence = TERM_HELP[term]
    return f"{sentence[0].upper()}{sentence[1:]}."


def _draw_facts(opened: session.Opened) -> None:
    info = opened.info
    with st.container(border=True, key="facts"):
        documents, passages, volume, encoder = st.columns(4)
        documents.metric("Documents", count(info["documents"]), help=esc_md(_told("document")))
        passages.metric("Passages", count(info["passages"]), help=esc_md(_told("passage")))
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
