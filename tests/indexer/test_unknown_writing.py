"""Passages and queries in writing that the encoder hardly knows: counted, said, and left to the words."""

import numpy as np
import pytest

from indexer.ingest.job import add_source
from indexer.search import ExampleQuery, Searcher
from tests.conftest import WordEmbedder
from tests.indexer.making import COLUMNS, ListSource, doc, new_collection

_NOTE = "the encoder hardly knows the writing of this query"


class LatinEmbedder(WordEmbedder):
    """Knows Latin letters alone: every other text has the same vector, and is said to be unknown."""

    def _encode(self, texts):
        vectors = super()._encode(texts)
        for vector, text in zip(vectors, texts, strict=True):
            if not text.isascii():
                vector[:] = np.eye(1, self.dimension)[0]
        return vectors

    def _count(self, texts, stats):
        if stats is not None:
            stats.mostly_unknown += [stats.texts + n for n, text in enumerate(texts) if not text.isascii()]
            stats.texts += len(texts)

    def encode_query(self, texts, *, instruction=None, stats=None):
        self._count(texts, stats)
        return super().encode_query(texts)

    def encode_document(self, texts, *, progress=None, stats=None):
        self._count(texts, stats)
        return super().encode_document(texts, progress=progress)


DOCUMENTS = [
    doc("road", "roads and tolls"),
    doc("bread", "flour water salt"),
    doc("дорога", "кто платит за дороги"),
    doc("хлеб", "мука вода соль"),
]


@pytest.fixture
def made(tmp_path):
    return new_collection(tmp_path / "mixed", DOCUMENTS, encoder=LatinEmbedder(dimension=16))


@pytest.fixture
def searcher(made):
    return Searcher(*made)


def _ids(result):
    return [hit.document_id for hit in result.hits]


def test_a_job_counts_the_passages_that_it_encoded(made, tmp_path, monkeypatch):
    monkeypatch.setattr("indexer.ingest.job._LEAST_BLOCK_PASSAGES", 1)  # the counts go on over blocks
    collection, encoder = made
    more = [*DOCUMENTS, doc("мост", "длинный мост"), doc("river", "a river"), doc("река", "река и песок")]
    done = add_source(collection, ListSource(more, columns=COLUMNS), encoder)
    assert (done.passages, done.unknown) == (3, 2)


def test_the_words_decide_on_a_query_in_unknown_writing(searcher):
    result = searcher.search("мука вода")
    assert _ids(result)[0] == "хлеб"
    assert result.fusion.weight == 0.01
    assert result.provenance.notes == (f"{_NOTE}: its words decide",)
    assert {hit.document_id: hit.keyword for hit in result.hits}["хлеб"] > 0


def test_search_by_meaning_says_that_it_is_a_guess(searcher):
    result = searcher.search("мука вода", mode="semantic")
    assert result.provenance.notes == (f"{_NOTE}: these hits by meaning say little",)


def test_search_by_words_has_nothing_to_say(searcher):
    assert searcher.search("мука вода", mode="keyword").provenance.notes == ()


def test_a_query_in_known_writing_is_searched_as_before(searcher):
    result = searcher.search("flour and water")
    assert _ids(result)[0] == "bread"
    assert (result.fusion.weight, result.provenance.notes) == (0.5, ())


def test_each_query_of_a_batch_is_judged_by_itself(searcher):
    queries = ["roads", "мука", np.eye(1, 16)[0], ExampleQuery(more=(), text="дороги"), "дороги", "salt"]
    found = searcher.search_batch(queries)
    assert [bool(result.provenance.notes) for result in found] == [False, True, False, False, True, False]
    assert _ids(found[1])[0] == "хлеб"


def test_an_explanation_takes_the_weight_that_the_search_took(searcher):
    result = searcher.search("мука вода")
    told = searcher.explain(result, result.hits[0], "мука вода")
    dense, keyword = result.fusion.parts(result.hits[0].dense, result.hits[0].keyword)
    assert dense + keyword == pytest.approx(result.hits[0].score, abs=1e-6)
    assert told is not None
