"""The loss of the baselines EBAE and EBAR (Llama2Vec): an embedding names the tokens of a text, in no order.

Shapes: B texts, M memory tokens, T tokens, D width, V vocabulary, N = B * M rows.
"""

import torch
from torch import Tensor

from train.objectives.chunks import head_pass, sum_over_rows
from train.objectives.head import Head

DIVISOR = 10.0  # of Llama2Vec's code, where it weighs this loss against that of the language model


def bag_of_tokens_loss(
    memory_BMD: Tensor, target_BT: Tensor, wanted_BT: Tensor, head: Head, *, chunk_rows: int = 256
) -> Tensor:
    """A tenth of minus the mean log-probability of each text's distinct tokens, averaged over the texts.

    A token's logit is its highest among the memory tokens; the softmax is over the vocabulary.

    Args:
        memory_BMD: [B, M, D] floating, states after the final norm; the gradient goes to them alone.
        target_BT: [B, T] int64 token ids.
        wanted_BT: [B, T] bool, True on tokens that count; how often one occurs does not matter. A text without
            any counts nothing.
        head: from hidden states to logits, as `language_head` makes it.
        chunk_rows: memory states whose logits exist at a time; those of one text at least.

    Returns:
        A scalar, float32, differentiable once; 0 when no token counts.

    Source: Llama2Vec, "EBAE" and "EBAR", and its released code for the maximum and the divisor.
    """
    slots = memory_BMD.shape[1]
    ids_BT, is_first_BT = _distinct(target_BT, wanted_BT)
    has_any_B = wanted_BT.any(dim=1)
    weight_B = has_any_B.float() / has_any_B.sum().clamp_min(1) / DIVISOR

    def judge(logits_NV: Tensor, rows: slice) -> Tensor:
        texts = slice(rows.start // slots, rows.stop // slots)
        logits_BMV = logits_NV.unflatten(0, (-1, slots))
        highest_BV, slot_BV = logits_BMV.max(dim=1)
        loss_B = _surprise(highest_BV, ids_BT[texts], is_first_BT[texts])
        logits_BMV.zero_().scatter_(1, slot_BV[:, None], highest_BV[:, None])
        # The rows of a text share one loss: its first row carries it.
        return torch.nn.functional.pad(loss_B[:, None], (0, slots - 1)).flatten()

    hidden_ND = memory_BMD.flatten(0, 1)
    weight_N = weight_B.repeat_interleave(slots)
    whole_texts = max(1, chunk_rows // slots) * slots
    return sum_over_rows(hidden_ND, weight_N, head_pass(head, hidden_ND), judge, chunk_rows=whole_texts)


def _distinct(target_BT: Tensor, wanted_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's ids in rising order [B, T], and whether each is wanted and differs from the one before it."""
    sorted_BT = target_BT.masked_fill(~wanted_BT, -1).sort(dim=1).values
    before_BT = torch.cat([sorted_BT.new_full((len(sorted_BT), 1), -1), sorted_BT[:, :-1]], dim=1)
    return sorted_BT.clamp_min(0), sorted_BT != before_BT[:, : sorted_BT.shape[1]]


def _surprise(logits_BV: Tensor, ids_BT: Tensor, is_first_BT: Tensor) -> Tensor:
    """Minus the mean log-probability of each text's tokens [B]; the logits become the gradient."""
    share_BT = is_first_BT.to(logits_BV) / is_first_BT.sum(dim=1, keepdim=True).clamp_min(1)
    total_B1 = logits_BV.logsumexp(dim=1, keepdim=True)
    # Not a product with the mask: a logit that a model sets to -inf for an unused id would give NaN.
    chosen_BT = (total_B1 - logits_BV.gather(1, ids_BT)).masked_fill(~is_first_BT, 0.0)
    logits_BV.sub_(total_B1).exp_().scatter_add_(1, ids_BT, -share_BT)
    return (chosen_BT * share_BT).sum(dim=1)
