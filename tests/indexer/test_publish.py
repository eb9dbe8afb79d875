"""Publishing: which segments are kept, merged and built, and what is published."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from encoder.errors import InputError
from indexer import publish as publishing
from indexer.publish import MOST_LOOSE_ROWS, MOST_LOOSE_SHARE, plan_segments
from indexer.search import Searcher
from tests.indexer.making import ListSource, new_collection, numbered


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=8), st.integers(0, 10**6))
def test_a_plan_leaves_few_dead_and_few_loose_rows_and_no_segments_of_similar_size(segments, loose):
    alive, dead = [s[0] for s in segments], [s[1] for s in segments]
    kept, is_building = plan_segments(alive, dead, loose)
    rest = loose + sum(alive) - sum(alive[n] for n in kept)
    assert len(set(kept)) == len(kept)
    assert all(alive[n] and dead[n] <= 0.2 * (alive[n] + dead[n]) for n in kept)
    if is_building:
        assert rest > 0 and all(alive[n] >= 4 * rest for n in kept)
    else:
        assert rest <= min(MOST_LOOSE_ROWS, MOST_LOOSE_SHARE * (loose + sum(alive)))


def test_growing_step_by_step_keeps_few_segments_and_rewrites_each_row_seldom():
    sizes, written = [], 0
    for _ in range(300):
        kept, is_building = plan_segments(sizes, [0] * len(sizes), 60_000)
        assert is_building
        new = 60_000 + sum(sizes) - sum(sizes[n] for n in kept)
        sizes = [*(sizes[n] for n in kept), new]
        written += new
        assert len(sizes) <= 6
    assert written <= 8 * 300 * 60_000


def test_nothing_new_publishes_nothing(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(20))
    before = collection.publication()
    assert collection.publish() == before and collection.version() == 1


def test_another_index_kind_is_built_and_kept_for_later_additions(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(20), index="flat")
    assert [s.kind for s in collection.publish(index="rabitq").segments] == ["rabitq"]
    collection.add(ListSource(numbered(20, start=100)), encoder=encoder)
    assert {s.kind for s in collection.publication().segments} == {"rabitq"}
    assert [s.kind for s in collection.publish(index="ivf-sq8").segments] == ["ivf-sq8"]
    assert [s.kind for s in collection.publish(index="flat").segments] == ["flat"]
    assert len(Searcher(collection, encoder).search("words", 50).hits) == 40


def test_several_segments_and_loose_rows_are_counted_once(tmp_path, monkeypatch):
    monkeypatch.setattr(publishing, "_MERGE_FACTOR", 0)
    collection, encoder = new_collection(tmp_path / "c", numbered(40))
    collection.add(ListSource(numbered(30, start=100)), encoder=encoder)
    collection.add(ListSource(numbered(3, start=200)), encoder=encoder)
    collection.delete(ids=["d1", "d101", "d201"])
    publication = collection.publication()
    assert len(publication.segments) == 2
    assert (publication.documents, publication.passages) == (70, 70)
    assert len(Searcher(collection, encoder).search("words", 100).hits) == 70


def test_a_segment_with_many_deleted_rows_is_built_again(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(40))
    first = collection.publication().segments[0].path
    collection.delete(where="year < 8")
    assert collection.publication().segments[0].path == first
    collection.delete(where="year < 20")
    assert [(s.path != first, s.rows) for s in collection.publication().segments] == [(True, 20)]


def test_unknown_index_kinds_are_refused_before_anything_is_built(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(4))
    with pytest.raises(InputError, match="there is no index kind 'hnsw'"):
        collection.publish(index="hnsw")
    assert collection.version() == 1


def test_rows_whose_ids_arrive_in_any_order_are_put_in_their_places(tmp_path, monkeypatch):
    collection, _ = new_collection(tmp_path / "c", numbered(50))
    scan = type(collection.open_rows()).scan
    monkeypatch.setattr(
        type(collection.open_rows()), "scan", lambda *a, **k: reversed(list(scan(*a, **{**k, "rows": 7})))
    )
    collection.rebuild()
    monkeypatch.undo()
    assert collection.verify() == []
