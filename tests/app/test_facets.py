"""What hits have in common: counts that agree with the filter, ranges that leave nothing out."""

from collections import Counter
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.facets import (
    MOST_COLUMNS,
    MOST_DISTINCT,
    MOST_VALUES,
    asked_values,
    facet_of,
    facet_of_counts,
    facets,
)
from indexer.query.filters import parse_filter

WORDS = st.sampled_from(["a", "b", "c'd", "", "**x**"]) | st.none()
FIRST = date(2000, 1, 1)


def labels(facet):
    return [(value.label, value.count) for value in facet.values]


def test_texts_count_by_value_the_most_frequent_first():
    facet = facet_of("topic", "string", ["b", "a", "b", None, "c"])
    assert labels(facet) == [("b", 2), ("a", 1), ("c", 1)]
    assert facet.values[0].clause == "topic = 'b'"


def test_lists_count_by_element_and_each_document_once():
    facet = facet_of("tags", "list<string>", [["x", "x", "y"], ["x"], [], None])
    assert labels(facet) == [("x", 2), ("y", 1)]
    assert facet.values[0].clause == "tags contains 'x'"


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("string", ["a", "b", "c"]),  # every hit another: an identifier
        ("string", ["a", "a", "a"]),  # one for all
        ("int64", [3, 3]),
        ("float64", [1.0, 1.0, float("nan"), float("inf")]),
        ("date", [FIRST, FIRST]),
        ("string", [None, None]),
        ("list<string>", [[], None]),
    ],
)
def test_what_does_not_tell_hits_apart_is_left_out(kind, values):
    assert facet_of("c", kind, values) is None


def test_of_many_values_those_of_one_hit_are_left_out():
    facet = facet_of("author", "list<string>", [["x", "y"], ["x"], list("abcdefgh")])
    assert labels(facet) == [("x", 2)]


def test_few_whole_numbers_stand_for_themselves():
    facet = facet_of("year", "int64", [2021, 2019, 2021])
    assert labels(facet) == [("2019", 1), ("2021", 2)]


def test_yes_and_no_are_counted():
    assert labels(facet_of("open", "bool", [True, False])) == [("no", 1), ("yes", 1)]


def test_many_days_become_ranges_whose_ends_are_open():
    facet = facet_of("day", "date", [FIRST + timedelta(days=n) for n in range(10)])
    assert labels(facet)[0] == ("up to 2000-01-02", 2)
    assert labels(facet)[-1] == ("from 2000-01-09", 2)
    assert facet.values[1].clause == "day between 2000-01-03 and 2000-01-04"


def test_a_name_that_is_no_word_is_quoted_in_the_condition():
    clause = facet_of("a b'\"", "string", ["x", "x", "y"]).values[0].clause
    assert "'x'" in clause
    parse_filter(clause, {"a b'\"": "string"})  # refuses what is not quoted


@given(st.lists(WORDS, max_size=60))
def test_counts_of_texts_are_those_of_a_counter(values):
    facet = facet_of("c", "string", values)
    if facet is None:
        return
    expected = Counter(value for value in values if value is not None)
    assert [value.count for value in facet.values] == sorted(expected.values(), reverse=True)[:MOST_VALUES]


MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1))


@given(
    st.one_of(
        st.lists(st.integers(-50, 50)).map(lambda values: ("int64", values)),
        st.lists(st.floats(-9, 9)).map(lambda values: ("float64", values)),
        st.lists(st.dates(date(1990, 1, 1), date(2030, 1, 1))).map(lambda values: ("date", values)),
        st.lists(MOMENTS).map(lambda values: ("timestamp", values)),
    )
)
def test_ranges_hold_each_value_once_and_their_conditions_are_read(kind_and_values):
    kind, values = kind_and_values
    facet = facet_of("c", kind, values)
    if facet is None:
        return
    assert sum(value.count for value in facet.values) == len(values)
    assert len(facet.values) <= MOST_VALUES
    for value in facet.values:
        assert value.count > 0
        parse_filter(value.clause, {"c": kind})


def test_at_most_five_columns_are_shown_the_most_shared_first():
    kinds = {name: "string" for name in "abcdefg"}
    columns = {name: ["x"] * (2 + at) + [None] for at, name in enumerate(kinds)}
    found = facets(kinds, columns)
    assert len(found) == MOST_COLUMNS
    assert [facet.name for facet in found] == list("gfedc")


def test_conditions_of_ranges_find_the_hits_that_they_count(make_collection):
    from indexer.search import Searcher

    collection = make_collection(
        [(str(n), f"T {n}", f"river number {n}", "t", 1900 + n * n) for n in range(30)]
    )
    searcher = Searcher(collection)
    facet = facet_of("year", "int64", [1900 + n * n for n in range(30)])
    assert [searcher.passing(value.clause).size for value in facet.values] == [v.count for v in facet.values]


@given(st.lists(st.integers(-50, 50), max_size=60), st.sampled_from(["int64", "date"]))
def test_counts_of_a_selection_make_the_facet_of_its_values(numbers, kind):
    values = numbers if kind == "int64" else [FIRST + timedelta(days=n) for n in numbers]
    counts = Counter(values).most_common(asked_values(kind))
    assert facet_of_counts("c", kind, counts, len(values)) == facet_of("c", kind, values)


def test_of_a_selection_texts_that_hardly_any_passage_shares_are_left_out():
    counts = [("a", 9), ("b", 9)]
    assert facet_of_counts("c", "string", counts, 1_000) is None
    assert labels(facet_of_counts("c", "string", counts, 900)) == counts
    assert facet_of_counts("c", "bool", [(True, 9)], 1_000) is not None
    assert facet_of_counts("c", "string", [("a", 9)], 9) is None  # one for all


def test_of_a_selection_a_column_of_too_many_numbers_is_left_out():
    counts = [(n, 1) for n in range(MOST_DISTINCT + 1)]
    assert facet_of_counts("c", "int64", counts, len(counts)) is None
    assert facet_of_counts("c", "int64", counts[:-1], len(counts)) is not None
