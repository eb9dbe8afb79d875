"""What outlives a script run: opened collections and what is derived from them, and the tray of one session.

The view itself is in `app.current_view`, the cache in `app.derived_cache`; both are offered from here.
"""

import threading
from collections.abc import Callable, Hashable, Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st

from app import derived_cache, library, mode
from app.current_view import (
    BAD_KEYS,
    GO_TO,
    PAGES,
    SHOWN,
    VIEW,
    bad_keys,
    can_undo,
    change,
    go,
    notice,
    notices,
    push,
    set_quietly,
    undo,
    view,
)
from app.derived_cache import state_beside
from app.formats import plural
from app.lazy_encoder import LazyEncoder
from app.link import MOST_TRAY_ROWS
from app.questions import mode_of, query_of
from app.restoring import losses
from app.tray import Origin, Tray, add, remove
from app.view_state import ViewState, answered
from encoder.errors import IndexMismatchError, InputError, Llm2CompError
from indexer.hits import SearchResult

if TYPE_CHECKING:
    from indexer.maps.points import MapPoints
    from indexer.selection import Selected, Selection


__all__ = [
    "BAD_KEYS",
    "GO_TO",
    "PAGES",
    "SHOWN",
    "VIEW",
    "bad_keys",
    "can_undo",
    "change",
    "go",
    "notice",
    "notices",
    "push",
    "set_quietly",
    "state_beside",
    "undo",
    "view",
]

TRAYS = "trays"  # uuid of a collection to the trays of this session, newest last
UPLOADS = "stored_uploads"  # id of an uploaded file to the path of our copy
ANSWER = "answer"
RESTORED = "restored"  # whether the link was held against the collection
_CACHED_COLLECTIONS = 4
_ENCODER_DIGITS = 8
_UNDO_STEPS = 20
_Made = TypeVar("_Made")
# One encoder at a time: two would share the cores and both be slower. What has its turn may ask for one again.
_encoding = threading.RLock()


@dataclass(frozen=True, slots=True)
class Opened:
    """A published version of a collection, ready to be searched; shared by all sessions, so read only."""

    collection: Any
    searcher: Any
    version: int
    info: dict[str, Any]


def entry() -> library.Entry | None:
    """The collection of the view; None when the library is empty or does not know it."""
    return library.find(view().corpus)


def corpus_key() -> str:
    """The key of the collection of the view; what the view says where the library does not know it."""
    found = entry()
    return found.key if found else view().corpus


def opened() -> Opened:
    """The collection that the pages look at, ready to be searched.

    Raises:
        InputError: the library does not know it.
        IndexMismatchError: a link was made with another encoder.
        Llm2CompError: it cannot be opened; the sentence says why.
    """
    found = entry()
    if found is None:
        raise InputError(
            f"no corpus is called {view().corpus!r} here", "link, c", "choose one on the Corpora page"
        )
    ready = open_collection(found.path)
    if has_other_encoder(ready):
        raise IndexMismatchError(
            f"this link was made with encoder {view().encoder}, and the corpus has "
            f"{fingerprint(ready)}: its answers would be others",
            f"link, e; {found.key}",
            "go on with the encoder that the corpus has now, or ask for a new link",
        )
    return ready


def fingerprint(opened: Opened) -> str:
    """The first digits of the fingerprint of a collection's encoder, as links name it."""
    return str(opened.collection.settings.encoder_fingerprint)[:_ENCODER_DIGITS]


def has_other_encoder(opened: Opened) -> bool:
    """Whether the link was made with another encoder than the collection has now."""
    return bool(view().encoder) and view().encoder != fingerprint(opened)


def restore() -> list[str]:
    """Sentences on what the link names and the collection has not; looked at once a session and left out."""
    if st.session_state.get(RESTORED):
        return []
    try:
        ready = opened()
    except Llm2CompError:
        return []  # the page says why
    st.session_state[RESTORED] = True
    found = losses(ready.collection, ready.version, view())
    for loss in found:
        set_quietly(**loss.fields)
    return [loss.sentence for loss in found]


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
    asked = answer_key(opened, state)
    kept = st.session_state.get(ANSWER)
    if kept is None or kept[0] != asked:
        st.session_state[ANSWER] = kept = (asked, ask(opened, state))
    return kept[1]


def answer_key(opened: Opened, state: ViewState) -> Hashable:
    """What an answer depends on: equal keys, equal answers."""
    uuid = opened.collection.settings.uuid
    rows = tray(opened).rows if state.scope else ()
    notes = state_beside(opened.collection.path)
    return str(opened.collection.path), uuid, opened.version, answered(state), rows, notes


def ask(opened: Opened, state: ViewState, *, exact: bool = False) -> SearchResult:
    """The answer, searched now.

    Raises:
        Llm2CompError: the query, the filter or the encoder cannot be used.
    """
    with _encoding:
        return opened.searcher.search(
            query_of(state), state.k, mode=mode_of(state), exact=exact, **scope_of(opened, state)
        )


def scope_of(opened: Opened, state: ViewState) -> dict[str, Any]:
    """The arguments of a search that say where it looks: the filter, and the rows that all else leaves.

    Raises:
        Llm2CompError: the map, the topics or the set are gone.
    """
    is_beyond_filter = state.polygon or state.topics or state.scope or state.set
    within = {"within": selected(opened).row_ids} if is_beyond_filter else {}
    return {"where": state.filter or None, **within}


def encode_alone(act: Callable[[], _Made]) -> _Made:
    """Does something that needs an encoder, one at a time in this process."""
    with _encoding:
        return act()


def derived(
    opened: Opened,
    name: str,
    key: Hashable,
    make: Callable[[], _Made],
    *,
    place: derived_cache.Place = "small",
) -> _Made:
    """What `make` returns, kept for all sessions while the collection stays at this version; read only.

    Args:
        opened: what it is made from.
        name: of the kind: "map", "topics shown". Two makers never share one.
        key: whatever else decides it, of plain values: ids, numbers, texts; never arrays.
        make: called when there is none yet; what it raises is not kept.
        place: the page that makes it, where it has a number or more for every passage.
    """
    path, uuid = str(opened.collection.path), opened.collection.settings.uuid
    return derived_cache.kept(path, uuid, opened.version, name, key, make, place=place)


def selection() -> "Selection":
    """What the pages look at, out of the view: filter, outline, topics, tray, set; all of them hold at once."""
    from indexer.selection import Selection

    state = view()
    rows = tray(opened()).rows if state.scope == "tray" else None
    return Selection(
        where=state.filter,
        map_id=state.map if state.polygon else "",
        polygon=state.polygon,
        topics_id=state.topics_run if state.topics else "",
        topics=state.topics,
        rows=rows,
        set_id=state.set,
        topics_version=state.topics_version if state.topics else "",
    )


def is_narrowed() -> bool:
    """Whether the pages look at less than the whole corpus."""
    state = view()
    return bool(state.filter or state.polygon or state.topics or state.scope or state.set)


def selected(opened: Opened) -> "Selected":
    """The passages that the pages look at; found once for all pages.

    Raises:
        Llm2CompError: the filter cannot be used, or the map, the topics or the set are gone.
    """
    from indexer.selection import select_rows

    asked = selection()
    key = (astuple(asked), state_beside(opened.collection.path))
    return derived(
        opened,
        "selected",
        key,
        lambda: select_rows(opened.searcher, asked, points=_unstored_points(opened, asked)),
        place="scope",
    )


def _unstored_points(opened: Opened, asked: "Selection") -> "MapPoints | None":
    """The points of the map that an outline lies on, where that map is stored nowhere; else None."""
    if not asked.polygon or asked.map_id:
        return None
    from app.map_session import draft_points

    return draft_points(opened)


def tray(opened: Opened) -> Tray:
    """What this session has put together out of the collection; begins with what the link brought."""
    uuid = opened.collection.settings.uuid
    trays = st.session_state.setdefault(TRAYS, {})
    if uuid not in trays:
        brought = add(Tray(), view().tray, Origin("link", version=opened.version))
        trays[uuid] = [brought]
    kept: Tray = trays[uuid][-1]
    in_link = kept.rows if len(kept) <= MOST_TRAY_ROWS else ()
    if view().tray != in_link:
        set_quietly(tray=in_link)
    return kept


def add_to_tray(opened: Opened, rows: Iterable[int], origin: Origin) -> None:
    """Puts passages into the tray; if they are too many, the next page says so and nothing is added."""
    try:
        _replace_tray(opened, add(tray(opened), rows, origin))
    except InputError as error:
        notice(f"{error.what}: {error.fix}.")
        return
    # What the tray holds is seen only when it is opened.
    st.toast(
        f"{plural(len(tray(opened)), 'passage')} in the tray, at the top of the page", icon=":material/inbox:"
    )


def remove_from_tray(opened: Opened, rows: Iterable[int]) -> None:
    """Takes passages out of the tray."""
    _replace_tray(opened, remove(tray(opened), rows))


def clear_tray(opened: Opened) -> None:
    """Empties the tray; pages that looked at it look at the whole corpus again."""
    _replace_tray(opened, Tray())
    if view().scope == "tray":
        change(scope="")


def can_undo_tray(opened: Opened) -> bool:
    """Whether there is an earlier tray."""
    tray(opened)
    return len(st.session_state[TRAYS][opened.collection.settings.uuid]) > 1


def undo_tray(opened: Opened) -> None:
    """The tray as it was before its last change."""
    if can_undo_tray(opened):
        st.session_state[TRAYS][opened.collection.settings.uuid].pop()


def _replace_tray(opened: Opened, after: Tray) -> None:
    if after != tray(opened):
        trays = st.session_state[TRAYS][opened.collection.settings.uuid]
        trays.append(after)
        del trays[:-_UNDO_STEPS]


def author() -> str:
    """Who changes things: the address that signed in, or the user of this machine when empty."""
    if mode.current().sign_in is None:
        return ""
    return str(st.user.get("email") or st.user.get("name") or st.user.get("sub") or "")


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
    # Held: a page asks for its version many times, and must not see two of them.
    searcher = Searcher(collection, LazyEncoder(collection)).held()
    return Opened(collection, searcher, version, collection.info())
