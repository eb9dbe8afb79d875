"""What people do to topics: rename, merge, split, give passages without a topic away; each goes to a named version."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from app import mode, session
from app.display import clean_for_display, one_line
from app.formats import count, plural
from app.rows import shorten
from app.topic_rows import LABEL_CHARS, NOISE, free_name, history, noise_gains, topic_name
from app.topic_session import exactly
from encoder.errors import Llm2CompError

if TYPE_CHECKING:
    from indexer.topics.current import CurrentTopics
    from indexer.topics.edits import Editor
    from indexer.topics.stored import StoredTopics, Topic

_VERSION, _LABEL, _MERGE, _PARTS, _CUT = "edit_version", "edit_label", "edit_merge", "edit_parts", "edit_cut"
_MOST_PARTS = 20
_SHOWN_EDITS = 12


def draw_edit(opened: session.Opened, current: "CurrentTopics", topic: "Topic") -> None:
    """Draws the three edits of a topic."""
    stored = current.stored
    _draw_version(opened, stored)
    own = f"{stored.id}_{topic.number}"  # what was typed for one topic never lands on another
    st.session_state.setdefault(f"{_LABEL}_{own}", one_line(topic.label))
    field, button = st.columns([3, 1], vertical_alignment="bottom")
    field.text_input("Name", key=f"{_LABEL}_{own}", max_chars=120)
    button.button(
        "Rename", key="rename", on_click=_rename, args=(opened, stored, topic.number), width="stretch"
    )
    field, button = st.columns([3, 1], vertical_alignment="bottom")
    field.multiselect(
        "Merge with",
        _others(stored, topic),
        key=f"{_MERGE}_{own}",
        format_func=lambda number: f"{number}: {shorten(topic_name(stored.topic(number)), LABEL_CHARS)}",
        placeholder="nearest first",
    )
    button.button("Merge", key="merge", on_click=_merge, args=(opened, stored, topic.number), width="stretch")
    field, button = st.columns([3, 1], vertical_alignment="bottom")
    field.number_input(
        "Split into parts",
        min_value=2,
        max_value=_MOST_PARTS,
        key=f"{_PARTS}_{own}",
        help="By k-means on its vectors; the largest part keeps the number.",
    )
    button.button("Split", key="split", on_click=_split, args=(opened, stored, topic.number), width="stretch")
    _draw_history(opened, stored)


def draw_give_away(opened: session.Opened, current: "CurrentTopics") -> None:
    """Draws what gives passages without a topic to the nearest one, with what that would do."""
    stored = current.stored
    _draw_version(opened, stored)
    numbers, cosines = _noise(opened, stored)
    cut = st.slider(
        "Least cosine to the centre of the nearest topic",
        0.0,
        1.0,
        round(float(np.median([topic.reach for topic in stored.topics] or [0.5])), 2),
        0.01,
        key=_CUT,
        help="Passages that are farther from every topic stay without one. It begins where 95 in 100 passages of a "
        "usual topic are nearer.",
    )
    goes = cosines >= np.float32(cut)
    st.text(f"{plural(int(goes.sum()), 'passage')} of {count(cosines.size)} would get a topic.")
    if goes.any():
        st.text(clean_for_display(f"Most to: {noise_gains(stored, numbers[goes])}"))
    st.button(
        f"Give {plural(int(goes.sum()), 'passage')} to the nearest topic",
        key="give_away",
        disabled=not goes.any(),
        on_click=_act,
        args=(opened, stored, lambda editor: editor.assign_noise(cut)),
    )
    _draw_history(opened, stored)


def _noise(opened: session.Opened, stored: "StoredTopics") -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Nearest topic int32 [n] and cosine float32 [n] of the passages without a topic."""
    from indexer.topics.edits import Editor

    def found() -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        return Editor(opened.searcher, stored).noise()[1:]

    return session.derived(
        opened, "noise of topics", (stored.id, stored.version, stored.edits), found, place="topics"
    )


def _others(stored: "StoredTopics", topic: "Topic") -> list[int]:
    near = [number for number, _ in topic.nearest if stored.topic(number)]
    return list(dict.fromkeys([*near, *(other.number for other in stored.topics if other is not topic)]))


def _draw_version(opened: session.Opened, stored: "StoredTopics") -> None:
    """Where the edits go: into the open version, or into a new one, whose name is asked for."""
    from indexer.topics.versions import list_versions

    if stored.version:
        st.text(clean_for_display(f"Edits go on in the version “{stored.version}”."))
        return
    taken = [version.name for version in list_versions(opened.collection, stored.id)]
    if not st.session_state.get(_VERSION):
        st.session_state[_VERSION] = free_name(taken)
    st.text_input(
        "Edits go to a new version",
        key=_VERSION,
        max_chars=60,
        help="The topics as they were found stay; a version lies beside them, and can be made current.",
    )


def _draw_history(opened: session.Opened, stored: "StoredTopics") -> None:
    from indexer.topics.versions import read_version

    if not stored.version:
        return
    lines = history(read_version(opened.collection, stored.id, stored.version))
    with st.expander(f"Edits of this version ({count(stored.edits)})", key="edit_history"):
        for line in lines[:_SHOWN_EDITS]:
            st.text(clean_for_display(line))
        if len(lines) > _SHOWN_EDITS:
            st.caption(f"and {count(len(lines) - _SHOWN_EDITS)} earlier ones")


def _rename(opened: session.Opened, seen: "StoredTopics", number: int) -> None:
    label = str(st.session_state[f"{_LABEL}_{seen.id}_{number}"])
    _act(opened, seen, lambda editor: editor.rename(number, label))


def _merge(opened: session.Opened, seen: "StoredTopics", number: int) -> None:
    others = st.session_state[f"{_MERGE}_{seen.id}_{number}"]
    _act(opened, seen, lambda editor: editor.merge([number, *others]))


def _split(opened: session.Opened, seen: "StoredTopics", number: int) -> None:
    parts = int(st.session_state[f"{_PARTS}_{seen.id}_{number}"] or 0)
    _act(opened, seen, lambda editor: editor.split(number, parts))


def _act(opened: session.Opened, seen: "StoredTopics", edit: "Callable[[Editor], StoredTopics]") -> None:
    """Does an edit on what the page showed when the button was drawn, so that it never hides another's edit."""
    from indexer.topics.edits import Editor

    name = "" if seen.version else str(st.session_state.get(_VERSION, ""))
    try:
        mode.check_writable("edit topics")
        after = edit(Editor(opened.searcher, seen, name, session.author()))
    except Llm2CompError as error:
        session.notice(f"Not done: {error.what}; {error.fix}.")
        return
    st.session_state.pop(_VERSION, None)
    _forget_typed(after)
    kept = tuple(number for number in session.view().topics if number == NOISE or after.topic(number))
    session.change(topics=kept, **exactly(after))


def _forget_typed(after: "StoredTopics") -> None:
    """Names that were typed before an edit give way to the names after it."""
    for key in [key for key in st.session_state if str(key).startswith((f"{_LABEL}_{after.id}", _MERGE))]:
        del st.session_state[key]
