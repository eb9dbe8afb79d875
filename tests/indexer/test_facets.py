"""What a column holds: frequent values and ranges."""

import datetime as dt

import pytest

from encoder.errors import InputError
from indexer.query import facets
from indexer.search import Searcher
from tests.indexer.making import doc, new_collection

DOCUMENTS = [
    doc("a", topic="x", year=3, score=float("nan"), day=dt.date(2020, 1, 2), tags=["p", "q"]),
    doc("b", topic="x", year=-5, score=0.5, tags=["p"]),
    doc("c", topic="y", year=None, score=-1.5, day=dt.date(1999, 1, 1), tags=[]),
    doc("d"),
]


@pytest.fixture(scope="module")
def searcher(tmp_path_factory):
    return Searcher(*new_collection(tmp_path_factory.mktemp("f") / "c", DOCUMENTS))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("topic", [("x", 2), ("y", 1)]),
        ("tags", [("p", 2), ("q", 1)]),
        ("year", [(-5, 1), (3, 1)]),
        ("day", [(dt.date(1999, 1, 1), 1), (dt.date(2020, 1, 2), 1)]),
    ],
)
def test_values_are_counted_most_frequent_first_without_nulls(searcher, name, values):
    assert searcher.column_values(name) == values
    assert searcher.column_values(name, limit=1) == values[:1]


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("year", (-5, 3)),
        ("score", (-1.5, 0.5)),
        ("day", (dt.date(1999, 1, 1), dt.date(2020, 1, 2))),
        ("topic", ("x", "y")),
    ],
)
def test_ranges_leave_out_what_is_missing(searcher, name, limits):
    assert searcher.column_range(name) == limits


def test_a_column_of_nulls_has_no_range(tmp_path):
    searcher = Searcher(*new_collection(tmp_path / "c", [doc("a")]))
    assert searcher.column_range("year") == (None, None) and searcher.column_values("year") == []


def test_unknown_columns_and_ranges_of_lists_are_refused(searcher):
    with pytest.raises(InputError, match="there is no column 'colour'") as raised:
        searcher.column_values("colour")
    assert "the columns are: topic, year" in raised.value.fix
    with pytest.raises(InputError, match="lists have no range: 'tags'"):
        searcher.column_range("tags")


def test_a_column_of_identifiers_is_not_counted_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(facets, "_MOST_VALUES", 5)
    searcher = Searcher(*new_collection(tmp_path / "c", [doc(f"d{i}", topic=f"t{i}") for i in range(30)]))
    assert len(searcher.column_values("topic", limit=10)) == 10
