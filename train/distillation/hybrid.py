"""Pairs -> the weight of the dense part with which hybrid search ranks best.

Shapes: Q queries, N documents.
"""

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_WEIGHTS = np.round(np.arange(0.0, 1.01, 0.05), 2)
_CANDIDATES = 100  # of each kind of score, as a search takes them
_DEPTH = 10


def draw_pairs(
    pairs: Sequence[tuple[str, str]], *, queries: int, documents: int, seed: int
) -> tuple[list[str], list[str]]:
    """Queries and documents such that query i is answered by document i.

    Args:
        pairs: anchor and positive; of several pairs with one positive, the first drawn counts.
        queries: most queries.
        documents: most documents, those of the queries included.
        seed: decides the draw.

    Returns:
        Q queries and N >= Q documents, no document twice.
    """
    drawn = list(pairs)
    random.Random(seed).shuffle(drawn)
    anchor_of: dict[str, str] = {}
    for anchor, positive in drawn:
        if anchor and positive and len(anchor_of) < documents:
            anchor_of.setdefault(positive, anchor)
    return list(anchor_of.values())[:queries], list(anchor_of)


def bm25_scores(
    queries: Sequence[str], documents: Sequence[str], *, k1: float = 1.2, b: float = 0.75
) -> sparse.csr_array:
    """BM25 of every query and document that share a word, float32 [Q, N], without stemming."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(token_pattern=r"(?u)[^\W_]+")
    counts = counter.fit_transform(documents).tocsr().astype(np.float32)
    length_N = np.asarray(counts.sum(1)).ravel()
    norm_N = k1 * (1 - b + b * length_N / length_N.mean())
    frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = np.log1p((counts.shape[0] - frequency + 0.5) / (frequency + 0.5))
    tf = counts.data
    row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    counts.data = (idf[counts.indices] * tf * (k1 + 1) / (tf + norm_N[row])).astype(np.float32)
    asked = counter.transform(queries)
    return sparse.csr_array((asked > 0).astype(np.float32) @ counts.T)


def tune_weight(dense: NDArray[np.float32], keyword: sparse.csr_array) -> tuple[float, dict[float, float]]:
    """The weight with the best nDCG@10 when document i is the one answer to query i.

    Args:
        dense: float32 [Q, N], inner products, N >= Q.
        keyword: [Q, N] BM25 scores.

    Returns:
        The weight, the middle one where several are best; and nDCG@10 from 0 to 1 of every weight tried.
    """
    gains = np.zeros(len(_WEIGHTS))
    for query in range(len(dense)):
        bm25 = keyword[[query]].toarray().ravel()
        gains += _gain_by_weight(dense[query], bm25, query)
    gains /= max(1, len(dense))
    best = _WEIGHTS[gains >= gains.max() - 1e-9]
    weights = {float(weight): float(gain) for weight, gain in zip(_WEIGHTS, gains, strict=True)}
    return float(best[len(best) // 2]), weights


def _gain_by_weight(
    dense: NDArray[np.float32], bm25: NDArray[np.float32], answer: int
) -> NDArray[np.float64]:
    """Gain of one query under each weight, with the scaling of hybrid search."""
    count = min(_CANDIDATES, len(dense))
    found = np.union1d(np.argpartition(-dense, count - 1)[:count], np.argpartition(-bm25, count - 1)[:count])
    if answer not in found:
        return np.zeros(len(_WEIGHTS))
    low, high = dense[found].min(), dense[found].max()
    scaled_dense = (dense[found] - low) / max(high - low, 1e-9)
    scaled_bm25 = bm25[found] / max(bm25[found].max(), 1e-9)
    scores = _WEIGHTS[:, None] * scaled_dense + (1 - _WEIGHTS[:, None]) * scaled_bm25
    own = scores[:, np.searchsorted(found, answer)][:, None]
    rank = (scores > own).sum(1) + (np.sum(scores == own, axis=1) - 1) / 2  # a tie counts half
    return np.where(rank < _DEPTH, 1 / np.log2(rank + 2), 0.0)
