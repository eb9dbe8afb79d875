"""One vector per token whose plain mean over a text points to the teacher's vector: stage A.

Shapes: V vocabulary, D numbers per vector, N texts, B texts in a batch.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag, kl_div, log_softmax, normalize

from train.distillation.lessons import Lessons
from train.distillation.teacher import Teacher

_RARE = 1e-3  # frequency at which a token's start weight falls to one half
_SIMILARITY_TEMPERATURE = 0.05
_REGRESSION_WEIGHT = 5.0


def start_table(teacher: Teacher, lessons: Lessons, tokens_V: NDArray[np.int64]) -> Tensor:
    """The teacher's vector of each token on its own, short for frequent tokens.

    Args:
        teacher: whose vocabulary the student's is a part of.
        lessons: where frequencies are counted, in ids of the student.
        tokens_V: [V] int64, the teacher's id of each of the student's tokens.

    Returns:
        [V, D] float32.
    """
    first, last = teacher.frame
    vectors = teacher.embed([[first, token, last] for token in tokens_V.tolist()])
    count_V = np.bincount(lessons.ids, minlength=len(tokens_V))
    weight_V = _RARE / (_RARE + count_V / max(1, count_V.sum()))
    return torch.from_numpy(vectors * weight_V[:, None].astype(np.float32))


def fit_table(
    table_VD: Tensor, lessons: Lessons, *, steps: int, batch_texts: int, learning_rate: float, seed: int
) -> Tensor:
    """The table after regression on the teacher's vectors and on their similarities.

    Args:
        table_VD: [V, D] float32 to start from; not changed.
        lessons: with targets of width D.
        steps: of AdamW, under a rate that falls linearly to 0.
        batch_texts: texts a step.
        learning_rate: of the first step.
        seed: decides the draws.

    Returns:
        [V, D] float32.
    """
    table = torch.nn.Parameter(table_VD.clone())
    optimizer = torch.optim.AdamW([table], lr=learning_rate, weight_decay=0.0, fused=True)
    generator = np.random.default_rng(seed)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = learning_rate * (1 - step / steps)
        texts = np.sort(generator.choice(len(lessons), min(batch_texts, len(lessons)), replace=False))
        target_BD = torch.from_numpy(lessons.targets[texts].astype(np.float32))
        loss = table_loss(mean_vectors(table, lessons, texts), target_BD)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return table.detach()


def mean_vectors(table_VD: Tensor, lessons: Lessons, texts: NDArray[np.int64]) -> Tensor:
    """Unit mean of the token vectors of each text.

    Args:
        table_VD: [V, D] floating.
        lessons: where the texts lie.
        texts: [B] int64 numbers of texts.

    Returns:
        [B, D], of the table's dtype.
    """
    lengths = lessons.lengths[texts]
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    inside = np.arange(lengths.sum()) - np.repeat(offsets, lengths)
    ids = lessons.ids[np.repeat(lessons.start[texts], lengths) + inside].astype(np.int64)
    means = embedding_bag(torch.from_numpy(ids), table_VD, torch.from_numpy(offsets), mode="mean")
    return normalize(means, dim=-1)


def table_loss(vectors_BD: Tensor, target_BD: Tensor) -> Tensor:
    """Five times one minus the cosine, plus the divergence of each text's similarities to the others.

    Args:
        vectors_BD: [B, D] unit rows, B at least 2.
        target_BD: [B, D] unit rows.

    Returns:
        A scalar, 0 when the rows agree.
    """
    regression = (1 - (vectors_BD * target_BD).sum(-1)).mean()
    itself = torch.eye(len(vectors_BD), dtype=torch.bool)

    def log_rows(rows_BD: Tensor) -> Tensor:
        scores_BB = (rows_BD @ rows_BD.T / _SIMILARITY_TEMPERATURE).masked_fill(itself, -1e4)
        return log_softmax(scores_BB, dim=-1)

    relation = kl_div(log_rows(vectors_BD), log_rows(target_BD), reduction="batchmean", log_target=True)
    return _REGRESSION_WEIGHT * regression + relation


def main_directions(targets_ND: NDArray[np.float16], width: int) -> Tensor:
    """Orthonormal directions that keep most of the teacher's vectors.

    Args:
        targets_ND: [N, D] float16 unit rows.
        width: directions to keep, at most D.

    Returns:
        [D, width] float32; cosines after the map are the nearest to those before that this width allows.
    """
    moment_DD = np.zeros((targets_ND.shape[1],) * 2)
    for first in range(0, len(targets_ND), 1 << 16):
        block = targets_ND[first : first + (1 << 16)].astype(np.float32)
        moment_DD += block.T @ block
    _, directions = np.linalg.eigh(moment_DD)  # by rising share
    return torch.from_numpy(directions[:, ::-1][:, :width].astype(np.float32).copy())
