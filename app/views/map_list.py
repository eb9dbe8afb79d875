"""Beside the map: the passages that were chosen, what sets them apart, and what can be done with them.

The list is the way for those who do not use the map by hand: picking a line is picking its point.
"""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app import session
from app.display import clean_for_display
from app.formats import count, plural
from app.map_chosen import MOST_TYPICAL_OF, column_lines, key_phrases, typical_rows
from app.map_session import OpenMap, exportable
from app.questions import shown_words
from app.rows import TITLE_CHARS, query_words, shorten, snippet
from app.selection_file import SELECTION_FILES, file_stem, selection_file
from app.theme import HIT_ROW_PX, SCORE_HELP
from app.topic_rows import passages
from app.tray import MOST_ROWS, Origin
from app.views.link_dialog import link_here
from encoder.errors import Llm2CompError
from indexer.hits import SearchResult

_SHOWN = 200
_SEED = "map_list_seed"  # what the list began with, and what was picked in it since
_HEADER_PX, _LIST_PX = 38, 542  # seven passages
_LIST_WIDTHS = (
    360,
    255,
)  # of the titles: alone, and beside rank and score; only a column of known width wraps
_MOST_BY_ROWS = 100_000  # passages that a file is made of row by row
_NOTHING = (
    "Draw an outline with Lasso or Box (or Shift and drag) to see what is inside, click a point to read it, "
    "or ask above where something is."
)


def draw_list(opened: session.Opened, shown: OpenMap, result: SearchResult | None) -> None:
    """Draws what was chosen: by outline, filter, topics, tray or set, else the hits; and a list of it."""
    is_narrowed = session.is_narrowed()
    try:
        rows = _chosen(opened, result)
    except Llm2CompError as error:
        st.text(clean_for_display(error.what))  # the bar above the page says the same
        return
    is_chosen = is_narrowed or result is not None
    with st.container(key="map_list"):
        st.subheader(_heading(rows.size, result), anchor=False)
        if not is_chosen:
            st.text(_NOTHING)
        elif not rows.size:
            st.text("No passage is left. Take something off above, or draw another outline.")
            return
        else:
            _draw_phrases(opened, rows)
            _draw_actions(opened, shown, rows, were_found=not is_narrowed)
        if result is not None:
            _draw_hits(result)
        else:
            _draw_typical(opened, rows)
        _draw_columns(opened, rows)


def _chosen(opened: session.Opened, result: SearchResult | None) -> NDArray[np.uint64]:
    """Row ids uint64 [n], ascending: what the pages look at; of the whole corpus the hits, where there are any."""
    if session.is_narrowed():
        return session.selected(opened).row_ids
    if result is not None:
        return np.array(sorted(set(result.row_ids)), np.uint64)
    return opened.searcher.snapshot.row_ids()


def _heading(size: int, result: SearchResult | None) -> str:
    view = session.view()
    if view.polygon:
        return f"{plural(size, 'passage')} inside the outline"
    if session.is_narrowed():
        return f"{plural(size, 'passage')} chosen"
    return plural(len(result.hits), "hit") if result is not None else f"All {plural(size, 'passage')}"


def _draw_phrases(opened: session.Opened, rows: NDArray[np.uint64]) -> None:
    with st.spinner("Counting words …"):
        phrases = key_phrases(opened, rows)
    if rows.size >= opened.searcher.snapshot.rows:
        return
    st.caption(
        "Said more often here than elsewhere",
        help="Words and phrases that these passages hold more often than all passages do, most telling first. Of more "
        "than 2 000 passages a sample is read.",
    )
    st.text(clean_for_display(", ".join(phrases)) if phrases else "Nothing sets them apart by their words.")


def _draw_actions(
    opened: session.Opened, shown: OpenMap, rows: NDArray[np.uint64], *, were_found: bool
) -> None:
    view = session.view()
    origin = (
        Origin("query", view.query, opened.version) if were_found else Origin("polygon", "", opened.version)
    )
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Add to tray",
            key="map_tray",
            disabled=rows.size > MOST_ROWS,
            help=f"The tray holds at most {count(MOST_ROWS)} passages." if rows.size > MOST_ROWS else None,
            on_click=session.add_to_tray,
            args=(opened, rows.tolist() if rows.size <= MOST_ROWS else [], origin),
        )
        for page, label in (("search", "Search in it"), ("health", "Diagnose it")):
            if page in st.session_state.get(session.PAGES, {}) and not were_found:
                st.button(label, key=f"map_{page}", on_click=session.go, args=(page,))
        _draw_export(opened, shown, rows, were_found=were_found)


def _draw_export(
    opened: session.Opened, shown: OpenMap, rows: NDArray[np.uint64], *, were_found: bool
) -> None:
    with st.popover("Export", key="map_export"):
        by_rows = were_found or shown.is_draft
        if by_rows and rows.size > _MOST_BY_ROWS:
            st.text(f"More than {count(_MOST_BY_ROWS)} passages: make a map that is kept, then export.")
            return
        asked = exportable(shown, rows.tolist() if by_rows else (), were_found=were_found)
        view = session.view()
        stem = file_stem(session.corpus_key(), asked, int(rows.size), what=view.query if were_found else "")
        link = link_here(opened, view)
        for ending, media in SELECTION_FILES.items():
            name = f"{stem}.{ending}"
            st.download_button(
                ending,
                data=partial(selection_file, opened.collection, asked, name, link=link),
                file_name=name,
                mime=media,
                key=f"map_export_{ending}",
                on_click="ignore",
                width="stretch",
            )
        st.caption("zip holds parquet and jsonl with a README on where they come from.")


def _draw_hits(result: SearchResult) -> None:
    view = session.view()
    words = query_words(shown_words(view))
    if not result.hits:
        st.text("No hits.")
        return
    if session.is_narrowed():
        st.caption(f"{plural(len(result.hits), 'hit')} among them")
    shown = result.hits[:_SHOWN]
    lines = [
        {
            "rank": hit.rank,
            "score": hit.score,
            "passage": shorten(clean_line(hit.title), TITLE_CHARS) or snippet(hit.text, words),
        }
        for hit in shown
    ]
    _draw_table(lines, [hit.id for hit in shown])


def clean_line(title: str) -> str:
    """A title on one line."""
    return " ".join(clean_for_display(title).split())


def _draw_typical(opened: session.Opened, rows: NDArray[np.uint64]) -> None:
    typical = typical_rows(opened, rows, _SHOWN)
    sample = f" of a sample of {count(MOST_TYPICAL_OF)}" if rows.size > MOST_TYPICAL_OF else ""
    if rows.size > typical.size:
        st.caption(
            f"The {count(typical.size)} most typical{sample}",
            help="Nearest in meaning to the mean of all of them, nearest first.",
        )
    lines = passages(opened.searcher.snapshot, typical)
    _draw_table([{"passage": line["title"]} for line in lines], [line["id"] for line in lines])


def _draw_table(lines: list[dict[str, object]], ids: list[str]) -> None:
    picked, (seed, own) = session.view().row, st.session_state.get(_SEED, ("", ""))
    # A pick made elsewhere is shown by another table that begins with it; one made here leaves the table, and the
    # keyboard's place in it, as they are.
    if picked != own:
        st.session_state[_SEED] = seed, own = picked, picked
    key = f"map_rows_{abs(hash((tuple(ids), seed)))}"
    rows = [ids.index(seed)] if seed in ids else []
    st.dataframe(
        pd.DataFrame(lines),
        key=key,
        hide_index=True,
        on_select=partial(_pick, key, ids),
        selection_mode="single-row",
        selection_default={"selection": {"rows": rows}},
        height=min(_LIST_PX, _HEADER_PX + HIT_ROW_PX * len(lines)),
        row_height=HIT_ROW_PX,
        column_config={
            "rank": st.column_config.NumberColumn("#", width=40),
            "score": st.column_config.NumberColumn("Score", format="%.3f", width=60, help=SCORE_HELP),
            "passage": st.column_config.TextColumn("Passage of", width=_LIST_WIDTHS["rank" in lines[0]]),
        },
    )


def _pick(key: str, ids: list[str]) -> None:
    rows = st.session_state[key].selection.rows
    picked = ids[rows[0]] if rows and rows[0] < len(ids) else ""
    st.session_state[_SEED] = st.session_state.get(_SEED, ("", ""))[0], picked
    session.change(row=picked, page=session.view().page)


def _draw_columns(opened: session.Opened, rows: NDArray[np.uint64]) -> None:
    lines = column_lines(opened, rows)
    if not lines:
        return
    with st.expander("Columns", icon=":material/bar_chart:", key="map_columns"):
        st.dataframe(
            pd.DataFrame(lines),
            key="map_column_lines",
            hide_index=True,
            height="content",
            column_config={
                "column": st.column_config.TextColumn("Column", width="small"),
                "value": st.column_config.TextColumn("Value", width="small"),
                "here": st.column_config.TextColumn(
                    "Here", help="Share of the chosen passages, and how many."
                ),
                "everywhere": st.column_config.TextColumn(
                    "In all", help="Share of all passages of the corpus."
                ),
            },
        )
