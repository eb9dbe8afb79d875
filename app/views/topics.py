"""The page Topics: what the corpus is about, one topic in full, and topics against metadata and time."""

import json
from typing import TYPE_CHECKING

import streamlit as st

from app import library, mode, session
from app.display import clean_for_display
from app.topic_rows import run_name, summary
from app.topic_session import runs_of, topics_shown
from app.views.demo import start_demo
from app.views.messages import show_empty_library, show_error
from app.views.topics_compare import draw_comparisons
from app.views.topics_detail import draw_topic
from app.views.topics_find import draw_find, draw_finding, draw_first
from app.views.topics_table import draw_table
from encoder.errors import Llm2CompError
from indexer.topics.versions import AUTOMATIC_NAME

if TYPE_CHECKING:
    from indexer.topics.current import CurrentTopics

_RUN = "topics_run"
_CURRENT_HELP = "Filters such as topic = 3, exports and the map then use this one."


def page() -> None:
    """Draws the whole page."""
    st.title("Topics", anchor=False)
    if not library.known():
        show_empty_library(start_demo)
        return
    opened = session.opened()
    is_working = draw_finding(opened)
    if not runs_of(opened):
        if not is_working:
            draw_first(opened)
        return
    try:
        current = topics_shown(opened)
    except Llm2CompError as error:
        _draw_chooser(opened, None)
        show_error(error)
        return
    _draw_chooser(opened, current)
    for line in summary(current):
        st.text(clean_for_display(line))
    if not current.row_ids.size:
        st.text("The corpus holds no passages.")
        return
    table, detail = st.columns([11, 9], gap="medium")
    with table:
        draw_table(opened, current)
    with detail:
        draw_topic(opened, current)
    draw_comparisons(opened, current)
    with st.expander("How these topics were found", key="recipe"):
        made = {"recipe": current.stored.build.recipe, "facts": current.stored.build.facts}
        # Not st.json: the colours of its numbers have less contrast than small text needs.
        st.code(clean_for_display(json.dumps(made, indent=1, ensure_ascii=False)), language=None)


def _draw_chooser(opened: session.Opened, current: "CurrentTopics | None") -> None:
    """The run, in one line with what can be done about runs."""
    runs = {(run["id"], run["version"]): run for run in runs_of(opened)}
    shown = None if current is None else (current.stored.id, current.stored.version)
    st.session_state[_RUN] = shown
    box, choose, find = st.columns([6, 2, 2], vertical_alignment="bottom")
    box.selectbox(
        "Run",
        list(runs),
        key=_RUN,
        format_func=lambda key: run_name(runs[key]),
        on_change=_take_run,
        placeholder="choose one",
        help="Each way of finding topics is kept with its recipe; edits make versions beside it.",
    )
    if mode.current().is_read_only:
        return
    choose.button(
        "Make current",
        icon=":material/check:",
        key="choose_run",
        disabled=shown is None or runs[shown]["is_current"],
        on_click=_choose,
        args=(opened, *(shown or ("", ""))),
        help=_CURRENT_HELP,
        width="stretch",
    )
    with find:
        draw_find(opened)


def _take_run() -> None:
    if st.session_state[_RUN]:
        run, version = st.session_state[_RUN]
        session.change(topics_run=run, topics_version=version or AUTOMATIC_NAME, topics=())


def _choose(opened: session.Opened, run: str, version: str) -> None:
    from indexer.topics.versions import choose

    try:
        mode.check_writable("change topics")
        choose(opened.collection, run, version, author=session.author())
    except Llm2CompError as error:
        session.notice(f"Not done: {error.what}; {error.fix}.")
