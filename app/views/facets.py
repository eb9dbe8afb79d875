"""What the hits have in common, under the query: a click on a value keeps only the hits that have it."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import session
from app.display import esc_md
from app.facets import MOST_VALUES, Facet, FacetValue, facets
from app.filter_builder import add_clause, values_clause
from app.formats import count, plural
from app.rows import shorten
from encoder.errors import Llm2CompError
from indexer.hits import SearchResult
from indexer.query.filters.tree import print_name

_LABEL_CHARS, _NAME_CHARS, _NAMED_COLUMNS = 28, 40, 3
_HELP = (
    "Counts are of the hits shown, not of the whole corpus. A click keeps only the hits that have the value."
)


def draw_facets(opened: session.Opened, result: SearchResult) -> None:
    """Draws the values as buttons, in a column each; nothing where the hits have nothing in common."""
    shown = [*_computed(opened, result), *_stored(opened, result)][:5]
    if not shown:
        return
    names = [shorten(facet.name, _NAME_CHARS) for facet in shown[:_NAMED_COLUMNS]]
    more = " …" if len(shown) > _NAMED_COLUMNS else ""
    with st.expander(
        f"Narrow down by {esc_md(', '.join(names))}{more}", icon=":material/filter_list:", key="facets"
    ):
        st.caption(f"{_HELP} These are {plural(len(result.hits), 'hit')}.")
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


def _computed(opened: session.Opened, result: SearchResult) -> list[Facet]:
    """Topic and tag of the hits, where the corpus has any."""
    stored = opened.collection.settings.columns
    found = []
    for name, kind in opened.searcher.filter_columns.items():
        column = name.removeprefix("derived.")
        if name in stored or column not in ("topic", "tag"):
            continue
        try:
            counts = opened.searcher.facet_counts(name, result, MOST_VALUES)
            labels = topic_labels(opened) if column == "topic" else {}
        except Llm2CompError:
            continue  # damaged: its own page says so, the hits are there
        values = [
            FacetValue(labels.get(value, str(value)), number, _clause(name, kind, value))
            for value, number in counts
        ]
        if values:
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
