"""The topics that a session looks at: which run and version, which topic is picked, and what is kept of them."""

from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app import session
from app.topic_rows import NOISE, listed
from indexer.selection import Selection
from indexer.topics.versions import AUTOMATIC_NAME

if TYPE_CHECKING:
    from indexer.topics.current import CurrentTopics
    from indexer.topics.stored import StoredTopics


def runs_of(opened: session.Opened) -> list[dict[str, Any]]:
    """Runs and their versions, newest run first."""
    from app.topic_tables import runs

    key = session.state_beside(opened.collection.path)
    return session.derived(opened, "topic runs", key, lambda: runs(opened.collection))


def topics_shown(opened: session.Opened) -> "CurrentTopics":
    """The topics that the view names, over the rows of now.

    Raises:
        InputError: there are none of that name.
        CollectionError: they are damaged.
    """
    from indexer.selection import topics_of

    view = session.view()
    run, version = view.topics_run, view.topics_version
    key = (run, version, session.state_beside(opened.collection.path))
    make = lambda: topics_of(opened.searcher.snapshot, run, version)  # noqa: E731
    return session.derived(opened, "topics shown", key, make, place="topics")


def picked_number(current: "CurrentTopics") -> int:
    """The topic to show: the first that is picked and there, else the first of the table."""
    known = listed(current)
    return next((number for number in session.view().topics if number in known), known[0] if known else NOISE)


def exactly(stored: "StoredTopics") -> dict[str, str]:
    """The fields of the view that name a run and version for good, whatever is made current later."""
    return {"topics_run": stored.id, "topics_version": stored.version or AUTOMATIC_NAME}


def of_topic(stored: "StoredTopics", number: int) -> Selection:
    """All passages of a topic as a selection."""
    return Selection(topics_id=stored.id, topics=(number,), topics_version=stored.version or AUTOMATIC_NAME)


def within(opened: session.Opened) -> NDArray[np.uint64] | None:
    """Row ids uint64 [n] that the pages look at but for the picked topics; None for the whole corpus.

    Raises:
        Llm2CompError: the filter, map or set cannot be used.
    """
    from indexer.selection import select_rows

    asked = replace(session.selection(), topics=(), topics_id="", topics_version="")
    if asked.is_everything:
        return None
    key = (astuple(asked), session.state_beside(opened.collection.path))
    make = lambda: select_rows(opened.searcher, asked)  # noqa: E731
    return session.derived(opened, "selected", key, make, place="scope").row_ids
