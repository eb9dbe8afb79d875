"""Several queries from a pasted list: answered in batches with progress, the best hits of each, an export of all."""

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from app import session
from app.display import one_line
from app.formats import count, plural
from app.many_queries import MOST_QUERIES, Answer, answer_all, answers_as, read_queries
from app.rows import TITLE_CHARS, shorten
from app.view_state import ViewState
from app.views.messages import show_error
from encoder.errors import InputError, Llm2CompError

_PASTED, _ANSWERS = "pasted_queries", "pasted_answers"
_HITS_EACH = 10
_SHOWN_HITS = 3
_QUERY_PX = 230
_MIME = {"csv": "text/csv", "jsonl": "application/x-ndjson", "parquet": "application/vnd.apache.parquet"}


def draw_queries(opened: session.Opened, corpus: str) -> None:
    """Draws the list, and under it the answers of the last time it was asked."""
    with st.expander("Several queries at once", icon=":material/list_alt:", key="queries"):
        st.text_area(
            "One query a line",
            key=_PASTED,
            height=140,
            placeholder=f"up to {MOST_QUERIES} lines",
            help="They are asked in the mode, with the filter and among the passages that the page looks at.",
        )
        if st.button("Ask them all", icon=":material/play_arrow:", key="ask_all"):
            _ask(opened, st.session_state[_PASTED] or "")
        kept = st.session_state.get(_ANSWERS)
        if kept is not None and kept[0] == _asked_of(opened):
            _draw_answers(kept[1], corpus)


def _ask(opened: session.Opened, pasted: str) -> None:
    st.session_state.pop(_ANSWERS, None)
    state = session.view()
    answers: list[Answer] = []
    try:
        queries = read_queries(pasted)
        scope = session.scope_of(opened, state)
        bar = st.progress(0.0, text="Asking … leaving the page or changing it stops this.")
        for batch in answer_all(queries, partial(_search, opened, state, scope)):
            answers += batch
            # Each step lets the page be left: what runs then is stopped here.
            bar.progress(
                min(1.0, len(answers) / len(queries)), text=f"{count(len(answers))} of {count(len(queries))}"
            )
        bar.empty()
    except Llm2CompError as error:
        show_error(error)
        return
    st.session_state[_ANSWERS] = (_asked_of(opened), answers)


def _asked_of(opened: session.Opened) -> tuple[str, int]:
    """What answers belong to; a rebuild with another encoder puts another collection into the same folder."""
    return opened.collection.settings.uuid, opened.version


def _search(opened: session.Opened, state: ViewState, scope: dict[str, Any], queries: Any) -> Any:
    return session.encode_alone(
        lambda: opened.searcher.search_batch(list(queries), _HITS_EACH, mode=state.mode, **scope)
    )


def _draw_answers(answers: list[Answer], corpus: str) -> None:
    failed = [(query, error) for query, error in answers if isinstance(error, InputError)]
    empty = sum(not isinstance(result, InputError) and not result.hits for _, result in answers)
    without = f"; {count(empty)} without hits" if empty else ""
    st.caption(f"{plural(len(answers), 'line')} asked, the best {_HITS_EACH} hits kept of each{without}.")
    for query, error in failed[:5]:
        st.text(f"{shorten(one_line(query), 80)}: {one_line(error.what)}")
    st.dataframe(
        pd.DataFrame([_row(query, result) for query, result in answers]),
        key="queries_table",
        hide_index=True,
        height=min(420, 38 + 35 * len(answers)),
        column_config={
            "query": st.column_config.TextColumn("Query", width=_QUERY_PX),
            "hits": st.column_config.NumberColumn("Hits", width=60),
            "score": st.column_config.NumberColumn("Best score", format="%.3f", width=90),
            **{
                f"hit {place}": st.column_config.TextColumn(f"#{place}")
                for place in range(1, _SHOWN_HITS + 1)
            },
        },
    )
    with st.container(horizontal=True):
        for kind, mime in _MIME.items():
            st.download_button(
                f"All as {kind}",
                data=partial(answers_as, kind, answers, corpus),
                file_name=f"queries.{kind}",
                mime=mime,
                key=f"queries_{kind}",
                icon=":material/download:",
                on_click="ignore",
            )


def _row(query: str, result: Any) -> dict[str, Any]:
    hits = [] if isinstance(result, InputError) else result.hits
    row: dict[str, Any] = {
        "query": one_line(query),
        "hits": len(hits),
        "score": hits[0].score if hits else None,
    }
    for place in range(_SHOWN_HITS):
        title = hits[place].title or hits[place].text if place < len(hits) else ""
        row[f"hit {place + 1}"] = shorten(one_line(title), TITLE_CHARS)
    return row
