"""What outlives a script run: opened collections for all sessions; view, history and last answer of one session.

Every key of `st.session_state` that is not a widget's own is named here.
"""

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import streamlit as st

from app import library
from app.lazy_encoder import LazyEncoder
from app.view_state import ViewState, decode, encode, is_linkable
from encoder.errors import Llm2CompError
from indexer.hits import SearchResult

VIEW, HISTORY, BAD_KEYS, ANSWER = "view", "history", "bad_keys", "answer"
PAGES, GO_TO = "pages", "go_to"  # the pages by name, and the one to show next
UPLOADS = "stored_uploads"  # id of an uploaded file to the path of our copy
_UNDO_STEPS = 20
_CACHED_COLLECTIONS = 4
# One encoder at a time: two would share the cores and both be slower.
_encoding = threading.Semaphore(1)


@dataclass(frozen=True, slots=True)
class Opened:
    """A published version of a collection, ready to be searched; shared by all sessions, so read only."""

    collection: Any
    searcher: Any
    version: int
    info: dict[str, Any]


def view() -> ViewState:
    """What this session shows; read from the link when the session is new."""
    if VIEW not in st.session_state:
        state, bad = decode(dict(st.query_params))
        st.session_state[VIEW] = state
        st.session_state[BAD_KEYS] = bad
    return st.session_state[VIEW]


def bad_keys() -> tuple[str, ...]:
    """Keys of the link that were not understood."""
    view()
    return st.session_state[BAD_KEYS]


def change(**fields: Any) -> None:
    """Replaces fields of the view; a new search starts at its first page with nothing picked."""
    before = view()
    if not {"row", "page"} & set(fields):
        fields |= {"row": "", "page": 1}
    after = replace(before, **fields)
    if after == before:
        return
    if replace(after, row="") != replace(before, row=""):  # picking a hit is not a step to undo
        history = st.session_state.setdefault(HISTORY, [])
        history.append(before)
        del history[:-_UNDO_STEPS]
    st.session_state[VIEW] = after
    st.session_state[BAD_KEYS] = ()


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


def is_linked() -> bool:
    """Whether the address bar holds the whole view."""
    return is_linkable(encode(view()))


def entry() -> library.Entry | None:
    """The collection of the view; None when the library is empty or does not know it."""
    return library.find(view().corpus)


def open_collection(path: Path) -> Opened:
    """The newest published version of a collection, opened once for all sessions.

    Raises:
        Llm2CompError: it cannot be opened; the sentence says why.
    """
    return _open(str(path))


def describe(path: Path) -> dict[str, Any]:
    """What `info` says now of a collection, also of one that has published nothing.

    Raises:
        Llm2CompError: it cannot be opened; the sentence says why.
    """
    from indexer.collection import Collection

    return Collection.open(path).info()


def findings(path: Path) -> list[Any]:
    """What a quick check of the collection's newest version finds wrong; looked at once a version.

    Raises:
        Llm2CompError: it cannot be opened; the sentence says why.
    """
    from indexer.collection import Collection

    return _quick_check(str(path), *_identity(Collection.open(path)))


def search(opened: Opened, state: ViewState) -> SearchResult:
    """The answer to the view's question; kept, so that picking a hit does not search again.

    Raises:
        Llm2CompError: the query, the filter or the encoder cannot be used.
    """
    uuid = opened.collection.settings.uuid
    asked = (str(opened.collection.path), uuid, opened.version, replace(state, row="", page=1))
    kept = st.session_state.get(ANSWER)
    if kept is None or kept[0] != asked:
        st.session_state[ANSWER] = kept = (asked, ask(opened, state))
    return kept[1]


def ask(opened: Opened, state: ViewState, *, exact: bool = False) -> SearchResult:
    """The answer, searched now.

    Raises:
        Llm2CompError: the query, the filter or the encoder cannot be used.
    """
    from indexer.search import RowQuery

    query = RowQuery(state.like) if state.like else state.query
    mode = "semantic" if state.like else state.mode
    with _encoding:
        return opened.searcher.search(query, state.k, where=state.filter or None, mode=mode, exact=exact)


@st.cache_resource(max_entries=64, show_spinner=False)
def _quick_check(path: str, uuid: str, version: int) -> list[Any]:
    from indexer.collection import Collection

    return Collection.open(Path(path)).verify(quick=True) if version else []


def _identity(collection: Any) -> tuple[str, int]:
    """What tells one state of a folder from another; an index made with another encoder has another uuid."""
    return collection.settings.uuid, collection.version()


def _is_current(opened: Opened) -> bool:
    from indexer.collection import Collection

    try:  # read anew: `rebuild --encoder` puts another collection in the folder, whose versions begin again
        now = _identity(Collection.open(opened.collection.path))
    except Llm2CompError:
        return False  # opening it again says why
    return now == (opened.collection.settings.uuid, opened.version)


@st.cache_resource(max_entries=_CACHED_COLLECTIONS, validate=_is_current, show_spinner="Opening the corpus …")
def _open(path: str) -> Opened:
    from indexer.collection import Collection
    from indexer.search import Searcher

    collection = Collection.open(Path(path))
    version = collection.version()  # before the searcher: a publication in between then opens anew
    return Opened(collection, Searcher(collection, LazyEncoder(collection)), version, collection.info())
