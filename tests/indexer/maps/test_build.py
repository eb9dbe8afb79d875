"""Maps of collections: what is stored, what repeats, what odd collections give, and that nothing half stays behind."""

import numpy as np
import pytest

from encoder.errors import InputError
from indexer.maps import build, laid_out
from indexer.maps.build import MapRecipe, build_from, build_map, draft_map
from indexer.maps.points import current_points
from indexer.maps.stored import list_maps, open_map
from indexer.progress import JobProgress
from indexer.search import Searcher
from tests.indexer.making import PresetEmbedder, doc, new_collection


def searcher_of(path, vectors):
    documents = [doc(f"d{i}", f"row {i}", year=i) for i in range(len(vectors))]
    collection, encoder = new_collection(path, documents, encoder=PresetEmbedder(np.asarray(vectors)))
    return Searcher(collection, encoder)


@pytest.fixture
def vectors():
    rng = np.random.default_rng(3)
    return (4 * rng.standard_normal((4, 8)))[rng.integers(0, 4, 120)] + rng.standard_normal((120, 8))


@pytest.fixture
def searcher(tmp_path, vectors):
    return searcher_of(tmp_path / "c", vectors)


@pytest.mark.parametrize("method", ["umap", "pca"])
def test_every_row_has_a_place_neighbours_and_trust(searcher, method):
    stored = build_map(searcher, method=method, seed=7)
    snapshot = searcher.snapshot
    rows = snapshot.row_ids()
    assert np.array_equal(stored.row_ids, rows)
    scores = snapshot.vectors(rows) @ snapshot.vectors(rows).T
    np.fill_diagonal(scores, -np.inf)
    assert np.array_equal(stored.neighbours[:, 0], scores.argmax(axis=1))
    assert stored.neighbours.shape == (120, 15)
    facts, recipe = stored.build.facts, stored.build.recipe
    assert facts["mean_trust"] == pytest.approx(stored.trust.mean(), abs=0.003)
    assert (facts["rows"], facts["points"], facts["share"], facts["placed"]) == (120, 120, 1.0, 0)
    assert (facts["drawn_by"], facts["neighbours_are_exact"]) == (method, True)
    assert (recipe["method"], recipe["seed"], recipe["neighbours"]) == (method, 7, 15)
    assert "numpy" in recipe["versions"]
    assert stored.build.version == snapshot.publication.number
    assert {"reading", "neighbours", "layout", "trust"} <= facts["seconds"].keys()


def test_a_map_repeats_by_its_seed(searcher):
    one, two, other = (build_map(searcher, seed=seed) for seed in (1, 1, 2))
    assert one.id != two.id
    assert one.build.facts["coordinates"] == two.build.facts["coordinates"]
    assert np.array_equal(one.x, two.x)
    assert one.build.facts["coordinates"] != other.build.facts["coordinates"]


def test_equal_vectors_share_a_place(tmp_path, vectors):
    vectors[100:] = vectors[5]
    searcher = searcher_of(tmp_path / "c", vectors)
    stored = build_map(searcher)
    found = searcher.snapshot.vectors(stored.row_ids)
    groups = np.unique(found, axis=0, return_inverse=True)[1]
    for group in np.unique(groups):
        members = groups == group
        assert len({*zip(stored.x[members].tolist(), stored.y[members].tolist(), strict=True)}) == 1
    assert (stored.build.facts["distinct"], stored.build.facts["duplicates"]) == (100, 20)
    # None of the many equal ones fills another's list.
    assert all(len(set(groups[row])) == 15 for row in stored.neighbours)
    assert (groups[stored.neighbours] != groups[:, None]).all()


@pytest.mark.parametrize("method", ["umap", "pca"])
@pytest.mark.parametrize("count", [1, 2, 3, 17])
def test_very_few_rows(tmp_path, vectors, count, method):
    stored = build_map(searcher_of(tmp_path / "c", vectors[:count]), method=method)
    assert stored.x.size == count
    assert stored.neighbours.shape == (count, min(15, count - 1))
    assert stored.build.facts["drawn_by"] == ("umap" if method == "umap" and count == 17 else "pca")
    assert len({*zip(stored.x.tolist(), stored.y.tolist(), strict=True)}) == count
    assert np.isnan(stored.trust).all() == (count == 1)


def test_a_collection_without_a_row(searcher):
    searcher.collection.delete(where="year >= 0")
    empty = Searcher(searcher.collection)
    stored = build_map(empty)
    assert (stored.x.size, stored.build.facts["points"], stored.build.facts["mean_trust"]) == (0, 0, None)
    assert current_points(open_map(empty.collection), empty.snapshot).row_ids.size == 0


def test_all_rows_equal(tmp_path):
    stored = build_map(searcher_of(tmp_path / "c", np.ones((30, 8))))
    assert stored.build.facts["is_single_place"]
    assert {*stored.x.tolist(), *stored.y.tolist()} == {32_768}
    assert np.isnan(stored.trust).all()


def test_rows_beside_the_sample_are_placed(searcher):
    stored = build_map(searcher, most_rows=60, seed=3)
    facts = stored.build.facts
    assert (facts["laid_out"], facts["placed"], facts["points"], facts["share"]) == (60, 60, 120, 1.0)
    assert stored.is_placed.sum() == 60
    assert np.array_equal(np.isnan(stored.trust), stored.is_placed)
    assert not stored.is_placed[stored.neighbours].any()
    found = searcher.snapshot.vectors(stored.row_ids)
    fitted = np.flatnonzero(~stored.is_placed)
    for at in np.flatnonzero(stored.is_placed)[:10]:
        nearest = fitted[np.argsort(-(found[fitted] @ found[at]))[:15]]
        assert stored.neighbours[at, 0] == nearest[0]
        assert abs(int(stored.x[at]) - np.median(stored.x[nearest])) <= 0.5
    assert current_points(stored, searcher.snapshot).needs_refit


def test_more_rows_than_can_be_drawn(searcher, monkeypatch):
    monkeypatch.setattr(build, "MOST_POINTS", 90)
    stored = build_from(searcher, MapRecipe(most_rows=80, seed=3))
    assert (stored.x.size, stored.build.facts["share"], stored.build.facts["rows"]) == (90, 0.75, 120)
    points = current_points(stored, searcher.snapshot)
    assert (points.row_ids.size, points.unplaced) == (90, 30)


def test_a_map_of_a_filter(searcher):
    stored = build_from(searcher, MapRecipe(where="year < 50"))
    assert stored.x.size == 50
    assert stored.build.recipe["where"] == "year < 50"
    years = searcher.snapshot.store.take(stored.row_ids, [searcher.collection.settings.column_fields["year"]])
    assert max(years.column(0).to_pylist()) == 49
    with pytest.raises(InputError, match="no passage passes the filter"):
        build_from(searcher, MapRecipe(where="year > 500"))


def test_a_large_pca_map_measures_trust_at_a_sample(searcher, monkeypatch):
    whole = build_map(searcher, method="pca")
    monkeypatch.setattr(laid_out, "TRUSTED_AT_ONCE", 10)
    monkeypatch.setattr(laid_out, "_TRUST_SAMPLE", 40)
    stored = build_map(searcher, method="pca")
    known = ~np.isnan(stored.trust)
    assert known.sum() == 40 == stored.build.facts["trusted_points"]
    assert np.array_equal(stored.trust[known], whole.trust[known])
    assert stored.neighbours.shape == (120, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "tsne"}, "there is no method 'tsne'"),
        ({"neighbours": 1}, "neighbours 1 is impossible"),
        ({"neighbours": 201}, "neighbours 201 is impossible"),
        ({"min_dist": float("nan")}, "min_dist nan is impossible"),
        ({"min_dist": 1.0}, "min_dist 1.0 is impossible"),
        ({"seed": -1}, "seed -1 is impossible"),
        ({"most_rows": 0}, "most_rows 0 is impossible"),
    ],
)
def test_impossible_recipes(searcher, changes, message):
    with pytest.raises(InputError, match=message):
        build_from(searcher, MapRecipe(**changes))
    assert list_maps(searcher.collection) == []


@pytest.mark.parametrize("stage", ["reading", "neighbours", "layout", "trust", "placing", "writing"])
def test_interrupted_it_leaves_nothing(searcher, stage):
    def stop(progress: JobProgress):
        if progress.stage == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_map(searcher, report=stop)
    assert list_maps(searcher.collection) == []
    derived = searcher.collection.path / "derived"
    assert not derived.exists() or not [f for f in derived.iterdir() if "map" in f.name]


def test_a_draft_is_the_map_that_would_be_stored(searcher):
    recipe = MapRecipe("pca", seed=3)
    draft = draft_map(searcher, recipe)
    assert list_maps(searcher.collection) == []
    stored = build_from(searcher, recipe)
    assert draft.id == ""
    for name in ("row_ids", "x", "y", "trust", "neighbours", "is_placed"):
        np.testing.assert_allclose(getattr(draft, name), getattr(stored, name), atol=0.003)
    assert draft.build.recipe == stored.build.recipe
    assert draft.build.facts | {"seconds": 0} == stored.build.facts | {"seconds": 0}
    now, later = (current_points(one, searcher.snapshot) for one in (draft, stored))
    assert np.array_equal(now.x, later.x)
