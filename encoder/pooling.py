"""States of a text to one vector, and the unit length; everything in float32.

Shapes: B batch, T tokens, M memory tokens, D embedding dimension.
"""

import torch
from torch import Tensor

from encoder.errors import ShapeError


def pool_memory(memory_BMD: Tensor) -> Tensor:
    """Mean of the memory-token states of each text.

    Args:
        memory_BMD: [B, M, D] floating, last hidden layer after the final norm, M at least 1.

    Returns:
        [B, D] float32, not normalised.

    Raises:
        ShapeError: there is no memory token.
    """
    if memory_BMD.ndim != 3 or memory_BMD.shape[1] == 0:
        raise ShapeError(
            f"memory states have the shape {tuple(memory_BMD.shape)}, expected [B, M, D] with M >= 1",
            "pool_memory",
            "use an encoder with at least one memory token",
        )
    return memory_BMD.float().mean(dim=1)


def pool_span(hidden_BTD: Tensor, start_B: Tensor, end_B: Tensor, *, weighting: str = "even") -> Tensor:
    """One vector a row from the states of `start <= t < end`.

    Args:
        hidden_BTD: [B, T, D] floating.
        start_B: [B] int64, first state taken.
        end_B: [B] int64, one past the last state taken; a row whose span is empty gives zeros.
        weighting: "even" for the mean, "rising" for weights 1, 2, 3, ... (SGPT), "last" for the last state.

    Returns:
        [B, D] float32, not normalised.

    Raises:
        ShapeError: the weighting has no such name.
    """
    position_T = torch.arange(hidden_BTD.shape[1], device=hidden_BTD.device)
    inside_BT = (position_T >= start_B[:, None]) & (position_T < end_B[:, None])
    if weighting == "even":
        weight_BT = inside_BT.float()
    elif weighting == "rising":
        weight_BT = inside_BT * (position_T - start_B[:, None] + 1).float()
    elif weighting == "last":
        weight_BT = (position_T == end_B[:, None] - 1).float() * inside_BT
    else:
        raise ShapeError(f"there is no weighting {weighting!r}", "pool_span", "use even, rising or last")
    total_B1 = weight_BT.sum(dim=1, keepdim=True).clamp_min(1.0)
    # A masked state may be anything, NaN included; 0 * NaN would leak it.
    hidden_BTD = hidden_BTD.float().masked_fill(~inside_BT[..., None], 0.0)
    return torch.einsum("bt,btd->bd", weight_BT / total_B1, hidden_BTD)


def normalise(vectors_BD: Tensor) -> Tensor:
    """The rows scaled to length 1, float32 [B, D]; a row of zeros stays zero."""
    return torch.nn.functional.normalize(vectors_BD.float(), dim=-1)
