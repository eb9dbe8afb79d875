"""One topic in full: its numbers, its passages, its key phrases, its neighbours, and what can be done with it."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app import mode, session
from app.display import SHOWN_CHARS, clean_for_display, esc_md
from app.formats import count, percent, plural, score
from app.selection_file import SELECTION_FILES, file_stem, selection_file
from app.topic_rows import closeness_of, passages, renamed_by, sizes, topic_name
from app.topic_session import exactly, of_topic, picked_number, within
from app.tray import Origin
from app.view_state import WHOLE
from app.views.link_dialog import link_here
from app.views.topics_edit import draw_edit, draw_give_away
from app.views.topics_table import TOPIC_HELP

if TYPE_CHECKING:
    from indexer.topics.current import CurrentTopics
    from indexer.topics.stored import Topic

_SHOWN = 200
_LIST_PX = 300
_KINDS = {"central": "Most central", "exemplars": "Unlike each other", "misfits": "Hardly fitting"}
_KIND_HELP = (
    "Most central: by falling cosine to the centre of the topic. Unlike each other: central passages whose texts "
    "differ. Hardly fitting: passages that another topic claims almost as much."
)
_PAGES = (("map", "Map it", ":material/scatter_plot:"), ("search", "Search in it", ":material/search:"))


def draw_topic(opened: session.Opened, current: "CurrentTopics") -> None:
    """Draws the picked topic, or the first of the table."""
    number = picked_number(current)
    topic = current.stored.topic(number)
    with st.container(border=True, key="topic"):
        st.subheader(esc_md(topic_name(topic)), anchor=False)
        _draw_origin(opened, current, topic)
        _draw_numbers(current, number, topic)
        rows = _members(opened, current, number)
        _draw_actions(opened, current, number, rows)
        names = ["Passages"] if topic is None else ["Passages", "Key phrases", "Near topics"]
        tabs = st.tabs(names if mode.current().is_read_only else [*names, "Edit"])
        with tabs[0]:
            _draw_passages(opened, current, topic, rows)
        if topic is not None:
            with tabs[1]:
                _draw_phrases(topic)
            with tabs[2]:
                _draw_near(current, topic)
        if not mode.current().is_read_only:
            with tabs[-1]:
                if topic is None:
                    draw_give_away(opened, current)
                else:
                    draw_edit(opened, current, topic)


def _draw_origin(opened: session.Opened, current: "CurrentTopics", topic: "Topic | None") -> None:
    from indexer.topics.versions import read_version

    if topic is None:
        st.caption(
            "Passages that belong to no topic: too far from the dense regions, or without a direction."
        )
    elif topic.label != topic.automatic_label:
        stored = current.stored
        who = renamed_by(read_version(opened.collection, stored.id, stored.version), topic.number)
        st.text(clean_for_display(f"Found as: {topic.automatic_label}" + (f" · {who}" if who else "")))


def _draw_numbers(current: "CurrentTopics", number: int, topic: "Topic | None") -> None:
    size = sizes(current).get(number, 0)
    share = size / max(1, current.row_ids.size)
    with st.container(horizontal=True, gap="medium"):
        st.metric("Passages", count(size), help=TOPIC_HELP["passages"], width="content")
        st.metric("Share", percent(share), help=TOPIC_HELP["share"], width="content")
        if topic is None:
            return
        st.metric("Cohesion", score(topic.cohesion), help=TOPIC_HELP["cohesion"], width="content")
        st.metric("Stability", score(topic.stability), help=TOPIC_HELP["stability"], width="content")


def _members(opened: session.Opened, current: "CurrentTopics", number: int) -> NDArray[np.uint64]:
    """Row ids uint64 [n] of the topic within what the pages look at, most central first."""
    members = current.members(number)
    looked_at = within(opened)
    return members if looked_at is None else members[np.isin(members, looked_at)]


def _draw_actions(
    opened: session.Opened, current: "CurrentTopics", number: int, rows: NDArray[np.uint64]
) -> None:
    stored = current.stored
    named = {**exactly(stored), "topics": (number,)}
    pages = (*_PAGES, ("health", "Diagnose it", ":material/monitor_heart:"))
    with st.container(horizontal=True, gap="xsmall"):
        for page, label, icon in pages:
            if page in st.session_state.get(session.PAGES, {}):
                st.button(
                    label, icon=icon, key=f"topic_{page}", on_click=session.go, args=(page,), kwargs=named
                )
        origin = Origin("topic", topic_name(stored.topic(number)), opened.version)
        st.button(
            "Add to tray",
            icon=":material/inbox:",
            key="topic_tray",
            disabled=not rows.size,
            on_click=session.add_to_tray,
            args=(opened, rows.tolist(), origin),
        )
        with st.popover("Export", icon=":material/download:", key="topic_export"):
            chosen = of_topic(stored, number)
            size = int(np.count_nonzero(current.numbers == number))
            stem = file_stem(session.corpus_key(), chosen, size)
            link = link_here(opened, replace(session.view(), **WHOLE | named))
            for ending, media in SELECTION_FILES.items():
                name = f"{stem}.{ending}"
                st.download_button(
                    ending,
                    data=partial(selection_file, opened.collection, chosen, name, link=link),
                    file_name=name,
                    mime=media,
                    key=f"topic_export_{ending}",
                    on_click="ignore",
                    width="stretch",
                )
            st.caption("The whole topic; zip holds parquet and jsonl with a README on where they come from.")


def _draw_passages(
    opened: session.Opened, current: "CurrentTopics", topic: "Topic | None", rows: NDArray[np.uint64]
) -> None:
    kind = "central"
    if topic is not None:
        kind = (
            st.segmented_control(
                "Which",
                list(_KINDS),
                default="central",
                key="topic_kind",
                format_func=_KINDS.__getitem__,
                help=_KIND_HELP,
                label_visibility="collapsed",
            )
            or "central"
        )
        if kind != "central":
            wanted = np.array(getattr(topic, kind), np.uint64)
            rows = wanted[np.isin(wanted, rows)]
    if not rows.size:
        st.text("None within what the bar above says." if session.is_narrowed() else "None.")
        return
    shown = rows[:_SHOWN]
    _draw_list(opened, current, shown, f"{current.stored.id}_{kind}")
    if rows.size > shown.size:
        st.caption(f"The first {count(shown.size)} of {plural(rows.size, 'passage')}.")


def _draw_list(
    opened: session.Opened, current: "CurrentTopics", shown: NDArray[np.uint64], name: str
) -> None:
    found = passages(opened.searcher.snapshot, shown)
    closeness = closeness_of(current, shown)
    frame = pd.DataFrame(
        {
            "closeness": closeness,
            "title": [row["title"] for row in found],
        }
    )
    event = st.dataframe(
        frame,
        key=f"topic_passages_{name}_{abs(hash(shown.tobytes()))}",
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        height=min(_LIST_PX, 38 + 35 * shown.size),
        alt="Passages of the topic",
        column_config={
            "closeness": st.column_config.NumberColumn(
                "Cosine", width=60, format="%.3f", help="Cosine to the centre of the topic."
            ),
            "title": st.column_config.TextColumn("Passage of"),
        },
    )
    places = [place for place in event.selection.rows if place < shown.size]
    if not places:
        st.caption("Tick passages to read one or to put some into the tray.")
        return
    _draw_picked(opened, [int(shown[place]) for place in places], found[places[0]])


def _draw_picked(opened: session.Opened, rows: list[int], first: dict[str, str]) -> None:
    with st.container(horizontal=True):
        st.button(
            f"Add {plural(len(rows), 'passage')} to tray",
            icon=":material/inbox:",
            key="topic_tray_picked",
            on_click=session.add_to_tray,
            args=(opened, rows, Origin("row", version=opened.version)),
        )
        st.button(
            "Similar to this",
            icon=":material/hub:",
            key="topic_similar",
            on_click=session.go,
            args=("search",),
            kwargs={"like": first["id"], "topics": ()},
            help="Search the corpus with the first picked passage instead of a query.",
        )
    text = clean_for_display(first["text"])
    with st.container(height=260, key="topic_text"):
        st.text(text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]} …")


def _draw_phrases(topic: "Topic") -> None:
    if not topic.keyphrases:
        st.text("No phrase is more frequent here than elsewhere.")
        return
    frame = pd.DataFrame(topic.keyphrases, columns=["phrase", "weight"])
    frame["phrase"] = [clean_for_display(phrase) for phrase in frame["phrase"]]
    st.dataframe(
        frame,
        key="topic_phrases",
        hide_index=True,
        height="content",
        alt="Key phrases of the topic with their weights",
        column_config={
            "phrase": st.column_config.TextColumn("Key phrase"),
            "weight": st.column_config.ProgressColumn(
                "Weight",
                format="%.2f",
                max_value=max(float(frame["weight"].max()), 1e-9),
                help="High for phrases that are frequent in this topic and rare in the others.",
            ),
        },
    )


def _draw_near(current: "CurrentTopics", topic: "Topic") -> None:
    near = [(number, cosine) for number, cosine in topic.nearest if current.stored.topic(number)]
    if not near:
        st.text("There is no other topic.")
        return
    numbers = [number for number, _ in near]
    labels = [topic_name(current.stored.topic(number)) for number in numbers]
    frame = pd.DataFrame({"cosine": [cosine for _, cosine in near], "label": labels})
    key = f"topic_near_{current.stored.id}_{topic.number}"
    st.dataframe(
        frame,
        key=key,
        hide_index=True,
        on_select=partial(_take_near, key, numbers, exactly(current.stored)),
        selection_mode=["single-row", "single-cell"],
        height="content",
        alt="Nearest topics",
        column_config={
            "label": st.column_config.TextColumn("Topic"),
            "cosine": st.column_config.NumberColumn(
                "Cosine", width=72, format="%.3f", help="Between the centres of the two topics."
            ),
        },
    )
    st.caption("Click one to go to it.")


def _take_near(key: str, numbers: list[int], run: dict[str, str]) -> None:
    chosen = st.session_state[key].selection
    places = [row for row, _ in chosen.cells] + list(chosen.rows)
    if places and places[0] < len(numbers):
        session.change(topics=(numbers[places[0]],), **run)
