"""The weight of hybrid search comes from pairs."""

import numpy as np
from scipy import sparse

from train.distillation.hybrid import bm25_scores, draw_pairs, tune_weight


def test_query_i_is_answered_by_document_i():
    pairs = [(f"q{n}", f"d{n}") for n in range(20)] + [("again", "d3"), ("", "d30"), ("q", None)]
    queries, documents = draw_pairs(pairs, queries=5, documents=12, seed=1)
    assert (len(queries), len(documents), len(set(documents))) == (5, 12, 12)
    assert all((query, document) in pairs for query, document in zip(queries, documents, strict=False))


def test_bm25_is_its_formula():
    documents = ["red fox runs", "red red sea", "a cat"]
    scores = bm25_scores(["Red cat", "unknown"], documents).toarray()
    idf = np.log1p((3 - 2 + 0.5) / (2 + 0.5))
    norm = 1.2 * (1 - 0.75 + 0.75 * 3 / (8 / 3))
    assert np.isclose(scores[0, 1], idf * 2 * 2.2 / (2 + norm), rtol=1e-5)
    assert np.isclose(scores[0, 0], idf * 2.2 / (1 + norm), rtol=1e-5)
    assert scores[0, 2] > scores[0, 0]
    assert not scores[1].any()


def _scores(right, seed):
    noise = np.random.default_rng(seed).random((60, 60)).astype(np.float32)
    return noise + 2 * np.eye(60, dtype=np.float32) if right else noise


def test_the_better_part_gets_the_weight():
    weight, gains = tune_weight(_scores(True, 0), sparse.csr_array(_scores(False, 1)))
    assert weight > 0.6
    assert gains[1.0] == 1.0 > gains[0.0]
    weight, gains = tune_weight(_scores(False, 0), sparse.csr_array(_scores(True, 1)))
    assert weight < 0.4
    assert gains[0.0] == 1.0 > gains[1.0]


def test_ties_do_not_flatter():
    even = np.ones((30, 30), np.float32)
    _, gains = tune_weight(even, sparse.csr_array(even))
    assert max(gains.values()) < 0.2
