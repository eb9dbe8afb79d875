"""An encoder directory opened for further training: which weights move, and where the others lie.

Shapes: M memory tokens, D embedding dimension.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from encoder.attention import check_bidirectional, scale_attention
from encoder.checkpoint import read_checkpoint
from encoder.config import BaseReference, EncoderConfig
from encoder.errors import ConfigError
from encoder.st import MemoryEncoder
from encoder.weights import locate_base
from train.adapter import attach_adapter
from train.settings import Adapter


class Trainable(NamedTuple):
    """What a contrastive stage trains."""

    model: SentenceTransformer  # its one module is `module`
    module: MemoryEncoder
    backbone: nn.Module  # with an adapter, or all of it trained
    memory: nn.Parameter  # [M, D]; trained with all weights, still under an adapter, as the authors have it
    config: EncoderConfig
    base: BaseReference  # where the frozen weights lie


def open_trainable(
    directory: str, settings: Adapter, *, gradient_checkpointing: bool = False, half_base: bool = False
) -> Trainable:
    """An encoder ready for further training.

    With `lora` an adapter that is there goes on; over weights without one a new adapter is put. Without `lora` an
    adapter that is there is merged first, and all weights are trained.

    Args:
        directory: an encoder directory with memory tokens.
        settings: of the recipe.
        gradient_checkpointing: keep few activations, compute them twice.
        half_base: keep frozen weights in bfloat16.

    Raises:
        CheckpointError: the directory is damaged, foreign or incomplete.
        ConfigError: it does not exist, or the adapter does not fit.
        UnsupportedBackboneError: the decoder cannot attend in both directions.
    """
    place = Path(directory)
    if not place.is_dir():
        raise ConfigError(
            f"The encoder {directory} does not exist.",
            "encoder",
            "name an encoder directory, such as the OUT/encoder that `llm2comp train compress` made",
        )
    parts = read_checkpoint(place)
    scale_attention(parts.backbone, parts.config.attention_temperature)
    check_bidirectional(parts.backbone, parts.memory)
    backbone: Any = parts.backbone
    is_adapted = hasattr(backbone, "peft_config")
    base = _base(place, parts.config) if settings.lora else BaseReference()
    if is_adapted and not settings.lora:
        backbone = backbone.merge_and_unload()
    if half_base and settings.lora:
        _halve(backbone)
    if gradient_checkpointing:
        decoder = backbone.get_base_model() if hasattr(backbone, "get_base_model") else backbone
        decoder.gradient_checkpointing_enable({"use_reentrant": False})
    if not settings.lora:
        backbone.requires_grad_(True)
    elif is_adapted:
        for name, weight in backbone.named_parameters():
            weight.requires_grad_("lora_" in name)
    else:
        backbone = attach_adapter(backbone, settings)
    memory = nn.Parameter(parts.memory.float(), requires_grad=not settings.lora)
    module = MemoryEncoder(backbone, memory, parts.tokenizer, parts.config)
    prompts = {"query": parts.config.prompts.query, "document": parts.config.prompts.document}
    model = SentenceTransformer(modules=[module], device="cpu", prompts=prompts, similarity_fn_name="cosine")
    config = replace(parts.config, base=BaseReference())
    return Trainable(model, module, backbone, memory, config, base)


def _base(place: Path, config: EncoderConfig) -> BaseReference:
    """Where the weights under the adapter lie: its base, or the encoder itself when that is whole."""
    if config.base.kind == "name":
        return config.base
    return BaseReference("path", str(locate_base(place, config.base)))


def _halve(backbone: nn.Module) -> None:
    for name, weight in backbone.named_parameters():
        if "lora_" not in name:
            weight.data = weight.data.to(torch.bfloat16)
