"""What was worked out of a version of a collection, kept for all sessions; what is large has places of its own.

One page cannot push out what another has: each has its own places, and small answers (lists, labels, counts) never
compete with arrays of a number a passage.
"""

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from indexer.annotations.journal import VIEWS_FOLDER
from indexer.collection import DERIVED_FOLDER

# A page, for what has a number or more for every passage; everything else is small.
Place = Literal["map", "topics", "health", "scope", "small"]
_LARGE_PLACES, _SMALL_PLACES = 12, 200


def kept(
    path: str, uuid: str, version: int, name: str, key: Hashable, make: Callable[[], Any], *, place: Place
) -> Any:
    """What `make` returns, made once for equal arguments; what it raises is not kept.

    Args:
        path: of the collection.
        uuid: of the collection.
        version: published.
        name: of the kind.
        key: whatever else decides it.
        make: called when there is none yet.
        place: whose places it takes.
    """
    return _CACHES[place](path, uuid, version, name, key, make)


def state_beside(path: Path) -> tuple[tuple[str, int], ...]:
    """What tells apart what lies beside the rows and changes without a new version: tags, sets, edits, maps, topics."""
    try:
        journals = [(file.name, file.stat().st_size) for file in (path / VIEWS_FOLDER).glob("*.jsonl")]
        builds = [(folder.name, 0) for folder in (path / DERIVED_FOLDER).glob("*-*")]
    except OSError:  # replaced at this moment
        return ()
    return tuple(sorted(journals + builds))


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


_CACHES: dict[Place, Callable[..., Any]] = {
    "map": _of_map,
    "topics": _of_topics,
    "health": _of_health,
    "scope": _of_scope,
    "small": _small,
}
