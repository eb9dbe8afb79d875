"""What a page says instead of its content: errors in three lines, an empty library, a link not understood."""

from collections.abc import Callable
from functools import wraps

import streamlit as st

from app import library, mode, session
from app.display import clean_for_display
from app.failures import log_failure
from app.theme import DEMO_TEXT, FIRST_COMMAND
from encoder.errors import IndexMismatchError, Llm2CompError


def guarded(draw: Callable[[], None]) -> Callable[[], None]:
    """The page, which shows a sentence and an id where it would have shown a traceback."""

    @wraps(draw)
    def drawn() -> None:
        try:
            draw()
        except Llm2CompError as error:
            show_error(error)
        except Exception as error:  # noqa: BLE001  the top of a page: nothing above can show it
            identifier = log_failure(error)
            with st.container(border=True):
                st.markdown(":material/error: **This page could not be drawn**")
                st.text(
                    "It is our mistake, not yours. Nothing was lost; the details are in the server's log."
                )
                st.text("Reload the page; if it happens again, report it with this id:")
                st.code(identifier, language=None)

    return drawn


def show_error(error: Llm2CompError) -> None:
    """What happened, where, and what to do: the same three lines as the command prints."""
    identifier = log_failure(error)
    with st.container(border=True, key=f"error_{identifier}"):
        st.markdown(":material/error: **This did not work**")
        st.text(clean_for_display(error.what))
        where, fix = st.columns(2)
        with where:
            st.caption("Where")
            st.text(clean_for_display(error.where))
        with fix:
            st.caption("What to do")
            st.code(clean_for_display(error.fix), language=None, wrap_lines=True)
        st.caption(f"Details in the server's log under {identifier}")


def show_link_notes() -> None:
    """What of the link that opened the page cannot be had again, a line each, and other news; never in silence."""
    if session.bad_keys():
        st.warning(
            f"Not understood in this link: {', '.join(session.bad_keys())}", icon=":material/link_off:"
        )
    for sentence in [*session.notices(), *session.restore()]:
        with st.container(border=True):
            st.text(clean_for_display(sentence))


def linked(draw: Callable[[], None]) -> Callable[[], None]:
    """The page, which stops where its link was made with another encoder: other answers would pass for the same."""

    @wraps(draw)
    def drawn() -> None:
        try:
            if session.view().encoder and library.known():
                session.opened()
        except IndexMismatchError as error:
            show_error(error)
            st.button(
                "Go on with the encoder of now",
                key="drop_encoder",
                on_click=session.change,
                kwargs={"encoder": "", "version": 0},
            )
            return
        except Llm2CompError:
            pass  # the page finds the same, and says it in its place
        draw()

    return drawn


def show_empty_library(start_demo: Callable[[], None]) -> None:
    """No corpus yet: the one command, and the demo by one click."""
    with st.container(border=True, key="empty"):
        st.subheader("No corpus yet", anchor=False)
        if mode.current().is_read_only:
            st.text("This server only shows. Whoever runs it makes a corpus with this command:")
            st.code(FIRST_COMMAND, language=None)
            return
        st.text(DEMO_TEXT)
        st.button(
            "Build the demo corpus",
            icon=":material/play_arrow:",
            type="primary",
            on_click=start_demo,
            key="build_demo",
        )
        st.text("Or index a file of your own, on the Corpora page or by this command:")
        st.code(FIRST_COMMAND, language=None)
        if st.button("Import a file", icon=":material/upload:", key="go_import"):
            st.switch_page(st.session_state[session.PAGES]["corpora"])
