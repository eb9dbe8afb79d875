"""The view of one session: read from the link, changed by the pages, undone, and kept in the address bar.

Every key of `st.session_state` that is not a widget's own is named here or in `app.session`.
"""

from dataclasses import replace
from typing import Any

import streamlit as st

from app import library
from app.view_state import COMPARED, SAVED_VIEW_KEY, ViewState, decode, encode, is_linkable
from encoder.errors import Llm2CompError

VIEW, HISTORY, BAD_KEYS = "view", "history", "bad_keys"
PAGES, GO_TO = "pages", "go_to"  # the pages by name, and the one to show next
SHOWN = "shown_page"  # path of the page that is drawn
NOTICES = "notices"  # sentences to show once
_UNDO_STEPS = 20
# What means something in one collection only: left behind when another is chosen.
_OF_COLLECTION = (
    "version",
    "encoder",
    "filter",
    "row",
    "like",
    "more",
    "less",
    "page",
    "map",
    "colour",
    "map_view",
    "polygon",
    "topics_run",
    "topics_version",
    "topics",
    *COMPARED,
    "scope",
    "set",
    "tray",
)


def view() -> ViewState:
    """What this session shows; read from the link when the session is new."""
    if VIEW not in st.session_state:
        state, bad = decode(_parameters(dict(st.query_params)))
        st.session_state[VIEW] = state
        st.session_state[BAD_KEYS] = bad
    return st.session_state[VIEW]


def _parameters(given: dict[str, str]) -> dict[str, str]:
    """The parameters that a link means: its own, or those kept under the id that it names."""
    identifier = given.get(SAVED_VIEW_KEY)
    if identifier is None:
        return given
    from indexer.annotations.searches import view as saved_view
    from indexer.collection import Collection

    found = library.find(given.get("c", ""))
    if found is None:
        return given
    try:
        kept = saved_view(Collection.open(found.path), identifier)
    except Llm2CompError as error:
        notice(f"This link cannot be opened as it was: {error.what}")
        return given
    return kept | {"c": given.get("c", found.key)}


def notice(sentence: str) -> None:
    """Has a sentence shown once, on the page drawn next; it may quote what is not ours."""
    st.session_state.setdefault(NOTICES, []).append(sentence)


def notices() -> list[str]:
    """The sentences to show now."""
    return st.session_state.pop(NOTICES, [])


def bad_keys() -> tuple[str, ...]:
    """Keys of the link that were not understood."""
    view()
    return st.session_state[BAD_KEYS]


def change(**fields: Any) -> None:
    """Replaces fields of the view; a new search starts at its first page with nothing picked."""
    before = view()
    if fields.get("corpus", before.corpus) != before.corpus:
        default = ViewState()
        fields = {name: getattr(default, name) for name in _OF_COLLECTION} | fields
    if not {"row", "page"} & set(fields):
        fields |= {"row": "", "page": 1}
    after = replace(before, **fields)
    if after == before:
        return
    if _step(after) != _step(before):
        history = st.session_state.setdefault(HISTORY, [])
        history.append(before)
        del history[:-_UNDO_STEPS]
    st.session_state[VIEW] = after
    st.session_state[BAD_KEYS] = ()


def _step(state: ViewState) -> ViewState:
    """The view without what is no step to undo: picking a hit, moving the map, comparing topics, filling the tray."""
    default = ViewState()
    unstepped = ("row", "map_view", "tray", *COMPARED)
    return replace(state, **{name: getattr(default, name) for name in unstepped})


def set_quietly(**fields: Any) -> None:
    """Replaces fields of the view that are no step to undo and need no new search: the map's view, the tray."""
    st.session_state[VIEW] = replace(view(), **fields)


def go(page: str, **fields: Any) -> None:
    """Shows another page at the next run, with fields of the view replaced; for callbacks, else rerun after it.

    Args:
        page: "search", "map", "topics", "health" or "corpora".
        fields: of the view.
    """
    if fields:
        change(**fields)
    st.session_state[GO_TO] = page


def can_undo() -> bool:
    """Whether there is an earlier view."""
    return bool(st.session_state.get(HISTORY))


def undo() -> None:
    """Back to the view before the last change; the browser's own Back button does not bring it."""
    if can_undo():
        st.session_state[VIEW] = st.session_state[HISTORY].pop()


def push() -> None:
    """Writes the view into the address bar, if it is not there already and fits a link."""
    parameters = encode(view())
    if not is_linkable(parameters):
        parameters = {}
    if dict(st.query_params) != parameters:
        st.query_params.from_dict(parameters)
