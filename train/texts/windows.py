"""Texts packed end to end into windows, for a causal language model. Shapes: B batch, T tokens of a window."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import IterableDataset

from encoder.prompt import TextTokenizer
from train.texts.tokenised import tokenised


class Windows(IterableDataset):
    """Texts packed end to end, each closed by the end token, cut into windows of one length.

    An item is `{"input_ids": list of int, "number": int}`.

    Args:
        texts: the texts, endless for training.
        tokenizer: without BOS; a window begins anywhere.
        end: id of the end token.
        window: tokens, T.
    """

    def __init__(self, texts: Iterable[str], tokenizer: TextTokenizer, *, end: int, window: int) -> None:
        self._texts = texts
        self._tokenizer = tokenizer
        self._end = end
        self._window = window

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Windows, without end where the texts have none; an incomplete last one is left out."""
        pending: list[int] = []
        number = 0
        for ids in tokenised(iter(self._texts), self._tokenizer, None):
            pending += [*ids, self._end]
            start = 0
            while len(pending) - start >= self._window:
                yield {"input_ids": pending[start : start + self._window], "number": number}
                start += self._window
                number += 1
            pending = pending[start:]


def collate_windows(items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch for a causal language model: `input_ids` [B, T] and `number` [B], int64."""
    return {name: torch.tensor([item[name] for item in items]) for name in ("input_ids", "number")}
