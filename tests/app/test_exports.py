"""Exported hits: safe in a spreadsheet, unchanged for programs, and with their origin."""

import csv
import io
import json
from dataclasses import replace
from datetime import date

import pyarrow.parquet as pq
import pytest

from app.exports import to_csv, to_jsonl, to_parquet
from indexer.hits import Hit, Provenance, SearchResult

EVIL = '=HYPERLINK("http://evil.example";"x")'
METADATA = {"day": date(2024, 5, 6), "tags": ["a", "b"], "=col": "+1", "title": "own"}
PROVENANCE = Provenance(7, 10, 10, "flat", "default", "exact", 1.0, None, 10, {"total": 1.0})
RESULT = SearchResult(
    "@query", [Hit(1, "d#0", "d", 0.5, -0.25, None, EVIL, 'a,\n"b"', (3, 9), METADATA)], PROVENANCE
)


def cells_of(result):
    header, *rows = csv.reader(io.StringIO(to_csv(result, "corpus").decode("utf-8-sig"), newline=""))
    return [dict(zip(header, row, strict=True)) for row in rows]


@pytest.mark.parametrize(
    ("title", "cell"),
    [(f"{start}1", f"'{start}1") for start in ("=", "+", "-", "@", "\t", "\r", "\n")]
    + [("1", "1"), ("a=1", "a=1"), ("", ""), ("'=1", "'=1")],
)
def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe(title, cell):
    hit = replace(RESULT.hits[0], title=title)
    assert cells_of(replace(RESULT, hits=[hit]))[0]["title"] == cell


def test_metadata_columns_that_share_names_with_ours_lose_nothing():
    metadata = {"title": "a", "metadata.title": "b", "query": "c", "metadata.query": "d", "rank": 5}
    result = replace(RESULT, hits=[replace(RESULT.hits[0], metadata=metadata)])
    (cells,) = cells_of(result)
    (row,) = pq.read_table(io.BytesIO(to_parquet(result, "corpus"))).to_pylist()
    for found in (cells, row):
        assert [str(found[f"metadata.{name}"]) for name in ("title", "metadata.title", "rank")] == [
            "a",
            "b",
            "5",
        ]
        assert [str(found[f"metadata.{name}"]) for name in ("query", "metadata.query")] == ["c", "d"]
    assert (cells["title"], cells["query"]) == (f"'{EVIL}", "'@query")


def test_csv_guards_every_text_and_keeps_numbers():
    header, row = list(csv.reader(io.StringIO(to_csv(RESULT, "corpus").decode("utf-8-sig"))))
    assert not any(cell.startswith(("=", "+", "@")) for cell in header + row)
    cells = dict(zip(header, row, strict=True))
    assert cells["dense"] == "-0.25"  # a number, not a formula
    assert cells["'=col"] == "'+1"
    assert cells["tags"] == "a; b"
    assert (cells["query"], cells["corpus"], cells["version"], cells["encoder"]) == (
        "'@query",
        "corpus",
        "7",
        "default",
    )


def test_jsonl_keeps_texts_and_types():
    (line,) = to_jsonl(RESULT, "corpus").decode().splitlines()
    record = json.loads(line)
    assert record["title"] == EVIL
    assert record["metadata"]["tags"] == ["a", "b"]
    assert (record["version"], record["corpus"]) == (7, "corpus")


def test_parquet_keeps_texts_and_types():
    table = pq.read_table(io.BytesIO(to_parquet(RESULT, "corpus")))
    (row,) = table.to_pylist()
    assert (row["title"], row["metadata.title"]) == (EVIL, "own")
    assert (row["day"], row["tags"], row["=col"]) == (date(2024, 5, 6), ["a", "b"], "+1")
    assert json.loads(table.schema.metadata[b"llm2comp"])["version"] == 7


@pytest.mark.parametrize("write", [to_csv, to_jsonl, to_parquet])
def test_no_hits_make_a_file_all_the_same(write):
    assert isinstance(write(SearchResult("q", [], PROVENANCE), "c"), bytes)
