"""Texts of about equal length into batches of about equal token counts. Shapes: N texts, B batch."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def longest_first(length_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Text numbers [N] by falling length, equal lengths in order."""
    return np.argsort(-length_N, kind="stable")


def batch_rows(longest: int, budget: int) -> int:
    """Texts per batch, at least one, whose padded size stays within the budget.

    Args:
        longest: tokens of the longest sequence, memory tokens included.
        budget: tokens per batch.
    """
    return max(1, budget // max(1, longest))


def cut_batches(length_N: NDArray[np.int64], budget: int) -> Iterator[NDArray[np.int64]]:
    """Text numbers [B] of one batch after another, longest texts first.

    Args:
        length_N: [N] int64, tokens of each text.
        budget: padded tokens per batch; a longer text makes a batch of its own.
    """
    order_N = longest_first(length_N)
    position = 0
    while position < len(order_N):
        rows = batch_rows(int(length_N[order_N[position]]), budget)
        yield order_N[position : position + rows]
        position += rows
