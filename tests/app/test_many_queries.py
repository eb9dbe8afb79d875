"""Several queries at once: reading the list, batches, files that hold every hit."""

import csv
import io
import json

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.many_queries import BATCH, answer_all, answer_rows, answers_as, read_queries
from app.questions import is_asked, mode_of, query_of
from app.view_state import ViewState
from encoder.errors import InputError
from indexer.hits import Hit, Provenance, SearchResult
from indexer.query.asked import ExampleQuery, RowQuery


def result(query, titles):
    hits = [
        Hit(rank, f"{query}:{rank}", f"d{rank}", 1 / rank, None, 1.0, title, "=1+1", (0, 4))
        for rank, title in enumerate(titles, 1)
    ]
    return SearchResult(query, hits, Provenance(7, 9, 9, "flat", "words", "exact", 1.0, None, 9, {}))


@given(st.text(max_size=300))
def test_a_list_is_read_as_its_distinct_lines(pasted):
    lines = [line.strip() for line in pasted.splitlines() if line.strip()]
    if not lines:
        with pytest.raises(InputError, match="there is no query in the list"):
            read_queries(pasted)
    else:
        assert read_queries(pasted) == sorted(set(lines), key=lines.index)


@given(st.lists(st.sampled_from("abcdef!"), min_size=1, max_size=40))
def test_batches_give_every_query_its_own_answer_whatever_fails(queries):
    asked = []

    def search(batch):
        asked.append(len(batch))
        if "!" in batch:
            raise InputError("no", "", "")
        return [result(query, [query]) for query in batch]

    answers = [answer for batch in answer_all(queries, search) for answer in batch]
    assert [query for query, _ in answers] == queries
    assert max(asked) <= BATCH
    for query, answer in answers:
        assert isinstance(answer, InputError) == (query == "!")
        assert query == "!" or answer.hits[0].title == query


def test_files_hold_every_hit_and_run_nothing():
    answers = [("a", result("a", ["x", "=cmd"])), ("bad", InputError("no", "", "")), ("b", result("b", []))]
    rows = answer_rows(answers, "news")
    assert [(row["query"], row["rank"], row["title"], row["version"]) for row in rows] == [
        ("a", 1, "x", 7),
        ("a", 2, "=cmd", 7),
    ]
    sheet = list(csv.DictReader(io.StringIO(answers_as("csv", answers, "news").decode("utf-8-sig"))))
    assert [row["title"] for row in sheet] == ["x", "'=cmd"]
    lines = [json.loads(line) for line in answers_as("jsonl", answers, "news").splitlines()]
    assert lines == rows
    assert pq.read_table(io.BytesIO(answers_as("parquet", answers, "news"))).to_pylist() == rows


def test_without_any_hit_the_files_still_have_their_columns():
    table = pq.read_table(io.BytesIO(answers_as("parquet", [], "news")))
    assert table.num_rows == 0
    assert table.column_names[:3] == ["query", "rank", "score"]


@pytest.mark.parametrize(
    ("state", "query", "mode", "asked"),
    [
        (ViewState(), "", "hybrid", False),
        (ViewState(query=" "), " ", "hybrid", False),
        (ViewState(query="a", mode="keyword"), "a", "keyword", True),
        (ViewState(query="a", like="p", mode="keyword"), RowQuery("p"), "semantic", True),
        (ViewState(query="a", more=("p",), less=("q",)), ExampleQuery(("p",), ("q",), "a"), "semantic", True),
        (ViewState(less=("q",)), ExampleQuery((), ("q",), ""), "semantic", False),
    ],
)
def test_a_view_asks_by_text_passage_or_examples(state, query, mode, asked):
    assert query_of(state) == query
    assert mode_of(state) == mode
    assert is_asked(state) == asked
