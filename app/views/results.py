"""The answer on the search page: a table of hits beside the picked one, where it came from, and ways to take it along."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from app import session
from app.display import esc_md, one_line
from app.exports import to_csv, to_jsonl, to_parquet
from app.formats import count, milliseconds, plural, score
from app.provenance import provenance_line
from app.questions import shown_words
from app.rows import ROWS_A_PAGE, query_words, table_row
from app.selection_file import file_stem
from app.theme import DETAIL_WIDTH, HIT_ROW_PX, HITS_HEIGHT_PX, SCORE_HELP, TABLE_WIDTH
from app.views.annotations_card import tags_by_document
from app.views.facets import draw_facets
from app.views.hit_detail import show_hit
from app.views.to_tray import draw_tray_button
from indexer.hits import Hit, SearchResult
from indexer.selection import Selection

_HEADER_PX = 38
_EXPORTS: dict[str, tuple[str, Callable[[SearchResult, str], bytes], str]] = {
    "csv": ("CSV, for spreadsheets", to_csv, "text/csv"),
    "jsonl": ("JSON lines", to_jsonl, "application/x-ndjson"),
    "parquet": ("Parquet", to_parquet, "application/vnd.apache.parquet"),
}


def show_results(opened: session.Opened, corpus: str, result: SearchResult) -> None:
    """Draws the hits of a result that has some."""
    view = session.view()
    for note in result.provenance.notes:  # above the hits: it says how far to trust them
        st.info(esc_md(_sentence(note)), icon=":material/info:")
    if view.like:
        _draw_like_line()
    draw_facets(opened, result)
    words = query_words(shown_words(view))
    last_page = -(-len(result.hits) // ROWS_A_PAGE)
    page = min(view.page, last_page)
    shown = result.hits[(page - 1) * ROWS_A_PAGE : page * ROWS_A_PAGE]
    table, detail = st.columns([TABLE_WIDTH, DETAIL_WIDTH], gap="medium")
    with table:
        picked = _draw_table(shown, words, tags_by_document(opened))
        _draw_pages(page, last_page)
        _draw_origin(opened, result)
        _draw_actions(opened, corpus, result, picked)
    with detail:
        show_hit(opened, result, picked, words)


def _sentence(note: str) -> str:
    return f"{note[:1].upper()}{note[1:]}."


def _draw_like_line() -> None:
    text, button = st.columns([4, 1], vertical_alignment="center")
    text.markdown(":material/hub: **Documents similar to the one you picked**, by meaning alone")
    button.button(
        "Back to the query", key="leave_like", on_click=lambda: session.change(like=""), width="stretch"
    )


def _draw_table(shown: list[Hit], words: Sequence[str], tags: Mapping[str, tuple[str, ...]]) -> Hit:
    """Draws one page of hits, with a column of tags where one of them has any, and returns the picked one."""
    view = session.view()
    ids = [hit.id for hit in shown]
    start = ids.index(view.row) if view.row in ids else 0
    lines = _lines(shown, words, tags)
    event = st.dataframe(
        pd.DataFrame(lines),
        # Selected rows are positions in this very table, so another table needs another key.
        key=f"hits_{abs(hash(tuple(ids)))}",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row-required",
        selection_default={"selection": {"rows": [start]}},
        height=min(HITS_HEIGHT_PX, _HEADER_PX + HIT_ROW_PX * len(shown)),
        row_height=HIT_ROW_PX,
        column_config={
            "rank": st.column_config.NumberColumn("#", width=44),
            "score": st.column_config.NumberColumn("Score", format="%.3f", width=64, help=SCORE_HELP),
            "title": st.column_config.TextColumn("Title", width=215),
            "passage": st.column_config.TextColumn("Best passage", width=230 if "tags" in lines[0] else 330),
            "tags": st.column_config.TextColumn("Tags", width=100),
        },
    )
    rows = event.selection.rows
    position = rows[0] if rows and rows[0] < len(shown) else start
    if view.row != ids[position] and (view.row or position):
        session.change(row=ids[position], page=view.page)
    return shown[position]


def _lines(
    shown: list[Hit], words: Sequence[str], tags: Mapping[str, tuple[str, ...]]
) -> list[dict[str, Any]]:
    lines = [table_row(hit, words) for hit in shown]
    if any(hit.document_id in tags for hit in shown):
        for line, hit in zip(lines, shown, strict=True):
            line["tags"] = one_line(", ".join(tags.get(hit.document_id, ())))
    return lines


def _draw_pages(page: int, last_page: int) -> None:
    if last_page > 1:
        # Pagination wants its start as `default`; the key carries it, so that another page is another widget.
        key = f"page_{page}_of_{last_page}"
        st.pagination(last_page, default=page, key=key, on_change=_take_page, args=(key,))


def _take_page(key: str) -> None:
    session.change(page=st.session_state[key], row="")


def _draw_origin(opened: session.Opened, result: SearchResult) -> None:
    st.caption(provenance_line(result.provenance, esc_md))
    unpublished = opened.info.get("unpublished_rows", 0)
    if unpublished:
        st.caption(f"{plural(unpublished, 'passage')} added since are not searched yet: publish them.")


def _draw_actions(opened: session.Opened, corpus: str, result: SearchResult, picked: Hit) -> None:
    check, tray, export = st.columns(3)
    with tray:
        draw_tray_button(opened, result, picked)
    is_exact = result.provenance.mode == "exact"
    asked = check.button(
        "Check exactly",
        icon=":material/fact_check:",
        key="check_exactly",
        disabled=is_exact,
        help="Every matching passage was compared: this is the exact answer."
        if is_exact
        else "Compare every matching passage, and say what the index missed.",
        width="stretch",
    )
    with export.popover("Export", icon=":material/download:", width="stretch", key="export"):
        stem = file_stem(corpus, Selection(), len(result.hits), what=result.query or "similar", noun="hit")
        for ending, (label, write, mime) in _EXPORTS.items():
            st.download_button(
                label,
                data=partial(write, result, corpus),
                file_name=f"{stem}.{ending}",
                mime=mime,
                key=f"export_{ending}",
                on_click="ignore",
                width="stretch",
            )
        st.caption("In csv, texts that a spreadsheet would run as a formula begin with an apostrophe.")
    if asked:
        _draw_exact_check(opened, result)


def _draw_exact_check(opened: session.Opened, result: SearchResult) -> None:
    with st.spinner("Comparing every passage …", show_time=True):
        exact = session.ask(opened, session.view(), exact=True)
    found = {hit.document_id for hit in result.hits}
    missed = [hit for hit in exact.hits if hit.document_id not in found]
    took = milliseconds(exact.provenance.milliseconds.get("total", 0.0))
    with st.container(border=True, key="exact_check"):
        if not missed:
            st.markdown(
                f":material/check_circle: All {count(len(exact.hits))} exact hits were found ({took})"
            )
            return
        st.markdown(
            f":material/rule: {count(len(missed))} of {count(len(exact.hits))} exact hits were missed ({took})"
        )
        st.dataframe(
            pd.DataFrame(
                [
                    {"rank": hit.rank, "score": score(hit.score), "title": one_line(hit.title)}
                    for hit in missed
                ]
            ),
            hide_index=True,
        )
