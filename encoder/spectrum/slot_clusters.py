"""Memory tokens that say the same, put together: by average linkage of cosines, so without chance.

Shapes: N texts, M memory tokens, D embedding dimension.
"""

import numpy as np
from numpy.typing import NDArray

from encoder.errors import ShapeError, UsageError

_TEXTS_A_BLOCK = 2048


def link(
    similarity: NDArray[np.floating], *, n_clusters: int | None = None, threshold: float | None = None
) -> NDArray[np.int64]:
    """Agglomerative clusters by average linkage, of many small matrices at once.

    The two clusters whose members are most alike on average become one, again and again; of equal pairs the one
    with the lowest numbers.

    Args:
        similarity: [N, M, M] symmetric, finite; the diagonal does not matter.
        n_clusters: stop at so many, 1 to M; or
        threshold: stop where no two clusters are this much alike.

    Returns:
        [N, M] cluster of each member, 0, 1, ... by their first members.

    Raises:
        ShapeError: the matrices are not square.
        UsageError: neither or both of the two bounds are given, or there are fewer members than clusters.
    """
    if similarity.ndim != 3 or similarity.shape[1] != similarity.shape[2] or not similarity.shape[1]:
        raise ShapeError(
            f"similarities have the shape {similarity.shape}, expected [N, M, M]",
            "link",
            "give one square matrix a text",
        )
    texts, members = similarity.shape[:2]
    _check_bounds(n_clusters, threshold, members)
    sums = similarity.astype(np.float64)
    sizes = np.ones((texts, members))
    labels = np.tile(np.arange(members), (texts, 1))
    later = np.triu(np.ones((members, members), dtype=bool), 1)
    for _ in range(members - (n_clusters or 1)):
        is_pair = later & (sizes[:, :, None] > 0) & (sizes[:, None, :] > 0)
        mean = np.divide(sums, sizes[:, :, None] * sizes[:, None, :], where=is_pair, out=np.zeros_like(sums))
        flat = np.where(is_pair, mean, -np.inf).reshape(texts, -1)
        best = flat.argmax(axis=1)
        rows = np.arange(texts)
        rows = rows if threshold is None else rows[flat[rows, best] >= threshold]
        if not len(rows):
            break
        _merge(sums, sizes, labels, rows, (best // members)[rows], (best % members)[rows])
    return _renumbered(labels)


def _check_bounds(n_clusters: int | None, threshold: float | None, members: int) -> None:
    if (n_clusters is None) == (threshold is None):
        raise UsageError("one bound is needed", "link", "give n_clusters or threshold, and not both")
    if n_clusters is not None and not 1 <= n_clusters <= members:
        raise UsageError(f"n_clusters is {n_clusters}, of {members}", "link", f"give 1 to {members}")


def _merge(
    sums: NDArray[np.float64],
    sizes: NDArray[np.float64],
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
) -> None:
    """In the matrices `rows`, puts cluster `second` into cluster `first`, in place."""
    sums[rows, first] += sums[rows, second]
    sums[rows, :, first] += sums[rows, :, second]
    sizes[rows, first] += sizes[rows, second]
    sizes[rows, second] = 0
    labels[rows] = np.where(labels[rows] == second[:, None], first[:, None], labels[rows])


def _renumbered(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """A cluster is labelled by its first member [N, M]; here by how many clusters begin before it."""
    is_first = labels == np.arange(labels.shape[1])
    return np.take_along_axis(np.cumsum(is_first, axis=1) - 1, labels, axis=1)


def cluster_pool(
    memory: NDArray[np.floating], *, n_clusters: int | None = None, threshold: float | None = None
) -> NDArray[np.float32]:
    """Memory states to one vector a text, where states that say the same count once.

    The states of a text are clustered by their cosines; the result is the mean over clusters of the mean within.
    With one cluster, and with as many as there are memory tokens, it is the plain mean.

    Args:
        memory: [N, M, D] floating, not normalised. A state without direction is like no other.
        n_clusters: in each text, 1 to M; or
        threshold: least mean cosine of two clusters that become one.

    Returns:
        [N, D] float32, not normalised.

    Raises:
        ShapeError: `memory` has another number of axes, or no memory tokens.
        UsageError: neither or both of the two bounds are given, or there are fewer memory tokens than clusters.
    """
    if memory.ndim != 3 or 0 in memory.shape[1:]:
        raise ShapeError(
            f"memory states have the shape {memory.shape}, expected [N, M, D]",
            "cluster_pool",
            "give the last states of the memory tokens before they are pooled",
        )
    pooled = np.empty((len(memory), memory.shape[2]), np.float32)
    for start in range(0, len(memory), _TEXTS_A_BLOCK):
        states = memory[start : start + _TEXTS_A_BLOCK].astype(np.float64)
        labels = link(_cosines(states), n_clusters=n_clusters, threshold=threshold)
        is_member = labels[:, None, :] == np.arange(states.shape[1])[:, None]  # [n, C, M]
        sizes = is_member.sum(axis=2)
        weight = (is_member / np.maximum(sizes, 1)[..., None]).sum(axis=1) / (sizes > 0).sum(axis=1)[:, None]
        pooled[start : start + len(states)] = np.einsum("nm,nmd->nd", weight, states)
    return pooled


def _cosines(states: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosines [N, M, M] of states [N, M, D]; 0 where one has no direction."""
    lengths = np.linalg.norm(states, axis=-1, keepdims=True)
    unit = np.divide(states, lengths, out=np.zeros_like(states), where=lengths > 0)
    return np.nan_to_num(np.einsum("nad,nbd->nab", unit, unit), nan=0.0, posinf=0.0, neginf=0.0)
