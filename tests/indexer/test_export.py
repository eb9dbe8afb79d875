"""Exports that other programs read, and that no spreadsheet runs."""

import csv
import datetime as dt
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from encoder.errors import CollectionError, InputError
from indexer import export, search
from indexer.bundle import export_bundle
from indexer.documents import Document
from indexer.export import export_passages, safe_cell
from indexer.search import Searcher
from indexer.selection import Selection
from tests.indexer.making import doc, new_collection, numbered, stored_rows

DOCUMENTS = [
    doc(
        "a",
        "=1+1 words",
        "@title",
        topic="+x",
        year=-3,
        score=float("nan"),
        day=dt.date(2020, 1, 2),
        tags=["=a", "b"],
    ),
    doc("b", 'line\nbreak, "quoted"', year=None),
]


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return new_collection(tmp_path_factory.mktemp("x") / "c", DOCUMENTS)[0]


def test_parquet_keeps_types_and_vectors(collection, tmp_path):
    assert collection.export(tmp_path / "e.parquet", vectors=True) == 2
    table = pq.read_table(tmp_path / "e.parquet")
    assert table.column_names == [
        "id",
        "document_id",
        "title",
        "text",
        "start",
        "end",
        "topic",
        "year",
        "score",
        "day",
        "tags",
        "vector",
    ]
    row = table.to_pylist()[0]
    assert (row["text"], row["year"], row["day"], row["tags"]) == (
        "=1+1 words",
        -3,
        dt.date(2020, 1, 2),
        ["=a", "b"],
    )
    stored = stored_rows(collection)
    for row in table.to_pylist():
        assert np.array_equal(np.float16(row["vector"]), np.float16(stored[row["id"]]["vec"]))


def test_json_lines_are_json(collection, tmp_path):
    def refuse(name):
        raise ValueError(name)

    collection.export(tmp_path / "e.jsonl", vectors=True)
    rows = [
        json.loads(line, parse_constant=refuse) for line in (tmp_path / "e.jsonl").read_text().splitlines()
    ]
    assert rows[0]["score"] is None and rows[0]["day"] == "2020-01-02" and len(rows[1]["vector"]) == 16


def test_no_cell_of_a_csv_is_a_formula(collection, tmp_path):
    collection.export(tmp_path / "e.csv")
    with (tmp_path / "e.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert (rows[0]["text"], rows[0]["title"], rows[0]["topic"], rows[0]["tags"]) == (
        "'=1+1 words",
        "'@title",
        "'+x",
        "'=a; b",
    )
    assert rows[0]["year"] == "-3" and rows[1]["text"] == DOCUMENTS[1].text and rows[1]["year"] == ""


@pytest.mark.parametrize("text", ["=x", "+x", "-x", "@x", "\tx", "\rx", "\nx", "=", ["=x"]])
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text):
    assert safe_cell(text).startswith("'")


@pytest.mark.parametrize("value", ["x=", "", None, 3, -3, -0.5, True, "'x"])
def test_other_cells_stay_as_they_are(value):
    assert safe_cell(value) == ("" if value is None else str(value))


def test_columns_named_like_ours_are_kept_beside_them(tmp_path):
    columns = {"id": "string", "text": "string", "vector": "string", "metadata.id": "string"}
    collection, _ = new_collection(
        tmp_path / "c", [Document("a", "", "words", {name: name for name in columns})], columns=columns
    )
    collection.export(tmp_path / "e.parquet", vectors=True)
    row = pq.read_table(tmp_path / "e.parquet").to_pylist()[0]
    assert row["document_id"] == "a" and len(row["vector"]) == 16
    assert {name: value for name, value in row.items() if name.startswith("metadata.")} == {
        "metadata.id": "id",
        "metadata.text": "text",
        "metadata.vector": "vector",
        "metadata.metadata.id": "metadata.id",
    }


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_an_empty_collection_gives_a_file_with_its_columns(tmp_path, ending):
    collection, _ = new_collection(tmp_path / "c", [])
    assert collection.export(tmp_path / f"e.{ending}") == 0
    assert (tmp_path / f"e.{ending}").exists()


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("e.xlsx", {}, "e.xlsx has no known ending"),
        ("e.csv", {"vectors": True}, "a csv cell cannot hold a vector"),
        ("no/such/e.csv", {}, "the file cannot be written: No such file"),
        ("no/such/e.parquet", {}, "the file cannot be written"),
    ],
)
def test_impossible_exports_are_refused(collection, tmp_path, name, options, sentence):
    with pytest.raises(InputError, match=sentence):
        collection.export(tmp_path / name, **options)


def test_an_export_that_fails_leaves_the_old_file_and_no_other(collection, tmp_path, monkeypatch):
    (tmp_path / "e.jsonl").write_text("old")

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("indexer.export.json.dumps", full)
    with pytest.raises(InputError, match="the file cannot be written: No space left on device"):
        collection.export(tmp_path / "e.jsonl")
    assert [(f.name, f.read_text()) for f in tmp_path.iterdir()] == [("e.jsonl", "old")]


def test_what_was_never_published_is_not_exported(tmp_path):
    collection, _ = new_collection(tmp_path / "c")
    with pytest.raises(CollectionError, match="nothing was published yet"):
        collection.export(tmp_path / "e.csv")


@pytest.mark.parametrize("is_bundle", [False, True])
def test_an_export_is_of_one_version_while_another_one_is_published(tmp_path, monkeypatch, is_bundle):
    monkeypatch.setattr(search, "_POLL_S", 0.0)
    monkeypatch.setattr(export, "_BLOCK", 3)
    collection, encoder = new_collection(tmp_path / "c", numbered(12))
    reports = []

    def report(progress):
        reports.append(progress)
        if len(reports) == 1:
            collection.delete(ids=["d7"])

    chosen = Selection(where="year >= 0")
    if is_bundle:
        export_bundle(Searcher(collection, encoder), chosen, tmp_path / "out", report=report)
        file = tmp_path / "out" / "passages.jsonl"
        assert "12 documents, 12 passages" in (tmp_path / "out" / "README.txt").read_text()
    else:
        file = tmp_path / "out.jsonl"
        assert export_passages(collection, file, selection=chosen, report=report) == 12
    names = [json.loads(line)["document_id"] for line in file.read_text().splitlines()]
    assert sorted(names) == sorted(f"d{i}" for i in range(12))
    assert len(reports) > 1 and collection.version() == 2
