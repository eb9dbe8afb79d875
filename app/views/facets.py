"""What the hits have in common, or before a question all passages: a click on a value keeps only what has it."""

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from app import session
from app.display import clean_for_display, esc_md
from app.facets import (
    MOST_COLUMNS,
    MOST_VALUES,
    Facet,
    FacetValue,
    asked_values,
    facet_of_counts,
    facets,
    sorted_facets,
)
from app.filter_builder import add_clause, values_clause
from app.formats import count, plural
from app.rows import shorten
from encoder.errors import Llm2CompError
from indexer.hits import SearchResult
from indexer.query.filters.tree import print_name

_LABEL_CHARS, _NAME_CHARS, _NAMED_COLUMNS = 28, 40, 3
_MOST_CELLS = 10_000_000  # read to count: a million passages in ten columns, some seconds
_HELP = (
    "Counts are of the hits shown, not of the whole corpus. A click keeps only the hits that have the value."
)


def draw_facets(opened: session.Opened, result: SearchResult) -> None:
    """Draws the values as buttons, in a column each; nothing where the hits have nothing in common."""
    shown = [*_computed(opened, result, len(result.hits)), *_stored(opened, result)][:MOST_COLUMNS]
    if not shown:
        return
    names = [shorten(facet.name, _NAME_CHARS) for facet in shown[:_NAMED_COLUMNS]]
    more = " …" if len(shown) > _NAMED_COLUMNS else ""
    with st.expander(
        f"Narrow down by {esc_md(', '.join(names))}{more}", icon=":material/filter_list:", key="facets"
    ):
        st.caption(f"{_HELP} These are {plural(len(result.hits), 'hit')}.")
        _draw_columns(shown)


def draw_scope_facets(opened: session.Opened) -> None:
    """Draws the same of all passages that the pages look at; counted when it is opened, and once a version."""
    if not opened.info.get("passages") or not (opened.collection.settings.columns or topic_labels(opened)):
        return
    panel = st.expander("Narrow down", icon=":material/filter_list:", key="scope_facets", on_change="rerun")
    if not panel.open:
        return
    with panel:
        try:
            rows = session.selected(opened).row_ids if session.is_narrowed() else None
            total = opened.searcher.snapshot.rows if rows is None else rows.size
            with st.spinner("Counting …", show_time=True):
                shown = _counted(opened, rows, total)
        except Llm2CompError as error:
            st.text(clean_for_display(error.what))  # the bar above the page says the same
            return
        if not shown:
            st.text("No column tells these passages apart.")
            return
        st.caption(
            f"Counts are of the {plural(total, 'passage')} that you look at. A click keeps only those with the value."
        )
        _draw_columns(shown)


def _counted(opened: session.Opened, rows: NDArray[np.uint64] | None, total: int) -> list[Facet]:
    """The columns of the chosen rows, uint64 [N] ascending, None for all."""

    def count_columns() -> list[Facet]:
        kinds = dict(list(opened.collection.settings.columns.items())[: max(1, _MOST_CELLS // max(1, total))])
        stored = [
            facet_of_counts(name, kind, opened.searcher.facet_counts(name, rows, asked_values(kind)), total)
            for name, kind in kinds.items()
        ]
        return [*_computed(opened, rows, total), *sorted_facets(stored)][:MOST_COLUMNS]

    key = (astuple(session.selection()), session.state_beside(opened.collection.path))
    return session.derived(opened, "facets", key, count_columns)


def _draw_columns(shown: Sequence[Facet]) -> None:
    for place, (column, facet) in enumerate(zip(st.columns(len(shown)), shown, strict=True)):
        with column:
            _draw_facet(facet, f"facet_{place}")


def _draw_facet(facet: Facet, key: str) -> None:
    # One key for whatever stands there: a session keeps what it knew of each widget for as long as it lives.
    st.session_state[key] = None
    st.pills(
        esc_md(shorten(facet.name, _NAME_CHARS)),
        list(range(len(facet.values))),
        format_func=lambda place: (
            f"{esc_md(shorten(facet.values[place].label, _LABEL_CHARS))} · {count(facet.values[place].count)}"
        ),
        key=key,
        on_change=_take,
        wrap=True,
        args=(facet, key),
    )


def _take(facet: Facet, key: str) -> None:
    place = st.session_state[key]
    if place is not None:
        session.change(filter=add_clause(session.view().filter, facet.values[place].clause))


def _stored(opened: session.Opened, result: SearchResult) -> list[Facet]:
    kinds = dict(opened.collection.settings.columns)
    columns = {name: [hit.metadata.get(name) for hit in result.hits] for name in kinds}
    return facets(kinds, columns)


def _computed(
    opened: session.Opened, rows: SearchResult | NDArray[np.uint64] | None, total: int
) -> list[Facet]:
    """Topic and tag of the hits, or of rows uint64 [N], None for all, where they tell those apart."""
    stored = opened.collection.settings.columns
    found = []
    for name, kind in opened.searcher.filter_columns.items():
        column = name.removeprefix("derived.")
        if name in stored or column not in ("topic", "tag"):
            continue
        try:
            counts = opened.searcher.facet_counts(name, rows, MOST_VALUES)
            labels = topic_labels(opened) if column == "topic" else {}
        except Llm2CompError:
            continue  # damaged: its own page says so, the hits are there
        values = [
            FacetValue(labels.get(value, str(value)), number, _clause(name, kind, value))
            for value, number in counts
        ]
        is_one_for_all = len(values) == 1 and values[0].count >= total
        if values and not is_one_for_all:
            found.append(Facet(name, tuple(values)))
    return found


def _clause(name: str, kind: str, value: Any) -> str:
    return f"{print_name(name)} = {value}" if kind == "int64" else values_clause(name, kind, [str(value)])


def topic_labels(opened: session.Opened) -> dict[int, str]:
    """Number to label of the topics that filters use, the largest first; empty where there are none. Hostile."""
    key = session.state_beside(opened.collection.path)
    return session.derived(opened, "topic labels", key, lambda: _labels(opened))


def _labels(opened: session.Opened) -> dict[int, str]:
    from indexer.topics.versions import list_runs, open_topics

    if not list_runs(opened.collection):
        return {}
    topics: Sequence[Any] = open_topics(opened.collection).topics
    return {topic.number: topic.label for topic in sorted(topics, key=lambda topic: -topic.size)}
