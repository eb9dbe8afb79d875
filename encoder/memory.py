"""The model: a decoder, and learnable memory tokens after the text whose last states are the embedding.

Knows nothing of texts, files or batching; training and `encoder.model.Encoder` both build on it.
Shapes: B batch, T text tokens (BOS included), M memory tokens, D embedding dimension.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from encoder.attention import bidirectional_states, layer_states
from encoder.errors import ShapeError


def new_memory(backbone: nn.Module, n_memory: int, *, seed: int = 0) -> nn.Parameter:
    """Fresh memory tokens, [M, D] float32, each the mean of the token table plus noise of the table's spread.

    They lie where the backbone expects inputs, and differ from each other from the first step.
    """
    table = backbone.get_input_embeddings().weight.detach().float().cpu()  # type: ignore[operator]
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn((n_memory, table.shape[1]), generator=random)
    return nn.Parameter(table.mean(dim=0) + noise * table.std(dim=0))


class MemoryModel(nn.Module):
    """A decoder under full attention that compresses each text into the states of M memory tokens.

    Args:
        backbone: an `AutoModel` decoder or a PEFT wrapping of one, shared and not copied.
        memory: [M, D] memory tokens; kept as the float32 parameter `memory`.

    Raises:
        ShapeError: the memory tokens are not as wide as the backbone's inputs.
    """

    def __init__(self, backbone: nn.Module, memory: Tensor) -> None:
        super().__init__()
        width = backbone.get_input_embeddings().weight.shape[1]  # type: ignore[operator]
        if memory.ndim != 2 or memory.shape[0] == 0 or memory.shape[1] != width:
            raise ShapeError(
                f"memory tokens have the shape {tuple(memory.shape)}, the backbone takes inputs of width {width}",
                "MemoryModel",
                "give memory tokens of shape [M, width], as new_memory makes them",
            )
        self.backbone = backbone
        is_kept = isinstance(memory, nn.Parameter) and memory.dtype == torch.float32
        self.memory = memory if is_kept else nn.Parameter(memory.detach().float())

    @property
    def n_memory(self) -> int:
        """Memory tokens, M."""
        return self.memory.shape[0]

    @property
    def dimension(self) -> int:
        """Width of the states, D."""
        return self.memory.shape[1]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Last states of the memory tokens.

        Args:
            input_ids: [B, T] int64; T may be 0.
            attention_mask: [B, T], nonzero on real tokens, wherever the padding lies.

        Returns:
            [B, M, D] states after the final norm, in the dtype the backbone computes in.
        """
        found = self._sequence(input_ids, attention_mask)
        states_BSD = bidirectional_states(self.backbone, found.embeddings_BSD, found.real_BS)
        return states_BSD[found.row_B1, found.slot_BM]

    def layer_states(self, input_ids: Tensor, attention_mask: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """States of the memory tokens after some of the layers, as an encoder cut to so many layers has them.

        Args:
            input_ids: [B, T] int64; T may be 0.
            attention_mask: [B, T], nonzero on real tokens, wherever the padding lies.
            layers: how many layers were passed, each from 1 to all.

        Returns:
            A [B, M, D] tensor for each of `layers`, after the final norm.

        Raises:
            UnsupportedBackboneError: the final norm stands where it cannot be found.
        """
        found = self._sequence(input_ids, attention_mask)
        states = layer_states(self.backbone, found.embeddings_BSD, found.real_BS, layers)
        return [states_BSD[found.row_B1, found.slot_BM] for states_BSD in states]

    def _sequence(self, input_ids: Tensor, attention_mask: Tensor) -> "_Sequence":
        """The texts [B, T] with the memory tokens after each."""
        ids_BT, length_B = _pack_left(input_ids, attention_mask)
        text_BTD = self.backbone.get_input_embeddings()(ids_BT)  # type: ignore[operator]
        row_B1 = torch.arange(len(ids_BT), device=ids_BT.device)[:, None]
        slot_BM = length_B[:, None] + torch.arange(self.n_memory, device=ids_BT.device)
        memory_BMD = self.memory.to(text_BTD.dtype).expand(len(ids_BT), -1, -1)
        room_BMD = torch.zeros_like(memory_BMD)
        # Each row's memory follows its own last token, so padding never stands between text and memory.
        sequence_BSD = torch.cat([text_BTD, room_BMD], dim=1).index_put((row_B1, slot_BM), memory_BMD)
        end_B1 = length_B[:, None] + self.n_memory
        real_BS = torch.arange(sequence_BSD.shape[1], device=ids_BT.device) < end_B1
        return _Sequence(sequence_BSD, real_BS, row_B1, slot_BM)


class _Sequence(NamedTuple):
    """Texts and memory tokens as the backbone takes them, S = T + M."""

    embeddings_BSD: Tensor
    real_BS: Tensor  # [B, S] bool
    row_B1: Tensor  # [B, 1] int64, number of the row
    slot_BM: Tensor  # [B, M] int64, where in the row its memory tokens stand


def _pack_left(input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Token ids [B, T] with the real ones first, in order, and their count [B]."""
    real_BT = attention_mask.bool()
    order_BT = (~real_BT).to(torch.uint8).argsort(dim=1, stable=True)
    return input_ids.gather(1, order_BT), real_BT.sum(dim=1)
