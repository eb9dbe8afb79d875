"""What the widgets write is read back by the filter language as it was meant."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import filter_builder as build
from indexer.query.filters import parse_filter

COLUMNS = {
    "topic": "string",
    "odd name; `x`": "string",
    "year": "int64",
    "share": "float64",
    "tags": "list<string>",
}
COLUMNS |= {"on": "bool", "day": "date", "moment": "timestamp", "order": "int64", "between": "int64"}


@pytest.mark.parametrize(
    ("clause", "text"),
    [
        (build.values_clause("topic", "string", ["it's"]), "topic = 'it''s'"),
        (build.values_clause("topic", "string", ["a", "b"]), "topic in ('a', 'b')"),
        (build.values_clause("tags", "list<string>", ["a", "b"]), "(tags contains 'a' or tags contains 'b')"),
        (build.values_clause("topic", "string", []), ""),
        (build.bool_clause("on", value=False), "on = false"),
        (build.range_clause("year", 2019, None), "year >= 2019"),
        (build.range_clause("share", 0.5, 1e-7), "share between 0.5 and 1e-07"),
        (build.range_clause("year", None, None), ""),
        (
            build.days_clause("day", "date", date(2024, 1, 1), date(2024, 2, 1)),
            "day between 2024-01-01 and 2024-02-01",
        ),
        (
            build.days_clause("moment", "timestamp", date(2024, 1, 1), date(2024, 1, 31)),
            "moment >= 2024-01-01 and moment < 2024-02-01",
        ),
        (build.range_clause("between", 1, 2), "`between` between 1 and 2"),
    ],
)
def test_a_choice_is_written_in_the_filter_language(clause, text):
    assert clause == text
    if clause:
        parse_filter(clause, COLUMNS)


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=30))
def test_any_value_can_be_written(value):
    parse_filter(build.values_clause("topic", "string", [value]), COLUMNS)


def test_any_column_can_be_written():
    for name, kind in COLUMNS.items():
        if kind in {"string", "int64"}:
            clause = (
                build.values_clause(name, kind, ["x"]) if kind == "string" else build.range_clause(name, 1, 2)
            )
            parse_filter(clause, COLUMNS)


def test_a_second_condition_must_hold_too():
    assert build.add_clause("", "year = 1") == "year = 1"
    assert build.add_clause("year = 1", "") == "year = 1"
    assert build.add_clause("year = 1", "on = true") == "year = 1 and on = true"
    assert build.add_clause("year = 1 OR year = 2", "on = true") == "(year = 1 OR year = 2) and on = true"
