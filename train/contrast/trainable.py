"""An encoder directory opened for further training: which weights move, and where the others lie.

Shapes: M memory tokens, D embedding dimension.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from encoder.attention import check_bidirectional, scale_attention
from encoder.checkpoint import Checkpoint, read_checkpoint, text_tokenizer
from encoder.config import BaseReference, EncoderConfig, config_to_json, read_config
from encoder.errors import ConfigError
from encoder.fingerprint import combine
from encoder.st import MemoryEncoder
from encoder.weights import locate_base
from train.adapter import attach_adapter, halve_frozen
from train.contrast.checks import need_memory
from train.running.card import versions
from train.running.keeping import EncoderKeeper
from train.running.live import LiveEncoder
from train.running.run_folder import fingerprint_files
from train.running.stage_run import checkpoint_activations
from train.settings import Adapter

_NO_VECTOR = ("base", "card", "hybrid_weight", "stages")  # of the configuration: they change no vector


class Trainable(NamedTuple):
    """What a contrastive stage trains."""

    model: SentenceTransformer  # its one module is `module`
    module: MemoryEncoder
    backbone: nn.Module  # with an adapter, or all of it trained
    memory: nn.Parameter  # [M, D]; trained with all weights, still under an adapter, as the authors have it
    config: EncoderConfig
    base: BaseReference  # where the frozen weights lie
    adapter: str  # "new", "continued", "merged" or "none"

    @property
    def layers(self) -> int:
        """Of the backbone."""
        return int(self.backbone.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]

    def told(self) -> str:
        """Which weights are trained, for people."""
        how = {
            "new": "a new adapter",
            "continued": "the adapter that is there, with its own rank and dropout",
            "merged": "all weights, the adapter merged into them",
            "none": "all weights",
        }
        weights = list(self.model.parameters())
        trained = sum(weight.numel() for weight in weights if weight.requires_grad)
        total = sum(weight.numel() for weight in weights)
        return f"trained: {how[self.adapter]} ({trained:,} of {total:,})"

    def live(self, dtype: torch.dtype) -> LiveEncoder:
        """Vectors by the weights of the moment.

        Args:
            dtype: of the products.
        """
        tokenizer = text_tokenizer(self.module.tokenizer)
        return LiveEncoder(self.module.model, tokenizer, max_tokens=self.config.max_tokens, dtype=dtype)

    def keeper(self, entry: Mapping[str, Any]) -> EncoderKeeper:
        """Writes and takes back these weights.

        Args:
            entry: of the stage in the encoder's history, without steps and versions.
        """
        return EncoderKeeper(
            self.backbone,
            self.memory,
            self.module.tokenizer,
            self.config,
            base=self.base,
            entry={**entry, "versions": versions()},
        )


def fingerprint_encoder(directory: str) -> dict[str, str]:
    """Hashes of what decides an encoder's vectors, by file, the weights under an adapter included.

    Args:
        directory: an encoder directory with memory tokens.

    Raises:
        CheckpointError: its description is damaged, or the weights under its adapter are not there.
        ConfigError: it does not exist, or has no memory tokens.
    """
    place, config = _described(directory)
    folders = [place] if config.base.kind == "embedded" else [place, locate_base(place, config.base)]
    files = [path for folder in folders for path in sorted(folder.glob("*.safetensors"))]
    files += [path for path in (place / "tokenizer.json", place / "adapter_config.json") if path.exists()]
    described = {name: value for name, value in config_to_json(config).items() if name not in _NO_VECTOR}
    return {**fingerprint_files(files), "configuration": combine(**described)[:16]}


def _described(directory: str) -> tuple[Path, EncoderConfig]:
    place = Path(directory)
    if not place.is_dir():
        raise ConfigError(
            f"The encoder {directory} does not exist.",
            "encoder",
            "name an encoder directory, such as the OUT/encoder that `llm2comp train compress` made",
        )
    config = read_config(place)
    need_memory(config, directory)
    return place, config


def open_trainable(
    directory: str,
    settings: Adapter,
    *,
    seed: int = 0,
    gradient_checkpointing: bool = False,
    half_base: bool = False,
) -> Trainable:
    """An encoder ready for further training.

    With `lora` an adapter that is there goes on; over weights without one a new adapter is put. Without `lora` an
    adapter that is there is merged first, and all weights are trained.

    Args:
        directory: an encoder directory with memory tokens.
        settings: of the recipe.
        seed: of the numbers that a new adapter begins with.
        gradient_checkpointing: keep few activations, compute them twice.
        half_base: keep frozen weights in bfloat16.

    Raises:
        CheckpointError: the directory is damaged, foreign or incomplete.
        ConfigError: it does not exist or has no memory tokens, or the adapter does not fit.
        UnsupportedBackboneError: the decoder cannot attend in both directions.
    """
    place, _ = _described(directory)
    torch.manual_seed(seed)
    parts = read_checkpoint(place)
    scale_attention(parts.backbone, parts.config.attention_temperature)
    check_bidirectional(parts.backbone, parts.memory)
    if half_base and settings.lora:
        halve_frozen(parts.backbone)
    if gradient_checkpointing:
        checkpoint_activations(parts.backbone)
    backbone, adapter = _with_adapter(parts, settings)
    memory = nn.Parameter(parts.memory.float(), requires_grad=not settings.lora)
    module = MemoryEncoder(backbone, memory, parts.tokenizer, parts.config)
    prompts = {"query": parts.config.prompts.query, "document": parts.config.prompts.document}
    model = SentenceTransformer(modules=[module], device="cpu", prompts=prompts, similarity_fn_name="cosine")
    base = _base(place, parts.config) if settings.lora else BaseReference()
    config = replace(parts.config, base=BaseReference())
    return Trainable(model, module, backbone, memory, config, base, adapter)


def _with_adapter(parts: Checkpoint, settings: Adapter) -> tuple[nn.Module, str]:
    """The backbone with the weights trainable that the settings name, and what became of its adapter."""
    backbone: Any = parts.backbone
    is_adapted = hasattr(backbone, "peft_config")
    if settings.lora and not is_adapted:
        return attach_adapter(backbone, settings), "new"
    if settings.lora:
        for name, weight in backbone.named_parameters():
            weight.requires_grad_("lora_" in name)
        return backbone, "continued"
    backbone = backbone.merge_and_unload() if is_adapted else backbone
    backbone.requires_grad_(True)
    return backbone, "merged" if is_adapted else "none"


def _base(place: Path, config: EncoderConfig) -> BaseReference:
    """Where the weights under the adapter lie: its base, or the encoder itself when that is whole."""
    if config.base.kind == "name":
        return config.base
    return BaseReference("path", str(locate_base(place, config.base)))
