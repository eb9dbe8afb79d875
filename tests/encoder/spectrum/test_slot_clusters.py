"""Clusters of memory tokens agree with scipy's average linkage, and pooling by them with the mean by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from encoder.errors import ShapeError, UsageError
from encoder.spectrum.slot_clusters import cluster_pool, link


def _states(texts=6, slots=7, dimension=5, seed=0):
    return np.random.default_rng(seed).standard_normal((texts, slots, dimension))


def _cosines(states):
    unit = states / np.linalg.norm(states, axis=-1, keepdims=True)
    return np.einsum("nad,nbd->nab", unit, unit)


def _partition(labels):
    return {frozenset(np.flatnonzero(labels == label)) for label in np.unique(labels)}


def _scipy(similarity, criterion, bound):
    apart = 1 - similarity
    np.fill_diagonal(apart, 0)
    return fcluster(linkage(squareform(apart, checks=False), "average"), bound, criterion)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), slots=st.integers(2, 9), count=st.integers(1, 9))
def test_so_many_clusters_are_those_of_scipy(seed, slots, count):
    similarity = _cosines(_states(3, slots, 4, seed))
    found = link(similarity, n_clusters=min(count, slots))
    for one, labels in zip(similarity, found, strict=True):
        assert _partition(labels) == _partition(_scipy(one, "maxclust", min(count, slots)))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), slots=st.integers(2, 9), threshold=st.floats(-0.9, 0.95))
def test_clusters_above_a_threshold_are_those_of_scipy(seed, slots, threshold):
    similarity = _cosines(_states(3, slots, 4, seed))
    for one, labels in zip(similarity, link(similarity, threshold=threshold), strict=True):
        assert _partition(labels) == _partition(_scipy(one, "distance", 1 - threshold))


def test_labels_count_up_by_first_members():
    similarity = np.array([[[1, 0, 0.9, 0], [0, 1, 0, 0.8], [0.9, 0, 1, 0], [0, 0.8, 0, 1]]])
    assert link(similarity, n_clusters=2).tolist() == [[0, 1, 0, 1]]
    assert link(similarity, threshold=0.85).tolist() == [[0, 1, 0, 2]]


def test_of_equal_pairs_the_first_is_taken():
    assert link(np.zeros((1, 4, 4)), n_clusters=3).tolist() == [[0, 0, 1, 2]]


def test_states_that_repeat_one_another_count_once():
    first, second = np.eye(2)
    memory = np.array([[first, first * 3, first * 2, second]])
    assert cluster_pool(memory, n_clusters=2).tolist() == [[1.0, 0.5]]
    assert cluster_pool(memory, threshold=0.5).tolist() == [[1.0, 0.5]]
    assert memory.mean(axis=1).tolist() == [[1.5, 0.25]]


@pytest.mark.parametrize(
    "bound", [{"n_clusters": 1}, {"n_clusters": 7}, {"threshold": 1.1}, {"threshold": -1.1}]
)
def test_all_apart_and_all_together_are_the_plain_mean(bound):
    memory = _states()
    assert np.allclose(cluster_pool(memory, **bound), memory.mean(axis=1), atol=1e-6)


def test_many_texts_are_pooled_as_each_alone():
    memory = _states(5000, 4, 3).astype(np.float32)
    together = cluster_pool(memory, n_clusters=2)
    assert together.dtype == np.float32
    for text in (0, 2047, 2048, 4999):
        assert np.array_equal(cluster_pool(memory[text : text + 1], n_clusters=2)[0], together[text])


def test_a_state_without_direction_is_like_no_other():
    memory = np.array([[[0.0, 0.0], [2.0, 0.0], [1.0, 0.0]]])
    assert cluster_pool(memory, threshold=0.5).tolist() == [[0.75, 0.0]]


def test_no_text_gives_no_vector():
    assert cluster_pool(np.zeros((0, 4, 3)), n_clusters=2).shape == (0, 3)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ShapeError, match=r"memory states have the shape \(2, 3\), expected"):
        cluster_pool(np.zeros((2, 3)), n_clusters=1)
    with pytest.raises(ShapeError, match=r"similarities have the shape \(1, 2, 3\), expected"):
        link(np.zeros((1, 2, 3)), n_clusters=1)
    with pytest.raises(UsageError, match="one bound is needed"):
        cluster_pool(_states())
    with pytest.raises(UsageError, match="one bound is needed"):
        cluster_pool(_states(), n_clusters=2, threshold=0.5)
    with pytest.raises(UsageError, match="n_clusters is 8, of 7") as caught:
        cluster_pool(_states(), n_clusters=8)
    assert caught.value.fix == "give 1 to 7"
