"""The scoring protocol, against slow and obvious ways and vectors whose scores are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from encoder.errors import InputError
from tests.train.evaluation import sets
from train.evaluation.scoring import best_rows, ranking_score, score_task, unit_rows
from train.evaluation.tasks import (
    ClassificationTask,
    ClusteringTask,
    RetrievalTask,
    StsTask,
    read_tasks,
)


def embed_as(vectors):
    """An embed function from text to vector, that counts its calls by role."""

    def embed(texts, role):
        return np.array([vectors[text] for text in texts], dtype=np.float32)

    return embed


def constant(texts, role):
    return np.ones((len(texts), 3), np.float32)


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=40),
    st.integers(1, 12),
)
def test_the_best_rows_are_those_of_a_whole_stable_sort(scores, k):
    scores = np.array(scores, np.float32)
    assert best_rows(scores, k).tolist() == np.argsort(-scores, kind="stable")[:k].tolist()


def test_sts_is_the_spearman_of_the_cosine():
    rng = np.random.default_rng(0)
    vectors = {f"{side}{n}": rng.standard_normal(5) * 10 for side in "ab" for n in range(9)}
    left, right = ([f"{side}{n}" for n in range(9)] for side in "ab")
    grades = rng.random(9).tolist()
    cosine = [
        vectors[a] @ vectors[b] / np.linalg.norm(vectors[a]) / np.linalg.norm(vectors[b])
        for a, b in zip(left, right, strict=True)
    ]
    task = StsTask("t", tuple(left), tuple(right), tuple(grades))
    assert score_task(task, embed_as(vectors)) == pytest.approx(100 * spearmanr(cosine, grades).statistic)


def test_vectors_that_are_all_equal_correlate_with_nothing():
    task = StsTask("t", ("a", "b"), ("c", "d"), (1.0, 2.0))
    assert score_task(task, constant) == 0.0


def retrieval(judgements):
    return RetrievalTask("t", ("q1", "q2"), ("x", "y", "z"), ("dx", "dy", "dz"), tuple(judgements))


def test_retrieval_is_the_mean_ndcg_of_the_queries():
    vectors = {"q1": [1, 0], "q2": [0, 1], "x": [1, 0.1], "y": [1, 1], "z": [0.1, 1]}
    # q1 ranks x, y, z and q2 ranks z, y, x.
    task = retrieval([{"dx": 1.0, "dz": 3.0}, {"dy": 1.0}])
    first = (1 + 3 / np.log2(4)) / (3 + 1 / np.log2(3))
    assert score_task(task, embed_as(vectors)) == pytest.approx(100 * (first + 1 / np.log2(3)) / 2)


def test_retrieval_encodes_queries_as_queries():
    asked = []

    def embed(texts, role):
        asked.append((role, len(texts)))
        return np.eye(3, dtype=np.float32)[: len(texts)]

    score_task(retrieval([{"dx": 1.0}, {"dy": 1.0}]), embed)
    assert asked == [("query", 2), ("document", 3)]


def test_ranking_in_blocks_asks_for_every_query_once():
    count = 600
    task = RetrievalTask(
        "t",
        ("q",) * count,
        ("x", "y"),
        ("dx", "dy"),
        tuple({"dx": 1.0} if n % 2 else {"dy": 1.0} for n in range(count)),
    )
    seen = []

    def scores_of(start, end):
        seen.extend(range(start, end))
        return np.array([[n % 2, 1 - n % 2] for n in range(start, end)], np.float32)

    assert ranking_score(task, scores_of) == 100.0
    assert seen == list(range(count))


def test_classification_of_what_a_line_can_part_is_perfect():
    rng = np.random.default_rng(0)
    labels = ["left", "right"] * 20
    vectors = {
        f"{n}": [1 if label == "left" else -1, *rng.normal(0, 0.1, 3)] for n, label in enumerate(labels)
    }
    texts = tuple(vectors)
    task = ClassificationTask("t", texts[:20], tuple(labels[:20]), texts[20:], tuple(labels[20:]))
    assert score_task(task, embed_as(vectors)) == 100.0


def test_classification_of_vectors_that_are_all_equal_finds_one_label():
    task = ClassificationTask(
        "t", ("a", "b", "c"), ("x", "x", "y"), ("d", "e", "f", "g"), ("x", "y", "y", "y")
    )
    assert score_task(task, constant) == 25.0


def test_clusters_that_stand_apart_are_found():
    labels = [str(n % 3) for n in range(60)]
    rng = np.random.default_rng(0)
    vectors = {f"t{n}": np.eye(3)[n % 3] + rng.normal(0, 0.02, 3) for n in range(60)}
    assert score_task(ClusteringTask("t", tuple(vectors), tuple(labels)), embed_as(vectors)) == pytest.approx(
        100
    )


def test_scores_do_not_depend_on_the_length_of_vectors(tmp_path, word_embedder):
    for task in read_tasks(sets.write_all(tmp_path)):
        plain = score_task(task, lambda texts, role: word_embedder.encode_document(texts))
        longer = score_task(
            task,
            lambda texts, role: word_embedder.encode_document(texts) * np.arange(1, len(texts) + 1)[:, None],
        )
        assert longer == pytest.approx(plain, abs=1e-6), task.name


def test_texts_that_share_words_score_high_on_small_sets(tmp_path, word_embedder):
    scores = {
        task.kind: score_task(task, lambda texts, role: word_embedder.encode_document(texts))
        for task in read_tasks(sets.write_all(tmp_path))
    }
    assert scores["sts"] == pytest.approx(100)
    assert scores["retrieval"] > 90
    assert scores["classification"] == 100


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_no_numbers_are_refused(value):
    vectors = np.ones((3, 2))
    vectors[1, 0] = value
    with pytest.raises(InputError, match="the vectors of 1 of 3 texts hold NaN or infinity"):
        unit_rows(vectors)


def test_a_row_of_zeros_stays_zero():
    assert unit_rows(np.array([[0.0, 0.0], [3.0, 4.0]])).tolist() == [
        [0.0, 0.0],
        [pytest.approx(0.6), pytest.approx(0.8)],
    ]
