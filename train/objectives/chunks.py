"""Weighted sums of a loss over rows of hidden states, where logits exist for a few rows at a time.

The gradient with respect to the rows is computed in the same pass, because the logits are not there later.
What the loss is stands elsewhere (`ctkd`, `cross_entropy`).
Shapes: N rows, D width of the states, V vocabulary.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from encoder.errors import ShapeError
from train.objectives.head import Head, LinearHead
from train.objectives.known import with_known_gradient
from train.objectives.product import product

# A judge gets logits [n, V] of the rows in a slice, in float32, and returns their losses [n]; it leaves the
# gradient of each row's loss with respect to its logits in their place.
Judge = Callable[[Tensor, slice], Tensor]
# Back from a gradient with respect to logits [n, V] to one with respect to hidden states [n, D].
Pullback = Callable[[Tensor], Tensor]

_TILE_NUMBERS = 1 << 18  # of float32: what the passes over logits read and write again stays in the cache


class HeadPass:
    """One head over many chunks of rows, forward and back by hand where it is linear.

    Args:
        head: from hidden states to logits.
        dtype: in which a linear head multiplies.
    """

    def __init__(self, head: Head, dtype: torch.dtype) -> None:
        self._head = head
        if isinstance(head, LinearHead):
            # Once and not per chunk: under autocast the whole matrix is cast.
            self._weight_VD = head.layer.weight.detach().to(dtype)
            self._bias_V = None if head.layer.bias is None else head.layer.bias.detach().to(dtype)

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Logits [N, V] of hidden states [N, D], at least float32, the caller's to overwrite."""
        if not isinstance(self._head, LinearHead):
            with torch.no_grad():
                return _own(self._head(hidden_ND))
        logits_NV = product(hidden_ND.to(self._weight_VD.dtype), self._weight_VD, self._bias_V)
        logits_NV = logits_NV.to(_precise(logits_NV.dtype))
        return logits_NV if self._head.factor == 1.0 else logits_NV.mul_(self._head.factor)

    def logits_and_pullback(self, hidden_ND: Tensor) -> tuple[Tensor, Pullback]:
        """Logits [N, V] of hidden states [N, D] as `logits` gives them, and the way back."""
        if isinstance(self._head, LinearHead):
            return self.logits(hidden_ND), self._multiply_back
        with torch.enable_grad():
            leaf_ND = hidden_ND.detach().requires_grad_()
            logits_NV = self._head(leaf_ND)

        def back(gradient_NV: Tensor) -> Tensor:
            return torch.autograd.grad(logits_NV, leaf_ND, gradient_NV.to(logits_NV.dtype))[0]

        return _own(logits_NV.detach()), back

    def _multiply_back(self, gradient_NV: Tensor) -> Tensor:
        assert isinstance(self._head, LinearHead)
        gradient_ND = product(gradient_NV.to(self._weight_VD.dtype), self._weight_VD.t())
        return gradient_ND if self._head.factor == 1.0 else gradient_ND.mul_(self._head.factor)


def head_pass(head: Head, hidden_ND: Tensor) -> HeadPass:
    """The head for rows like these [N, D], in the dtype in which autocast or its weights make it multiply."""
    if torch.is_autocast_enabled(hidden_ND.device.type):
        return HeadPass(head, torch.get_autocast_dtype(hidden_ND.device.type))
    return HeadPass(head, head.layer.weight.dtype if isinstance(head, LinearHead) else hidden_ND.dtype)


def sum_over_rows(
    hidden_ND: Tensor, weight_N: Tensor, head: HeadPass, judge: Judge, *, chunk_rows: int
) -> Tensor:
    """`sum_r weight_r * loss_r`, differentiable once with respect to the hidden states.

    Args:
        hidden_ND: [N, D] floating; N may be 0.
        weight_N: [N] float32, of each row's loss.
        head: from hidden states to logits; no gradient reaches its weights.
        judge: the loss of logits.
        chunk_rows: rows whose logits exist at a time.

    Returns:
        A scalar, float32 (float64 for hidden states in float64).

    Raises:
        ShapeError: rows and weights are not equally many.
    """
    if hidden_ND.ndim != 2 or weight_N.shape != hidden_ND.shape[:1]:
        raise ShapeError(
            f"hidden states have the shape {tuple(hidden_ND.shape)}, weights {tuple(weight_N.shape)}",
            "an objective over rows",
            "give [N, D] and [N]",
        )
    is_trained = torch.is_grad_enabled() and hidden_ND.requires_grad
    rows_ND = hidden_ND.detach()
    gradient_ND = torch.zeros_like(rows_ND) if is_trained else None
    total = torch.zeros((), dtype=_precise(rows_ND.dtype), device=rows_ND.device)
    for start in range(0, len(rows_ND), chunk_rows):
        chunk = slice(start, min(start + chunk_rows, len(rows_ND)))
        if gradient_ND is None:
            logits_NV = head.logits(rows_ND[chunk])
        else:
            logits_NV, back = head.logits_and_pullback(rows_ND[chunk])
        with torch.no_grad():
            total += (judge(logits_NV, chunk) * weight_N[chunk]).sum()
            if gradient_ND is not None:
                gradient_ND[chunk] = back(logits_NV) * weight_N[chunk, None]
    return total if gradient_ND is None else with_known_gradient(total, hidden_ND, gradient_ND)


def tiles(logits_NV: Tensor) -> list[slice]:
    """Rows of logits [N, V] that are best worked on together: all, or on a processor what its cache holds."""
    rows, vocabulary = logits_NV.shape
    size = max(1, _TILE_NUMBERS // vocabulary) if logits_NV.device.type == "cpu" else max(1, rows)
    return [slice(start, start + size) for start in range(0, rows, size)]


def _precise(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _own(logits_NV: Tensor) -> Tensor:
    """The logits at least in float32, in memory that nobody else reads."""
    return logits_NV.to(_precise(logits_NV.dtype), copy=True)
