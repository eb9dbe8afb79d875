"""What a view asks of the engine: its query and its mode; pure."""

from app.view_state import ViewState
from indexer.hits import Mode
from indexer.query.asked import ExampleQuery, Query, RowQuery


def query_of(state: ViewState) -> Query:
    """The query of a view: a passage to be similar to, examples with or without a text, or the text."""
    if state.like:
        return RowQuery(state.like)
    if state.more or state.less:
        return ExampleQuery(state.more, state.less, state.query)
    return state.query


def mode_of(state: ViewState) -> Mode:
    """How it is searched: all but a plain text is answered by vector alone."""
    return state.mode if isinstance(query_of(state), str) else "semantic"


def is_asked(state: ViewState) -> bool:
    """Whether there is anything to answer."""
    return bool(state.query.strip() or state.like or state.more)


def shown_words(state: ViewState) -> str:
    """The text whose words are marked in the hits."""
    return "" if state.like else state.query
