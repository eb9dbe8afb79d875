"""The tray in the bar above every page: a button with a count, that opens what it holds and what can be done with it."""

from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from app import library, mode, session
from app.display import clean_for_display, one_line
from app.formats import count, plural
from app.map_session import view_around
from app.selection_file import SELECTION_FILES, file_stem, selection_file
from app.theme import TRAY_HELP
from app.tray import MOST_ROWS, Origin, Tray
from app.tray_rows import live_rows, origins_by_row, set_items, summary, tray_table
from app.view_state import WHOLE
from app.views.link_dialog import link_here
from encoder.errors import Llm2CompError
from indexer.selection import Selection

_SHOWN_ROWS = 200
_PANEL_PX = 480  # all that can be done in two lines
_SET_NAME = "tray_set_name"


def draw_tray() -> None:
    """Draws the button and its panel for the collection of the view; nothing where none can be opened."""
    if not library.known():
        return
    try:
        opened = session.opened()
        tray = session.tray(opened)
        _draw_panel(opened, tray)
    except Llm2CompError:
        return  # the page itself says what is wrong


def _draw_panel(opened: session.Opened, tray: Tray) -> None:
    page = st.session_state.get(session.SHOWN, "")  # in the key, so that what leads to another page closes it
    with (
        st.popover(f"Tray · {count(len(tray))}", icon=":material/inbox:", key=f"open_tray_{page}"),
        st.container(key="tray_panel", width=_PANEL_PX),
    ):
        if not tray:
            st.caption(TRAY_HELP)
        else:
            _draw_content(opened, tray)
        if session.can_undo_tray(opened):
            st.button(
                "Undo", icon=":material/undo:", key="tray_undo", on_click=session.undo_tray, args=(opened,)
            )
        _draw_sets(opened)


def _draw_content(opened: session.Opened, tray: Tray) -> None:
    snapshot = opened.searcher.snapshot
    gone = len(tray) - len(live_rows(snapshot, tray.rows))
    if gone:
        st.caption(f"{count(gone)} of them were deleted from the corpus since; they stay listed.")
    for line in summary(tray)[:5]:
        st.text(line)
    shown = tray.rows[:_SHOWN_ROWS]
    event = st.dataframe(
        pd.DataFrame(tray_table(snapshot, tray, shown)),
        key=f"tray_rows_{abs(hash(shown))}",
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        height=240,
        column_config={
            "title": st.column_config.TextColumn("Passage of", width=250),
            "how": st.column_config.TextColumn("How it got here", width=180),
        },
    )
    if len(tray) > len(shown):
        st.caption(f"The first {count(len(shown))} of {count(len(tray))}.")
    picked = [shown[place] for place in event.selection.rows if place < len(shown)]
    _draw_actions(opened, picked)
    _draw_export(opened, tray)
    if not mode.current().is_read_only:
        _draw_save(opened)


def _draw_actions(opened: session.Opened, picked: list[int]) -> None:
    with st.container(horizontal=True):
        if session.view().scope == "tray":
            st.button("Look at everything", key="tray_leave", on_click=session.change, kwargs={"scope": ""})
        else:
            st.button(
                "Search in it",
                icon=":material/search:",
                key="tray_search",
                on_click=session.go,
                args=("search",),
                kwargs={"scope": "tray"},
                help="All pages then look at these passages only.",
            )
        st.button("Map it", key="tray_map", on_click=_map_it, args=(opened,))
        st.button(
            "Diagnose it",
            key="tray_health",
            on_click=session.go,
            args=("health",),
            kwargs={"scope": "tray"},
        )
        st.button(
            "Remove picked",
            key="tray_remove",
            disabled=not picked,
            on_click=session.remove_from_tray,
            args=(opened, picked),
        )
        st.button(
            "Clear", icon=":material/delete:", key="tray_clear", on_click=session.clear_tray, args=(opened,)
        )


def _map_it(opened: session.Opened) -> None:
    session.go("map", scope="tray", map_view=view_around(opened, session.tray(opened).rows))


def _draw_export(opened: session.Opened, tray: Tray) -> None:
    st.caption("Export; zip holds parquet and jsonl with a README on where they come from.")
    with st.container(horizontal=True, key="tray_export"):
        chosen = Selection(rows=tray.rows)
        stem = file_stem(session.corpus_key(), chosen, len(tray), what="tray")
        origins = origins_by_row(tray)
        link = link_here(opened, replace(session.view(), **WHOLE | {"scope": "tray"}))
        for ending, mime in SELECTION_FILES.items():
            st.download_button(
                ending,
                icon=":material/download:",
                data=partial(
                    selection_file, opened.collection, chosen, f"{stem}.{ending}", link=link, origins=origins
                ),
                file_name=f"{stem}.{ending}",
                mime=mime,
                key=f"tray_export_{ending}",
                on_click="ignore",
            )


def _draw_save(opened: session.Opened) -> None:
    name, save = st.columns([3, 2], vertical_alignment="bottom")
    name.text_input("Save as a set", key=_SET_NAME, placeholder="name", max_chars=200)
    save.button("Save", key="tray_save", on_click=_save, args=(opened,), width="stretch")


def _save(opened: session.Opened) -> None:
    from indexer.annotations.sets import save_set

    try:
        mode.check_writable("save sets")
        items = set_items(opened.searcher.snapshot, session.tray(opened))
        name = st.session_state[_SET_NAME]
        save_set(opened.collection, name, items, version=opened.version, author=session.author())
    except Llm2CompError as error:
        session.notice(f"Not saved: {error.what}; {error.fix}.")
        return
    st.session_state[_SET_NAME] = ""
    session.notice(f"Saved {plural(len(items), 'passage')} as a set, for everybody who opens this corpus.")


def _draw_sets(opened: session.Opened) -> None:
    from indexer.annotations.sets import NamedSet, list_sets

    sets = {found.id: found for found in list_sets(opened.collection)}
    if not sets:
        return

    def shown(identifier: str) -> str:
        found: NamedSet = sets[identifier]
        return f"{one_line(found.name)} ({count(len(found.items))})"

    picked = st.selectbox(
        "Saved sets", list(sets), index=None, format_func=shown, key="tray_sets", placeholder="choose one"
    )
    if picked is None:
        return
    st.text(clean_for_display(f"by {sets[picked].author}, {sets[picked].at[:10]}"))
    with st.container(horizontal=True):
        st.button("Look at it", key="tray_look", on_click=session.change, kwargs={"set": picked, "scope": ""})
        st.button("Add to tray", key="tray_open", on_click=_open_set, args=(opened, sets[picked]))
        if not mode.current().is_read_only:
            st.button("Delete the set", key="tray_delete_set", on_click=_delete_set, args=(opened, picked))


def _delete_set(opened: session.Opened, identifier: str) -> None:
    from indexer.annotations.sets import remove_set

    try:
        mode.check_writable("delete sets")
        remove_set(opened.collection, identifier, author=session.author())
    except Llm2CompError as error:
        session.notice(f"Not deleted: {error.what}; {error.fix}.")
        return
    if session.view().set == identifier:
        session.change(set="")


def _open_set(opened: session.Opened, found: Any) -> None:
    from indexer.selection import rows_of_set

    rows, missing = rows_of_set(opened.searcher.snapshot, found)
    origin = Origin("set", found.name, found.version)
    session.add_to_tray(opened, [int(row) for row in rows][:MOST_ROWS], origin)
    if missing:
        session.notice(f"{plural(missing, 'passage')} of the set were deleted from the corpus since.")
