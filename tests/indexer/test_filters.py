"""The filter language against Lance itself, a plain-Python oracle, and whatever people type."""

import datetime as dt
import math
import string

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from encoder.errors import InputError
from indexer.query.filters import parse_filter, print_filter, to_lance
from indexer.query.filters.tree import (
    And,
    Column,
    Compare,
    Contains,
    IsNull,
    OneOf,
    Or,
    StartsWith,
    join,
    negate,
)
from tests.oracle.filter_truth import matches, truth

COLUMNS = {
    "topic": "string",
    "year": "int64",
    "score": "float64",
    "open": "bool",
    "day": "date",
    "created": "timestamp",
    "tags": "list<string>",
    "odd name é": "string",
    "and": "int64",
}
ARROW = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "list<string>": pa.list_(pa.string()),
}


def in_lance(path, rows):
    import lance

    arrays = {f"m_{n}": pa.array([r.get(n) for r in rows], ARROW[t]) for n, t in COLUMNS.items()}
    return lance.write_dataset(pa.table(arrays), str(path), enable_stable_row_ids=True, mode="overwrite")


def found(dataset, tree):
    predicate = to_lance(tree, lambda name: f"m_{name}")
    table = dataset.scanner(columns=[], filter=predicate, with_row_id=True).to_table()
    return table["_rowid"].to_pylist()


def error_of(text, columns=COLUMNS):
    with pytest.raises(InputError) as raised:
        parse_filter(text, columns)
    return raised.value


# ---- each operator on each type, against Lance and the oracle

ROWS = [
    {
        "topic": "physics",
        "year": 2020,
        "score": 0.5,
        "open": True,
        "day": dt.date(2024, 5, 1),
        "tags": ["a", "it's"],
    },
    {
        "topic": "it's",
        "year": -(2**63),
        "score": math.nan,
        "open": False,
        "day": dt.date(1, 1, 1),
        "tags": [],
    },
    {},
    {"topic": "a\\b%_`", "year": 2**63 - 1, "score": math.inf, "tags": [None, "b"], "odd name é": "日本"},
    {
        "topic": "",
        "year": 2**53 + 1,
        "score": -0.0,
        "created": dt.datetime(2024, 5, 1, 12, 0, 0, 5),
        "and": 1,
    },
    {
        "topic": "Physics",
        "year": 0,
        "score": -math.nan,
        "created": dt.datetime(9999, 12, 31, 23, 59, 59, 999999),
    },
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return in_lance(tmp_path_factory.mktemp("lance") / "rows.lance", ROWS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("topic = physics", [0]),
        ("TOPIC = 'it''s'", [1]),
        ('topic = "it\'s"', [1]),
        ("topic != physics", [1, 3, 4, 5]),
        ("not topic = physics", [1, 3, 4, 5]),
        ("topic in (physics, Physics)", [0, 5]),
        ("topic not in (physics, 'x')", [1, 3, 4, 5]),
        ("topic contains '\\b%_'", [3]),
        ("topic contains '%'", [3]),
        ("topic starts with 'a\\'", [3]),
        ("topic starts with ''", [0, 1, 3, 4, 5]),
        ("topic is null", [2]),
        ("topic is not null", [0, 1, 3, 4, 5]),
        ("topic < 'a'", [4, 5]),
        ("topic between 'i' and physics", [0, 1]),
        ("year = -9223372036854775808", [1]),
        ("year >= 9223372036854775807", [3]),
        ("year = 9007199254740993", [4]),
        ("year < 2019.5", [1, 5]),
        ("year > 2019.5", [0, 3, 4]),
        ("year = 2020.0", [0]),
        ("year = 2020.5", []),
        ("not year = 2020.5", [0, 1, 3, 4, 5]),
        ("year != 2020.5", [0, 1, 3, 4, 5]),
        ("year in (2020.5)", []),
        ("year in (2020.5, 0)", [5]),
        ("year in (-9223372036854775808, 0)", [1, 5]),
        ("year between 0 and 2020", [0, 5]),
        ("year not between 0 and 2020", [1, 3, 4]),
        ("score > 0.1", [0, 3]),
        ("not score > 0.1", [4]),
        ("score <= 0", [4]),
        ("score != 0.5", [3, 4]),
        ("score in (0, 0.5)", [0, 4]),
        ("score is null", [1, 2, 5]),
        ("score is not null", [0, 3, 4]),
        ("open = true", [0]),
        ("open != TRUE", [1]),
        ("day = 2024-05-01", [0]),
        ("day < 2024-05-01", [1]),
        ("created = 2024-05-01T12:00:00.000005", [4]),
        ("created >= 2024-05-02", [5]),
        ("created < 2024-05-01T14:00:00.000006+02:00", [4]),
        ("created < 2024-05-01 12:01", [4]),
        ("tags contains a", [0]),
        ("tags contains 'it''s'", [0]),
        ("not tags contains a", [1, 3]),
        ("tags is null", [2, 4, 5]),
        ("`odd name é` = '日本'", [3]),
        ("`and` = 1", [4]),
        ("year = 0 or year = 2020 and topic = nothing", [5]),
        ("(year = 0 or year = 2020) and topic = physics", [0]),
        ("not (year = 0 or topic = physics)", [1, 3, 4]),
    ],
)
def test_an_operator_finds_the_same_rows_in_lance_and_in_python(dataset, text, expected):
    tree = parse_filter(text, COLUMNS)
    assert found(dataset, tree) == expected
    assert [number for number, row in enumerate(ROWS) if matches(tree, row)] == expected
    assert parse_filter(print_filter(tree), COLUMNS) == tree


# ---- random trees over random tables

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=4
) | st.sampled_from(["a", "b", "ab", "a'b", "%", "\\", "_", "é", "日本", "null", "A"])
INTEGERS = st.integers(-3, 3) | st.sampled_from([-(2**63), 2**63 - 1, 2**53 + 1])
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-2, 2).map(float)
VALUES = {
    "string": TEXTS,
    "int64": INTEGERS,
    "float64": FLOATS,
    "bool": st.booleans(),
    "date": st.dates() | st.dates(dt.date(2024, 1, 1), dt.date(2024, 1, 3)),
    "timestamp": st.datetimes() | st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, 0, 0, 1)),
    "list<string>": st.lists(TEXTS | st.none(), max_size=3),
}
STORED = VALUES | {"float64": FLOATS | st.sampled_from([math.nan, -math.nan, math.inf, -math.inf])}
ROW = st.fixed_dictionaries({name: st.none() | STORED[kind] for name, kind in COLUMNS.items()})


@st.composite
def leaf(draw):
    column = Column(*draw(st.sampled_from(sorted(COLUMNS.items()))))
    value = VALUES[column.type]
    if column.type == "int64":
        value |= st.sampled_from([0.5, -1.5])
    choices = [st.just(IsNull(column))]
    if column.type in {"string", "list<string>"}:
        choices.append(st.builds(Contains, st.just(column), TEXTS))
    if column.type == "string":
        choices.append(st.builds(StartsWith, st.just(column), TEXTS))
    if column.type != "list<string>":
        signs = ["=", "!="] + (["<", "<=", ">", ">="] if column.type != "bool" else [])
        choices.append(st.builds(Compare, st.just(column), st.sampled_from(signs), value))
        choices.append(st.lists(value, min_size=1, max_size=4).map(lambda v: OneOf(column, tuple(v))))
    return draw(st.one_of(choices))


def _grow(children):
    several = st.lists(children, min_size=2, max_size=3)
    return several.map(lambda p: join(And, p)) | several.map(lambda p: join(Or, p)) | children.map(negate)


TREES = st.recursive(leaf(), _grow, max_leaves=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(ROW, min_size=1, max_size=8), trees=st.lists(TREES, min_size=3, max_size=8))
def test_lance_finds_what_plain_python_finds(tmp_path_factory, rows, trees):
    dataset = in_lance(tmp_path_factory.mktemp("random") / "rows.lance", rows)
    for tree in trees:
        expected = [number for number, row in enumerate(rows) if matches(tree, row)]
        assert found(dataset, tree) == expected, print_filter(tree)


@settings(max_examples=300, deadline=None)
@given(tree=TREES)
def test_parsing_the_printed_filter_gives_the_filter(tree):
    assert parse_filter(print_filter(tree), COLUMNS) == tree


@settings(max_examples=100, deadline=None)
@given(tree=TREES, row=ROW)
def test_the_opposite_is_unknown_where_the_filter_is(tree, row):
    answer, opposite = truth(tree, row), truth(negate(tree), row)
    assert (answer is None) == (opposite is None)
    assert answer is None or answer != opposite


WORDS = st.sampled_from(
    [
        *COLUMNS,
        *[
            "=",
            "!=",
            "<",
            ">",
            "(",
            ")",
            ",",
            "'a'",
            "5",
            "5.5",
            "2024-05-01",
            "2024",
            "and",
            "or",
            "not",
            "in",
            "is",
            "null",
            "between",
            "contains",
            "starts",
            "with",
        ],
    ]
)


@settings(max_examples=400, deadline=None)
@given(text=st.text() | st.text(string.printable) | st.lists(WORDS, max_size=12).map(" ".join))
def test_any_text_parses_or_is_refused_with_a_place(text):
    try:
        tree = parse_filter(text, COLUMNS)
    except InputError as error:
        assert error.what and error.where and error.fix
        assert "^" in error.where or error.where == "the filter"
        assert error.where.isprintable() or "\n" in error.where
    else:
        assert parse_filter(print_filter(tree), COLUMNS) == tree


# ---- the SQL traps


@pytest.mark.parametrize(
    "text",
    [
        "year = 100 garbage",
        "year = 100; drop table rows",
        "year = 100 ) or (1=1",
        "year = 100 order by year",
        "topic='deb' topic='x'",
        "year = 1 annd topic = b",
        "year = 100) or (year = year",
        "1 = 1",
        "year = year",
        "year = 1 -- comment",
        "year = 1 /* comment */",
        "year/0 = 1",
        "year = 100 union select 1",
        "topic = lower('A')",
        "true",
        "",
        "   ",
    ],
)
def test_what_sql_would_let_through_is_refused(text):
    error_of(text)


@pytest.mark.parametrize(
    "value",
    [
        "x' or '1'='1",
        "'; delete from rows; --",
        "\\' or 1=1 --",
        "`m_year` = 0",
        "a''b",
        "\n--\n",
        '"',
        "{x}",
    ],
)
def test_a_quoted_value_stays_a_value(dataset, value):
    column = Column("topic", "string")
    for tree in (Compare(column, "=", value), Contains(column, value), OneOf(column, (value,))):
        assert found(dataset, tree) == []
        assert parse_filter(print_filter(tree), COLUMNS) == tree


@pytest.mark.parametrize("name", ["a`b", "a.b", "a\x00"])
def test_a_column_that_lance_cannot_address_is_refused(name):
    tree = (
        parse_filter("`" + name.replace("`", "``") + "` = 1", {name: "int64"})
        if "\x00" not in name
        else IsNull(Column(name, "int64"))
    )
    with pytest.raises(InputError, match="cannot be filtered by"):
        to_lance(tree, lambda given: f"m_{given}")


# ---- messages


def test_the_place_is_shown_by_a_caret():
    error = error_of("topic = physics and year = 'abc'")
    assert error.what == 'year holds whole numbers, "abc" is none'
    assert error.where == (
        "the filter, character 28\n    topic = physics and year = 'abc'\n                               ^"
    )
    assert error.fix == "write a number: 2020 without quotes"


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("", "the filter is empty", "year >= 2020"),
        ("yaer = 1", 'there is no column "yaer"', "did you mean year? columns: topic, year"),
        ("zzzzzz = 1", 'there is no column "zzzzzz"', "columns: topic"),
        ("topic = 5", "topic holds text", "write '5' in quotes"),
        ("open = yes", "open holds true or false", "write true or false"),
        ("open < true", "no order", "use ="),
        ("day = 2024-05", "a whole span", "day >= 2024-05-01 and day < "),
        ("created = 2024", "a whole span", "created >= 2024-01-01"),
        ("created = 2024-05-01", "a whole day", "created >= 2024-05-01 and created <"),
        ("day = 2024-02-30", "not in the calendar", "year-month-day"),
        ("day = 2024-05-01T12:00", "day holds dates", "2024-05-01"),
        ("tags = a", "lists of texts", "tags contains 'x'"),
        ("year contains 5", "contains is for text", "between"),
        ("year = null", "nothing equals null", "is null"),
        ("year =", "a value is missing before the end", "a number: 2020"),
        ("year", "an operator is missing before the end", "operators: ="),
        ("open", "an operator is missing", "open = true"),
        ("year = 1 and", "a column name is missing before the end", "column operator value"),
        ("5 < year", "a column name is missing", "column operator value"),
        ("topic = 'abc", "never closed", "written twice"),
        ("topic = a;b", "; means nothing", "quote values"),
        ("topic = machine learning", '"learning" is one too many', "several words"),
        ("(year = 1", ") is missing before the end", "write )"),
        ("year in 5", "( is missing", "in (a, b)"),
        ("year in ()", "a value is missing", "a number"),
        ("year is 5", "`is` goes with null", "is null"),
        ("topic starts 'a'", "`with` is missing", "starts with"),
        ("year between 1 or 2", "`and` is missing", "between a and b"),
        ("year = 9223372036854775808", "too large", "smaller"),
        ("year = 1e400", "too large", "smaller"),
        ("score = 1e400", "too large", "smaller"),
        ("score = " + "9" * 5000, "too large", "smaller"),
        ("topic = 'a\x00b'", "a character that no text can", "remove"),
        ("topic = 'a\ud800b'", "a character that no text can", "remove"),
        ("year = 1" + " " * 10_000, "10008 characters", "shorten"),
        ("(" * 101 + "year = 1" + ")" * 101, "nested more than 100 deep", "fewer"),
        ("not " * 101 + "year = 1", "nested more than 100 deep", "fewer"),
        ("(" * 5000, "nested more than 100 deep", "fewer"),
        ("not (year = 1 and " * 6 + "year = 1" + ")" * 6, "`not` more than 10 deep", "flatter"),
        (f"year in ({', '.join('1' for _ in range(1001))})", "more than 1000 values", "split"),
    ],
)
def test_a_refusal_says_what_and_what_to_do(text, what, fix):
    error = error_of(text)
    assert what in error.what
    assert fix in error.fix


def test_columns_that_differ_by_case_need_the_right_case():
    columns = {"Year": "int64", "year": "int64"}
    assert print_filter(parse_filter("Year = 1", columns)) == "Year = 1"
    assert "may be any of Year, year" in error_of("YEAR = 1", columns).what


def test_the_caret_stands_under_wide_characters():
    where = error_of("topic = '日本' x").where.splitlines()
    assert where[2].index("^") == 4 + len("topic = '日本' ") + 2


def test_parentheses_that_change_nothing_are_free():
    clause = "year = 1 or year = 2"
    for _ in range(20):
        clause = f"({clause}) and topic = a"
    assert print_filter(parse_filter(clause, COLUMNS)).startswith(
        "(year = 1 or year = 2) and topic = 'a' and"
    )
    assert parse_filter("(" * 50 + "not not year = 1" + ")" * 50, COLUMNS) == parse_filter(
        "year = 1", COLUMNS
    )


def test_the_deepest_and_longest_filters_are_answered_by_lance(dataset):
    deep = "score = 0"
    for _ in range(5):  # each `not (` is two levels
        deep = f"not (score = 0 and {deep})"
    assert isinstance(found(dataset, parse_filter(deep, COLUMNS)), list)
    long = " or ".join(f"score = {n}" for n in range(500))
    assert found(dataset, parse_filter(long, COLUMNS)) == [4]
    nested = "score = 0"
    for level in range(10):
        nested = f"({nested}) {'and' if level % 2 else 'or'} score = {level}"
    assert isinstance(found(dataset, parse_filter(nested, COLUMNS)), list)
