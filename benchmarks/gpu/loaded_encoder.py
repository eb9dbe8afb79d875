"""Encoders to measure, on the device: the product's own, and as a `SentenceTransformer` with the same weights.

Shapes of arrays: N texts.
"""

import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from accelerator import Accelerator
from flops import DecoderSize, decoder_size
from numpy.typing import NDArray
from shapes import N_MEMORY, make_decoder, shape, whole_words, word_tokenizer
from steps import free_memory

BUNDLED = "bundled"
LONGEST = 512
_BUNDLED_TOKENS, _SMALL_TOKENS = 1 << 21, 1 << 8


@dataclass(frozen=True)
class LoadedEncoder:
    """An encoder in its three forms, on the same weights.

    Attributes:
        encoder: the product's.
        peer: a `SentenceTransformer`.
        words: that are a token each.
        size: of the decoder.
        tokens: of a repetition.
    """

    encoder: Any
    peer: Any
    words: list[str]
    size: DecoderSize
    tokens: int

    def sequences(self, lengths: NDArray[np.int64]) -> list[int]:
        """Tokens that the decoder reads of texts of these lengths [N]: with start and memory tokens."""
        before = len(self.peer[0]._text.bos)
        return [int(length) + before + self.encoder.n_memory for length in lengths]


class Encoders:
    """Keeps the encoder that was asked for last, since two of the largest may not fit."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._name = ""
        self._loaded: LoadedEncoder | None = None

    def of(self, name: str) -> LoadedEncoder:
        """The encoder of a name: `BUNDLED`, or that of a shape."""
        if self._name != name or self._loaded is None:
            self._name, self._loaded = "", None
            free_memory()
            load = load_bundled if name == BUNDLED else partial(make_random, name)
            self._loaded = load(self._accelerator)
            self._name = name
        return self._loaded


def load_bundled(accelerator: Accelerator) -> LoadedEncoder:
    """The encoder that comes with the product."""
    import torch

    from encoder import load_encoder
    from encoder.spec import parse_spec
    from encoder.st import as_sentence_transformer

    peer = as_sentence_transformer(parse_spec("default").place, device=accelerator.name)
    if accelerator.is_cuda:
        peer = peer.to(torch.bfloat16)
    module: Any = peer[0]
    return LoadedEncoder(
        load_encoder("default", device=accelerator.name),
        peer,
        whole_words(module.tokenizer),
        decoder_size(module.model.backbone),
        _SMALL_TOKENS if accelerator.is_small else _BUNDLED_TOKENS,
    )


def make_random(name: str, accelerator: Accelerator) -> LoadedEncoder:
    """An encoder of the shape `name` with random weights."""
    from sentence_transformers import SentenceTransformer

    from encoder.st import MemoryEncoder

    wanted = shape(name, is_small=accelerator.is_small)
    parts = _parts(make_decoder(wanted, accelerator, has_head=False), is_small=accelerator.is_small)
    encoder = _assembled(parts, accelerator.name)
    module = MemoryEncoder(parts.backbone, parts.memory, parts.tokenizer, parts.config)
    peer = SentenceTransformer(modules=[module], device=accelerator.name, similarity_fn_name="cosine")
    return LoadedEncoder(
        encoder, peer, whole_words(parts.tokenizer), decoder_size(parts.backbone), wanted.tokens
    )


def random_pair(name: str, accelerator: Accelerator) -> tuple[Any, Any, list[str]]:
    """The same random encoder on the device and in float32 on the processor, and words that are a token each."""
    backbone = make_decoder(shape(name, is_small=accelerator.is_small), accelerator, has_head=False)
    twin = copy.deepcopy(backbone).to("cpu").float()  # before anything is cast for the device
    parts = _parts(backbone, is_small=accelerator.is_small)
    there, here = (
        _assembled(parts, accelerator.name),
        _assembled(replace(parts, backbone=twin), "cpu", "float32"),
    )
    return there, here, whole_words(parts.tokenizer)


def _parts(backbone: Any, *, is_small: bool) -> Any:
    from encoder.checkpoint import Checkpoint
    from encoder.config import EncoderConfig
    from encoder.memory import new_memory

    config = EncoderConfig(n_memory=N_MEMORY, dimension=backbone.config.hidden_size, max_tokens=LONGEST)
    memory = new_memory(backbone, N_MEMORY).detach()
    return Checkpoint(backbone, memory, word_tokenizer(is_small=is_small), config)


def _assembled(parts: Any, device: str, dtype: str = "auto") -> Any:
    from encoder.checkpoint import assemble_encoder

    return assemble_encoder(parts, name="random", device=device, dtype=dtype)
