"""The encoder as a module of sentence-transformers: for its trainer, and for people who have its code.

A `SentenceTransformer` that names this class in `modules.json` needs `trust_remote_code=True` to load, even
from a local folder; `as_sentence_transformer` builds the same model without that flag.
Shapes: B batch, T tokens, M memory tokens, D embedding dimension.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import InputModule
from torch import Tensor, nn

from encoder.attention import check_bidirectional, longest_sequence, scale_attention
from encoder.checkpoint import Checkpoint, read_checkpoint, text_tokenizer
from encoder.config import FILE_NAME, EncoderConfig
from encoder.errors import UsageError
from encoder.memory import MemoryModel
from encoder.pooling import normalise, pool_memory
from encoder.prompt import Frame, fill_batch
from encoder.save import write_files
from encoder.weights import fetch


class MemoryEncoder(InputModule):
    """Texts to unit vectors, trainable.

    Args:
        backbone: a decoder without head, or a PeftModel over one; `config.attention_temperature` is taken to be
            applied already (`load` applies it).
        memory: [M, D] memory tokens.
        tokenizer: a fast tokenizer of transformers.
        config: the encoder's configuration.
    """

    config_file_name = FILE_NAME
    save_in_root = True

    def __init__(self, backbone: nn.Module, memory: Tensor, tokenizer: Any, config: EncoderConfig) -> None:
        super().__init__()
        self.model = MemoryModel(backbone, memory)
        self.tokenizer = tokenizer
        self.config = config
        self._text = text_tokenizer(tokenizer)

    def preprocess(
        self,
        inputs: Sequence[Any],
        prompt: str | None = None,
        max_length: int | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Right-padded ids and mask, int64 [B, T]; the memory tokens are appended by `forward`.

        `max_length` is in text tokens and goes before the configuration's: training may cut elsewhere.
        """
        tokens = self._text.ids(inputs, prefix=prompt or "", longest=max_length or self.config.max_tokens)
        batch = fill_batch(Frame(before=self._text.bos), tokens.ids)
        mask_BT = np.arange(batch.ids_BT.shape[1]) < batch.length_B[:, None]
        return {
            "input_ids": torch.from_numpy(batch.ids_BT),
            "attention_mask": torch.from_numpy(mask_BT.astype(np.int64)),
        }

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Adds `memory_states` [B, M, D] and the unit vectors `sentence_embedding` [B, D].

        With `layer_sizes` among the features, pairs (layers, numbers), `sentence_embedding` goes on to the right
        with what the encoder cut to so many layers and numbers gives: [B, D + all numbers], each piece of length 1.
        """
        if features.get("layer_sizes"):
            features["sentence_embedding"] = self._layer_embeddings(features)
            return features
        memory_BMD = self.model(features["input_ids"], features["attention_mask"])
        features["memory_states"] = memory_BMD
        features["sentence_embedding"] = normalise(pool_memory(memory_BMD))
        return features

    def _layer_embeddings(self, features: dict[str, Any]) -> Tensor:
        """The vectors of the whole encoder and of its first layers side by side."""
        sizes = [
            (self.model.backbone.config.num_hidden_layers, self.model.dimension),  # type: ignore[union-attr]
            *features["layer_sizes"],
        ]
        states = self.model.layer_states(
            features["input_ids"], features["attention_mask"], [layer for layer, _ in sizes]
        )
        pieces = [
            normalise(pool_memory(memory_BMD)[:, :numbers])
            for memory_BMD, (_, numbers) in zip(states, sizes, strict=True)
        ]
        return torch.cat(pieces, dim=1)

    def get_embedding_dimension(self) -> int:
        """Numbers per vector, D."""
        return self.model.dimension

    @property
    def max_seq_length(self) -> int:
        """Most tokens of a text, BOS included, memory tokens not."""
        return self.config.max_tokens + len(self._text.bos)

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        longest = longest_sequence(self.model.backbone.config)
        if longest is not None and value + self.model.n_memory > longest:
            raise UsageError(
                f"max_seq_length is {value}, the backbone takes {longest - self.model.n_memory} beside the memory tokens",
                "MemoryEncoder.max_seq_length",
                f"set at most {longest - self.model.n_memory}",
            )
        self.config = replace(self.config, max_tokens=value - len(self._text.bos))

    def get_config_dict(self) -> dict[str, Any]:
        """What `repr` shows."""
        return {"n_memory": self.model.n_memory, "max_seq_length": self.max_seq_length}

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Writes the files of an encoder directory into an existing folder; always safetensors."""
        folder = Path(output_path)
        write_files(
            folder,
            folder,
            backbone=self.model.backbone,
            memory=self.model.memory,
            tokenizer=self.tokenizer,
            config=self.config,
        )

    @classmethod
    def load(  # type: ignore[override]  # the rest arrives in kwargs and means nothing here
        cls, model_name_or_path: str, subfolder: str = "", revision: str | None = None, **kwargs: Any
    ) -> "MemoryEncoder":
        """The module of an encoder directory, or of a repository on the Hub, the adapter not merged.

        Raises:
            CheckpointError: the directory is damaged, foreign or incomplete.
            UnsupportedBackboneError: the decoder cannot attend in both directions.
        """
        local = Path(model_name_or_path)
        place = local if local.is_dir() else fetch(model_name_or_path, revision)
        return from_checkpoint(read_checkpoint(place / subfolder))


def from_checkpoint(parts: Checkpoint) -> MemoryEncoder:
    """The module over parts just read; the backbone is used, not copied.

    Raises:
        UnsupportedBackboneError: the decoder cannot attend in both directions.
    """
    scale_attention(parts.backbone, parts.config.attention_temperature)
    check_bidirectional(parts.backbone, parts.memory)
    return MemoryEncoder(parts.backbone, parts.memory, parts.tokenizer, parts.config)


def as_sentence_transformer(directory: str | Path, *, device: str = "cpu") -> SentenceTransformer:
    """The encoder directory as a `SentenceTransformer` with the same vectors, no flag needed.

    Args:
        directory: an encoder directory.
        device: where it computes.

    Raises:
        CheckpointError: the directory is damaged, foreign or incomplete.
        UnsupportedBackboneError: the decoder cannot attend in both directions.
    """
    module = MemoryEncoder.load(str(directory))
    prompts = {"query": module.config.prompts.query, "document": module.config.prompts.document}
    return SentenceTransformer(modules=[module], device=device, prompts=prompts, similarity_fn_name="cosine")
