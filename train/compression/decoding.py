"""The frozen decoder: what it predicts from memory tokens, and what it predicts having read everything.

It is always called without a mask: it is causal, so padding on the right changes nothing before it, and
attention takes its fast path. Shapes: B texts, G sequences, T tokens, M memory tokens, D width, R rows of states.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from train.compression.passes import cut_passes
from train.compression.sequences import Sequences, runs, take_tokens


@dataclass(frozen=True)
class Taught:
    """States of the teacher at the places that are learnt from, text after text."""

    states_RD: Tensor
    offset_B: NDArray[np.int64]  # row of each text's state that predicts its first token, had it been kept

    def rows(self, sequences: Sequences) -> Tensor:
        """States [R, D] of the places that are judged, sequence after sequence."""
        row_R = runs(self.offset_B[sequences.text_P] + sequences.start_P, sequences.rows_P)
        return self.states_RD[torch.from_numpy(row_R).to(self.states_RD.device)]


def teach(
    decoder: nn.Module, ids_BT: Tensor, sequences: Sequences, *, start_ids: tuple[int, ...], budget: int
) -> Taught:
    """Reads each text once, for all its splits.

    Args:
        decoder: a causal language model, in evaluation mode.
        ids_BT: [B, T] int64.
        sequences: what is judged, at least one of each text.
        start_ids: tokens before a text.
        budget: most padded tokens of a pass.
    """
    end_B = np.zeros(int(sequences.text_P.max()) + 1, dtype=np.int64)
    end_B[sequences.text_P] = sequences.end_P
    first_B = end_B.copy()
    np.minimum.at(first_B, sequences.text_P, sequences.start_P)
    # The state of a token predicts the next one, so the first one kept is that of the token before `first`.
    rows_B = end_B - first_B + 1
    parts, order = [], []
    with torch.no_grad():
        for group in cut_passes(end_B + len(start_ids), budget=budget, device=ids_BT.device):
            token_GT, _real = take_tokens(ids_BT, group, np.zeros_like(group), end_B[group])
            embedding_GTD = _with_start(decoder, _embed(decoder, token_GT), start_ids)
            place_G = first_B[group] + len(start_ids) - 1
            parts.append(_states(decoder, embedding_GTD, place_G, rows_B[group]))
            order.append(group)
    order_B = np.concatenate(order)
    offset_B = np.empty_like(rows_B)
    offset_B[order_B] = np.cumsum(rows_B[order_B]) - rows_B[order_B]
    return Taught(torch.cat(parts), offset_B - first_B)


def continue_memory(
    decoder: nn.Module, ids_BT: Tensor, memory_GMD: Tensor, sequences: Sequences, start_ids: tuple[int, ...]
) -> Tensor:
    """Puts the memory where the context was, and reads on.

    Args:
        decoder: a causal language model, in evaluation mode.
        ids_BT: [B, T] int64.
        memory_GMD: [G, M, D] floating; the gradient goes to it.
        sequences: G sequences.
        start_ids: tokens before the memory.

    Returns:
        States [R, D] of the places that are judged, sequence after sequence: that of the last memory token, which
        predicts the first token read after it, and so on.
    """
    token_GT, _real = take_tokens(ids_BT, sequences.text_P, sequences.start_P, sequences.end_P)
    embedding_GTD = _embed(decoder, token_GT)
    embedding_GTD = torch.cat([memory_GMD.to(embedding_GTD.dtype), embedding_GTD], dim=1)
    embedding_GTD = _with_start(decoder, embedding_GTD, start_ids)
    place_G = np.full(len(sequences), len(start_ids) + memory_GMD.shape[1] - 1)
    return _states(decoder, embedding_GTD, place_G, sequences.rows_P)


def _embed(decoder: Any, token_GT: Tensor) -> Tensor:
    return decoder.get_input_embeddings()(token_GT)


def _with_start(decoder: nn.Module, embedding_GTD: Tensor, start_ids: tuple[int, ...]) -> Tensor:
    if not start_ids:
        return embedding_GTD
    start_TD = _embed(decoder, torch.tensor(start_ids, device=embedding_GTD.device))
    return torch.cat([start_TD.expand(len(embedding_GTD), -1, -1), embedding_GTD], dim=1)


def _states(
    decoder: Any, embedding_GTD: Tensor, place_G: NDArray[np.int64], count_G: NDArray[np.int64]
) -> Tensor:
    """Last states [R, D] of `count` places from `place` on, sequence after sequence."""
    hidden_GTD = decoder.base_model(inputs_embeds=embedding_GTD, use_cache=False).last_hidden_state
    start_G = np.arange(len(place_G)) * hidden_GTD.shape[1] + place_G
    row_R = torch.from_numpy(runs(start_G, count_G)).to(hidden_GTD.device)
    return hidden_GTD.reshape(-1, hidden_GTD.shape[-1])[row_R]
