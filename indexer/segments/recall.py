"""Ann recall of an approximate index, measured when it is built, and the least effort that reaches the goal."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.segments.ann import AnnIndex
from indexer.segments.vector_file import VectorFile, exact_scores

K = 10
SAMPLE_QUERIES = 200
GOAL = {"rabitq": 0.99, "ivf-sq8": 0.95}
# Below this even at the greatest effort the index is useless: the codes have collapsed.
LEAST = 0.9


def choose_effort(ann: AnnIndex, vectors: VectorFile, seed: int) -> dict[str, Any] | None:
    """The first rung of the ladder that reaches the goal, else the best one; None when even that is useless.

    Args:
        ann: index over `vectors`.
        vectors: the rows.
        seed: of the sampled queries.

    Returns:
        {"rerank", "nprobe", "recall", "ladder"}.
    """
    queries = sample_queries(vectors, seed)
    truth = [exact_top(vectors, query) for query in queries]
    ladder: list[dict[str, float]] = []
    for rerank, nprobe in _rungs(ann):
        recall = ann_recall_at_k([_top(ann, vectors, query, rerank, nprobe) for query in queries], truth)
        ladder.append({"rerank": rerank, "nprobe": nprobe, "recall": round(recall, 4)})
        if recall >= GOAL[ann.kind]:
            break
    best = max(ladder, key=lambda rung: rung["recall"])
    if best["recall"] < LEAST:
        return None
    return {
        "rerank": int(best["rerank"]),
        "nprobe": int(best["nprobe"]),
        "recall": best["recall"],
        "ladder": ladder,
    }


def measure_recall(ann: AnnIndex, vectors: VectorFile, rerank: int, nprobe: int, seed: int) -> float:
    """Ann recall@10 of these settings, 0 to 1; the same seed asks the same queries as `choose_effort`.

    Args:
        ann: index over `vectors`.
        vectors: the rows.
        rerank: candidates that are compared exactly.
        nprobe: cells visited.
        seed: of the sampled queries.
    """
    queries = sample_queries(vectors, seed)
    found = [_top(ann, vectors, query, rerank, nprobe) for query in queries]
    return ann_recall_at_k(found, [exact_top(vectors, query) for query in queries])


def sample_queries(vectors: VectorFile, seed: int) -> NDArray[np.float32]:
    """Rows with as much noise as signal, so that they are as far from all rows as questions are.

    Rows themselves are too easy: an index that found 0.99 of their neighbours found 0.96 for real questions.

    Args:
        vectors: the rows.
        seed: of the choice and the noise.

    Returns:
        float32 [<= SAMPLE_QUERIES, D], unit rows.
    """
    random = np.random.default_rng(seed)
    chosen = random.choice(vectors.rows, min(SAMPLE_QUERIES, vectors.rows), replace=False)
    noise = random.standard_normal((chosen.size, vectors.dimension)) / np.sqrt(vectors.dimension)
    queries = (vectors.take(chosen) + noise).astype(np.float32)
    return queries / np.linalg.norm(queries, axis=1, keepdims=True)


def ann_recall_at_k(found: list[NDArray[np.float32]], truth: list[NDArray[np.float32]]) -> float:
    """Share of the true top k scores that were reached, 0 to 1.

    Compared by score, not by row: among equal texts any is as right as the other.

    Args:
        found: for each query the scores of what the index gave, float32 [<= k], falling.
        truth: for each query the exact top scores, float32 [<= k], falling.
    """
    total = sum(scores.size for scores in truth)
    if not total:
        return 1.0
    reached = 0
    for mine, best in zip(found, truth, strict=True):
        if best.size:
            reached += min(best.size, int(np.count_nonzero(mine >= best[-1] - 1e-6)))
    return reached / total


def exact_top(vectors: VectorFile, query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores of the true nearest `K` rows, falling, float32 [<= K], for a query float32 [D]."""
    return _best(vectors, query, vectors.nearest(query, K, None))


def _top(
    ann: AnnIndex, vectors: VectorFile, query: NDArray[np.float32], rerank: int, nprobe: int
) -> NDArray[np.float32]:
    return _best(vectors, query, ann.candidates(query, rerank, nprobe, None))


def _best(
    vectors: VectorFile, query: NDArray[np.float32], positions: NDArray[np.int64]
) -> NDArray[np.float32]:
    return -np.sort(-exact_scores(vectors.take(positions), query))[:K]


def _rungs(ann: AnnIndex) -> Iterator[tuple[int, int]]:
    if ann.kind == "rabitq":
        yield from ((rerank, 0) for rerank in (100, 200, 400, 800))
        return
    nprobe = 1
    while nprobe < ann.cells:
        yield 30, nprobe
        nprobe *= 2
    yield 30, ann.cells
