"""Topics against the metadata: a coloured table by the values of a column, and small charts over time."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import session
from app.charts import PLOTLY_CONFIG
from app.display import clean_for_display, esc_md, one_line
from app.formats import count, percent, plural
from app.rows import shorten
from app.topic_charts import (
    MEASURES,
    cell_style,
    measured,
    panels_figure,
    strengths,
    trend_sentence,
)
from app.topic_rows import LABEL_CHARS, listed, topic_name
from app.topic_session import picked_number
from app.view_state import Measure

if TYPE_CHECKING:
    from indexer.topics.current import CurrentTopics
    from indexer.topics.tables import TimeTable, ValueTable

_DATES = ("date", "timestamp")
_FIRST_KINDS = ("string", "bool", "list<string>")
_MOST_PX, _ROW_PX = 560, 35
_PANELS = 6
_TOPIC = "Topic"  # the first column of the table
_VALUE_CHARS = 24
_MEASURE_HELP = (
    "Share: of the topic's passages. Lift: how many times more frequent the value is in the topic than in the whole "
    "corpus; 1 is as usual. Passages: how many."
)
_TIME_MEASURE_HELP = "Share: of the passages of each step of time. Passages: how many."
_PART, _STEP, _IN_TIME = "topics_parts", "topics_step", "Over time"
_FORMATS: dict[Measure, str | Callable[[Any], str]] = {"share": percent, "lift": "{:.2f}", "count": count}


def draw_comparisons(opened: session.Opened, current: "CurrentTopics") -> None:
    """Draws what the metadata says of the topics; only the chosen part is worked out."""
    columns = opened.collection.settings.columns
    if not columns or not current.stored.topics:
        return
    st.subheader("Topics and metadata", anchor=False)
    dated = [name for name, kind in columns.items() if kind in _DATES]
    values = sorted(columns, key=lambda name: _rank(columns[name]))
    parts = ["By value", _IN_TIME] if dated else ["By value"]
    st.session_state[_PART] = parts[-1 if session.view().part else 0]
    tabs = st.tabs(parts, on_change=_take_part, key=_PART)
    draws: dict[str, Callable[[], None]] = {
        "By value": lambda: _draw_values(opened, current, values),
        _IN_TIME: lambda: _draw_times(opened, current, dated),
    }
    for name, tab in zip(parts, tabs, strict=True):
        if tab.open:
            with tab:
                draws[name]()


def _rank(kind: str) -> int:
    return _FIRST_KINDS.index(kind) if kind in _FIRST_KINDS else len(_FIRST_KINDS)


def _choose_column(place: DeltaGenerator, field: Literal["by", "over"], columns: list[str]) -> str:
    """The column that the view names, where it can be used; else the first."""
    key, named = f"topics_{field}", getattr(session.view(), field)
    st.session_state[key] = named if named in columns else columns[0]
    chosen: str = place.selectbox(
        "Column", columns, key=key, format_func=one_line, on_change=_take, args=(field, key)
    )
    return chosen


def _choose_measure(place: DeltaGenerator, key: str, offered: list[Measure], explained: str) -> Measure:
    """What the view says to show, where it is offered; else the first."""
    named = session.view().measure
    st.session_state[key] = named if named in offered else offered[0]
    place.segmented_control(
        "Show",
        offered,
        key=key,
        format_func=MEASURES.__getitem__,
        help=esc_md(explained),
        on_change=_take,
        args=("measure", key),
    )
    return named if named in offered else offered[0]


def _take(field: str, key: str) -> None:
    if st.session_state[key] is not None:  # a second click on the chosen measure takes it away
        session.set_quietly(**{field: st.session_state[key]})


def _take_part() -> None:
    session.set_quietly(part="time" if st.session_state[_PART] == _IN_TIME else "")


def _draw_values(opened: session.Opened, current: "CurrentTopics", columns: list[str]) -> None:
    from indexer.topics.tables import topics_by_value

    box, choice = st.columns([1, 1], vertical_alignment="bottom")
    column = _choose_column(box, "by", columns)
    measure = _choose_measure(choice, "topics_measure", list(MEASURES), _MEASURE_HELP)
    table: ValueTable = _kept(
        opened,
        current,
        "topics by value",
        column,
        lambda: topics_by_value(opened.searcher.snapshot, current, column),
    )
    if not table.values:
        st.text("No passage has a value in this column.")
        return
    shown = [number for number in listed(current) if number in table.numbers]
    frame, colours = _frames(table, current, shown, measure)
    st.dataframe(
        # Its own name instead of a random one: an unchanged table is then not sent again.
        frame.style.set_uuid("topics")
        .format(_FORMATS[measure], subset=list(frame.columns[1:]))
        .apply(lambda _: colours, axis=None),
        height=min(_MOST_PX, 38 + _ROW_PX * len(shown)),
        key="topics_by_value",
        alt="Topics by the values of a column",
        hide_index=True,
        column_config={_TOPIC: st.column_config.TextColumn(width=280, pinned=True)},
    )
    st.caption(
        "Noise and values beyond the most frequent are at the end; a passage with several values counts for each."
    )


def _frames(
    table: "ValueTable", current: "CurrentTopics", shown: list[int], measure: Measure
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The cells, and the style of each."""
    at = [table.numbers.index(number) for number in shown]
    values = measured(table, measure)[at]
    names = _distinct(
        [_TOPIC, *(shorten(one_line(value), _VALUE_CHARS) or "(empty)" for value in table.values)]
    )[1:]
    labels = [shorten(topic_name(current.stored.topic(number)), LABEL_CHARS) for number in shown]
    strength, dark = strengths(values, measure), _is_dark()
    styles = [[cell_style(cell, is_dark=dark) for cell in line] for line in strength.tolist()]
    frame, style = pd.DataFrame(values, columns=names), pd.DataFrame(styles, columns=names)
    frame.insert(0, _TOPIC, labels)
    style.insert(0, _TOPIC, "")
    return frame, style


def _distinct(names: list[str]) -> list[str]:
    """The names, those that were there before with a number: a styled table refuses equal ones."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found if len(set(found)) == len(found) else [f"{at + 1}: {name}" for at, name in enumerate(names)]


def _draw_times(opened: session.Opened, current: "CurrentTopics", columns: list[str]) -> None:
    from indexer.topics.tables import STEPS, topics_over_time

    numbers = [topic.number for topic in current.stored.topics]
    picked = picked_number(current)
    first = list(dict.fromkeys([*([picked] if picked in numbers else []), *numbers]))[:_PANELS]
    box, steps, choice = st.columns([2, 1, 2], vertical_alignment="bottom")
    column = _choose_column(box, "over", columns)
    st.session_state[_STEP] = session.view().step
    step = steps.selectbox(
        "By",
        ["", *STEPS],
        key=_STEP,
        format_func=lambda name: name or "what suits",
        on_change=_take,
        args=("step", _STEP),
    )
    measure = _choose_measure(choice, "topics_time_measure", ["share", "count"], _TIME_MEASURE_HELP)
    drawn = st.multiselect(
        "Topics",
        listed(current),
        default=first,
        key=f"topics_drawn_{current.stored.id}_{abs(hash(current.stored.version))}_{picked}",
        max_selections=24,
        format_func=lambda number: shorten(topic_name(current.stored.topic(number)), 40),
    )
    table: TimeTable = _kept(
        opened,
        current,
        "topics over time",
        (column, step),
        lambda: topics_over_time(opened.searcher.snapshot, current, column, step=step),
    )
    _draw_panels(current, table, drawn, measure)


def _draw_panels(current: "CurrentTopics", table: "TimeTable", drawn: list[int], measure: Measure) -> None:
    if not table.bins:
        st.text("No passage has a date in this column.")
        return
    every = {number: topic_name(current.stored.topic(number)) for number in table.numbers}
    st.text(clean_for_display(trend_sentence(table, every)))
    names = {number: every[number] for number in drawn if number in every}
    if names:
        figure = panels_figure(table, names, measure, is_dark=_is_dark())
        st.plotly_chart(
            figure, config=PLOTLY_CONFIG, key="topics_time", alt="Topics over time, one chart each"
        )
    with st.expander("The same as a table", key="topics_time_table"):
        rows = [table.counts[table.numbers.index(number)] for number in names]
        labels = [shorten(name, LABEL_CHARS) for name in names.values()]
        frame = pd.DataFrame(rows, columns=[str(day) for day in table.bins])
        frame.insert(0, "topic", labels)
        st.dataframe(frame, hide_index=True, key="topics_time_rows", alt="Passages of each topic by time")
    if table.undated:
        st.caption(f"{plural(table.undated, 'passage')} without a date are not counted.")


def _is_dark() -> bool:
    return st.context.theme.type == "dark"


def _kept(
    opened: session.Opened, current: "CurrentTopics", name: str, what: Any, make: Callable[[], Any]
) -> Any:
    stored = current.stored
    return session.derived(opened, name, (stored.id, stored.version, stored.edits, what), make)
