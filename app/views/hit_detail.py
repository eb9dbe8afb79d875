"""The picked hit in full: its text with the passage and the query's words marked, the parts of its score, its fields."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app import session
from app.display import SHOWN_CHARS, clean_for_display, one_line
from app.formats import plural, score
from app.marked_text import marked_text, marked_title
from app.rows import metadata_rows, pieces
from app.theme import DENSE_HELP, KEYWORD_HELP, SCORE_HELP
from app.views.annotations_card import draw_annotations
from app.views.examples_card import draw_example_buttons
from app.views.why import draw_why
from indexer.hits import Hit, SearchResult


def show_hit(opened: session.Opened, result: SearchResult, hit: Hit, words: Sequence[str]) -> None:
    """Draws one hit; the document's whole text is fetched only now."""
    document = opened.searcher.document(hit.document_id)
    with st.container(key="hit"):
        marked_title(one_line(hit.title), words, key="title")
        _draw_scores(hit)
        _draw_actions(hit)
        draw_why(opened, result, hit)
        is_long = len(document.text) > SHOWN_CHARS
        show_all = is_long and st.toggle(
            f"Show the whole text ({plural(len(document.text), 'character')})", key="show_all"
        )
        limit = None if show_all else SHOWN_CHARS
        marked_text(pieces(document.text, hit.span, words, limit), key="text")
        draw_annotations(opened, hit.document_id)
        _draw_fields(hit)


def _draw_scores(hit: Hit) -> None:
    # A row that wraps: in columns the figures would be cut off on a narrow screen.
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.metric("Score", score(hit.score), help=SCORE_HELP, width="content")
        st.metric("Meaning", score(hit.dense), help=DENSE_HELP, width="content")
        st.metric("Words", score(hit.keyword), help=KEYWORD_HELP, width="content")


def _draw_actions(hit: Hit) -> None:
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Similar to this",
            icon=":material/hub:",
            key="similar",
            on_click=lambda: session.change(like=hit.id, more=(), less=()),
            help="Search with this passage instead of a query.",
        )
        draw_example_buttons(hit)
        if "map" in st.session_state.get(session.PAGES, {}):
            st.button(
                "Show on map",
                icon=":material/map:",
                key="show_on_map",
                on_click=session.go,
                args=("map",),
                kwargs={"row": hit.id, "page": session.view().page},
            )


def _draw_fields(hit: Hit) -> None:
    fields = metadata_rows(hit.metadata)
    fields.append({"field": "document", "value": clean_for_display(hit.document_id)})
    st.dataframe(
        pd.DataFrame(fields),
        key="fields",
        hide_index=True,
        height="content",
        column_config={
            "field": st.column_config.TextColumn("Field", width="small"),
            "value": st.column_config.TextColumn("Value", width="large"),
        },
    )
