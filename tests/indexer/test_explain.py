"""Examples as a query, why a hit stands where it stands, and counts of values under a query."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from encoder.errors import InputError
from indexer.annotations import tags
from indexer.query.asked import example_vector
from indexer.search import ExampleQuery, Searcher
from tests.conftest import WordEmbedder
from tests.indexer.making import PresetEmbedder, doc, new_collection
from tests.oracle.brute_force import truth_of

WORDS = ["ant", "bee", "cow", "dog", "elk", "fox"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    rng = np.random.default_rng(3)
    added = [
        doc(
            f"d{n}",
            " ".join(rng.choice(WORDS, 30)),
            year=2000 + n % 5,
            score=[0.5, float("nan"), None][n % 3],
            tags=[None, ["a"], ["a", "b"]][n % 3],
        )
        for n in range(50)
    ]
    encoder = WordEmbedder(dimension=8, max_tokens=16)
    collection, _ = new_collection(tmp_path_factory.mktemp("e") / "c", added, encoder=encoder, overlap=4)
    return Searcher(collection, encoder), truth_of(collection)


# ---- examples

VECTORS = st.integers(0, 2**16).map(lambda seed: np.random.default_rng(seed).standard_normal((6, 5)))


@settings(max_examples=60, deadline=None)
@given(
    vectors=VECTORS,
    more=st.integers(0, 3),
    less=st.integers(0, 3),
    text=st.booleans(),
    weight=st.floats(0, 1),
)
def test_the_query_of_examples_is_rocchios(vectors, more, less, text, weight):
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    expected = np.zeros(5)
    expected += sum(vectors[:more].astype(float)) / more if more else 0
    expected += vectors[5] if text else 0
    expected -= weight * sum(vectors[3 : 3 + min(less, 2)].astype(float)) / min(less, 2) if less else 0
    if np.linalg.norm(expected) < 1e-3:
        return
    found = example_vector(
        vectors[:more], vectors[3 : 3 + min(less, 2)], vectors[5] if text else None, weight
    )
    assert found.dtype == np.float32 and np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
    assert np.allclose(found, expected / np.linalg.norm(expected), atol=1e-4)


def test_examples_find_what_is_like_them_and_leave_out_their_own_documents(tmp_path):
    axes = np.eye(4)
    vectors = np.stack([axes[0], axes[0] + 0.1 * axes[1], axes[0] + 0.1 * axes[2], axes[3], axes[1], axes[2]])
    encoder = PresetEmbedder(vectors)
    collection, _ = new_collection(
        tmp_path / "c", [doc(f"d{n}", f"row {n}") for n in range(6)], encoder=encoder
    )
    searcher = Searcher(collection, encoder)
    ids = {row["doc_id"]: (row["id"], row["_rowid"]) for row in truth_of(collection)}
    found = searcher.search(ExampleQuery((ids["d0"][0],)), 10)
    assert {hit.document_id for hit in found.hits} == {"d1", "d2", "d3", "d4", "d5"}
    found = searcher.search(ExampleQuery((ids["d0"][1], ids["d0"][0]), (ids["d4"][1],)), 2)
    assert [hit.document_id for hit in found.hits] == ["d2", "d1"]
    assert found.query == "more like 1 passages, less like 1"
    for mode in ("keyword", "hybrid", "semantic"):
        found = searcher.search(ExampleQuery((), (ids["d0"][1],), "row 0", 0.5), 10, mode=mode)
        assert [hit.document_id for hit in found.hits][:2] == ["d1", "d2"] and len(found.hits) == 5
    both = searcher.search_batch(["row 0", ExampleQuery((), text="row 3")], 1, mode="keyword")
    assert both[0].hits[0].dense is None and both[1].hits[0].document_id == "d3"


def test_impossible_examples_are_refused(made):
    searcher, rows = made
    one = rows[0]["id"]
    for query, what in [
        (ExampleQuery((), (one,)), "there is nothing to be like"),
        (ExampleQuery((), (), "  "), "there is nothing to be like"),
        (ExampleQuery((one,), (one,), less_weight=1.0), "cancel each other out"),
        (ExampleQuery((one,), less_weight=1.5), "less_weight = 1.5"),
        (ExampleQuery((one, "nobody")), "there is no passage 'nobody'"),
        (ExampleQuery((one, 10**9)), "there is no passage 1000000000"),
        (ExampleQuery((one, -1)), "there is no passage -1"),
        (ExampleQuery((one,) * 10_001), "10,001 examples are too many"),
    ]:
        with pytest.raises(InputError, match=what):
            searcher.search(query)


# ---- why this hit


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_parts_add_up_and_the_ranks_are_those_of_brute_force(made, data):
    searcher, rows = made
    query = data.draw(st.sampled_from(["ant bee", "cow", '"ant bee" fox', "dog elk -ant", "zebra"]))
    where = data.draw(st.sampled_from([None, "year >= 2002"]))
    mode = data.draw(st.sampled_from(["hybrid", "semantic", "keyword"]))
    result = searcher.search(query, 8, where=where, mode=mode)
    allowed = [row for row in rows if where is None or row["metadata"]["year"] >= 2002]
    everything = searcher.search(query, 10_000, where=where, mode="keyword", by="passage").hits
    vector = searcher.embedder.encode_query([query])[0]
    stored = {row["id"]: np.float16(row["vec"]).astype(np.float32) for row in allowed}
    for hit in result.hits[:3]:
        why = searcher.explain(result, hit, query, where=where)
        assert (why.dense is None) == (mode == "keyword")
        if why.dense:
            scores = {name: float((vec * vector).sum(dtype=np.float32)) for name, vec in stored.items()}
            assert why.dense.of == len(allowed) and why.dense.score == pytest.approx(hit.dense, abs=1e-6)
            better = sum(score > scores[hit.id] + 1e-6 for score in scores.values())
            equal = sum(abs(score - scores[hit.id]) <= 1e-6 for score in scores.values())
            assert better < why.dense.rank <= better + equal
        own = next((found.keyword for found in everything if found.id == hit.id), None)
        if mode == "semantic" or own is None:
            assert why.keyword is None
        else:
            assert why.keyword.score == pytest.approx(own)
            assert why.keyword.of == len(everything)
            assert why.keyword.rank == 1 + sum(found.keyword > own for found in everything)
            if '"' not in query:
                assert sum(share.score for share in why.words) == pytest.approx(own, rel=1e-5)
            assert all(
                share.passages == sum(share.word in row["content"].split() for row in rows)
                for share in why.words
            )
        if mode == "hybrid":
            assert sum(why.parts) == pytest.approx(hit.score, abs=1e-5)
        else:
            assert why.parts is None and why.fusion is None
        mine = [row for row in rows if row["doc_id"] == hit.document_id]
        assert [p.id for p in why.passages] == [r["id"] for r in sorted(mine, key=lambda r: r["char_start"])]
        assert [p.id for p in why.passages if p.is_shown] == [hit.id]
        if mode != "keyword":
            assert max(p.score for p in why.passages) >= hit.dense - 1e-6


def test_a_hit_that_is_gone_cannot_be_explained(made, tmp_path):
    collection, encoder = new_collection(tmp_path / "c", [doc("d1", "ant"), doc("d2", "bee")])
    searcher = Searcher(collection, encoder)
    result = searcher.search("ant")
    collection.delete(ids=["d1"])
    with pytest.raises(InputError, match="search again"):
        Searcher(collection, encoder).explain(result, result.hits[0], "ant")


# ---- counts of values


def test_counts_under_hits_a_filter_and_everything_are_those_of_a_loop(made, monkeypatch):
    searcher, rows = made
    tags.add_tag(searcher.collection, "seen", ["d1", "d6"])
    by_id = {row["_rowid"]: row for row in rows}
    hits = searcher.search("ant bee", 20)
    scope = searcher.passing("year >= 2002")
    subsets = [
        (None, list(by_id)),
        (hits, list(hits.row_ids)),
        (scope, [r for r, row in by_id.items() if row["metadata"]["year"] >= 2002]),
    ]
    for most_taken in (0, 1000):
        monkeypatch.setattr("indexer.query.facets._MOST_TAKEN", most_taken)
        for chosen, ids in subsets:
            years = [by_id[row]["metadata"]["year"] for row in ids]
            expected = sorted(
                ((y, years.count(y)) for y in set(years)), key=lambda one: (-one[1], str(one[0]))
            )
            assert searcher.facet_counts("year", chosen) == expected
            assert searcher.facet_counts("year", chosen, 2) == expected[:2]
            assert searcher.facet_counts("score", chosen) == [
                (0.5, sum(by_id[row]["metadata"]["score"] == 0.5 for row in ids))
            ]
            lists = [by_id[row]["metadata"]["tags"] or [] for row in ids]
            assert dict(searcher.facet_counts("tags", chosen)) == {
                name: sum(name in found for found in lists) for name in ("a", "b")
            }
            seen = sum(by_id[row]["doc_id"] in ("d1", "d6") for row in ids)
            assert searcher.facet_counts("tag", chosen) == ([("seen", seen)] if seen else [])
    with pytest.raises(InputError, match="there is no column 'nothing'"):
        searcher.facet_counts("nothing", hits)
