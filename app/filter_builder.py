"""Widgets made from the columns' types, whose answer is one condition in the text of the filter language.

The text is the only truth: the builder adds to it and never reads it back.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import streamlit as st

from app.display import clean_for_display, esc_md, one_line
from app.theme import COLUMN_KINDS
from indexer.query.filters.tree import print_name, print_value

_NUMBERS = ("int64", "float64")
_MOMENTS = ("date", "timestamp")


def values_clause(column: str, kind: str, values: Sequence[str]) -> str:
    """Any of the values: equal for a text column, held for a list column; empty for none."""
    name = print_name(column)
    quoted = [print_value(value) for value in values]
    if kind == "list<string>":
        clause = " or ".join(f"{name} contains {value}" for value in quoted)
        return f"({clause})" if len(quoted) > 1 else clause
    return f"{name} in ({', '.join(quoted)})" if len(quoted) > 1 else "".join(f"{name} = {v}" for v in quoted)


def bool_clause(column: str, *, value: bool) -> str:
    """Yes or no."""
    return f"{print_name(column)} = {print_value(value)}"


def range_clause(column: str, low: float | None, high: float | None) -> str:
    """Numbers from `low` to `high`, both included; None leaves that end open."""
    name = print_name(column)
    if low is not None and high is not None:
        return f"{name} between {print_value(low)} and {print_value(high)}"
    if low is not None:
        return f"{name} >= {print_value(low)}"
    return f"{name} <= {print_value(high)}" if high is not None else ""


def days_clause(column: str, kind: str, first: date | None, last: date | None) -> str:
    """Days from `first` to `last`, both included, also where the column holds times within the days."""
    name = print_name(column)
    if kind == "date" and first and last:
        return f"{name} between {first} and {last}"
    parts = [f"{name} >= {first}"] if first else []
    if last:
        parts.append(f"{name} <= {last}" if kind == "date" else f"{name} < {last + timedelta(days=1)}")
    return " and ".join(parts)


def add_clause(text: str, clause: str) -> str:
    """The filter with one more condition that must hold."""
    text = text.strip()
    if not text or not clause:
        return clause or text
    return f"({text}) and {clause}" if re.search(r"\bor\b", text, re.IGNORECASE) else f"{text} and {clause}"


def draw_builder(columns: Mapping[str, str], searcher: Any, key: str) -> str:
    """Draws the choice of a column and of what it must hold; returns the condition, empty while incomplete.

    Args:
        columns: name to metadata type.
        searcher: tells which values a column has.
        key: prefix of the widgets' keys; another corpus needs another.
    """
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    # Options of a selectbox are shown as they are; labels would be read as Markdown.
    column = left.selectbox(
        "Column",
        list(columns),
        index=None,
        placeholder="Choose a column",
        format_func=lambda name: f"{one_line(name)}  ({COLUMN_KINDS[columns[name]]})",
        key=f"{key}_column",
    )
    if column is None:
        right.caption("Choose a column to see what it holds.")
        return ""
    with right:
        return _draw_condition(column, columns[column], searcher, f"{key}_{list(columns).index(column)}")


def _draw_condition(column: str, kind: str, searcher: Any, key: str) -> str:
    if kind in _NUMBERS:
        return _draw_range(column, kind, searcher, key)
    if kind in _MOMENTS:
        return _draw_days(column, kind, searcher, key)
    if kind == "bool":
        value = st.segmented_control("Value", ["yes", "no"], key=key)
        return bool_clause(column, value=value == "yes") if value else ""
    counts = {str(value): number for value, number in searcher.column_values(column) if value is not None}
    chosen = st.multiselect(
        "Any of",
        list(counts),
        format_func=lambda value: f"{clean_for_display(value)}  ({counts.get(value, 0)})",
        accept_new_options=True,
        placeholder="Most frequent values; or type one",
        key=key,
    )
    return values_clause(column, kind, chosen)


def _draw_range(column: str, kind: str, searcher: Any, key: str) -> str:
    lowest, highest = searcher.column_range(column)
    if lowest is None:
        st.caption("This column holds no value.")
        return ""
    convert, step = (int, 1) if kind == "int64" else (float, None)
    left, right = st.columns(2)
    low = left.number_input("From", value=None, step=step, placeholder=f"lowest {lowest:g}", key=f"{key}_low")
    high = right.number_input(
        "To", value=None, step=step, placeholder=f"highest {highest:g}", key=f"{key}_high"
    )
    return range_clause(
        column, None if low is None else convert(low), None if high is None else convert(high)
    )


def _draw_days(column: str, kind: str, searcher: Any, key: str) -> str:
    lowest, highest = (_as_day(moment) for moment in searcher.column_range(column))
    if lowest is None or highest is None:
        st.caption("This column holds no value.")
        return ""
    left, right = st.columns(2)
    bounds: dict[str, Any] = {
        "value": None,
        "min_value": lowest,
        "max_value": highest,
        "format": "YYYY-MM-DD",
    }
    first = left.date_input(
        "First day", key=f"{key}_first", help=f"The earliest is {esc_md(str(lowest))}.", **bounds
    )
    last = right.date_input(
        "Last day", key=f"{key}_last", help=f"The latest is {esc_md(str(highest))}.", **bounds
    )
    return days_clause(column, kind, first, last)


def _as_day(moment: Any) -> date | None:
    return moment.date() if hasattr(moment, "date") else moment
