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
        self.too_short = 0  # texts passed over, as far as one round was read
        self._tokenizer = tokenizer
        self._longest = longest
        self._settings = settings
        self._seed = seed

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Items without end.

        Raises:
            InputError: no text at all is long enough to be split.
        """
        number = self.too_short = 0
        for round_number, texts in enumerate(self.stream.rounds()):
            before = number
            for ids in tokenised(texts, self._tokenizer, self._longest):
                if len(ids) >= least_tokens(self._settings):
                    yield self.item(ids, number)
                    number += 1
                elif round_number == 0:
                    self.too_short += 1
            if number == before:
                raise _nothing_to_split(self._settings, ", ".join(self.stream.settings.files))

    def notes(self) -> list[str]:
        """What people are told of texts that were not used."""
        few = f"{self.too_short:,} texts were too short to split and were passed over"
        return [*self.stream.notes(), *([few] if self.too_short else [])]

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


def _nothing_to_split(settings: Compression, files: str) -> InputError:
    return InputError(
        f"Every text is shorter than the {least_tokens(settings)} tokens that a split needs.",
        files,
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
