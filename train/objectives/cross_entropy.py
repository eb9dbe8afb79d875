"""Cross-entropy of given tokens, for the objectives that predict the text itself: nll and reconstruction.

Shapes: N rows, D width of the states, V vocabulary.
"""

import torch
from torch import Tensor

from encoder.errors import ShapeError
from train.objectives.chunks import head_pass, sum_over_rows, tiles
from train.objectives.head import Head


def token_loss(
    student_ND: Tensor, target_N: Tensor, weight_N: Tensor, head: Head, *, chunk_rows: int = 256
) -> Tensor:
    """`sum_r weight_r * -log q_r(target_r)`.

    Args:
        student_ND: [N, D] floating, hidden states after the final norm; the gradient goes to them alone.
        target_N: [N] int64, the token that each row is to predict.
        weight_N: [N] float32, of each row.
        head: from hidden states to logits, as `language_head` makes it.
        chunk_rows: rows whose logits exist at a time.

    Returns:
        A scalar, float32, differentiable once.

    Raises:
        ShapeError: the shapes disagree.
    """
    if target_N.shape != student_ND.shape[:1]:
        raise ShapeError(
            f"the student has {len(student_ND)} rows, the targets the shape {tuple(target_N.shape)}",
            "token_loss",
            "give a target for each row",
        )

    def judge(logits_NV: Tensor, rows: slice) -> Tensor:
        target_N1 = target_N[rows, None]
        return torch.cat([_surprise(logits_NV[tile], target_N1[tile]) for tile in tiles(logits_NV)])

    return sum_over_rows(student_ND, weight_N, head_pass(head, student_ND), judge, chunk_rows=chunk_rows)


def _surprise(logits_NV: Tensor, target_N1: Tensor) -> Tensor:
    """Cross-entropy of each row [N]; the logits become the gradient, q minus 1 at the target."""
    logits_NV -= logits_NV.amax(dim=-1, keepdim=True)
    at_target_N1 = logits_NV.gather(1, target_N1)
    logits_NV.exp_()
    sum_N1 = logits_NV.sum(dim=-1, keepdim=True)
    logits_NV /= sum_N1
    logits_NV.scatter_add_(1, target_N1, torch.full_like(at_target_N1, -1.0))
    return (sum_N1.log() - at_target_N1)[:, 0]
