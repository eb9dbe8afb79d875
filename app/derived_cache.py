"""What was worked out of a version of a collection, kept for all sessions; what is large has places of its own.

One page cannot push out what another has: each has its own places, and small answers (lists, labels, counts) never
compete with arrays of a number a passage.
"""

from collections.abc import Callable, Hashable
from typing import Any

import streamlit as st

# Kinds with a number or more for every passage, by the page that makes them; every other kind is small.
_LARGE = {
    "map": {"map", "map colours", "map labels", "map titles", "phrase table", "column counts"},
    "topics": {"topics shown", "example topics", "noise of topics"},
    "health": {"known items", "transform", "side by side"},
    "scope": {"selected"},
}
_PAGE_OF = {name: page for page, names in _LARGE.items() for name in names}
_LARGE_PLACES, _SMALL_PLACES = 12, 200


def kept(path: str, uuid: str, version: int, name: str, key: Hashable, make: Callable[[], Any]) -> Any:
    """What `make` returns, made once for equal arguments; what it raises is not kept.

    Args:
        path: of the collection.
        uuid: of the collection.
        version: published.
        name: of the kind.
        key: whatever else decides it.
        make: called when there is none yet.
    """
    page = "health" if name.startswith("health") else _PAGE_OF.get(name, "")
    return _CACHES[page](path, uuid, version, name, key, make)


@st.cache_resource(max_entries=_LARGE_PLACES, show_spinner=False)
def _of_map(path: str, uuid: str, version: int, name: str, key: Hashable, _make: Callable[[], Any]) -> Any:
    return _make()


@st.cache_resource(max_entries=_LARGE_PLACES, show_spinner=False)
def _of_topics(path: str, uuid: str, version: int, name: str, key: Hashable, _make: Callable[[], Any]) -> Any:
    return _make()


@st.cache_resource(max_entries=_LARGE_PLACES, show_spinner=False)
def _of_health(path: str, uuid: str, version: int, name: str, key: Hashable, _make: Callable[[], Any]) -> Any:
    return _make()


@st.cache_resource(max_entries=_LARGE_PLACES, show_spinner=False)
def _of_scope(path: str, uuid: str, version: int, name: str, key: Hashable, _make: Callable[[], Any]) -> Any:
    return _make()


@st.cache_resource(max_entries=_SMALL_PLACES, show_spinner=False)
def _small(path: str, uuid: str, version: int, name: str, key: Hashable, _make: Callable[[], Any]) -> Any:
    return _make()


_CACHES: dict[str, Callable[..., Any]] = {
    "map": _of_map,
    "topics": _of_topics,
    "health": _of_health,
    "scope": _of_scope,
    "": _small,
}
