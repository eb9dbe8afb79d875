"""The nearest neighbours of every row among all rows: exact for some ten thousand, by an HNSW graph above.

The graph is approximate; how many of the true neighbours it found is measured and returned.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.progress import JobProgress, Report
from indexer.segments.faiss_module import load_faiss

EXACT_ROWS = 30_000
_MEASURED_ROWS = 200
_BLOCK = 512
# Measured on 100,000 texts of 384 numbers in one thread: built in 16 s, asked in 14 s, recall 0.972. Asking with 64
# takes 20 s for 0.980; half the links take 20 s in all for 0.930, too little to judge a map by.
_LINKS, _BUILD_EFFORT, _ASK_EFFORT = 32, 40, 40


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest of every row.

    Attributes:
        positions: int64 [N, K], nearest first, never the row itself.
        similarities: float32 [N, K], their inner products.
        recall: share of the true neighbours that were found; 1.0 when all rows were compared.
        is_exact: all rows were compared.
    """

    positions: NDArray[np.int64]
    similarities: NDArray[np.float32]
    recall: float
    is_exact: bool


def nearest_neighbours(
    vectors: NDArray[np.float32], k: int, *, seed: int, report: Report, exact_rows: int = EXACT_ROWS
) -> Neighbours:
    """The k nearest of every row, fewer where there are not so many others.

    Args:
        vectors: float32 [N, D], unit rows, all different.
        k: neighbours.
        seed: of the rows by which recall is measured.
        report: hears how far it is.
        exact_rows: most rows that are all compared.
    """
    count = vectors.shape[0]
    k = min(k, max(0, count - 1))
    if count <= exact_rows or not k:
        found, similarities = compare(vectors, np.arange(count), k, report)
        return Neighbours(found, similarities, 1.0, True)
    found, similarities = _ask_graph(vectors, k, report)
    lacking = np.flatnonzero((found < 0).any(axis=1))
    if lacking.size:  # what the graph cannot reach
        found[lacking], similarities[lacking] = compare(vectors, lacking, k, report)
    some = np.sort(np.random.default_rng(seed).choice(count, min(_MEASURED_ROWS, count), replace=False))
    truth = compare(vectors, some, k, report)[0]
    return Neighbours(found, similarities, overlap(found[some], truth).mean().item(), False)


def overlap(found: NDArray[np.integer], truth: NDArray[np.integer]) -> NDArray[np.float32]:
    """Share of each row's true neighbours that were found, float32 [N].

    Args:
        found: [N, K], different within a row.
        truth: [N, K], different within a row, K at least 1.
    """
    both = np.sort(np.concatenate([found, truth], axis=1), axis=1)
    return ((both[:, 1:] == both[:, :-1]).sum(axis=1) / truth.shape[1]).astype(np.float32)


def compare(
    vectors: NDArray[np.float32], rows: NDArray[np.int64], k: int, report: Report
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k nearest of some rows by comparing with all: int64 and float32 [R, k], nearest first.

    Args:
        vectors: float32 [N, D].
        rows: int64 [R], positions.
        k: less than N.
        report: hears how far it is.
    """
    found = np.zeros((rows.size, k), np.int64)
    similarities = np.zeros((rows.size, k), np.float32)
    for start in range(0, rows.size if k else 0, _BLOCK):
        some = rows[start : start + _BLOCK]
        scores = vectors[some] @ vectors.T
        scores[np.arange(some.size), some] = -np.inf
        near = np.sort(np.argpartition(scores, -k, axis=1)[:, -k:], axis=1)
        values = np.take_along_axis(scores, near, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        found[start : start + some.size] = np.take_along_axis(near, order, axis=1)
        similarities[start : start + some.size] = np.take_along_axis(values, order, axis=1)
        done = start + some.size
        report(JobProgress("neighbours", passages=done, fraction=done / rows.size))
    return found, similarities


def _ask_graph(
    vectors: NDArray[np.float32], k: int, report: Report
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k nearest by an HNSW graph, int64 and float32 [N, k]; -1 where it found fewer."""
    faiss = load_faiss()
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # the order in which threads add rows would change the graph
    try:
        # Collections keep fp16: nothing is lost, and half the memory is read.
        fp16 = faiss.ScalarQuantizer.QT_fp16
        index = faiss.IndexHNSWSQ(vectors.shape[1], fp16, _LINKS, faiss.METRIC_INNER_PRODUCT)
        index.train(vectors[:1])
        index.hnsw.efConstruction, index.hnsw.efSearch = _BUILD_EFFORT, max(_ASK_EFFORT, 2 * k)
        count = vectors.shape[0]
        for start in range(0, count, _BLOCK):
            index.add(vectors[start : start + _BLOCK])
            report(JobProgress("neighbours", passages=index.ntotal // 2, fraction=index.ntotal / count / 2))
        parts = []
        for start in range(0, count, _BLOCK):
            some = np.arange(start, min(start + _BLOCK, count))
            values, at = index.search(vectors[some], k + 1)
            parts.append(_without_self(at, values, some))
            done = (count + some[-1] + 1) / 2
            report(JobProgress("neighbours", passages=int(done), fraction=done / count))
    finally:
        faiss.omp_set_num_threads(threads)
    return np.concatenate([at for at, _ in parts]), np.concatenate([values for _, values in parts])


def _without_self(
    at: NDArray[np.int64], values: NDArray[np.float32], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Drops each row from its own list by its number, else the last of the list: [R, k] of [R, k + 1]."""
    own = at == rows[:, None]
    own[~own.any(axis=1), -1] = True
    kept = (at.shape[0], at.shape[1] - 1)
    return at[~own].reshape(kept), values[~own].reshape(kept)
