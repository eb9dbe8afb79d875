"""A second encoder that judges which candidates of a batch are positives that nobody marked.

Shapes: B batch, T tokens, G numbers of the guide's embedding.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from encoder.embedder import Embedder


class Guide:
    """The guide's vectors for a tokenised batch.

    It reads the texts back from the tokens, so it judges what the trained model sees, cut where that one cuts.
    `CachedGISTEmbedLoss` decodes as well, but padding too, and padding here has the number of a real token.

    Args:
        embedder: the guide; frozen.
        tokenizer: of the trained model, as transformers has it.
        prefixes: instructions that stand before queries; the guide does not read them.
    """

    def __init__(self, embedder: Embedder, tokenizer: Any, *, prefixes: Sequence[str] = ()) -> None:
        self._embedder = embedder
        self._tokenizer = tokenizer
        # As they come back from the tokenizer, which may have changed case or spaces.
        known = {self._decode([tokenizer(prefix)["input_ids"]])[0].strip() for prefix in prefixes}
        self._prefixes = sorted(known - {""}, key=len, reverse=True)

    def vectors(self, columns: Sequence[dict[str, Any]]) -> list[Tensor]:
        """Unit vectors of queries and documents.

        Args:
            columns: `input_ids` and `attention_mask` [B, T] of the queries, then of each column of documents.

        Returns:
            A [B, G] float32 tensor a column, on the device of the tokens.
        """
        found = []
        for number, features in enumerate(columns):
            texts = self._texts(features)
            encode = self._embedder.encode_document if number else self._embedder.encode_query
            texts = texts if number else [self._bare(text) for text in texts]
            vectors_BG = torch.from_numpy(encode(texts))
            found.append(vectors_BG.to(features["input_ids"].device))
        return found

    def _texts(self, features: dict[str, Any]) -> list[str]:
        """The texts of [B, T] tokens."""
        pairs = zip(features["input_ids"].cpu(), features["attention_mask"].bool().cpu(), strict=True)
        return self._decode([ids_T[mask_T].tolist() for ids_T, mask_T in pairs])

    def _decode(self, rows: list[list[int]]) -> list[str]:
        return [self._tokenizer.decode(row, skip_special_tokens=True) for row in rows]

    def _bare(self, query: str) -> str:
        for prefix in self._prefixes:
            if query.startswith(prefix):
                return query.removeprefix(prefix).lstrip()
        return query
