"""The promises P1-P5 of search against brute force, over random tables, kinds, filters and queries."""

import datetime as dt
from contextlib import ExitStack
from unittest import mock

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from encoder.errors import CollectionError
from indexer import publish
from indexer.query.snapshot import Snapshot
from indexer.search import Searcher
from indexer.segments import segment as segments
from indexer.storage.store import RowStore
from tests.conftest import WordEmbedder
from tests.indexer.making import COLUMNS, ListSource, PresetEmbedder, doc, new_collection
from tests.oracle.brute_force import exact_ranking, holding, passing, truth_of, unit_count

WORDS = ["ant", "bee", "cow", "dog", "elk", "fox"]
FILTERS = [
    None,
    "year >= 2001",
    "year is null",
    "not (year = 2001 or topic = 'x')",
    "topic in ('x', 'y') and score < 0.5",
    "tags contains 'b'",
    "day between 2020-01-02 and 2020-01-03",
    "year = 1066",
    "year is null or year is not null",
]
QUERIES = [
    "ant bee",
    "+ant bee",
    "-ant cow",
    '"ant bee" cow',
    "dog OR elk",
    '+"bee cow" -fox',
    "-ant",
    "zebra",
]

documents = st.builds(
    lambda number, words, title, **metadata: doc(f"d{number}", " ".join(words), title, **metadata),
    st.integers(0, 30),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=20),
    st.sampled_from(["", "ant fox"]),
    topic=st.sampled_from([None, "x", "y", "it's"]),
    year=st.sampled_from([None, 2000, 2001, 2002]),
    score=st.sampled_from([None, 0.25, 0.75, float("nan")]),
    day=st.sampled_from([None, *(dt.date(2020, 1, day) for day in range(1, 5))]),
    tags=st.sampled_from([None, [], ["a"], ["a", "b"]]),
)
tables = st.lists(documents, min_size=1, max_size=30, unique_by=lambda document: document.id)
steps = st.lists(
    st.tuples(tables, st.lists(st.integers(0, 30).map("d{}".format), max_size=4)), min_size=1, max_size=3
)
# What each setting of the two makes of several additions: one segment, several, or mostly loose rows.
SHAPES = {"merged": (0.1, 4), "several segments": (0.0, 0), "loose rows": (1.0, 4)}


def build(path, table_steps, kind, shape):
    share, factor = SHAPES[shape]
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(publish, "MOST_LOOSE_SHARE", share))
        stack.enter_context(mock.patch.object(publish, "_MERGE_FACTOR", factor))
        collection, encoder = new_collection(
            path, None, encoder=WordEmbedder(dimension=8, max_tokens=8), overlap=2
        )
        for added, deleted in table_steps:
            collection.add(ListSource(added), encoder=encoder, index=kind)
            if deleted:
                collection.delete(ids=deleted)
    return collection, encoder


def check_hits(result, allowed, k, by):
    """P1, P2, P3 and the order of P4."""
    known = {row["id"]: row for row in allowed}
    hits = result.hits
    assert all(hit.id in known for hit in hits), "a row that does not match, or is not live"
    assert len(hits) == min(k, unit_count(allowed, by)), "not min(k, m) hits"
    names = [hit.document_id if by == "document" else hit.id for hit in hits]
    assert len(set(names)) == len(names)
    order = [(-hit.score, known[hit.id]["_rowid"]) for hit in hits]
    assert order == sorted(order), "not by falling score, ties by row id"


def check_scores(result, allowed, vector):
    """P4: inner products of what is stored."""
    exact = {row["id"]: score for row, score in exact_ranking(allowed, vector, "passage")}
    assert all(hit.dense == pytest.approx(exact[hit.id], abs=1e-6) for hit in result.hits)


def check_everything(collection, encoder, where, query, k, by):
    searcher = Searcher(collection, encoder)
    rows = truth_of(collection)
    allowed = passing(rows, where, COLUMNS)
    vector = encoder.encode_query([query])[0]
    for exact in (False, True):
        found = searcher.search(query, k, where=where, mode="semantic", exact=exact, by=by)
        check_hits(found, allowed, k, by)
        check_scores(found, allowed, vector)
        if exact or found.provenance.mode == "exact":  # P5
            truth = [row["id"] for row, _ in exact_ranking(allowed, vector, by)[:k]]
            assert [hit.id for hit in found.hits] == truth
    found = searcher.search(query, k, where=where, mode="keyword", by=by)
    check_hits(found, holding(allowed, query, needs_word=True), k, by)
    found = searcher.search(query, k, where=where, by=by)
    check_hits(found, holding(allowed, query, needs_word=False), k, by)
    check_scores(found, allowed, vector)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), table_steps=steps)
def test_the_promises_hold_for_any_table_index_filter_and_query(tmp_path_factory, data, table_steps):
    kind = data.draw(st.sampled_from(["flat", "rabitq", "ivf-sq8"]))
    shape = data.draw(st.sampled_from(list(SHAPES)))
    budget_ms = data.draw(
        st.sampled_from([segments._EXACT_BUDGET_MS, 0.0])
    )  # 0: filters go to the index, too
    collection, encoder = build(tmp_path_factory.mktemp("p") / "c", table_steps, kind, shape)
    with mock.patch.object(segments, "_EXACT_BUDGET_MS", budget_ms):
        for _ in range(8):
            check_everything(
                collection,
                encoder,
                data.draw(st.sampled_from(FILTERS)),
                data.draw(st.sampled_from(QUERIES)),
                data.draw(st.sampled_from([1, 2, 5, 10_000])),
                data.draw(st.sampled_from(["document", "passage"])),
            )


@pytest.fixture
def four_years(tmp_path):
    added = [doc(f"d{i}", f"{WORDS[i % 6]} {WORDS[i % 5]} {i}", year=2000 + i % 4) for i in range(60)]
    return build(tmp_path / "c", [(added, ["d3"])], "flat", "merged")


def test_the_promises_hold_for_this_table_and_break_without_the_bitmap(four_years, monkeypatch):
    collection, encoder = four_years
    check_everything(collection, encoder, "year = 2001", "ant bee", 5, "document")
    monkeypatch.setattr(Snapshot, "allow", lambda self, name, condition: self.everything())
    with pytest.raises(AssertionError, match="does not match"):
        check_everything(collection, encoder, "year = 2001", "ant bee", 5, "document")


def test_a_deleted_row_that_the_mask_let_through_would_be_refused_not_shown(four_years, monkeypatch):
    collection, encoder = four_years
    monkeypatch.setattr("indexer.query.snapshot._mask_of", lambda row_ids, live: None)
    with pytest.raises(CollectionError, match="not in the row store"):
        check_everything(collection, encoder, None, "dog 3 elk", 60, "document")


def test_hundreds_of_equal_texts_come_in_the_order_of_their_row_ids(tmp_path):
    added = [doc(f"d{i:04}", "ant bee cow" if i % 4 else f"dog {i}", year=i) for i in range(900)]
    collection, encoder = new_collection(tmp_path / "c", added, index="flat")
    for where in (None, "year >= 10", "year < 890 and year != 5", "year < 300"):
        for mode in ("semantic", "keyword"):
            allowed = passing(truth_of(collection), where, COLUMNS)
            twins = [row["id"] for row in allowed if row["content"] == "ant bee cow"]
            found = Searcher(collection, encoder).search("ant bee cow", 20, where=where, mode=mode)
            assert [hit.id for hit in found.hits] == twins[:20]


def test_equal_keyword_scores_are_settled_by_row_id_whichever_of_them_the_word_index_gives(
    tmp_path, monkeypatch
):
    collection, encoder = new_collection(tmp_path / "c", [doc(f"d{i:04}", "ant bee") for i in range(700)])
    give = RowStore.keyword_scores

    def highest_ids_first(self, query, limit, condition=None):
        ids, scores = give(self, query, 10_000, condition)
        kept = np.lexsort((-ids.astype(np.int64), -scores))[:limit]
        order = kept[np.lexsort((ids[kept], -scores[kept]))]
        return ids[order], scores[order]

    monkeypatch.setattr(RowStore, "keyword_scores", highest_ids_first)
    hits = Searcher(collection, encoder).search("ant", 5, mode="keyword").hits
    assert [hit.document_id for hit in hits] == [f"d{i:04}" for i in range(5)]


@pytest.fixture(scope="module")
def clustered(tmp_path_factory):
    """4,000 vectors in 40 clusters, with attributes that follow the vectors."""
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((40, 32))
    vectors = centres[rng.integers(0, 40, 4000)] + 0.5 * rng.standard_normal((4000, 32))
    place = np.argsort(np.argsort(vectors @ rng.standard_normal(32)))  # 0..3999, near vectors near each other
    encoder = PresetEmbedder(vectors)
    added = [doc(f"d{i}", f"row {i}", year=int(place[i])) for i in range(4000)]
    folder = tmp_path_factory.mktemp("clustered")
    made = {
        kind: new_collection(folder / kind, added, encoder=encoder, index=kind)[0]
        for kind in ("rabitq", "ivf-sq8")
    }
    return made, encoder


@pytest.mark.parametrize("budget_ms", [segments._EXACT_BUDGET_MS, 0.0], ids=["defaults", "approximate only"])
@pytest.mark.parametrize("kind", ["rabitq", "ivf-sq8"])
@pytest.mark.parametrize("selectivity", [0.001, 0.01, 0.1, 0.5, 1.0])
def test_recall_stays_above_95_percent_under_filters_that_follow_the_vectors(
    clustered, monkeypatch, kind, selectivity, budget_ms
):
    monkeypatch.setattr(segments, "_EXACT_BUDGET_MS", budget_ms)
    made, encoder = clustered
    searcher = Searcher(made[kind], encoder)
    where = None if selectivity == 1 else f"year < {round(4000 * selectivity)}"
    rng = np.random.default_rng(1)
    queries = list((encoder.vectors[::100] + 0.05 * rng.standard_normal((40, 32))).astype(np.float32))
    found = searcher.search_batch(queries, where=where, mode="semantic")
    truth = searcher.search_batch(queries, where=where, mode="semantic", exact=True)
    reached = [
        len({h.id for h in a.hits} & {h.id for h in b.hits}) / len(b.hits)
        for a, b in zip(found, truth, strict=True)
    ]
    assert np.mean(reached) >= 0.95
    if budget_ms == 0.0:
        assert found[0].provenance.mode == "approximate"


@pytest.mark.parametrize("kind", ["rabitq", "ivf-sq8"])
@pytest.mark.parametrize("where", [None, "year >= 1000", "year < 700 and year != 5"])
def test_all_matching_rows_come_when_ten_thousand_are_asked_for(clustered, monkeypatch, kind, where):
    monkeypatch.setattr(segments, "_EXACT_BUDGET_MS", 0.0)
    made, encoder = clustered
    found = Searcher(made[kind], encoder).search(encoder.vectors[0], 10_000, where=where)
    allowed = passing(truth_of(made[kind]), where, COLUMNS)
    check_hits(found, allowed, 10_000, "document")
