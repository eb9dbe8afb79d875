"""Groups and what the vectors say of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from encoder.errors import MissingExtraError
from indexer.topics import clusters, quality
from indexer.topics.stored import unit_rows
from tests.indexer.topics.planted import planted_vectors, same_groups


def blocks_of(vectors, rows=7):
    def blocks():
        for start in range(0, len(vectors), rows):
            some = vectors[start : start + rows]
            yield np.arange(start, start + len(some), dtype=np.uint64), some

    return blocks


def test_planted_groups_are_found_by_kmeans():
    vectors, truth = planted_vectors()
    centroids = clusters.kmeans_centroids(vectors, 4, seed=0)
    assert same_groups(clusters.nearest_centroids(vectors, centroids), truth) == 1.0
    assert np.allclose(np.linalg.norm(centroids, axis=1), 1, atol=1e-5)


def test_kmeans_is_the_same_for_the_same_seed():
    vectors, _ = planted_vectors(spread=1.0)
    first, second, other = (clusters.kmeans_centroids(vectors, 5, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_planted_groups_are_found_by_density_and_the_rest_is_noise():
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [20_000, 0], [0, 20_000]])
    points = np.concatenate([rng.normal(centre, 800, (80, 2)) for centre in centres])
    points = np.concatenate([points, [[60_000, 0], [60_000, 60_000]]])
    found = clusters.density_groups(points, min_size=20, min_samples=5)
    assert same_groups(found[:240], np.repeat(np.arange(3), 80)) > 0.95
    assert found[240:].tolist() == [-1, -1]


def test_a_region_that_holds_almost_all_is_split_where_it_is_denser():
    rng = np.random.default_rng(0)  # two dense knots in a band, and a small group far away, which would win
    band = np.stack([rng.uniform(0, 30_000, 600), rng.uniform(0, 3000, 600)], axis=1)
    knots = [rng.normal(centre, 300, (150, 2)) for centre in ((5000, 1500), (25_000, 1500))]
    far = rng.normal((60_000, 60_000), 300, (40, 2))
    found = clusters.density_groups(np.concatenate([*knots, band, far]), min_size=30, min_samples=10)
    assert len(set(found[:300].tolist()) - {-1}) >= 2
    assert np.bincount(found[found >= 0]).max() < 0.8 * found.size


@pytest.mark.parametrize("count", [0, 1, 3, 30])
def test_points_at_one_place_are_one_group_or_too_few(count):
    found = clusters.density_groups(np.zeros((count, 2)), min_size=5, min_samples=5)
    assert found.tolist() == ([0] * count if count >= 5 else [-1] * count)


def test_equal_vectors_are_grouped_and_those_without_direction_left_out():
    vectors = np.array([[1, 0], [0, 1], [1, 0], [0, 0], [np.nan, 1], [-0.0, 1], [np.inf, 0]], np.float32)
    groups = clusters.group_equal(block for _, block in blocks_of(vectors, 2)())
    assert groups.tolist() == [0, 1, 0, -1, -1, 1, -1]
    assert clusters.first_rows(groups).tolist() == [0, 1]


@given(arrays(np.int32, st.integers(0, 60), elements=st.integers(-1, 9)))
def test_groups_are_numbered_by_size(groups):
    found = clusters.by_size(groups)
    sizes = np.bincount(found[found >= 0])
    assert (np.diff(sizes) <= 0).all() and (sizes > 0).all()
    assert np.array_equal(found == -1, groups == -1)
    assert len(set(zip(groups.tolist(), found.tolist(), strict=True))) == len(set(groups.tolist()))


@pytest.mark.parametrize(("different", "count"), [(0, 1), (1, 1), (3, 3), (40, 4), (5000, 50), (10**6, 100)])
def test_the_count_of_topics_grows_with_the_root(different, count):
    assert clusters.default_count(different) == max(1, count)


def test_cohesion_is_the_mean_cosine_to_the_centroid():
    vectors, truth = planted_vectors(spread=1.0)
    found = quality.measure(blocks_of(vectors * 3), truth.astype(np.int32), 4, 16)
    for topic in range(4):
        members = vectors[truth == topic]
        centroid = members.mean(axis=0) / np.linalg.norm(members.mean(axis=0))
        assert found.cohesion[topic] == pytest.approx((members @ centroid).mean(), abs=1e-5)
        assert np.allclose(found.closeness[truth == topic], members @ centroid, atol=1e-5)
        others = np.delete(found.centroids, topic, axis=0)
        expected = members @ centroid - (members @ others.T).max(axis=1)
        assert np.allclose(found.margin[truth == topic], expected, atol=1e-5)


def test_cohesion_has_its_closed_form():
    angle = np.pi / 3  # two unit vectors, the centroid half way between them
    vectors = np.array([[1, 0], [np.cos(angle), np.sin(angle)]], np.float32)
    found = quality.measure(blocks_of(vectors), np.zeros(2, np.int32), 1, 2)
    assert found.cohesion[0] == pytest.approx(np.cos(angle / 2), abs=1e-6)


def test_noise_is_compared_with_the_nearest_topic():
    vectors = np.array([[1, 0], [0, 1], [0.8, 0.6], [0, 0]], np.float32)
    found = quality.measure(blocks_of(vectors), np.array([0, 1, -1, -1], np.int32), 2, 2)
    assert found.closeness.tolist() == pytest.approx([1, 1, 0.8, 0])
    assert found.nearest.tolist() == [0, 1, 0, -1]


def test_exemplars_are_central_and_differ_and_misfits_lie_at_the_edge():
    angles = np.array([0, 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.2])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    vectors = np.concatenate([vectors, np.array([[0, 1]], np.float32)])
    groups = clusters.group_equal(iter([vectors]))
    measured = quality.measure(blocks_of(vectors), np.array([0] * 9 + [1], np.int32), 2, 2)
    members = np.arange(9)
    central = quality.exemplars(members, measured, groups)
    assert len(central) == quality.EXEMPLARS and not {0, 1} <= set(central) and 8 not in central
    assert quality.misfits(members, measured, groups) == [8, 7]


def test_nearest_topics_leave_out_the_topic_itself():
    centroids = unit_rows(np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32))
    near = quality.nearest_topics(centroids)
    assert [[number for number, _ in row] for row in near] == [[1, 2], [0, 2], [1, 0]]
    assert quality.nearest_topics(centroids[:1]) == [[]]


def test_stability_is_one_for_the_same_groups_under_other_names():
    topics = np.array([0, 0, 1, 1, 1, -1], np.int32)
    assert quality.best_overlaps(topics, np.array([5, 5, 2, 2, 2, -1], np.int32), 2).tolist() == [1, 1]


def test_stability_is_the_best_jaccard_overlap():
    topics = np.array([0, 0, 0, 1, 1, -1], np.int32)
    others = np.array([0, 0, 1, 1, 1, 1], np.int32)
    assert quality.best_overlaps(topics, others, 2).tolist() == pytest.approx([2 / 3, 2 / 4])
    among = np.array([1, 1, 1, 1, 1, 0], bool)
    assert quality.best_overlaps(topics, others, 2, among).tolist() == pytest.approx([2 / 3, 2 / 3])
    assert quality.best_overlaps(topics, np.full(6, -1, np.int32), 2).tolist() == [0, 0]


def test_too_many_points_for_what_is_installed_are_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(clusters, "MOST_SKLEARN_ROWS", 100)
    points = np.random.default_rng(0).random((101, 2))
    with pytest.raises(MissingExtraError, match="density topics of 101 passages need fast-hdbscan") as error:
        clusters.density_groups(points, min_size=5, min_samples=5)
    assert "llm2comp[map]" in error.value.fix
    assert clusters.density_groups(points[:100], min_size=5, min_samples=5).shape == (100,)  # by scikit-learn
