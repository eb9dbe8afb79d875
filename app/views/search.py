"""The search page: the question, its filter, and the answer; the parts are drawn by the files beside."""

import pandas as pd
import streamlit as st

from app import library, session
from app.display import clean_for_display, esc_md, one_line
from app.filter_builder import add_clause, draw_builder
from app.formats import count, size
from app.rows import shorten
from app.search_focus import search_focus
from app.theme import COLUMN_KINDS, MODE_HELP, MODE_LABELS, SYNTAX_HELP
from app.view_state import MOST_HITS
from app.views.demo import start_demo
from app.views.messages import show_empty_library, show_error
from app.views.results import show_results
from encoder.errors import CheckpointError, InputError, Llm2CompError, MissingExtraError
from indexer.hits import MODES

_LABEL_CHARS = 120
_QUERY, _CORPUS, _MODE, _K, _FILTER = "query", "corpus", "mode", "k", "filter"


def page() -> None:
    """Draws the whole page."""
    st.title("Search", anchor=False)
    entries = library.known()
    if not entries:
        show_empty_library(start_demo)
        return
    _draw_question(entries)
    entry = session.entry()
    if entry is None:
        key = session.view().corpus
        show_error(InputError(f"no corpus is called {key!r} here", "link, c", "choose one in the list above"))
        return
    opened = session.open_collection(entry.path)
    _draw_filter(opened, entry.key)
    view = session.view()
    if not (view.query.strip() or view.like):
        _draw_facts(opened)
        return
    _draw_answer(opened, entry.key)


def _draw_question(entries: list[library.Entry]) -> None:
    view = session.view()
    current = session.entry()
    keys = [entry.key for entry in entries]
    # The view is the truth: widgets are set from it at every run, and report to it when they change.
    st.session_state[_QUERY] = view.query
    st.session_state[_CORPUS] = current.key if current else None
    st.session_state[_MODE] = view.mode
    st.session_state[_K] = view.k
    _draw_query()
    corpus, mode, k = st.columns([3, 3, 2])
    corpus.selectbox("Corpus", keys, key=_CORPUS, format_func=one_line, on_change=_take_corpus)
    mode.segmented_control(
        "Mode",
        MODES,
        key=_MODE,
        format_func=MODE_LABELS.__getitem__,
        help=MODE_HELP,
        on_change=_take_mode,
        width="stretch",
    )
    k.number_input(
        "Hits",
        min_value=1,
        max_value=MOST_HITS,
        step=10,
        key=_K,
        help="How many documents to look for. " + SYNTAX_HELP,
        on_change=_take_k,
    )
    search_focus(_QUERY)


def _draw_query() -> None:
    field, back = st.columns([12, 1], vertical_alignment="bottom")
    field.text_input(
        "Search",
        key=_QUERY,
        type="search",
        icon=":material/search:",
        placeholder="Ask in your own words (Ctrl+K)",
        label_visibility="collapsed",
        on_change=_take_query,
    )
    back.button(
        "Undo",
        key="undo",
        on_click=session.undo,
        disabled=not session.can_undo(),
        help="Back to the view before the last change",
        width="stretch",
    )


def _take_query() -> None:
    session.change(query=st.session_state[_QUERY], like="")


def _take_corpus() -> None:
    session.change(corpus=st.session_state[_CORPUS] or "", filter="", like="")


def _take_mode() -> None:
    if st.session_state[_MODE]:  # a second click on the chosen one takes it away
        session.change(mode=st.session_state[_MODE])


def _take_k() -> None:
    session.change(k=int(st.session_state[_K] or 1))


def _take_filter() -> None:
    session.change(filter=st.session_state[_FILTER].strip())


def _drop_filter() -> None:
    session.change(filter="")


def _draw_filter(opened: session.Opened, corpus: str) -> None:
    columns = dict(opened.collection.settings.columns)
    if not columns:
        return
    view = session.view()
    label = f"Filter: {esc_md(shorten(view.filter, _LABEL_CHARS))}" if view.filter else "Filter"
    with st.expander(label, icon=":material/filter_alt:", key="filters"):
        # A new key once a condition was added: the builder starts empty again.
        clause = draw_builder(columns, opened.searcher, key=f"build_{corpus}_{abs(hash(view.filter))}")
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
            "Clear", key="clear_filter", disabled=not view.filter, on_click=_drop_filter, width="stretch"
        )
        st.session_state[_FILTER] = view.filter
        text.text_input(
            "Filter as text",
            key=_FILTER,
            placeholder="year >= 2020 and topic = 'x'",
            help="Conditions on columns with = != < <= > >= in, between, contains, is null, and, or, not.",
            on_change=_take_filter,
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


def _draw_answer(opened: session.Opened, corpus: str) -> None:
    view = session.view()
    try:
        with st.spinner("Searching … the first time loads the encoder", show_time=True):
            result = session.search(opened, view)
    except (CheckpointError, MissingExtraError) as error:
        show_error(error)
        if view.mode != "keyword" and not view.like:
            st.button(
                "Search by words instead, without the encoder",
                key="offer_keyword",
                on_click=lambda: session.change(mode="keyword"),
            )
        return
    except Llm2CompError as error:
        show_error(error)
        return
    if result.hits:
        show_results(opened, corpus, result)
    else:
        _draw_no_hits(result.provenance.matching, result.provenance.rows)


def _draw_no_hits(matching: int, rows: int) -> None:
    view = session.view()
    with st.container(border=True, key="no_hits"):
        st.subheader("No hits", anchor=False)
        if view.filter and not matching:
            st.text(f"The filter leaves none of the {count(rows)} passages:")
        elif view.filter:
            st.text(f"The filter leaves {count(matching)} of {count(rows)} passages, and none of them fits:")
        if view.filter:
            st.code(view.filter, language=None)
            st.button(
                "Drop the filter", icon=":material/filter_alt_off:", key="drop_filter", on_click=_drop_filter
            )
        else:
            st.text("No passage holds these words.")
        if view.mode == "keyword":
            st.button(
                "Search by meaning too", key="offer_hybrid", on_click=lambda: session.change(mode="hybrid")
            )
