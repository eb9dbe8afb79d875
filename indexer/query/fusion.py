"""Two scores become one: the weighted sum of scaled dense and keyword scores.

Scores, not ranks: a rank fusion throws away how much better the first hit is than the second,
which is all that tells an exact word match from a vague one (`docs/decisions.md`).
"""

import numpy as np
from numpy.typing import NDArray

from indexer.hits import Fusion


def fuse_scores(
    dense: NDArray[np.float32], keyword: NDArray[np.float32], weight: float
) -> NDArray[np.float32]:
    """Weighted sum over the union of both candidate lists.

    Dense scores are scaled to 0..1 between their least and greatest; keyword scores are divided by their
    greatest, since a passage without any query word has keyword score 0.

    Args:
        dense: float32 [N], inner products, one for every candidate.
        keyword: float32 [N], BM25 scores, NaN where no query word occurs.
        weight: of the dense part, 0 to 1.

    Returns:
        float32 [N] in 0..1; empty for no candidates.
    """
    if not dense.size:
        return np.zeros(0, np.float32)
    low, high = float(dense.min()), float(dense.max())
    scaled_dense = (dense - low) / (high - low) if high > low else np.ones_like(dense)
    filled = np.nan_to_num(keyword, nan=0.0)
    top = float(filled.max())
    scaled_keyword = filled / top if top > 0 else np.zeros_like(filled)
    return (weight * scaled_dense + (1.0 - weight) * scaled_keyword).astype(np.float32)


def fusion_of(dense: NDArray[np.float32], keyword: NDArray[np.float32], weight: float) -> Fusion:
    """The numbers that `fuse_scores` scales with, to explain its scores.

    Args:
        dense: float32 [N], as for `fuse_scores`.
        keyword: float32 [N], NaN where no query word occurs.
        weight: of the dense part, 0 to 1.
    """
    if not dense.size:
        return Fusion(weight, 0.0, 0.0, 0.0)
    top = float(np.nan_to_num(keyword, nan=0.0).max())
    return Fusion(weight, float(dense.min()), float(dense.max()), top)
