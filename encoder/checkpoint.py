"""Encoder directory or spec -> encoder in memory; `load_encoder` is the way in."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from encoder.attention import check_bidirectional, choose_attention, longest_sequence, scale_attention
from encoder.bare import BareModel
from encoder.config import FILE_NAME, BaseReference, EncoderConfig, made_by_run, read_config
from encoder.device import bound_kernel_caches, choose_placement
from encoder.errors import CheckpointError
from encoder.fingerprint import combine, weights_sha256
from encoder.foreign import ForeignEncoder, load_foreign
from encoder.framing import choose_framing
from encoder.layers import keep_layers
from encoder.linear import use_onednn
from encoder.memory import MemoryModel
from encoder.model import Encoder
from encoder.packed import PackedModel, pack
from encoder.prompt import TextTokenizer
from encoder.save import save_encoder
from encoder.shipped import check_shipped, with_restoring
from encoder.spec import Spec, parse_spec
from encoder.weights import (
    ADAPTER_FILES,
    attach_adapter,
    fetch,
    locate_base,
    need_file,
    not_downloaded,
    read_backbone,
    read_memory,
    read_tokenizer,
)

__all__ = [
    "Checkpoint",
    "assemble_encoder",
    "load_encoder",
    "read_checkpoint",
    "save_encoder",
    "text_tokenizer",
]

_DEFAULT_TEXT_TOKENS = 512


@dataclass(frozen=True)
class Checkpoint:
    """The parts of an encoder directory, as training continues from them."""

    backbone: nn.Module  # a PeftModel when the directory holds an adapter
    memory: Tensor  # [M, D] float32; M is 0 for a backbone pooled without memory tokens
    tokenizer: Any  # a fast tokenizer of transformers
    config: EncoderConfig


def load_encoder(
    spec: str = "default", *, device: str = "auto", dtype: str = "auto", only_cached: bool = False
) -> Encoder | ForeignEncoder:
    """The encoder that a spec names.

    Args:
        spec: `default` (bundled), an encoder directory, `hf:org/name` (with `@revision`), or `st:org/name` or
            `st:path` for any sentence-transformers model. A backbone without `llm2comp.json` takes its
            pooling from the spec: `hf:org/name?pooling=mean`, and `&max_tokens=256` if wanted. A directory and
            a name take `?layers=4` as well: the first 4 layers and the final norm; and `?temperature=0.9`, by
            which the scores of every attention are divided, in place of the stored one. So does `default`.
        device: "auto" or a device name of torch.
        dtype: "auto", "float32" or "bfloat16".
        only_cached: download nothing; for a spec that was read from a file and not written by the user.

    Raises:
        CheckpointError: nothing is there, or what is there is damaged, foreign or incomplete.
        UnsupportedBackboneError: the decoder cannot attend in both directions, or not be cut to fewer layers, or
            its attention takes no temperature.
        UsageError: the spec, the device or the dtype is not understood, or there are fewer layers than asked for.
    """
    placement = choose_placement(device, dtype)
    parsed = parse_spec(spec)
    if parsed.kind == "st":
        return load_foreign(parsed.place, name=spec, placement=placement, only_cached=only_cached)
    place = _fetched(parsed, spec, only_cached) if parsed.kind == "hf" else _local(parsed, spec)
    found = _read(place, parsed, spec)
    if parsed.layers is not None:
        keep_layers(found.backbone, parsed.layers, where=spec)
    if parsed.temperature is not None:
        found = replace(found, config=replace(found.config, attention_temperature=parsed.temperature))
    return assemble_encoder(found, name=spec, device=device, dtype=dtype)


def _fetched(parsed: Spec, spec: str, only_cached: bool) -> Path:
    try:
        return fetch(parsed.place, parsed.revision, only_cached=only_cached)
    except CheckpointError as error:
        raise not_downloaded(spec) if only_cached else error from error


def _local(parsed: Spec, spec: str) -> Path:
    place = Path(parsed.place)
    if parsed.kind == "default":
        check_shipped(place)
    if place.is_dir():
        return place
    what = "is a file, not a directory" if place.exists() else "does not exist"
    raise CheckpointError(
        f"{spec} {what}", "encoder spec", "give an encoder directory, hf:org/name, st:org/name or default"
    )


def _read(place: Path, parsed: Spec, spec: str) -> Checkpoint:
    is_shipped = parsed.kind == "default"
    if not is_shipped and not (place / FILE_NAME).exists():
        return _read_bare(place, parsed, spec)
    if parsed.pooling is not None:
        raise CheckpointError(
            f"pooling is fixed by {FILE_NAME} and cannot be chosen", spec, "leave out ?pooling="
        )
    try:
        return read_checkpoint(place)
    except CheckpointError as error:
        if not is_shipped:
            raise
        raise with_restoring(error, place) from error


def read_checkpoint(directory: str | Path) -> Checkpoint:
    """The parts of an encoder directory, the adapter not merged; `memory` is empty where it has none.

    Raises:
        CheckpointError: the directory is damaged, foreign or incomplete.
    """
    directory = Path(directory)
    config = read_config(directory)
    memory_MD = read_memory(directory, config)
    has_adapter = (directory / ADAPTER_FILES[0]).exists()
    if has_adapter == (config.base.kind == "embedded"):
        what = (
            "there is an adapter beside an embedded backbone"
            if has_adapter
            else f"{ADAPTER_FILES[0]} is missing"
        )
        raise CheckpointError(
            what, str(directory), "restore the directory from a copy, or save the encoder again"
        )
    need_file(directory / "tokenizer.json")
    tokenizer = read_tokenizer(directory, as_stored=True)
    backbone = read_backbone(locate_base(directory, config.base), config.base.sha256)
    width = backbone.get_input_embeddings().weight.shape[1]  # type: ignore[operator]
    if width != config.dimension:
        raise CheckpointError(
            f"the backbone is {width} wide, {FILE_NAME} says dimension {config.dimension}",
            str(directory),
            "restore the directory from a copy, or save the encoder again",
        )
    if has_adapter:
        backbone = attach_adapter(backbone, directory)
    return Checkpoint(backbone, memory_MD, tokenizer, config)


def _read_bare(place: Path, parsed: Spec, spec: str) -> Checkpoint:
    """A backbone that is no encoder, pooled as the spec says.

    Raises:
        CheckpointError: the spec names no pooling, or the backbone cannot be read.
    """
    if parsed.pooling is None:
        raise CheckpointError(
            f"there is no {FILE_NAME}, so this is a bare backbone and its pooling is open",
            spec,
            made_by_run(place)
            or f"write {spec}?pooling=mean (or last, weighted, bidirectional_mean, echo, prompteol)",
        )
    if (place / ADAPTER_FILES[0]).exists():
        raise CheckpointError(
            f"there is an adapter but no {FILE_NAME}",
            spec,
            "give the backbone itself, or an encoder directory",
        )
    backbone = read_backbone(place)
    tokenizer = read_tokenizer(place, as_stored=False)
    width = backbone.get_input_embeddings().weight.shape[1]  # type: ignore[operator]
    base = (
        BaseReference("name", parsed.place, parsed.revision)
        if parsed.kind == "hf"
        else BaseReference("path", str(place))
    )
    config = EncoderConfig(
        n_memory=0,
        dimension=width,
        max_tokens=parsed.max_tokens or _DEFAULT_TEXT_TOKENS,
        pooling=parsed.pooling,
        base=base,
    )
    return Checkpoint(backbone, torch.empty(0, width), tokenizer, config)


def assemble_encoder(parts: Checkpoint, *, name: str, device: str = "auto", dtype: str = "auto") -> Encoder:
    """An encoder from parts in memory, checked; an adapter is merged into its own copy of the backbone.

    Args:
        parts: what `read_checkpoint` gives, or what a training run holds. The backbone is taken over: it moves
            to the device and loses its adapter layers.
        name: what people call it.
        device: "auto" or a device name of torch.
        dtype: "auto", "float32" or "bfloat16".

    Raises:
        CheckpointError: the tokenizer has ids that the token table does not.
        UnsupportedBackboneError: the decoder cannot attend in both directions.
        UsageError: the device or the dtype is not understood.
    """
    placement = choose_placement(device, dtype)
    if placement.device.type == "cpu":
        bound_kernel_caches()
    tokenizer = text_tokenizer(parts.tokenizer)
    config = _cap_tokens(parts, tokenizer)
    fingerprint = _fingerprint(parts, config, tokenizer)
    backbone: Any = parts.backbone
    if hasattr(backbone, "merge_and_unload"):
        backbone = backbone.merge_and_unload()
    _check_table(parts.tokenizer, backbone, name)
    scale_attention(backbone, config.attention_temperature)
    frame = choose_framing(config, tokenizer, "document", None).frame
    longest = frame.size(config.max_tokens) + config.n_memory
    choose_attention(backbone, longest, is_cpu_bfloat16=placement.label == "cpu bfloat16")
    if config.pooling in ("memory_mean", "bidirectional_mean"):
        check_bidirectional(backbone, parts.memory)
    model = MemoryModel(backbone, parts.memory) if config.n_memory else BareModel(backbone, config.pooling)
    if isinstance(model, MemoryModel) and placement.device.type == "cpu":
        model = pack(model.eval(), placement.compute)
    if placement.label == "cpu float32" and not isinstance(model, PackedModel):
        use_onednn(backbone)
    return Encoder(model, tokenizer, config, name=name, fingerprint=fingerprint, placement=placement)


def text_tokenizer(tokenizer: Any) -> TextTokenizer:
    """Our tokenizer over one of transformers: BOS first when it has one."""
    return TextTokenizer(tokenizer.backend_tokenizer, tokenizer.bos_token_id)


def _cap_tokens(parts: Checkpoint, tokenizer: TextTokenizer) -> EncoderConfig:
    """The configuration with `max_tokens` within what the backbone can hold."""
    bound = longest_sequence(parts.backbone.config)
    if bound is None:
        return parts.config
    frame = choose_framing(parts.config, tokenizer, "document", None).frame
    room = frame.room(bound - parts.config.n_memory)
    if room < 1:
        raise CheckpointError(
            f"the backbone takes {bound} tokens, less than the memory tokens and prompts need",
            str(parts.config.base.ref),
            "choose another backbone",
        )
    return replace(parts.config, max_tokens=min(parts.config.max_tokens, room))


def _check_table(tokenizer: Any, backbone: Any, name: str) -> None:
    rows = backbone.get_input_embeddings().weight.shape[0]
    largest = max(tokenizer.get_vocab().values(), default=0)
    if largest >= rows:
        raise CheckpointError(
            f"the tokenizer has ids up to {largest}, the token table {rows} rows",
            name,
            "use the backbone's own tokenizer",
        )


def _fingerprint(parts: Checkpoint, config: EncoderConfig, tokenizer: TextTokenizer) -> str:
    named = [("memory", parts.memory), *parts.backbone.state_dict().items()]
    weights = weights_sha256((key, value.detach().float().cpu().numpy()) for key, value in named)
    prompts = config.prompts
    return combine(
        weights=weights,
        tokenizer=tokenizer.sha256,
        pooling=config.pooling,
        prompts=[prompts.query, prompts.document, prompts.instruction],
        max_tokens=config.max_tokens,
        dimension=config.dimension,
        attention_temperature=config.attention_temperature,
    )
