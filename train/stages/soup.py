"""Encoders of one shape averaged weight by weight (a soup).

The library's `base/merging.py` merges SentenceTransformer models, but needs mergekit and refuses PEFT adapters.

Shapes: M memory tokens, D embedding dimension, K encoders.
"""

import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from encoder.atomic import sha256_file, write_json
from encoder.config import EncoderConfig, config_to_json, read_config
from encoder.errors import CheckpointError, ConfigError
from encoder.save import save_encoder
from encoder.weights import (
    ADAPTER_FILES,
    attach_adapter,
    locate_base,
    need_file,
    read_backbone,
    read_memory,
    read_tensors,
    read_tokenizer,
)
from train.running.card import inherited, versions

# What may differ: it decides no vector, or is compared by what it names.
_FREE = {"stages", "card", "hybrid_weight", "base.ref", "base.revision", "base.sha256"}
_FREE_OF_BACKBONE = {"transformers_version", "dtype", "torch_dtype", "_name_or_path", "use_cache"}
_FREE_OF_ADAPTER = {"base_model_name_or_path", "inference_mode", "revision"}
_INEXACT = ("use_dora", "use_rslora")  # what they add is no product times alpha / rank


def average_encoders(
    directories: Sequence[str | Path],
    out: str | Path,
    weights: Sequence[float] | None = None,
    *,
    dtype: str = "float32",
) -> None:
    """Writes an encoder directory whose weights are the mean of those of others.

    Whole backbones are averaged tensor by tensor, in float32. Of adapters the products B A are averaged, which is
    what they add to the backbone: the factors of all K are put side by side, so the mean is exact and its rank K
    times theirs. To average A and B by themselves would keep the rank, but the product of the means is not the mean
    of the products: it multiplies one encoder's B by another's A. Between neighbours on one path that matters
    little, between runs it is noise.

    Args:
        directories: encoder directories.
        out: created; an encoder directory that is already there is replaced in one step.
        weights: of the mean, above 0, as many as directories; None for equal ones. Only their ratios count.
        dtype: of the stored backbone weights: "float32", "float16" or "bfloat16"; the mean is made in float32. An
            adapter stays in float32.

    Raises:
        CheckpointError: a directory is damaged, or differs from the first in shape, base, adapter or tokenizer.
        ConfigError: the weights are not what is asked for, or there is no directory.
        OSError: the result cannot be written; what was there is as before.
    """
    places = [Path(each) for each in directories]
    shares = _shares(len(places), weights)
    configs = [read_config(place) for place in places]
    for place, config in zip(places[1:], configs[1:], strict=True):
        _check_alike(places[0], configs[0], place, config)
    memory_MD = _mean([{"memory": read_memory(*each)} for each in zip(places, configs, strict=True)], shares)
    is_whole = configs[0].base.kind == "embedded"
    backbone = _mean_backbone(places, configs, shares) if is_whole else _side_by_side(places, configs, shares)
    save_encoder(
        out,
        backbone=backbone,
        memory=memory_MD["memory"],
        tokenizer=read_tokenizer(places[0], as_stored=True),
        config=_config(places[0], configs, shares, Path(out)),
        dtype=dtype,
    )


def _shares(count: int, weights: Sequence[float] | None) -> list[float]:
    """The weights with sum 1.

    Raises:
        ConfigError: they are not what is asked for, or there is nothing to average.
    """
    if not count:
        raise ConfigError("There is no encoder to average.", "directories", "name at least one")
    given = [1.0] * count if weights is None else [float(weight) for weight in weights]
    if len(given) != count or not all(math.isfinite(weight) and weight > 0 for weight in given):
        raise ConfigError(
            f"weights is {given}, expected {count} numbers above 0", "weights", "give one for each directory"
        )
    return [weight / sum(given) for weight in given]


def _check_alike(first: Path, config: EncoderConfig, place: Path, other: EncoderConfig) -> None:
    """Refuses an encoder that cannot be averaged with the first.

    Raises:
        CheckpointError: it differs in shape, base, adapter or tokenizer; the message says how.
    """
    _compare(config_to_json(config), config_to_json(other), _FREE, first, place)
    if sha256_file(need_file(first / "tokenizer.json")) != sha256_file(need_file(place / "tokenizer.json")):
        raise _unlike("the tokenizers (tokenizer.json) differ", first, place)
    bases = [locate_base(first, config.base), locate_base(place, other.base)]
    shapes = [_read_json(base / "config.json") for base in bases]
    _compare(shapes[0], shapes[1], _FREE_OF_BACKBONE, first, place)
    if config.base.kind == "embedded":
        return
    if bases[0].resolve() != bases[1].resolve() and _hashes(bases[0]) != _hashes(bases[1]):
        raise _unlike("the adapters belong to different backbones", first, place)
    _compare(_adapter(first), _adapter(place), _FREE_OF_ADAPTER, first, place)


def _compare(
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    free: set[str],
    first: Path,
    place: Path,
    prefix: str = "",
) -> None:
    """Refuses two descriptions that differ in something else than `free`.

    Raises:
        CheckpointError: they do; the message names the first difference.
    """
    for key in sorted(one.keys() | other.keys()):
        name, values = prefix + key, (one.get(key), other.get(key))
        if name in free or values[0] == values[1]:
            continue
        if isinstance(values[0], Mapping) and isinstance(values[1], Mapping):
            _compare(values[0], values[1], free, first, place, f"{name}.")
            continue
        raise _unlike(f"{name} is {values[0]!r} in the first and {values[1]!r} in the second", first, place)


def _unlike(what: str, first: Path, place: Path) -> CheckpointError:
    return CheckpointError(
        f"The encoders cannot be averaged: {what}.",
        f"{first} and {place}",
        "average checkpoints of one run, or runs that began with the same encoder and recipe",
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(need_file(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(
            f"{path.name} cannot be read as JSON: {error}", str(path), "restore the file from a copy"
        ) from error


def _hashes(folder: Path) -> list[str]:
    return [sha256_file(path) for path in sorted(folder.glob("model*.safetensors"))]


def _adapter(place: Path) -> dict[str, Any]:
    """The description of a LoRA adapter whose products can be put side by side.

    Raises:
        CheckpointError: it is of another kind.
    """
    content = _read_json(place / ADAPTER_FILES[0])
    for name in _INEXACT:
        if content.get(name):
            raise CheckpointError(
                f"The adapter has {name}, whose mean is no adapter.", str(place), "merge the adapters first"
            )
    modules = content.get("target_modules")
    return {**content, "target_modules": sorted(modules) if isinstance(modules, list) else modules}


def _mean(states: Sequence[Mapping[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
    """The mean of tensors by name, any shape; numbers that are not floating stay the first's."""
    found = {name: tensor.clone() for name, tensor in states[0].items()}
    total = shares[0]
    for state, share in zip(states[1:], shares[1:], strict=True):
        total += share
        _move_towards(found, state, share / total)
    return found


def _move_towards(mean: Mapping[str, Tensor], state: Mapping[str, Tensor], share: float) -> None:
    """Takes one more state into a mean in place; equal numbers stay as they are to the last bit."""
    for name, tensor in mean.items():
        if tensor.is_floating_point():
            tensor.lerp_(state[name].to(tensor.dtype), share)


def _need_shapes(one: Mapping[str, Tensor], other: Mapping[str, Tensor], first: Path, place: Path) -> None:
    """Refuses weights of other names or shapes.

    Raises:
        CheckpointError: they differ; the message names the first.
    """
    shapes = [{name: tuple(tensor.shape) for name, tensor in state.items()} for state in (one, other)]
    for name in sorted(shapes[0].keys() | shapes[1].keys()):
        sizes = [each.get(name) for each in shapes]
        if sizes[0] != sizes[1]:
            raise _unlike(
                f"the tensor {name} has the shape {sizes[0]} in the first and {sizes[1]} in the second",
                first,
                place,
            )


def _mean_backbone(
    places: Sequence[Path], configs: Sequence[EncoderConfig], shares: Sequence[float]
) -> nn.Module:
    """The mean of whole backbones; two of them are in memory at a time."""
    backbone = read_backbone(places[0], configs[0].base.sha256)
    mean, total = backbone.state_dict(), shares[0]
    for place, config, share in zip(places[1:], configs[1:], shares[1:], strict=True):
        state = read_backbone(place, config.base.sha256).state_dict()
        _need_shapes(mean, state, places[0], place)
        total += share
        with torch.no_grad():
            _move_towards(mean, state, share / total)
    return backbone


def _side_by_side(
    places: Sequence[Path], configs: Sequence[EncoderConfig], shares: Sequence[float]
) -> nn.Module:
    """The backbone with the adapter [B_1 .. B_K] [A_1 .. A_K], whose product is the mean of the products."""
    states = [read_tensors(place / ADAPTER_FILES[1]) for place in places]
    for place, state in zip(places[1:], states[1:], strict=True):
        _need_shapes(states[0], state, places[0], place)
    tensors: dict[str, Tensor] = {}
    others = [{name: state[name] for name in state if _factor(name) is None} for state in states]
    for name in states[0]:
        parts = [state[name].float() for state in states]
        if _factor(name) == "A":
            tensors[name] = torch.cat(parts, dim=0)
        elif _factor(name) == "B":
            tensors[name] = torch.cat(
                [share * part for share, part in zip(shares, parts, strict=True)], dim=1
            )
    tensors |= _mean(others, shares)
    with tempfile.TemporaryDirectory() as folder:
        write_json(Path(folder) / ADAPTER_FILES[0], _widened(_adapter(places[0]), len(places)))
        save_file(
            {name: part.contiguous() for name, part in tensors.items()}, Path(folder) / ADAPTER_FILES[1]
        )
        base = configs[0].base
        return attach_adapter(read_backbone(locate_base(places[0], base), base.sha256), Path(folder))


def _factor(name: str) -> str | None:
    """Whether a tensor of an adapter is the first factor "A", the second "B", or neither."""
    for factor in ("A", "B"):
        if f"lora_{factor}." in name or f"lora_embedding_{factor}" in name:
            return factor
    return None


def _widened(content: Mapping[str, Any], count: int) -> dict[str, Any]:
    """The description of an adapter of `count` times the rank that counts alpha / rank as before."""
    patterns = {
        name: {key: value * count for key, value in (content.get(name) or {}).items()}
        for name in ("rank_pattern", "alpha_pattern")
    }
    return {**content, **patterns, "r": content["r"] * count, "lora_alpha": content["lora_alpha"] * count}


def _config(
    first: Path, configs: Sequence[EncoderConfig], shares: Sequence[float], out: Path
) -> EncoderConfig:
    """The configuration of the mean: that of the last encoder, with a line more in the history and no figures."""
    base = configs[0].base
    if base.kind == "path":
        base = replace(base, ref=os.path.relpath(locate_base(first, base), out.resolve()))
    entry = {
        "stage": "soup",
        "objective": f"mean of the weights of {len(configs)} encoders",
        "steps": [config.stages[-1].get("steps") if config.stages else None for config in configs],
        "weights": [round(share, 6) for share in shares],
        "versions": versions(),
    }
    last = configs[-1]
    return replace(last, base=base, stages=(*last.stages, entry), card=inherited(last.card))
