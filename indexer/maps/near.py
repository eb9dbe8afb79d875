"""The nearest mapped rows of rows that have no place on the map yet: exact, or by cells where that would take long."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.progress import JobProgress, Report, silent
from indexer.query.snapshot import Snapshot
from indexer.segments.faiss_module import load_faiss

# Pairs compared exactly, about three seconds; cells find 5 of 6 true neighbours beyond, enough for a median of 15.
MOST_PAIRS = 300_000_000
_QUERIES = 2048  # of a block
_CELLS_SEEN = 16
_TRAIN_ROWS_PER_CELL = 40


def nearest_mapped(
    snapshot: Snapshot,
    new: NDArray[np.uint64],
    mapped: NDArray[np.uint64],
    k: int,
    *,
    report: Report = silent,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The nearest mapped rows of each new row by vector.

    Args:
        snapshot: that holds both.
        new: uint64 [P], live rows.
        mapped: uint64 [N], live rows.
        k: most neighbours.
        report: hears how far it is.

    Returns:
        Positions in `mapped`, int64 [P, K] with K at most k, best first, -1 where fewer were found; and bool [P], rows
        whose vector has a direction and that have a neighbour.
    """
    k = min(k, mapped.size)
    found = np.full((new.size, k), -1, np.int64)
    usable = np.zeros(new.size, np.bool_)
    if not k:
        return found, usable
    index = None if new.size * mapped.size <= MOST_PAIRS else _cells(snapshot, mapped)
    for start in range(0, new.size, _QUERIES):
        part = slice(start, start + _QUERIES)
        queries = snapshot.vectors(new[part])
        good = np.isfinite(queries).all(axis=1) & (queries != 0).any(axis=1)
        queries[~good] = 0
        found[part] = _exact(snapshot, queries, mapped, k) if index is None else index.search(queries, k)[1]
        usable[part] = good & (found[part] >= 0).any(axis=1)
        done = start + queries.shape[0]
        report(JobProgress("placing", passages=done, fraction=done / new.size))
    return found, usable


def _exact(
    snapshot: Snapshot, queries: NDArray[np.float32], mapped: NDArray[np.uint64], k: int
) -> NDArray[np.int64]:
    """Positions of the best k of all mapped rows for each query, int64 [Q, k], best first."""
    best = np.full((queries.shape[0], k), -np.inf, np.float32)
    at = np.full((queries.shape[0], k), -1, np.int64)
    start = 0
    for ids, vectors in snapshot.vector_blocks(mapped):
        scores = np.concatenate([best, np.nan_to_num(queries @ vectors.T, nan=-np.inf)], axis=1)
        places = np.concatenate(
            [at, np.broadcast_to(np.arange(start, start + ids.size), (queries.shape[0], ids.size))], axis=1
        )
        kept = _top(scores, k)
        best, at = np.take_along_axis(scores, kept, axis=1), np.take_along_axis(places, kept, axis=1)
        start += ids.size
    return at


def _top(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Columns of the k greatest of each row, greatest first, ties to the first column."""
    near = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
    order = np.argsort(-np.take_along_axis(scores, near, axis=1), axis=1, kind="stable")
    return np.take_along_axis(near, order, axis=1)


def _cells(snapshot: Snapshot, mapped: NDArray[np.uint64]) -> Any:
    faiss = load_faiss()
    dimension = snapshot.collection.settings.dimension
    cells = 1 << max(0, round(np.log2(max(1, 3 * mapped.size**0.5))))
    coarse = faiss.IndexFlatIP(dimension)
    index = faiss.IndexIVFScalarQuantizer(
        coarse, dimension, cells, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.niter, index.cp.seed, index.cp.min_points_per_centroid = 6, 1, 1
    index.nprobe = min(_CELLS_SEEN, cells)
    some = np.random.default_rng(0).permutation(mapped.size)[: cells * _TRAIN_ROWS_PER_CELL]
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # sums in another order would move rows that lie between two cells
    try:
        index.train(snapshot.vectors(mapped[np.sort(some)]))
        for _, vectors in snapshot.vector_blocks(mapped):
            index.add(vectors)
    finally:
        faiss.omp_set_num_threads(threads)
    index.own_fields, _ = True, coarse.this.disown()  # the coarse index lives as long as the index
    return index
