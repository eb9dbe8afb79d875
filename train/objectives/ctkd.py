"""Compression by knowledge distillation: the divergence of the student's next-token distribution from the teacher's.

Forward KL at temperature 1, as in the paper. Shapes: N rows, D width of the states, V vocabulary.
"""

import torch
from torch import Tensor

from encoder.errors import ShapeError
from train.objectives.chunks import head_pass, sum_over_rows, tiles
from train.objectives.head import Head


def ctkd_loss(
    student_ND: Tensor, teacher_ND: Tensor, weight_N: Tensor, head: Head, *, chunk_rows: int = 256
) -> Tensor:
    """`sum_r weight_r * KL(teacher_r || student_r)` over the vocabulary.

    Args:
        student_ND: [N, D] floating, hidden states after the final norm; the gradient goes to them alone.
        teacher_ND: [N, D] floating, what they are to predict alike.
        weight_N: [N] float32, of each row.
        head: from hidden states to logits, as `language_head` makes it.
        chunk_rows: rows whose logits exist at a time.

    Returns:
        A scalar, float32, differentiable once.

    Raises:
        ShapeError: the shapes disagree.

    Source: the paper, CTKD; the authors take the mean over a text's positions, then over texts.
    """
    if teacher_ND.shape != student_ND.shape:
        raise ShapeError(
            f"the student has rows {tuple(student_ND.shape)}, the teacher {tuple(teacher_ND.shape)}",
            "ctkd_loss",
            "give a teacher's row for each row of the student",
        )
    by_head = head_pass(head, student_ND)
    taught_ND = teacher_ND.detach()

    def judge(logits_NV: Tensor, rows: slice) -> Tensor:
        teacher_NV = by_head.logits(taught_ND[rows])
        return torch.cat([_diverge(logits_NV[tile], teacher_NV[tile]) for tile in tiles(logits_NV)])

    return sum_over_rows(student_ND, weight_N, by_head, judge, chunk_rows=chunk_rows)


def _diverge(student_NV: Tensor, teacher_NV: Tensor) -> Tensor:
    """KL(teacher || student) of each row [N]; the student's logits become q - p, the teacher's are spent.

    Both are compared before they are normalised: sum p (t - s) - log Z_t + log Z_s. So no logarithm of a
    probability is taken, which would be infinite where it underflows, and two exponentials do for all.
    """
    student_NV -= student_NV.amax(dim=-1, keepdim=True)
    teacher_NV -= teacher_NV.amax(dim=-1, keepdim=True)
    # A logit that a model sets to -inf for an unused id would give 0 * NaN. To mask the terms of p = 0 gives the same,
    # and takes half as long again as all of this.
    for logits_NV in (student_NV, teacher_NV):
        logits_NV.clamp_(min=torch.finfo(logits_NV.dtype).min)
    p_NV, q_NV = teacher_NV.exp(), student_NV.exp()
    p_sum_N1, q_sum_N1 = p_NV.sum(dim=-1, keepdim=True), q_NV.sum(dim=-1, keepdim=True)
    p_NV /= p_sum_N1
    teacher_NV -= student_NV
    kl_N = torch.linalg.vecdot(p_NV, teacher_NV) - (p_sum_N1.log() - q_sum_N1.log())[:, 0]
    torch.div(q_NV, q_sum_N1, out=student_NV)
    student_NV -= p_NV
    return kl_N
