"""The parts of a layout: the grid, PCA, neighbours, trust, UMAP from known neighbours."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from encoder.errors import MissingExtraError
from indexer.maps import layouts
from indexer.maps.grid import CENTRE, to_grid
from indexer.maps.layouts import pca_layout, umap_layout
from indexer.maps.neighbours import compare, nearest_neighbours, overlap
from indexer.maps.polygon import inside
from indexer.maps.trust import point_trust
from indexer.progress import silent


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clusters(count, dimension=12, groups=5, seed=0):
    rng = np.random.default_rng(seed)
    centres = 4 * rng.standard_normal((groups, dimension))
    labels = rng.integers(0, groups, count)
    return unit(centres[labels] + rng.standard_normal((count, dimension))), labels


@given(
    st_numpy.arrays(
        np.float32, st.tuples(st.integers(1, 40), st.just(2)), elements=st.floats(-1e6, 1e6, width=32)
    )
)
def test_the_grid_keeps_order_and_shape(layout):
    found = to_grid(layout)
    assert found.places.dtype == np.uint16
    assert found.places.shape == layout.shape
    for axis in range(2):  # whoever is left of another is not drawn right of it
        order = np.argsort(layout[:, axis], kind="stable")
        assert (np.diff(found.places[order, axis].astype(int)) >= 0).all()
    assert 0 <= found.on_rim <= layout.shape[0]
    assert found.is_single == (len(np.unique(layout, axis=0)) == 1)
    assert all(np.isfinite(found.box))


def test_one_place_is_the_centre():
    for n in (1, 2, 50):
        found = to_grid(np.full((n, 2), 7.25, np.float32))
        assert found.is_single
        assert found.on_rim == 0
        assert (found.places == CENTRE).all()


def test_no_points():
    assert to_grid(np.zeros((0, 2), np.float32)).places.shape == (0, 2)


def test_a_far_point_does_not_squeeze_the_others():
    layout = np.random.default_rng(0).uniform(0, 1, (400, 2))
    layout[7] = [1e6, 0.5]
    found = to_grid(layout)
    assert found.on_rim == 1
    assert found.places[7, 0] == 65_534
    # A point on the rim can be selected: an outline around the whole map holds all.
    assert inside(*found.places.T, [0, 0, 65_535, 0, 65_535, 65_535, 0, 65_535]).all()
    others = np.delete(found.places, 7, axis=0).astype(int)
    assert np.ptp(others, axis=0).min() > 30_000


def test_both_axes_have_one_scale():
    layout = np.array([[0, 0], [10, 0], [10, 1], [0, 1]], np.float32)
    places = to_grid(layout).places.astype(int)
    width, height = np.ptp(places, axis=0)
    assert width == pytest.approx(10 * height, rel=1e-3)
    assert width > 60_000


def test_pca_is_that_of_the_singular_values():
    vectors, _ = clusters(300)
    layout, share = pca_layout(lambda: iter(np.array_split(vectors, 4)), 12)
    centred = vectors - vectors.mean(axis=0)
    left, values, _ = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    expected = left[:, :2] * values[:2]
    for axis in range(2):
        sign = np.sign(expected[:, axis] @ layout[:, axis])
        np.testing.assert_allclose(sign * layout[:, axis], expected[:, axis], atol=1e-4)
    assert share == pytest.approx((values[:2] ** 2).sum() / (values**2).sum(), abs=1e-6)


def test_pca_does_not_depend_on_the_blocks_nor_turn_around():
    vectors, _ = clusters(200)
    one, _ = pca_layout(lambda: iter([vectors]), 12)
    many, _ = pca_layout(lambda: iter(np.array_split(vectors, 7)), 12)
    np.testing.assert_allclose(one, many, atol=1e-5)


@pytest.mark.parametrize("dimension", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_pca_of_next_to_nothing(dimension, count):
    vectors = np.eye(dimension, dtype=np.float32)[np.zeros(count, int)]
    layout, share = pca_layout(lambda: iter([vectors] if count else []), dimension)
    assert layout.shape == (count, 2)
    assert np.isfinite(layout).all()
    assert share == 0


def test_neighbours_against_brute_force():
    vectors, _ = clusters(500)
    found = nearest_neighbours(vectors, 15, seed=0, report=silent)
    scores = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    np.fill_diagonal(scores, -np.inf)
    truth = np.argsort(-scores, axis=1)[:, :15]
    assert found.is_exact
    assert found.recall == 1.0
    assert overlap(found.positions, truth).mean() > 0.999
    assert (found.positions != np.arange(500)[:, None]).all()
    assert (np.diff(found.similarities, axis=1) <= 0).all()
    np.testing.assert_allclose(found.similarities, np.sort(scores, axis=1)[:, ::-1][:, :15], atol=1e-5)


def test_the_graph_finds_nearly_all_and_says_how_many():
    vectors, _ = clusters(3000, dimension=24, groups=30)
    found = nearest_neighbours(vectors, 15, seed=0, report=silent, exact_rows=100)
    truth = compare(vectors, np.arange(3000), 15, silent)[0]
    real = overlap(found.positions, truth).mean()
    assert not found.is_exact
    assert real > 0.9
    assert found.recall == pytest.approx(real, abs=0.05)
    assert (found.positions >= 0).all()
    assert (found.positions != np.arange(3000)[:, None]).all()
    assert all(len(set(row)) == 15 for row in found.positions.tolist())
    again = nearest_neighbours(vectors, 15, seed=0, report=silent, exact_rows=100)
    assert np.array_equal(found.positions, again.positions)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_fewer_rows_than_neighbours(count):
    found = nearest_neighbours(clusters(count)[0], 15, seed=0, report=silent)
    assert found.positions.shape == (count, min(15, max(0, count - 1)))
    assert [sorted(row) for row in found.positions.tolist()] == [
        [other for other in range(count) if other != row] for row in range(count)
    ]


def test_neighbours_report_how_far_they_are():
    heard = []
    nearest_neighbours(clusters(1200)[0], 5, seed=0, report=heard.append, exact_rows=100)
    shares = [one.fraction for one in heard if one.stage == "neighbours"]
    assert shares[-1] == 1.0
    assert max(one.passages for one in heard) <= 1200


def test_overlap_counts_what_both_have():
    assert overlap(np.array([[1, 2, 3], [4, 5, 6]]), np.array([[3, 9, 1], [7, 8, 9]])).tolist() == [
        pytest.approx(2 / 3),
        0,
    ]


def test_trust_is_whole_where_the_map_is_the_space():
    places = np.random.default_rng(0).permutation(65_000)[:400].reshape(200, 2).astype(np.uint16)
    apart = np.linalg.norm(places[:, None].astype(float) - places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = np.argsort(apart, axis=1)[:, :20]
    assert point_trust(nearest, places, np.arange(200)).tolist() == [1.0] * 200
    farthest = np.argsort(-np.where(np.isinf(apart), -1, apart), axis=1)[:, :15]
    assert point_trust(farthest, places, np.arange(200)).max() < 0.1
    some = np.array([3, 90])
    mixed = np.concatenate([nearest[some, :5], farthest[some, :10]], axis=1)
    assert point_trust(mixed, places, some) == pytest.approx([1 / 3, 1 / 3])


def test_trust_of_one_place_is_not_known():
    places = np.full((20, 2), 9, np.uint16)
    nearest = np.tile(np.arange(5), (20, 1))
    assert np.isnan(point_trust(nearest, places, np.arange(20))).all()
    assert np.isnan(point_trust(np.zeros((1, 0), int), places[:1], np.arange(1))).all()


def test_umap_parts_what_is_apart_and_repeats_itself():
    vectors, labels = clusters(400)
    near = nearest_neighbours(vectors, 10, seed=0, report=silent)
    start, _ = pca_layout(lambda: iter([vectors]), 12)
    made = [
        umap_layout(near.positions, near.similarities, start, min_dist=0.1, seed=seed, report=silent)
        for seed in (4, 4, 5)
    ]
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
    apart = np.linalg.norm(made[0][:, None] - made[0][None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (labels[apart.argmin(axis=1)] == labels).mean() > 0.95


def test_umap_starts_from_points_that_do_not_differ():
    vectors, _ = clusters(60)
    near = nearest_neighbours(vectors, 10, seed=0, report=silent)
    flat = np.zeros((60, 2), np.float32)
    made = umap_layout(near.positions, near.similarities, flat, min_dist=0.1, seed=0, report=silent)
    assert np.isfinite(made).all()


def test_without_umap_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(layouts, "find_spec", lambda name: None if name == "umap" else sys)
    with pytest.raises(MissingExtraError, match="UMAP is not installed") as error:
        layouts.check_umap()
    assert "llm2comp[map]" in error.value.fix
    assert "--method pca" in error.value.fix
