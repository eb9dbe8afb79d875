"""The bar above every page: what it looks at as chips that can be taken off, the tray, the link, and the shortcuts."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import streamlit as st

from app import library, mode, session
from app.display import clean_for_display, esc_md, one_line
from app.formats import plural
from app.question_key import question_key
from app.rows import shorten
from app.topic_session import topics_shown
from app.view_state import ViewState
from app.views.link_dialog import open_link_dialog
from app.views.shortcuts import open_shortcuts
from app.views.tray import draw_tray
from encoder.errors import Llm2CompError

_CHIP_CHARS = 60


def draw_bar() -> None:
    """Draws the bar; where the pages look at the whole corpus, only its buttons."""
    if not library.known():
        return
    with st.container(horizontal=True, vertical_alignment="center", key="scope"):
        for name, label, cleared in chips(session.view(), _topic_labels()):
            st.button(
                esc_md(label),
                icon=":material/close:",
                key=f"chip_{name}",
                on_click=session.change,
                kwargs=cleared,
                help="Take this off",
            )
        _draw_count()
        st.space("stretch")
        draw_tray()
        if mode.current().sign_in is not None:
            st.button(
                "Sign out", icon=":material/logout:", key="sign_out", on_click=st.logout, type="tertiary"
            )
        if st.button("Share", icon=":material/share:", key="share", type="tertiary"):
            open_link_dialog()
        if st.button("Keys", icon=":material/keyboard:", key="keys", type="tertiary"):
            open_shortcuts()
    # Outside: in the row it would take the room that keeps the buttons at the right.
    question_key("keys")


def chips(
    state: ViewState, labels: Mapping[int, str] = MappingProxyType({})
) -> list[tuple[str, str, dict[str, Any]]]:
    """For each thing that narrows what the pages look at: its name, a label, and the fields that take it off.

    Args:
        state: what the pages show.
        labels: of topics, by number; a topic without one is named by its number alone.
    """
    found: list[tuple[str, str, dict[str, Any]]] = []
    if state.filter:
        found.append(("filter", f"Filter: {_short(state.filter)}", {"filter": ""}))
    if state.polygon:
        found.append(("polygon", "Outline on the map", {"polygon": ()}))
    if state.topics:
        named = [f"{number} {labels.get(number, '')}".strip() for number in state.topics]
        shown = ", ".join(
            "none" if number < 0 else name for number, name in zip(state.topics, named, strict=True)
        )
        found.append(("topics", f"Topic: {_short(shown)}", {"topics": ()}))
    if state.set:
        found.append(("set", f"Saved set {_short(state.set)}", {"set": ""}))
    if state.scope == "tray":
        found.append(("tray", "Tray", {"scope": ""}))
    return found


def _topic_labels() -> dict[int, str]:
    """Labels of the run that the view means; empty where it cannot be read, which the page itself says."""
    if not session.view().topics:
        return {}
    try:
        return {topic.number: topic.label for topic in topics_shown(session.opened()).stored.topics}
    except Llm2CompError:
        return {}


def _short(text: str) -> str:
    return shorten(one_line(text), _CHIP_CHARS)


def _draw_count() -> None:
    if not session.is_narrowed():
        return
    try:
        found = session.selected(session.opened())
    except Llm2CompError as error:
        st.text(clean_for_display(error.what))
        return
    st.text(plural(found.row_ids.size, "passage"))
    if found.missing:
        st.text(f"{plural(found.missing, 'passage')} of them were deleted since")
