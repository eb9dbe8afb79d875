"""Topics by density on a stored map, and what becomes of noise and of rows added later."""

import numpy as np
import pytest

from encoder.errors import InputError
from indexer.maps.build import build_map
from indexer.search import Searcher
from indexer.topics import build_topics, current_topics
from tests.indexer.making import ListSource
from tests.indexer.topics.planted import planted_collection, planted_vectors, same_groups, truth_of


@pytest.fixture
def mapped(tmp_path):
    vectors, truth = planted_vectors(per_topic=40, topics=3)
    far = -vectors[:3].sum(axis=0, keepdims=True) + 0.3 * np.eye(1, 16, 15)
    vectors = np.concatenate([vectors, vectors[::20], far / np.linalg.norm(far)]).astype(np.float32)
    truth = np.concatenate([truth, truth[::20], [3]])
    collection, searcher, rest = planted_collection(tmp_path / "c", vectors, truth, extra=7)
    build_map(searcher, method="pca")
    return collection, searcher, rest, truth


def test_density_topics_of_a_map_are_the_planted_ones(mapped):
    _, searcher, _, truth = mapped
    run = build_topics(searcher, method="hdbscan", min_size=15)
    assert run.build.recipe["method"] == "hdbscan" and len(run.build.recipe["map"]) == 8
    kept = run.numbers >= 0
    assert kept.mean() > 0.8
    assert same_groups(run.numbers[kept], truth_of(searcher, run.row_ids, truth)[kept]) > 0.95
    assert all(topic.stability > 0.7 for topic in run.topics)
    again = build_topics(searcher, method="hdbscan", min_size=15)
    assert np.array_equal(again.numbers, run.numbers) and again.topics == run.topics


def test_a_row_added_later_is_noise_when_it_is_far_from_all(mapped):
    collection, searcher, rest, truth = mapped
    run = build_topics(searcher, method="hdbscan", min_size=15)
    collection.add(ListSource(rest, name="rest"), encoder=searcher.embedder)
    later = Searcher(collection, searcher.embedder)
    now = current_topics(run, later.snapshot)
    found, planted = now.numbers[now.is_added], truth_of(later, now.row_ids[now.is_added], truth)
    assert found.size == 7 and found[planted == 3].tolist() == [-1]
    for number, topic in zip(found, planted, strict=True):
        if number >= 0:
            members = run.members(int(number))
            assert (truth_of(later, members, truth) == topic).mean() > 0.9
    assert (found >= 0).sum() >= 4


def test_without_a_map_density_has_nothing_to_look_at(tmp_path):
    vectors, truth = planted_vectors(per_topic=5)
    _, searcher, _ = planted_collection(tmp_path / "c", vectors, truth)
    with pytest.raises(InputError, match="map"):
        build_topics(searcher, method="hdbscan")
    assert build_topics(searcher).build.recipe["method"] == "kmeans"


def test_only_a_map_by_neighbours_makes_density_the_usual_way(mapped):
    _, searcher, _, _ = mapped
    assert build_topics(searcher).build.recipe["method"] == "kmeans"  # the only map is by PCA
    laid_out = build_map(searcher)
    build_map(searcher, method="pca")
    run = build_topics(searcher)
    assert (run.build.recipe["method"], run.build.recipe["map"]) == ("hdbscan", laid_out.id)
