"""Questions with known answers, made from a collection."""

import numpy as np
import pytest

from encoder.errors import InputError
from encoder.spectrum.what_if import known_item_ranks, what_if
from indexer import known_items as module
from indexer.known_items import known_items
from indexer.search import Searcher
from tests.indexer.making import doc, new_collection


def searcher_of(tmp_path, documents, **options):
    collection, encoder = new_collection(tmp_path / "c", documents, **options)
    return Searcher(collection, encoder)


def titled(count):
    return [doc(i, f"Some text about subject{i} and more.", f"All of subject{i}") for i in range(count)]


def test_a_title_asks_for_the_passage_without_it(tmp_path):
    searcher = searcher_of(tmp_path, titled(40))
    found = known_items(searcher, most=10)
    assert found.kind == "title" and len(found.texts) == 10 == len(set(found.texts))
    for text, answer, row_id in zip(found.texts, found.answers, found.row_ids, strict=True):
        number = text.removeprefix("All of subject")
        assert answer == f"Some text about subject{number} and more."
        assert searcher.snapshot.store.take(np.array([row_id]), ["doc_id"])["doc_id"][0].as_py() == number
    pairs = found.pairs
    assert pairs.queries.shape == (10, 16) and pairs.documents.shape == (40, 16)
    assert np.allclose(pairs.documents[:10], searcher.embedder.encode_document(found.answers))
    assert np.allclose(pairs.queries, searcher.embedder.encode_query(found.texts))
    assert pairs.right.tolist() == list(range(10))


def test_without_titles_a_first_sentence_asks_for_what_follows(tmp_path):
    documents = [doc(i, f"The first sentence of {i}. What follows of {i}. And more.") for i in range(30)]
    found = known_items(searcher_of(tmp_path, documents), most=5)
    assert found.kind == "first sentence" and len(found.texts) == 5
    for text, answer in zip(found.texts, found.answers, strict=True):
        number = text.removeprefix("The first sentence of ").removesuffix(".")
        assert answer == f"What follows of {number}. And more."


def test_other_passages_of_an_answers_document_are_no_candidates(tmp_path):
    long = " ".join(f"Sentence number {i} about foxes." for i in range(80))
    documents = [doc("long", long, "Foxes"), *titled(3)]
    searcher = searcher_of(tmp_path, documents)
    found = known_items(searcher, most=50)
    assert len(found.texts) == len(found.pairs.documents) == 4 and searcher.snapshot.rows > 4


def test_candidates_and_items_are_bounded_and_drawn_by_the_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_CANDIDATES", 5)
    monkeypatch.setattr(module, "_ENCODED", 4)
    searcher = searcher_of(tmp_path, titled(40))
    reports = []
    first = known_items(searcher, most=10, seed=1, report=reports.append)
    again, other = known_items(searcher, most=10, seed=1), known_items(searcher, most=10, seed=2)
    assert len(first.pairs.documents) == 15 and first.texts == again.texts != other.texts
    assert [(report.passages, report.fraction) for report in reports] == [(4, 0.4), (8, 0.8), (10, 1.0)]


def test_known_items_fit_what_if(tmp_path):
    searcher = searcher_of(tmp_path, titled(60))
    pairs = known_items(searcher, most=20).pairs
    snapshot = searcher.snapshot
    now, centred = what_if(snapshot.vectors(snapshot.row_ids()), ["centre"], pairs=pairs)
    assert now.recall_at_1.value == (known_item_ranks(pairs) == 1).mean()
    assert now.recall_at_1.queries == centred.recall_at_10.queries == 20


@pytest.mark.parametrize("documents", [[], [doc("a", "One sentence"), doc("b", "Short. Too.")]])
def test_where_nothing_can_be_asked_it_says_so(tmp_path, documents):
    with pytest.raises(InputError, match="no passage has a title or a second sentence"):
        known_items(searcher_of(tmp_path, documents))


def test_a_transformed_collection_is_asked_by_its_own_encoder(tmp_path):
    searcher = searcher_of(tmp_path, titled(40))
    collection = searcher.collection
    collection.rebuild(transform="centre+pca:4")
    own = Searcher(collection, collection.dressed(searcher.embedder))
    assert known_items(own, most=5).pairs.documents.shape == (40, 4)
