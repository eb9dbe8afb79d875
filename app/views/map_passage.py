"""The passage picked on the map: its text in full, how far its place can be trusted, and its nearest in meaning."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from app import session
from app.display import SHOWN_CHARS, one_line
from app.formats import percent, plural
from app.map_selection import places_of
from app.map_session import OpenMap, near_rows, topic_numbers
from app.map_session import has_topics as has_topics_of
from app.marked_text import marked_text, marked_title
from app.questions import shown_words
from app.rows import metadata_rows, pieces, query_words
from app.theme import DENSE_HELP
from app.topic_rows import passages
from app.tray import Origin
from encoder.errors import Llm2CompError

_ROW_PX, _HEADER_PX = 35, 38
_TRUST_HELP = (
    "Of its 15 nearest in meaning, the share that is among its 15 nearest on the map. Unknown where a quick map did not "
    "measure it, and for points placed later."
)


@dataclass(frozen=True, slots=True)
class Picked:
    """The passage that the view names.

    Attributes:
        row: its row id.
        passage_id: as the view names it.
        title: of its document; hostile.
    """

    row: int
    passage_id: str
    title: str


def picked_row(opened: session.Opened) -> Picked | None:
    """The picked passage; None where none is, or it was deleted since."""
    name = session.view().row
    if not name:
        return None
    row = opened.searcher.row_ids_of([name]).get(name)
    if row is None:
        return None
    title = opened.searcher.snapshot.store.take(np.array([row], np.uint64), ["title"])["title"].to_pylist()[0]
    return Picked(row, name, one_line(title or ""))


def draw_passage(opened: session.Opened, shown: OpenMap, picked: Picked) -> None:
    """Draws the panel."""
    row = opened.searcher.snapshot.store.take(
        np.array([picked.row], np.uint64), ["doc_id", "char_start", "char_end"]
    ).to_pylist()[0]
    document = opened.searcher.document(row["doc_id"])
    span = (row["char_start"], row["char_end"])
    words = query_words(shown_words(session.view()))
    with st.container(border=True, key="map_passage"):
        marked_title(picked.title or "(no title)", words, key="map_title")
        st.text(_place_line(opened, shown, picked.row), help=_TRUST_HELP)
        is_long = len(document.text) > SHOWN_CHARS
        show_all = is_long and st.toggle(
            f"Show the whole text ({plural(len(document.text), 'character')})", key="map_show_all"
        )
        marked_text(pieces(document.text, span, words, None if show_all else SHOWN_CHARS), key="map_text")
        _draw_actions(opened, picked)
        near, fields = st.tabs(["Nearest in meaning", "Fields"])
        with near:
            _draw_near(opened, picked)
        with fields:
            st.dataframe(
                pd.DataFrame(metadata_rows(document.metadata), columns=["field", "value"]),
                key="map_fields",
                hide_index=True,
                height="content",
            )


def _place_line(opened: session.Opened, shown: OpenMap, row: int) -> str:
    points = shown.points
    found = places_of(points.row_ids, [row])
    if not found:
        return "It has no point on this map."
    number = found[0][1]
    trust = float(points.trust[number])
    parts = ["trust not known" if np.isnan(trust) else f"trust {percent(trust)}"]
    if points.is_placed[number]:
        parts.append("placed after the map was made")
    if has_topics_of(opened):
        topics, names = topic_numbers(opened, points.row_ids[number : number + 1])
        topic = int(topics[0])
        parts.append("in no topic" if topic < 0 else f"topic: {one_line(names.get(topic, str(topic)))}")
    line = " · ".join(parts)
    return line[0].upper() + line[1:]


def _draw_actions(opened: session.Opened, picked: Picked) -> None:
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Add to tray",
            icon=":material/inbox:",
            key="map_passage_tray",
            disabled=picked.row in session.tray(opened).entries,
            on_click=session.add_to_tray,
            args=(opened, [picked.row], Origin("row", version=opened.version)),
        )
        st.button(
            "Similar to this",
            icon=":material/hub:",
            key="map_similar",
            on_click=session.change,
            kwargs={"like": picked.passage_id, "query": "", "more": (), "less": ()},
            help="Search with this passage instead of a query.",
        )
        st.button(
            "Close",
            icon=":material/close:",
            key="map_close",
            on_click=session.change,
            kwargs={"row": "", "page": 1},
        )


def _draw_near(opened: session.Opened, picked: Picked) -> None:
    try:
        near = near_rows(opened, picked.passage_id)
    except Llm2CompError as error:
        st.text(one_line(error.what))
        return
    if not near:
        st.text("There is no other document.")
        return
    rows = passages(opened.searcher.snapshot, np.array([row for row, _ in near], np.uint64))
    key = f"map_near_{abs(hash(picked.passage_id))}"
    st.dataframe(
        pd.DataFrame(
            [{"score": value, "title": row["title"]} for row, (_, value) in zip(rows, near, strict=True)]
        ),
        key=key,
        hide_index=True,
        on_select=lambda: _pick_near(key, [row["id"] for row in rows]),
        selection_mode="single-row",
        height=_HEADER_PX + _ROW_PX * len(rows),
        column_config={
            "score": st.column_config.NumberColumn("Score", format="%.3f", width=60, help=DENSE_HELP),
            "title": st.column_config.TextColumn("Title", width=300),
        },
    )
    if not session.view().query and not session.view().like:
        st.caption("The rings on the map are these, by rank. A row picked here is shown instead.")


def _pick_near(key: str, ids: list[str]) -> None:
    rows = st.session_state[key].selection.rows
    if rows and rows[0] < len(ids):
        session.change(row=ids[rows[0]], page=session.view().page)
