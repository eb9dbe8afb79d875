"""Vectors to search in, made on the device: clusters with noise around them, of unit length.

Shapes: N rows, Q queries, D dimension, C centres.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from steps import free_memory

_SEED = 20
_BLOCK = 1 << 18
_ROWS_PER_CENTRE = 1000
# Lengths of the noise beside centres and rows of length 1: neighbours are of one cluster, and none is obvious.
_ROW_NOISE, _QUERY_NOISE = 0.8, 0.6


class MadeRows:
    """The rows of the size that was asked for last, since two of the largest sizes may not fit."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._size = (0, 0)
        self._rows: Any = None

    def of(self, rows: int, dimension: int) -> Any:
        """Rows on the device, a torch tensor float16 [N, D]; the same for the same size and device."""
        if self._size != (rows, dimension):
            self._size, self._rows = (0, 0), None
            free_memory()
            self._rows = make_rows(rows, dimension, self._device)
            self._size = (rows, dimension)
            free_memory()  # what making them took must count as free when an index asks for room
        return self._rows

    def forget(self) -> None:
        """Frees them."""
        self._size, self._rows = (0, 0), None
        free_memory()


def make_rows(rows: int, dimension: int, device: str) -> Any:
    """Clustered unit rows on a device of torch, a tensor float16 [N, D]."""
    import torch

    random = torch.Generator(device).manual_seed(_SEED)
    count = max(16, rows // _ROWS_PER_CENTRE)
    centres_CD = _unit(torch.randn((count, dimension), generator=random, device=device))
    made = torch.empty((rows, dimension), dtype=torch.float16, device=device)
    for start in range(0, rows, _BLOCK):
        some = min(_BLOCK, rows - start)
        noise = torch.randn((some, dimension), generator=random, device=device)
        centre_N = torch.randint(count, (some,), generator=random, device=device)
        made[start : start + some] = _unit(centres_CD[centre_N] + _ROW_NOISE / dimension**0.5 * noise).half()
    return made


def make_queries(rows: Any, count: int) -> NDArray[np.float32]:
    """Some of the rows with noise, unit rows float32 [Q, D].

    Args:
        rows: a torch tensor float16 [N, D].
        count: queries.
    """
    import torch

    random = torch.Generator().manual_seed(_SEED + 1)
    chosen = rows[torch.randint(len(rows), (count,), generator=random).to(rows.device)].float().cpu()
    noise = torch.randn(chosen.shape, generator=random)
    return _unit(chosen + _QUERY_NOISE / rows.shape[1] ** 0.5 * noise).numpy()


def _unit(rows: Any) -> Any:
    return rows / rows.norm(dim=1, keepdim=True)
