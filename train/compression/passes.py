"""Sequences of unlike length into padded passes that waste little. Shapes: S sequences, G sequences of a pass.

`encoder.batching` fills passes up to a budget, which is right for many texts; a training step has few sequences,
so here each further pass is weighed against the padding it saves.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

# Tokens that take as long as one more pass does: a processor is busy with few, a GPU is not.
_CPU_PASS_COST, _GPU_PASS_COST = 64, 1024
_CPU_BUDGET = 2048
_GPU_LEAST_BUDGET, _GPU_MOST_BUDGET = 2048, 32768
_GPU_PASS_BYTES = 8 << 30  # of activations, roughly
_BYTES_PER_NUMBER = (
    34  # of a token's state in a layer, in half precision (Korthikanti et al. 2022, section 4)
)


def pass_budget(config: Any, device: torch.device) -> int:
    """Padded tokens of one pass through a decoder, forth and back.

    Args:
        config: of the decoder.
        device: where it computes.
    """
    if device.type == "cpu":
        return _CPU_BUDGET
    bytes_per_token = _BYTES_PER_NUMBER * config.hidden_size * config.num_hidden_layers
    return min(max(_GPU_PASS_BYTES // bytes_per_token, _GPU_LEAST_BUDGET), _GPU_MOST_BUDGET)


def cut_passes(length_S: NDArray[np.int64], *, budget: int, device: torch.device) -> list[NDArray[np.int64]]:
    """Sequence numbers of each pass, longest first, such that padded tokens and passes cost least.

    Args:
        length_S: [S] int64, tokens of each sequence, at least 1.
        budget: most padded tokens of a pass; a longer sequence is alone.
        device: where it is computed, which decides what a pass costs beside its tokens.

    Returns:
        Arrays [G] int64 that together hold each sequence once.
    """
    pass_cost = _CPU_PASS_COST if device.type == "cpu" else _GPU_PASS_COST
    order_S = np.argsort(-length_S, kind="stable")
    sorted_S = length_S[order_S]
    count = len(order_S)
    # least[i] is the cost of the sequences from the i-th longest on; the first of a pass decides its width.
    least, size_S = np.zeros(count + 1), np.ones(count, dtype=np.int64)
    for first in range(count - 1, -1, -1):
        most = min(max(1, budget // int(sorted_S[first])), count - first)
        sizes = np.arange(1, most + 1)
        costs = pass_cost + sizes * sorted_S[first] + least[first + 1 : first + most + 1]
        best = int(np.argmin(costs))
        least[first], size_S[first] = costs[best], sizes[best]
    passes, first = [], 0
    while first < count:
        passes.append(order_S[first : first + size_S[first]])
        first += int(size_S[first])
    return passes
