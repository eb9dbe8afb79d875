"""Texts -> what a step of compression takes, the same after a resume as without a stop.

Shapes: B batch, T tokens, S splits of a text.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset

from encoder.errors import InputError
from encoder.prompt import TextTokenizer
from train.compression.splits import draw_splits, least_tokens
from train.settings import Compression
from train.texts.stream import TextStream
from train.texts.tokenised import tokenised

_MOST_FRUITLESS = 20_000  # texts in a row that are too short to split, before we say so


class SplitTexts(IterableDataset):
    """Token ids of texts, each with its random splits into context and continuation.

    An item is `{"input_ids": list of int, "splits": list of int, "number": int}`; BOS is not among the ids. The
    splits follow from the seed and the number of the item, so that a resumed run draws the same.

    Args:
        stream: the texts.
        tokenizer: of the backbone.
        longest: most tokens of a text.
        settings: how texts are split.
        seed: of the splits.
    """

    def __init__(
        self, stream: TextStream, tokenizer: TextTokenizer, *, longest: int, settings: Compression, seed: int
    ) -> None:
        self.stream = stream
        self.too_short = 0  # texts passed over, counted as the stream is read
        self._tokenizer = tokenizer
        self._longest = longest
        self._settings = settings
        self._seed = seed

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Items without end."""
        number = fruitless = 0
        for ids in tokenised(iter(self.stream), self._tokenizer, self._longest):
            if len(ids) < least_tokens(self._settings):
                self.too_short += 1
                fruitless += 1
                if fruitless >= _MOST_FRUITLESS:
                    raise _nothing_to_split(self._settings)
                continue
            fruitless = 0
            yield self.item(ids, number)
            number += 1

    def item(self, ids: Sequence[int], number: int) -> dict[str, Any]:
        """An item of given token ids, as long as `least_tokens` at least."""
        random = np.random.default_rng((self._seed, number))
        splits = draw_splits(len(ids), self._settings, random)
        return {"input_ids": list(ids), "splits": splits.tolist(), "number": number}

    def held_out(self) -> list[dict[str, Any]]:
        """Items of the held-out texts that are long enough, the same at every look."""
        rows = tokenised(iter(self.stream.held_out), self._tokenizer, self._longest)
        long_enough = [ids for ids in rows if len(ids) >= least_tokens(self._settings)]
        return [self.item(ids, number) for number, ids in enumerate(long_enough)]


def _nothing_to_split(settings: Compression) -> InputError:
    return InputError(
        f"{_MOST_FRUITLESS} texts in a row are shorter than the {least_tokens(settings)} tokens that a split needs.",
        "texts.files",
        "give longer texts (join lines into paragraphs), or lower compression.shortest_context and _continuation",
    )


def collate_splits(items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch for `train.compression`.

    Args:
        items: of `SplitTexts`.

    Returns:
        `input_ids` [B, T] padded on the right, `length` [B], `splits` [B, S] and `number` [B], all int64.
    """
    longest = max(len(item["input_ids"]) for item in items)
    ids_BT = torch.zeros(len(items), longest, dtype=torch.int64)
    for row, item in zip(ids_BT, items, strict=True):
        row[: len(item["input_ids"])] = torch.tensor(item["input_ids"])
    return {
        "input_ids": ids_BT,
        "length": torch.tensor([len(item["input_ids"]) for item in items]),
        "splits": torch.tensor([item["splits"] for item in items]),
        "number": torch.tensor([item["number"] for item in items]),
    }
