"""Hits now and transformed, against plain arithmetic and a search of the rebuilt collection."""

import numpy as np
import pytest

from encoder.errors import InputError, ShapeError, UsageError
from encoder.spectrum.transforms import fit_transform, parse_steps
from indexer import side_by_side
from indexer.search import Searcher
from indexer.side_by_side import fit_to, hits_side_by_side
from tests.indexer.making import PresetEmbedder, doc, new_collection, numbered


@pytest.fixture
def searcher(tmp_path):
    vectors = np.random.default_rng(0).standard_normal((300, 16)) + np.linspace(1, 3, 16)
    encoder = PresetEmbedder(vectors)
    documents = [doc(i, f"row {i}", year=i) for i in range(300)]
    collection, _ = new_collection(tmp_path / "c", documents, encoder=encoder)
    return Searcher(collection, encoder)


def names(hits):
    return [hit.document_id for hit in hits]


def test_both_lists_are_what_a_search_finds_before_and_after_a_rebuild(searcher):
    found = hits_side_by_side(searcher, "row 5", fit_to(searcher, "centre+drop:1"), 15)
    now = searcher.search("row 5", 15, mode="semantic", exact=True).hits
    assert [(hit.document_id, hit.text, hit.rank) for hit in found.now] == [
        (hit.document_id, hit.text, hit.rank) for hit in now
    ]
    assert np.allclose([hit.score for hit in found.now], [hit.score for hit in now], atol=1e-6)
    collection, encoder = searcher.collection, searcher.embedder
    collection.rebuild(transform="centre+drop:1")
    after = Searcher(collection, collection.dressed(encoder)).search("row 5", 15, mode="semantic", exact=True)
    assert names(found.transformed) == names(after.hits)
    assert np.allclose([hit.score for hit in found.transformed], [h.score for h in after.hits], atol=2e-3)
    assert (found.compared, found.matching) == (300, 300)


def test_every_hit_says_where_it_went(searcher):
    found = hits_side_by_side(searcher, "row 5", fit_to(searcher, "centre+pca:3"), 40)
    before, after = names(found.now), names(found.transformed)
    assert {hit.change for hit in found.now} == {"same", "up", "down", "gone"}
    assert {hit.change for hit in found.transformed} == {"same", "up", "down", "new"}
    for hits, other, missing in ((found.now, after, "gone"), (found.transformed, before, "new")):
        for hit in hits:
            at = other.index(hit.document_id) + 1 if hit.document_id in other else None
            assert hit.other_rank == at and (hit.change == missing) == (at is None)
    for hit in found.now:
        if hit.other_rank:
            moved = (hit.other_rank < hit.rank) - (hit.other_rank > hit.rank)
            assert hit.change == {0: "same", 1: "up", -1: "down"}[moved]


def test_a_filter_and_a_sample_hold_for_both_lists(searcher, monkeypatch):
    transform = fit_to(searcher, "centre")
    found = hits_side_by_side(searcher, "row 5", transform, 10, where="year >= 290")
    assert (found.compared, found.matching) == (10, 10)
    assert set(names(found.now)) == set(names(found.transformed)) == {str(i) for i in range(290, 300)}
    nothing = hits_side_by_side(searcher, "row 5", transform, where="year > 900")
    assert (nothing.now, nothing.transformed, nothing.matching) == ([], [], 0)
    monkeypatch.setattr(side_by_side, "MOST_ROWS", 20)
    sampled = hits_side_by_side(searcher, "row 5", transform, 300)
    assert (sampled.compared, sampled.matching) == (20, 300)
    assert set(names(sampled.now)) == set(names(sampled.transformed)) and len(sampled.now) == 20


def test_a_document_is_shown_once_by_its_best_passage(tmp_path):
    long = ". ".join(f"Sentence number {i} about foxes" for i in range(80))
    collection, encoder = new_collection(tmp_path / "c", [doc("long", long), *numbered(5)])
    searcher = Searcher(collection, encoder)
    found = hits_side_by_side(searcher, "foxes", fit_to(searcher, "centre"), 10)
    assert len(found.now) == len(found.transformed) == 6 and names(found.now).count("long") == 1
    assert found.compared > 6 and "foxes" in found.now[0].text


def test_the_fit_is_that_of_the_stored_vectors(searcher, monkeypatch):
    snapshot = searcher.snapshot
    whole = fit_transform(snapshot.vectors(snapshot.row_ids()), parse_steps("whiten"))
    assert np.allclose(fit_to(searcher, "whiten").matrix, whole.matrix, atol=1e-4)
    monkeypatch.setattr(side_by_side, "MOST_ROWS", 50)
    assert fit_to(searcher, "whiten").rows == 50


def test_what_cannot_be_compared_is_refused(searcher):
    transform = fit_to(searcher, "centre")
    with pytest.raises(InputError, match="k = 0"):
        hits_side_by_side(searcher, "row 5", transform, 0)
    with pytest.raises(InputError):
        hits_side_by_side(searcher, "row 5", transform, where="no such column = 1")
    with pytest.raises(UsageError, match="no step"):
        fit_to(searcher, "none")
    narrow = fit_transform(np.eye(3), parse_steps("centre"))
    with pytest.raises(ShapeError, match="do not fit centre"):
        hits_side_by_side(searcher, "row 5", narrow)
    collection, encoder = searcher.collection, searcher.embedder
    collection.rebuild(transform="centre")
    with pytest.raises(InputError, match="have passed centre already") as caught:
        hits_side_by_side(Searcher(collection, collection.dressed(encoder)), "row 5", transform)
    assert "--transform none" in caught.value.fix
