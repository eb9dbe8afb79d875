"""Saved searches of the corpus: kept under a name, opened again, taken away; shared by all who open it."""

from dataclasses import fields, replace
from typing import Any

import streamlit as st

from app import mode, session
from app.display import clean_for_display, one_line
from app.formats import count
from app.questions import is_asked
from app.rows import shorten
from app.view_state import COMPARED, ViewState, decode, encode
from encoder.errors import Llm2CompError
from indexer.annotations.searches import MOST_NAME, SavedSearch, list_searches, remove_search, save_search

_NAME, _PICKED = "saved_name", "saved_search"
_LABEL_CHARS = 80
# What belongs to the moment and not to the question.
_NOT_KEPT = ("corpus", "version", "encoder", "row", "page", "tray", "map_view", "what_if", "other", *COMPARED)


def draw_saved(opened: session.Opened) -> None:
    """Draws the popover: what is saved, and the name for what is searched now."""
    found = _saved(opened)
    with st.popover(f"Saved ({count(len(found))})", icon=":material/bookmark:", key="saved", width="stretch"):
        if not found:
            st.caption(
                "Nothing saved yet. A saved search keeps query, mode, filter, examples and what is looked at."
            )
        else:
            _draw_list(opened, {search.name: search for search in found})
        if not mode.current().is_read_only:
            _draw_save(opened)


def kept_parameters(state: ViewState) -> dict[str, str]:
    """What a saved search keeps of a view, as the parameters of a link."""
    default = ViewState()
    return encode(replace(state, **{name: getattr(default, name) for name in _NOT_KEPT}))


def opened_fields(parameters: dict[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of the view that a saved search sets, and the parameters in it that are not understood."""
    state, bad = decode(parameters)
    return {
        field.name: getattr(state, field.name) for field in fields(ViewState) if field.name not in _NOT_KEPT
    }, bad


def _saved(opened: session.Opened) -> list[SavedSearch]:
    try:
        return list_searches(opened.collection)
    except Llm2CompError:
        return []


def _draw_list(opened: session.Opened, found: dict[str, SavedSearch]) -> None:
    if st.session_state.get(_PICKED) not in found:
        st.session_state.pop(_PICKED, None)
    picked = st.selectbox(
        "Saved searches", list(found), index=None, key=_PICKED, format_func=one_line, placeholder="choose one"
    )
    if picked is None:
        return
    search = found[picked]
    st.text(clean_for_display(f"{_words(search)}\nby {search.author}, {search.at[:10]}"))
    with st.container(horizontal=True):
        st.button("Open", icon=":material/search:", key="open_saved", on_click=_open, args=(search,))
        if not mode.current().is_read_only:
            st.button(
                "Delete",
                icon=":material/delete:",
                key="delete_saved",
                on_click=_delete,
                args=(opened, picked),
            )


def _words(search: SavedSearch) -> str:
    state, _ = decode(search.parameters)
    parts = [state.query or "no query"]
    if state.filter:
        parts.append(f"filter: {state.filter}")
    if state.more or state.less:
        parts.append(f"{count(len(state.more) + len(state.less))} examples")
    return "; ".join(shorten(one_line(part), _LABEL_CHARS) for part in parts)


def _draw_save(opened: session.Opened) -> None:
    state = session.view()
    is_something = is_asked(state) or session.is_narrowed()
    st.text_input(
        "Save this search as", key=_NAME, max_chars=MOST_NAME, placeholder="name", disabled=not is_something
    )
    st.button(
        "Save",
        icon=":material/bookmark_add:",
        key="save_search",
        on_click=_save,
        args=(opened,),
        disabled=not is_something,
        help="One of the same name is replaced." if is_something else "Ask something first.",
    )


def _open(search: SavedSearch) -> None:
    changed, bad = opened_fields(search.parameters)
    session.change(**changed)
    if bad:
        session.notice(f"Not understood in this saved search: {', '.join(bad)}")


def _save(opened: session.Opened) -> None:
    name = st.session_state[_NAME] or ""
    try:
        mode.check_writable("save searches")
        saved = save_search(opened.collection, name, kept_parameters(session.view()), author=session.author())
    except Llm2CompError as error:
        session.notice(f"Not saved: {error.what}; {error.fix}.")
        return
    st.session_state[_NAME] = ""
    session.notice(f"Saved as “{saved.name}”, for everybody who opens this corpus.")


def _delete(opened: session.Opened, name: str) -> None:
    try:
        mode.check_writable("delete saved searches")
        remove_search(opened.collection, name, author=session.author())
    except Llm2CompError as error:
        session.notice(f"Not deleted: {error.what}; {error.fix}.")
