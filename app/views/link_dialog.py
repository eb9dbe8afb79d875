"""The dialog with the link to what is shown: whole, with version and encoder, short enough to be passed on."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from app import mode, session
from app.display import clean_for_display
from app.formats import count
from app.link import MOST_TRAY_ROWS
from app.map_selection import colour_of
from app.map_session import has_topics, shown_id
from app.topic_session import exactly, topics_shown
from app.view_state import SAVED_VIEW_KEY, ViewState, encode, is_linkable
from app.views.map_controls import offered
from encoder.errors import Llm2CompError

_PARTS = {
    "query": "query",
    "filter": "filter",
    "row": "picked hit",
    "more": "examples",
    "map": "map",
    "colour": "colour",
    "map_view": "part of the map that is shown",
    "polygon": "outline",
    "topics_run": "topics and their version",
    "topics": "picked topics",
    "by": "column that topics are compared by",
    "over": "dates that they are compared over",
    "set": "saved set",
    "tray": "tray",
}


@st.dialog("Link to this view", width="medium")
def open_link_dialog() -> None:
    """Shows the link, what it holds and what not."""
    try:
        opened = session.opened()
        seen = pinned(opened, session.view())
        parameters, is_saved = link_parameters(opened, seen)
    except Llm2CompError as error:
        st.text(clean_for_display(f"There is no link to this view: {error.what}"))
        st.text(clean_for_display(error.fix))
        return
    address = page_address(st.context.url or "", st.session_state.get(session.SHOWN, ""))
    st.code(f"{address}?{urlencode(parameters)}", language=None, wrap_lines=True)
    held = [words for name, words in _PARTS.items() if getattr(seen, name)]
    st.caption(f"Holds corpus, version, encoder{', ' if held else ''}{', '.join(held)}.")
    if is_saved:
        st.caption("Too long for a link: what it holds was saved with the corpus, and the link names it.")
    tray = session.tray(opened)
    if len(tray) > MOST_TRAY_ROWS:
        st.caption(
            f"The tray is not in it: of {count(len(tray))} passages a link would be too long. Save it as a set."
        )
    st.caption("It opens only where this server can be reached, and only while the corpus is there.")


def pinned(opened: session.Opened, state: ViewState) -> ViewState:
    """The view with what it was seen in: corpus, version, encoder, and the map and topics that are shown.

    Those that were shown for being the newest are named too, or the link would show later ones without a word.
    """
    found = session.entry()
    seen: dict[str, Any] = {
        "corpus": found.key if found else state.corpus,
        "version": opened.version,
        "encoder": session.fingerprint(opened),
    }
    page = st.session_state.get(session.SHOWN, "")
    if page == "map":
        seen["colour"] = colour_of(state.colour, offered(opened)).name
    if page == "map" or state.polygon or state.map_view:
        seen["map"] = shown_id(opened)
    if (page in ("map", "topics") or state.topics) and has_topics(opened):
        seen |= exactly(topics_shown(opened).stored)
    return replace(state, **seen)


def link_parameters(opened: session.Opened, state: ViewState) -> tuple[dict[str, str], bool]:
    """The parameters of a link to a view, and whether they had to be saved because they are too long.

    Raises:
        InputError: they are too long, and this server saves nothing.
        CollectionError: they cannot be saved.
    """
    from indexer.annotations.searches import save_view

    parameters = encode(state)
    if is_linkable(parameters):
        return parameters, False
    mode.check_writable("save long links")
    identifier = save_view(opened.collection, parameters, author=session.author())
    return {"c": parameters["c"], SAVED_VIEW_KEY: identifier}, True


def link_here(opened: session.Opened, state: ViewState) -> str:
    """The link to this page with another view.

    Empty where it would be too long, for it must not be saved for that, and for a tray that is too large to be in it:
    whoever opened such a link would look into a tray of their own.
    """
    parameters = encode(pinned(opened, state))
    if (state.scope == "tray" and not state.tray) or not is_linkable(parameters):
        return ""
    address = page_address(st.context.url or "", st.session_state.get(session.SHOWN, ""))
    return f"{address}?{urlencode(parameters)}"


def page_address(url: str, page: str) -> str:
    """The address of a page, without parameters.

    Args:
        url: as Streamlit tells it, which on most pages, but not in every run, ends with the page already.
        page: path of the page; empty for the first one.
    """
    base = url.rstrip("/")
    return base if page and base.endswith(f"/{page}") else f"{base}/{page}"
