"""Words alone, by the formula."""

import numpy as np

from train.evaluation.bm25 import bm25_scores


def test_bm25_is_its_formula():
    documents = ["red fox runs", "red red sea", "a cat"]
    scores = bm25_scores(["Red cat", "unknown"], documents).toarray()
    idf = np.log1p((3 - 2 + 0.5) / (2 + 0.5))
    norm = 1.2 * (1 - 0.75 + 0.75 * 3 / (8 / 3))
    assert np.isclose(scores[0, 1], idf * 2 * 2.2 / (2 + norm), rtol=1e-5)
    assert np.isclose(scores[0, 0], idf * 2.2 / (1 + norm), rtol=1e-5)
    assert scores[0, 2] > scores[0, 0]
    assert not scores[1].any()
