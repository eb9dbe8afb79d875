"""Vectors of texts from a model that is being trained: no merging, no copy, dropout off.

Shapes: N texts, B batch, T tokens, M memory tokens, D embedding dimension.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from encoder.batching import cut_batches
from encoder.prompt import Frame, TextTokenizer, fill_batch

_BATCH_TOKENS = 4096


class Embedded(NamedTuple):
    """What the model makes of texts."""

    vectors: NDArray[np.float32]  # [N, D], unit rows
    memory: (
        NDArray[np.float32] | None
    )  # [N, M, D] states before pooling; None where there are no memory tokens


class LiveEncoder:
    """Texts to vectors by the weights of this moment.

    Args:
        model: `model(input_ids [B, T], attention_mask [B, T])` gives [B, M, D] states whose mean is the embedding.
        tokenizer: puts BOS in front where it has one.
        max_tokens: most tokens of a text.
        has_memory: the states are those of memory tokens.
        dtype: of the products, by autocast.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: TextTokenizer,
        *,
        max_tokens: int,
        has_memory: bool = True,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._has_memory = has_memory
        self._dtype = dtype

    def encode(self, texts: Sequence[str]) -> Embedded:
        """Vectors [N, D] and memory states [N, M, D] of texts, at least one; the model's mode is restored."""
        rows = self._tokenizer.ids(texts, longest=self._max_tokens).ids
        frame = Frame(before=self._tokenizer.bos)
        length_N = np.array([frame.size(len(row)) for row in rows])
        was_training = self._model.training
        self._model.eval()
        states: list[Any] = [None] * len(rows)
        try:
            for chosen in cut_batches(length_N, _BATCH_TOKENS):
                batch = fill_batch(frame, [rows[number] for number in chosen])
                memory_BMD = self._states(batch.ids_BT, batch.length_B)
                for number, state_MD in zip(chosen, memory_BMD, strict=True):
                    states[number] = state_MD
        finally:
            self._model.train(was_training)
        memory_NMD = torch.stack(states).numpy()
        vectors = memory_NMD.mean(axis=1)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return Embedded(vectors, memory_NMD if self._has_memory else None)

    def _states(self, ids_BT: NDArray[np.int64], length_B: NDArray[np.int64]) -> Tensor:
        device = next(self._model.parameters()).device
        mask_BT = torch.from_numpy(np.arange(ids_BT.shape[1]) < length_B[:, None])
        is_mixed = self._dtype != torch.float32
        context = torch.autocast(device.type, self._dtype) if is_mixed else nullcontext()
        with torch.no_grad(), context:
            return self._model(torch.from_numpy(ids_BT).to(device), mask_BT.to(device)).float().cpu()
