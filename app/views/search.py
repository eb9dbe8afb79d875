"""The search page: the question, its filter, and the answer; the parts are drawn by the files beside."""

import contextlib

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import library, session
from app.display import clean_for_display, one_line
from app.formats import count
from app.nothing_found import nothing_found
from app.questions import is_asked
from app.search_focus import search_focus
from app.theme import MODE_HELP, MODE_LABELS, SYNTAX_HELP
from app.view_state import MOST_HITS
from app.views.demo import start_demo
from app.views.examples_card import draw_examples
from app.views.filter_panel import draw_filter, drop_filter
from app.views.first_look import draw_first_look
from app.views.messages import show_empty_library, show_error
from app.views.queries import draw_queries
from app.views.results import show_results
from app.views.saved import draw_saved
from encoder.errors import CheckpointError, InputError, Llm2CompError, MissingExtraError
from indexer.hits import MODES, SearchResult

_QUERY, _CORPUS, _MODE, _K = "query", "corpus", "mode", "k"


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
    draw_filter(opened, entry.key)
    draw_examples(opened)
    if is_asked(session.view()):
        _draw_answer(opened, entry.key)
    else:
        draw_first_look(opened)
    draw_queries(opened, entry.key)


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
    field, saved, back = st.columns([10, 2, 1], vertical_alignment="bottom")
    _draw_saved(saved)
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


def _draw_saved(place: DeltaGenerator) -> None:
    entry = session.entry()
    if entry is None:
        return
    with place, contextlib.suppress(Llm2CompError):  # the page itself says what is wrong
        draw_saved(session.open_collection(entry.path))


def _take_query() -> None:
    session.change(query=st.session_state[_QUERY], like="", more=(), less=())


def _take_corpus() -> None:
    session.change(corpus=st.session_state[_CORPUS] or "")


def _take_mode() -> None:
    if st.session_state[_MODE]:  # a second click on the chosen one takes it away
        session.change(mode=st.session_state[_MODE])


def _take_k() -> None:
    session.change(k=int(st.session_state[_K] or 1))


def _draw_answer(opened: session.Opened, corpus: str) -> None:
    view = session.view()
    try:
        with st.spinner("Searching … the first time loads the encoder", show_time=True):
            result = session.search(opened, view)
    except (CheckpointError, MissingExtraError) as error:
        show_error(error)
        if view.mode != "keyword" and not (view.like or view.more):
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
        _draw_no_hits(opened, result)


def _draw_no_hits(opened: session.Opened, result: SearchResult) -> None:
    view = session.view()
    matching, rows = result.provenance.matching, result.provenance.rows
    why = nothing_found(result, view.filter, opened.searcher)[1:]
    with st.container(border=True, key="no_hits"):
        st.subheader("No hits", anchor=False)
        if view.filter and not matching:
            st.text(f"The filter leaves none of the {count(rows)} passages:")
        elif view.filter:
            st.text(f"The filter leaves {count(matching)} of {count(rows)} passages, and none of them fits:")
        if view.filter:
            st.code(view.filter, language=None)
            for line in why:
                st.text(clean_for_display(f"{line[:1].upper()}{line[1:]}"))
            st.button(
                "Drop the filter", icon=":material/filter_alt_off:", key="drop_filter", on_click=drop_filter
            )
        else:
            st.text("No passage holds these words.")
            for line in why:
                st.text(f"{line[:1].upper()}{line[1:]}.")
        if view.mode == "keyword":
            st.button(
                "Search by meaning too", key="offer_hybrid", on_click=lambda: session.change(mode="hybrid")
            )
