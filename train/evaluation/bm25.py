"""Scores of texts by their words alone.

Shapes: Q queries, N documents.
"""

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer


def bm25_scores(
    queries: Sequence[str], documents: Sequence[str], *, k1: float = 1.2, b: float = 0.75
) -> sparse.csr_array:
    """BM25 of every query and document that share a word, float32 [Q, N], without stemming.

    Raises:
        ValueError: no document has a word.
    """
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
