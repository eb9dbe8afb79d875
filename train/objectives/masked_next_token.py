"""The loss of the baseline MNTP (LLM2Vec): masked tokens are predicted by the state one place before them.

Shapes: B texts, T tokens, D width, V vocabulary, N masked tokens of all texts.
"""

import torch
from torch import Tensor

from encoder.errors import ShapeError
from train.objectives.cross_entropy import token_loss
from train.objectives.head import Head


def draw_mask(may_mask_BT: Tensor, share: float, random: torch.Generator | None = None) -> Tensor:
    """Which tokens are masked: a share of those that may be, at least one a text, every choice equally likely.

    LLM2Vec throws a coin a token; a fixed number has the same chance for each token and leaves no text unused.

    Args:
        may_mask_BT: [B, T] bool.
        share: between 0 and 1.
        random: on the processor; None for torch's global one, which a trainer restores when it goes on.

    Returns:
        [B, T] bool, on the device of `may_mask_BT`.
    """
    # Drawn on the processor, so that every device masks alike.
    noise_BT = torch.rand(may_mask_BT.shape, generator=random).to(may_mask_BT.device)
    rank_BT = noise_BT.masked_fill(~may_mask_BT, 2.0).argsort(dim=1).argsort(dim=1)
    count_B = (may_mask_BT.sum(dim=1) * share).round().clamp_min(1)
    return (rank_BT < count_B[:, None]) & may_mask_BT


def masked_next_token_loss(
    states_BTD: Tensor,
    ids_BT: Tensor,
    mask_BT: Tensor,
    head: Head,
    *,
    chunk_rows: int = 256,
) -> Tensor:
    """Cross-entropy of the masked tokens, mean over each text's, then over the texts that have any.

    LLM2Vec takes one mean over all masked tokens of a batch. Means of texts give each text the same weight, as
    the other objectives do, and make a batch in parts equal to the whole batch.

    Args:
        states_BTD: [B, T, D] floating, after the final norm, of texts whose masked tokens were replaced.
        ids_BT: [B, T] int64, the tokens before they were replaced.
        mask_BT: [B, T] bool, True on masked tokens; never on the first, which no state stands before.
        head: from hidden states to logits, as `language_head` makes it.
        chunk_rows: masked tokens whose logits exist at a time.

    Returns:
        Scalar, float32; 0 when nothing is masked.

    Raises:
        ShapeError: the first token of a text is masked.

    Source: LLM2Vec, "masked next token prediction".
    """
    if mask_BT[:, :1].any():
        raise ShapeError(
            "the first token of a text is masked, and no state stands before it",
            "masked_next_token_loss",
            "put BOS before the text, or mask only later tokens",
        )
    row_N, column_N = mask_BT.nonzero(as_tuple=True)
    if len(row_N) == 0:
        return (
            (states_BTD * 0).sum().float()
        )  # keeps the parameters in the graph, as distributed training asks
    count_B = mask_BT.sum(dim=1)
    weight_N = 1.0 / (count_B[row_N] * (count_B > 0).sum())
    target_N = ids_BT[row_N, column_N]
    return token_loss(states_BTD[row_N, column_N - 1], target_N, weight_N, head, chunk_rows=chunk_rows)
