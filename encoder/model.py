"""`Encoder`: texts in, unit vectors out, as fast as the device allows.

Texts are tokenised in windows, so that memory does not grow with their number; inside a window they are
sorted by length and cut into batches of about equal token counts. Pooling and normalising are float32.
Shapes: N texts, B batch, T tokens, M memory tokens, D embedding dimension.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoder.attention import longest_sequence
from encoder.bare import BareModel
from encoder.batching import batch_rows, longest_first
from encoder.config import EncoderConfig, config_to_json
from encoder.device import Placement
from encoder.embedder import Progress
from encoder.errors import UsageError
from encoder.framing import Framing, choose_framing
from encoder.memory import MemoryModel
from encoder.pooling import normalise, pool_memory
from encoder.prompt import TextTokenizer, check_texts, fill_batch
from encoder.stats import EncodingStats

_WINDOW_TEXTS = 16384

_Rows = list[NDArray[np.int64]]


class Encoder:
    """Turns texts into unit vectors.

    Made by `encoder.load_encoder` or `encoder.checkpoint.assemble_encoder`, never directly.

    Example:
        >>> encoder = load_encoder("default")
        >>> encoder.encode_query(["who wrote this"]) @ encoder.encode_document(["a text"]).T
    """

    def __init__(
        self,
        model: MemoryModel | BareModel,
        tokenizer: TextTokenizer,
        config: EncoderConfig,
        *,
        name: str,
        fingerprint: str,
        placement: Placement,
    ) -> None:
        placement.place(model)
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._config = config
        self._name = name
        self._fingerprint = fingerprint
        self._placement = placement
        self._batch_tokens = placement.batch_tokens

    @property
    def name(self) -> str:
        """The spec it was loaded by."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Sha256 hex over all that decides the vectors, device and dtype left out."""
        return self._fingerprint

    @property
    def dimension(self) -> int:
        """Numbers per vector, D."""
        return self._config.dimension

    @property
    def max_tokens(self) -> int:
        """Most text tokens that one vector can take in, prompt included, BOS and memory not."""
        return self._config.max_tokens

    @property
    def n_memory(self) -> int:
        """Memory tokens, M; 0 for a bare backbone."""
        return self._config.n_memory

    @property
    def hybrid_weight(self) -> float:
        """Weight of the dense part in hybrid search."""
        return self._config.hybrid_weight

    @property
    def config(self) -> EncoderConfig:
        """All that decides the vectors and is no weight."""
        return self._config

    @property
    def card(self) -> dict[str, Any]:
        """What is known of the encoder, JSON types only."""
        architecture = getattr(getattr(self._model.backbone, "config", None), "model_type", "unknown")
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "architecture": architecture,
            "computed_on": self._placement.label,
            **config_to_json(self._config),
        }

    def tokenize(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Character offsets of each text's own tokens, untruncated.

        Returns:
            One int64 [T, 2] array a text: start and end of each token, T may be 0.
        """
        return self._tokenizer.offsets(texts)

    def token_ids(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Ids of each document as the model reads it: BOS and text, cut at the longest length, no memory.

        Returns:
            One int64 [T] array a text.
        """
        framing = choose_framing(self._config, self._tokenizer, "document", None)
        found = self._tokenizer.ids(check_texts(texts), prefix=framing.prefix, longest=self._room(framing))
        batches = [fill_batch(framing.frame, [row]) for row in found.ids]
        return [batch.ids_BT[0] for batch in batches]

    def encode_query(
        self,
        texts: Sequence[str],
        *,
        instruction: str | None = None,
        batch_tokens: int | None = None,
        truncate_dim: int | None = None,
        progress: Progress | None = None,
        stats: EncodingStats | None = None,
    ) -> NDArray[np.float32]:
        """Unit rows for queries.

        Args:
            texts: any characters; may be empty.
            instruction: what is asked for, in words; None for the stored prompt, "" for no prompt.
            batch_tokens: tokens per batch, None for what suits the device.
            truncate_dim: keep the first so many numbers and normalise again.
            progress: called with texts done, texts in all, tokens done.
            stats: counts to add to; says how many texts were cut.

        Returns:
            float32 [N, D] in the order given.
        """
        framing = choose_framing(self._config, self._tokenizer, "query", instruction)
        vectors = self._encode(texts, framing, self._embed, batch_tokens, progress, stats)
        return shorten(vectors, truncate_dim)

    def encode_document(
        self,
        texts: Sequence[str],
        *,
        batch_tokens: int | None = None,
        truncate_dim: int | None = None,
        progress: Progress | None = None,
        stats: EncodingStats | None = None,
    ) -> NDArray[np.float32]:
        """Unit rows for documents; the arguments are those of `encode_query`.

        Returns:
            float32 [N, D] in the order given.
        """
        framing = choose_framing(self._config, self._tokenizer, "document", None)
        vectors = self._encode(texts, framing, self._embed, batch_tokens, progress, stats)
        return shorten(vectors, truncate_dim)

    def encode_memory(
        self,
        texts: Sequence[str],
        *,
        batch_tokens: int | None = None,
        progress: Progress | None = None,
        stats: EncodingStats | None = None,
    ) -> NDArray[np.float32]:
        """The states of the memory tokens of documents, before pooling.

        Returns:
            float32 [N, M, D], not normalised.

        Raises:
            UsageError: the encoder is a bare backbone without memory tokens.
        """
        if not isinstance(self._model, MemoryModel):
            raise UsageError(
                f"pooling {self._config.pooling} has no memory tokens", self._name, "use an encoder directory"
            )
        framing = choose_framing(self._config, self._tokenizer, "document", None)
        return self._encode(texts, framing, self._memory_states, batch_tokens, progress, stats)

    def _encode(
        self,
        texts: Sequence[str],
        framing: Framing,
        forward: Callable[[_Rows, Framing], Tensor],
        batch_tokens: int | None,
        progress: Progress | None,
        stats: EncodingStats | None,
    ) -> NDArray[np.float32]:
        """The output of `forward` for every text, float32 [N, ...], in the order given."""
        stats = EncodingStats() if stats is None else stats
        texts = check_texts(texts)
        width = (self.n_memory, self.dimension) if forward == self._memory_states else (self.dimension,)
        vectors = np.empty((len(texts), *width), dtype=np.float32)
        done = tokens = 0
        first = stats.texts
        for start in range(0, len(texts), _WINDOW_TEXTS):
            window = texts[start : start + _WINDOW_TEXTS]
            if framing.tidy is not None:
                window = [framing.tidy(text) for text in window]
            found = self._tokenizer.ids(window, prefix=framing.prefix, longest=self._room(framing))
            stats.count_cuts(found, first + start)
            for rows, states in self._batches(found.ids, found.length, framing, forward, batch_tokens):
                vectors[start + rows] = states.float().cpu().numpy()
                batch_size = int(found.length[rows].sum())
                done, tokens = done + len(rows), tokens + batch_size
                stats.texts, stats.tokens = stats.texts + len(rows), stats.tokens + batch_size
                if progress is not None:
                    progress(done, len(texts), tokens)
        return vectors

    def _room(self, framing: Framing) -> int:
        """Most text tokens: a long instruction takes from them where the backbone has no more positions."""
        bound = longest_sequence(self._model.backbone.config)
        if bound is None:
            return self.max_tokens
        return max(0, min(self.max_tokens, framing.frame.room(bound - self.n_memory)))

    def _batches(
        self,
        ids: _Rows,
        length_N: NDArray[np.int64],
        framing: Framing,
        forward: Callable[[_Rows, Framing], Tensor],
        batch_tokens: int | None,
    ) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
        """Text numbers [B] and their states [B, ...], longest texts first."""
        if batch_tokens is not None and batch_tokens < 1:
            raise UsageError(
                f"batch_tokens is {batch_tokens}", "encode", "give a whole number from 1, or None"
            )
        order_N = longest_first(length_N)
        budget = batch_tokens or self._batch_tokens
        position = 0
        while position < len(order_N):
            longest = framing.frame.size(int(length_N[order_N[position]])) + self.n_memory
            rows = order_N[position : position + batch_rows(longest, budget)]
            try:
                states = self._run(forward, [ids[row] for row in rows], framing)
            except torch.OutOfMemoryError:
                if len(rows) == 1:
                    raise
                budget = min(budget, longest * len(rows)) // 2
                self._batch_tokens = min(self._batch_tokens, budget)  # later calls start at what worked
                continue
            yield rows, states
            position += len(rows)

    def _run(self, forward: Callable[[_Rows, Framing], Tensor], rows: _Rows, framing: Framing) -> Tensor:
        with torch.inference_mode(), self._placement.autocast():
            return forward(rows, framing)

    def _memory_states(self, rows: _Rows, framing: Framing) -> Tensor:
        """States [B, M, D] of the memory tokens."""
        ids_BT, length_B, _, _ = self._tensors(rows, framing)
        real_BT = torch.arange(ids_BT.shape[1], device=ids_BT.device) < length_B[:, None]
        return self._model(ids_BT, real_BT)

    def _embed(self, rows: _Rows, framing: Framing) -> Tensor:
        """Unit vectors [B, D] float32."""
        if isinstance(self._model, MemoryModel):
            return normalise(pool_memory(self._memory_states(rows, framing)))
        return normalise(self._model(*self._tensors(rows, framing)))

    def _tensors(self, rows: _Rows, framing: Framing) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Ids [B, T], lengths, span starts and span ends [B], on the device."""
        batch = fill_batch(framing.frame, rows)
        parts = (batch.ids_BT, batch.length_B, batch.start_B, batch.end_B)
        ids_BT, length_B, start_B, end_B = (
            torch.from_numpy(part).to(self._placement.device, non_blocking=True) for part in parts
        )
        return ids_BT, length_B, start_B, end_B


def shorten(vectors: NDArray[np.float32], dimension: int | None) -> NDArray[np.float32]:
    """The first numbers of each row, made unit length again.

    Args:
        vectors: float32 [N, D].
        dimension: how many to keep, None for all.

    Returns:
        float32 [N, dimension].

    Raises:
        UsageError: the dimension is not from 1 to D.
    """
    if dimension is None or dimension == vectors.shape[1]:
        return vectors
    if not 1 <= dimension <= vectors.shape[1]:
        raise UsageError(
            f"truncate_dim is {dimension}, the encoder makes {vectors.shape[1]} numbers",
            "option truncate_dim",
            f"give a whole number from 1 to {vectors.shape[1]}",
        )
    kept = vectors[:, :dimension]
    lengths = np.linalg.norm(kept, axis=1, keepdims=True)
    return kept / np.maximum(lengths, np.finfo(np.float32).tiny)
