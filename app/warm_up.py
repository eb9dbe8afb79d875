"""What the first click would wait for, done once the server is up: the corpus opened, its encoder loaded, one search."""

import contextlib
import importlib
import logging
from collections.abc import Iterator

from app import library, session
from app.view_state import ViewState

_QUESTION = "first question"
# What the pages import when they are first opened.
_LATER = ("plotly.graph_objects", "indexer.health.examine", "indexer.maps.points", "indexer.topics.versions")
_STREAMLIT_LOG = "streamlit.runtime.scriptrunner_utils.script_run_context"


def warm_up() -> None:
    """Opens the corpus that a page without a link shows, and asks it something; to be run in a thread.

    What it opens is what the sessions share, so nothing is loaded twice. Whatever fails here fails again on the page,
    which says why; so nothing is said.
    """
    with contextlib.suppress(Exception), _without_session_warnings():
        found = library.find("")
        if found is None:
            return
        opened = session.open_collection(found.path)
        if opened.searcher.snapshot.rows:
            session.ask(opened, ViewState(query=_QUESTION))
        for name in _LATER:
            importlib.import_module(name)


@contextlib.contextmanager
def _without_session_warnings() -> Iterator[None]:
    """Streamlit warns of what it caches outside a session, where only its spinner is missing."""
    log = logging.getLogger(_STREAMLIT_LOG)
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
