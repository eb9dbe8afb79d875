"""How fast an index answers, and how many of the true answers it gives. Shapes: Q queries, N rows, D dimension."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from accelerator import Accelerator
from numpy.typing import NDArray
from steps import Figure, figure

K = 10
# What a search of the product asks of an index, to compare it exactly afterwards.
DEPTH = 30
TOGETHER = 256
_BLOCK = 1 << 18

# Queries float32 [Q, D] to about the best `DEPTH` positions of each.
Ask = Callable[[NDArray[np.float32]], Sequence[NDArray[np.int64]]]


def speeds(
    ask: Ask, queries: NDArray[np.float32], accelerator: Accelerator, *, alone: int
) -> dict[str, Figure]:
    """Queries a second, one by one and many at once.

    Args:
        ask: the index.
        queries: float32 [Q, D].
        accelerator: it is on.
        alone: queries that are asked one by one.
    """
    some = queries[:alone]
    times = accelerator.seconds(lambda: [ask(query[None]) for query in some])
    return {"one by one": figure([len(some) / taken for taken in times], "queries/s")} | together(
        ask, queries, accelerator
    )


def together(ask: Ask, queries: NDArray[np.float32], accelerator: Accelerator) -> dict[str, Figure]:
    """Queries a second of a batch, float32 [Q, D]."""
    times = accelerator.seconds(lambda: ask(queries))
    return {f"{len(queries)} at once": figure([len(queries) / taken for taken in times], "queries/s")}


def best_ten(
    found: Sequence[NDArray[np.int64]], rows: Any, queries: NDArray[np.float32]
) -> NDArray[np.int64]:
    """The best `K` of the positions that an index gave, compared exactly as a search does; int64 [Q, K], -1 for none.

    Args:
        found: positions for each query.
        rows: a torch tensor float16 [N, D].
        queries: float32 [Q, D].
    """
    import torch

    best = np.full((len(found), K), -1, np.int64)
    for answer, positions, query in zip(best, found, queries, strict=True):
        near = rows[torch.from_numpy(positions).to(rows.device)].float().cpu().numpy()
        order = np.argsort(-(near * query).sum(axis=1), kind="stable")[:K]
        answer[: len(order)] = positions[order]
    return best


def overlap(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Share of the true answers that were given, both int64 [Q, K]."""
    return float(np.mean([np.isin(true, mine).mean() for mine, true in zip(found, truth, strict=True)]))


def agreement(
    ask: Ask, rows: Any, queries: NDArray[np.float32], truth: NDArray[np.int64]
) -> dict[str, Figure]:
    """Overlap@10 with the true answers int64 [Q, K], as the index gives them and compared exactly as a search does.

    Args:
        ask: the index.
        rows: a torch tensor float16 [N, D].
        queries: float32 [>= Q, D].
        truth: of the first Q queries.
    """
    asked = queries[: len(truth)]
    found = ask(asked)
    raw = np.full(truth.shape, -1, np.int64)
    for answer, positions in zip(raw, found, strict=True):
        answer[: len(positions[:K])] = positions[:K]
    compared = best_ten(found, rows, asked)
    return {
        "overlap@10 of the answers": figure([overlap(compared, truth)], at_least=0.99),
        "overlap@10 before the exact comparison": figure([overlap(raw, truth)]),
    }


def exact_answers(rows: Any, queries: NDArray[np.float32]) -> NDArray[np.int64]:
    """The true answers by float32 products on the processor, int64 [Q, K], for rows that no file holds.

    Args:
        rows: a torch tensor float16 [N, D] on any device.
        queries: float32 [Q, D].
    """
    import torch

    asked = torch.from_numpy(queries)
    scores, positions = torch.empty((len(asked), 0)), torch.empty((len(asked), 0), dtype=torch.int64)
    for start in range(0, len(rows), _BLOCK):
        product = asked @ rows[start : start + _BLOCK].cpu().float().T
        best, at = product.topk(min(DEPTH, product.shape[1]))
        scores, positions = torch.cat([scores, best], 1), torch.cat([positions, at + start], 1)
        scores, order = scores.topk(min(DEPTH, scores.shape[1]))
        positions = positions.gather(1, order)
    return best_ten(list(positions.numpy()), rows, queries)
