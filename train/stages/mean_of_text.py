"""The mean of a text's states: the embedding where there are no memory tokens. Shapes: B batch, T tokens, D width."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from encoder.attention import bidirectional_states
from encoder.pooling import pool_span

States = Callable[[Any, Tensor, Tensor], Tensor]  # decoder, ids [B, T], mask [B, T] -> [B, T, D]


def full_states(decoder: Any, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """States [B, T, D] under full attention, of [B, T] ids, right padded, and mask."""
    embeddings_BTD = decoder.get_input_embeddings()(input_ids)
    return bidirectional_states(decoder, embeddings_BTD, attention_mask.bool())


def causal_states(decoder: Any, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """States [B, T, D] under causal attention, of [B, T] ids, right padded: padding is no harm, the mask not read."""
    return decoder(input_ids=input_ids, use_cache=False).last_hidden_state


class MeanOfText(nn.Module):
    """The mean of a text's states, as one state [B, 1, D].

    Args:
        decoder: without head.
        states: how it reads a text.
    """

    def __init__(self, decoder: nn.Module, states: States = full_states) -> None:
        super().__init__()
        self.decoder = decoder
        self._states = states

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """[B, T] ids, right padded, and mask to [B, 1, D]."""
        hidden_BTD = self._states(self.decoder, input_ids, attention_mask)
        length_B = attention_mask.sum(dim=1)
        return pool_span(hidden_BTD, torch.zeros_like(length_B), length_B)[:, None]
