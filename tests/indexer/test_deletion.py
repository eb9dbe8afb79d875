"""Deleting documents by id and by filter."""

import pytest

from encoder.errors import InputError
from indexer.deletion import find_documents
from indexer.search import Searcher
from tests.indexer.making import doc, new_collection, numbered, stored_ids

LONG = ". ".join(f"Sentence number {i} of a long text" for i in range(60))


def test_deleted_documents_are_gone_for_readers_and_counted(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", [doc("long", LONG, year=1), *numbered(20)])
    assert find_documents(collection, ids=["long", "nobody"])[1] == 1
    assert len(find_documents(collection, ids=["long"])[0]) == stored_ids(collection)["long"] > 1
    assert collection.delete(ids=["long", "d3", "nobody", "\ud800"]) == 2
    assert "long" not in stored_ids(collection)
    hits = Searcher(collection, encoder).search("sentence d3 words", 100, by="passage").hits
    assert {hit.document_id for hit in hits} == {f"d{i}" for i in range(20) if i != 3}


def test_a_filter_deletes_what_it_finds_and_nothing_else(tmp_path):
    collection, _ = new_collection(tmp_path / "c", [*numbered(20), doc("none")])
    assert collection.delete(where="not year < 5") == 15
    assert set(stored_ids(collection)) == {*(f"d{i}" for i in range(5)), "none"}
    assert collection.delete(where="year = 77") == 0 and collection.verify() == []


@pytest.mark.parametrize("arguments", [{}, {"where": "year = 1", "ids": ["a"]}])
def test_either_a_filter_or_ids_must_be_given(tmp_path, arguments):
    collection, _ = new_collection(tmp_path / "c", numbered(3))
    with pytest.raises(InputError, match="say which documents"):
        collection.delete(**arguments)


@pytest.mark.parametrize("where", ["year = 1 garbage", "year = 1; drop", "year = 1) or (1=1", "", "   "])
def test_a_filter_with_anything_behind_it_deletes_nothing(tmp_path, where):
    collection, _ = new_collection(tmp_path / "c", numbered(3))
    with pytest.raises(InputError):
        collection.delete(where=where)
    assert len(stored_ids(collection)) == 3
