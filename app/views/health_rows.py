"""Passages that the report points at: hubs, duplicates, outliers; picked ones go to the tray or are opened."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from app import session
from app.display import one_line
from app.formats import count, plural
from app.health_text import row_name
from app.rows import shorten
from app.tray import Origin

if TYPE_CHECKING:
    from indexer.health.report import HealthReport, NamedGroup, NamedRow

_TEXT_CHARS = 160


def draw_hubs(opened: session.Opened, report: "HealthReport") -> None:
    """Passages that are near to very many others."""
    hubness = report.examination.surroundings.hubness
    st.text(
        f"A hub is among the {hubness.k} nearest of {5 * hubness.k} others or more, and turns up in answers where it does "
        f"not belong. {plural(hubness.hub_count, 'hub')} among {count(len(hubness.counts))} passages."
    )
    rows = report.listed.hubs
    if rows:
        _draw_rows(opened, rows, "hubs", [{"Near to": int(row.value)} for row in rows])


def draw_outliers(opened: session.Opened, report: "HealthReport") -> None:
    """Passages that are far from all others."""
    found = report.examination.surroundings.outliers
    st.text(
        f"{plural(found.count, 'passage')} far from all others: their 10th neighbour is much further away than is usual "
        "here. Often another language, broken text, or a subject of its own."
    )
    rows = report.listed.outliers
    if rows:
        _draw_rows(opened, rows, "outliers", [{"Robust z": round(row.value, 1)} for row in rows])


def draw_duplicates(opened: session.Opened, report: "HealthReport") -> None:
    """Passages that say the same, by groups."""
    equal, near = report.examination.equal, report.examination.surroundings.near
    st.text(
        f"{count(equal.repeated)} of {plural(equal.rows, 'passage')} have the very vector of another; "
        f"{count(near.repeated)} of {count(near.rows)} looked at have another at a cosine of 0.98 or more."
    )
    for kind, title, groups in (
        ("equal", "Exact duplicates", report.listed.equal),
        ("near", "Near duplicates", report.listed.near),
    ):
        if groups:
            st.subheader(title, anchor=False)
            rows = [row for group in groups for row in group.rows]
            _draw_rows(opened, rows, f"duplicates_{kind}", _group_columns(groups))


def _group_columns(groups: "Sequence[NamedGroup]") -> list[dict[str, Any]]:
    return [
        {"Group": number, "Size": group.size} for number, group in enumerate(groups, 1) for _ in group.rows
    ]


def _draw_rows(
    opened: session.Opened, rows: "Sequence[NamedRow]", kind: str, columns: list[dict[str, Any]]
) -> None:
    """A table whose rows can be picked, and what can be done with those picked."""
    frame = pd.DataFrame(
        [
            {**extra, "Title": row_name(row), "Passage": shorten(one_line(row.text), _TEXT_CHARS)}
            for extra, row in zip(columns, rows, strict=True)
        ]
    )
    # Picked rows are positions in this very table, so another table needs another key.
    key = f"health_{kind}_{abs(hash(tuple(row.row_id for row in rows)))}"
    event = st.dataframe(
        frame,
        key=key,
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        height="content" if len(rows) <= 12 else 440,
        column_config={
            **{name: st.column_config.NumberColumn(width=80) for name in columns[0]},
            "Passage": st.column_config.TextColumn(width="large"),
        },
    )
    picked = [rows[at] for at in event.selection.rows if at < len(rows)]
    ids = [row.row_id for row in picked if row.row_id is not None]
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Add to tray",
            icon=":material/inbox:",
            key=f"tray_{kind}",
            disabled=not ids,
            on_click=session.add_to_tray,
            args=(opened, ids, Origin("row", f"health: {kind.partition('_')[0]}", opened.version)),
        )
        one = picked[0].passage_id if len(picked) == 1 else ""
        st.button(
            "Open in Search",
            icon=":material/search:",
            key=f"open_{kind}",
            disabled=not one,
            on_click=session.go,
            args=("search",),
            kwargs={"like": one, "row": one, "page": 1},
            help="The passages most like it. Pick one passage.",
        )
