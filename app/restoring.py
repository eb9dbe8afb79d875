"""What a link names and the collection no longer has: said in a sentence each, and left out of the view."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.formats import count
from app.view_state import ViewState
from encoder.errors import Llm2CompError
from indexer.annotations.sets import read_set
from indexer.collection import Collection
from indexer.derived import read_build
from indexer.topics.versions import AUTOMATIC_NAME, read_version

_NAME_CHARS = 80


@dataclass(frozen=True, slots=True)
class Loss:
    """One thing that cannot be had again.

    Attributes:
        sentence: for people; it may quote what is not ours.
        fields: of the view, with what takes their place.
    """

    sentence: str
    fields: dict[str, Any]


def losses(collection: Collection, version: int, state: ViewState) -> list[Loss]:
    """What of a view the collection has not.

    Args:
        collection: that the view is of.
        version: published now.
        state: out of a link.
    """
    found = []
    if state.version not in (0, version):
        sentence = f"This link was made of version {count(state.version)}; you see version {count(version)}."
        found.append(Loss(sentence, {"version": 0}))
    if state.map and _is_gone(lambda: read_build(collection, "map", state.map)):
        # An outline means something on its own map only.
        fields = {"map": "", "polygon": (), "map_view": ()}
        outline = ", and its outline with it" if state.polygon else ""
        found.append(Loss(f"The map of this link, {state.map}, is gone{outline}.", fields))
    if state.topics_run and _is_gone(lambda: read_build(collection, "topics", state.topics_run)):
        fields = {"topics_run": "", "topics_version": "", "topics": ()}
        found.append(Loss(f"The topics of this link, {state.topics_run}, are gone.", fields))
    elif _has_lost_version(collection, state):
        # Its numbers may mean other topics in another version.
        sentence = (
            f"The version of the topics of this link, {state.topics_version[:_NAME_CHARS]!r}, is gone: "
            "you see them as they were found."
        )
        found.append(Loss(sentence, {"topics_version": AUTOMATIC_NAME, "topics": ()}))
    for name in ("by", "over"):
        column = getattr(state, name)
        if column and column not in collection.settings.columns:
            sentence = (
                f"The column of this link, {column[:_NAME_CHARS]!r}, is gone: the page Topics shows another."
            )
            found.append(Loss(sentence, {name: ""}))
    if state.set and _is_gone(lambda: read_set(collection, state.set)):
        found.append(Loss(f"The saved set of this link, {state.set}, is gone.", {"set": ""}))
    return found


def _has_lost_version(collection: Collection, state: ViewState) -> bool:
    """Whether the view names an edited version of its topics that is no longer there."""
    run, version = state.topics_run, state.topics_version
    return (
        bool(run) and version not in ("", AUTOMATIC_NAME) and not read_version(collection, run, version).edits
    )


def _is_gone(read: Callable[[], object]) -> bool:
    try:
        read()
    except Llm2CompError:
        return True
    return False
