"""Ann recall of an approximate index, measured on its own rows, and the least effort that reaches the goal."""

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
        vectors: the rows, which also serve as queries (each leaves itself out).
        seed: of the sampled queries.

    Returns:
        {"rerank", "nprobe", "recall", "ladder"}.
    """
    chosen = np.random.default_rng(seed).choice(
        vectors.rows, min(SAMPLE_QUERIES, vectors.rows), replace=False
    )
    queries = vectors.take(chosen)
    truth = [exact_top(vectors, query, own) for query, own in zip(queries, chosen, strict=True)]
    ladder: list[dict[str, float]] = []
    for rerank, nprobe in _rungs(ann):
        found = [
            _approximate_top(ann, vectors, query, own, rerank, nprobe)
            for query, own in zip(queries, chosen, strict=True)
        ]
        recall = ann_recall_at_k(found, truth)
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


def exact_top(vectors: VectorFile, query: NDArray[np.float32], own: int) -> NDArray[np.float32]:
    """Scores of the true nearest `K` rows other than row `own`, falling, float32 [<= K]."""
    return _top(vectors, query, own, vectors.nearest(query, K + 1, None))


def _approximate_top(
    ann: AnnIndex, vectors: VectorFile, query: NDArray[np.float32], own: int, rerank: int, nprobe: int
) -> NDArray[np.float32]:
    return _top(vectors, query, own, ann.candidates(query, rerank, nprobe, None))


def _top(
    vectors: VectorFile, query: NDArray[np.float32], own: int, positions: NDArray[np.int64]
) -> NDArray[np.float32]:
    scores = exact_scores(vectors.take(positions[positions != own]), query)
    return -np.sort(-scores)[:K]


def _rungs(ann: AnnIndex) -> Iterator[tuple[int, int]]:
    if ann.kind == "rabitq":
        yield from ((rerank, 0) for rerank in (100, 200, 400, 800))
        return
    nprobe = 1
    while nprobe < ann.cells:
        yield 30, nprobe
        nprobe *= 2
    yield 30, ann.cells
