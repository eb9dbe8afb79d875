"""Exported hits: safe in a spreadsheet, unchanged for programs, and with their origin."""

import csv
import io
import json
from datetime import date

import pyarrow.parquet as pq
import pytest

from app.exports import guard_formula, to_csv, to_jsonl, to_parquet
from indexer.hits import Hit, Provenance, SearchResult

EVIL = '=HYPERLINK("http://evil.example";"x")'
METADATA = {"day": date(2024, 5, 6), "tags": ["a", "b"], "=col": "+1", "title": "own"}
PROVENANCE = Provenance(7, 10, 10, "flat", "default", "exact", 1.0, None, 10, {"total": 1.0})
RESULT = SearchResult(
    "@query", [Hit(1, "d#0", "d", 0.5, -0.25, None, EVIL, 'a,\n"b"', (3, 9), METADATA)], PROVENANCE
)


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_a_formula_gets_an_apostrophe(cell):
    assert guard_formula(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["1", "a=1", "", -1.5, None, "'=1"])
def test_other_cells_stay_as_they_are(cell):
    assert guard_formula(cell) == cell


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
