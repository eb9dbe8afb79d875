"""What is known of an encoder besides its weights: `EncoderConfig` and its strict file form, `llm2comp.json`."""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from encoder.atomic import write_json
from encoder.errors import CheckpointError, ConfigError

FORMAT = 1
FILE_NAME = "llm2comp.json"
BIDIRECTIONAL = "4d_additive"
POOLINGS = ("mean", "last", "weighted", "bidirectional_mean", "echo", "prompteol")
_BASE_KINDS = ("embedded", "path", "name")
_FIXED = {"format": FORMAT, "bidirectional": BIDIRECTIONAL, "normalize": True}

_Part = TypeVar("_Part", "BaseReference", "Prompts", "EncoderConfig")


@dataclass(frozen=True)
class BaseReference:
    """Where the backbone's weights lie."""

    kind: str = "embedded"  # embedded: in this directory; path: elsewhere on disk; name: on the Hub
    ref: str = "."  # a path is relative to the directory of llm2comp.json, or absolute
    revision: str | None = None  # commit or tag, only for a name
    sha256: str | None = None  # of the backbone's config.json; written by save_encoder


@dataclass(frozen=True)
class Prompts:
    """Prefixes put before a text. Only prefixes, since sentence-transformers knows no other prompt."""

    query: str = ""
    document: str = ""
    instruction: str = "{instruction}: "  # how an instruction given with a call becomes a prefix


@dataclass(frozen=True)
class EncoderConfig:
    """All that decides the vectors and is no weight, and the history of how they came to be.

    Raises:
        ConfigError: a value is not what its field comment says.
    """

    n_memory: int  # memory tokens after the text; 0 for a backbone pooled without them
    dimension: int  # numbers per embedding: the backbone's hidden width
    max_tokens: int  # most text tokens (prompt included; BOS and memory tokens are not counted)
    pooling: str = "memory_mean"
    prompts: Prompts = field(default_factory=Prompts)
    base: BaseReference = field(default_factory=BaseReference)
    attention_temperature: float = 1.0  # below 1 sharpens every attention (TempScale)
    hybrid_weight: float = 0.5  # of the dense part in hybrid search
    matryoshka: tuple[int, ...] = ()  # prefixes of the embedding that were trained to stand alone
    metric: str = "cosine"
    stages: tuple[dict[str, Any], ...] = ()  # [{stage, objective, steps, seed, data, versions}]
    card: dict[str, Any] = field(default_factory=dict)  # facts for people: teacher, licence, scores

    def __post_init__(self) -> None:
        """Checks every value.

        Raises:
            ConfigError: a value is not what its field comment says.
        """
        for name, holds, expected in _rules(self):
            if not holds:
                raise ConfigError(
                    f"{name} is {_show(self, name)}, expected {expected}",
                    f"encoder configuration, field {name}",
                    f"set {name} to {expected}",
                )


def _show(config: EncoderConfig, name: str) -> str:
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return repr(value)


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _rules(config: EncoderConfig) -> list[tuple[str, bool, str]]:
    """Name, whether it holds, and what was expected, for every field."""
    base, prompts = config.base, config.prompts
    has_memory = config.pooling == "memory_mean"
    return [
        (
            "pooling",
            config.pooling in ("memory_mean", *POOLINGS),
            "memory_mean or one of " + ", ".join(POOLINGS),
        ),
        (
            "n_memory",
            _is_count(config.n_memory, 0) and (config.n_memory > 0) == has_memory,
            "1 or more with pooling memory_mean, else 0",
        ),
        ("dimension", _is_count(config.dimension, 1), "a whole number from 1"),
        ("max_tokens", _is_count(config.max_tokens, 1), "a whole number from 1"),
        (
            "attention_temperature",
            _is_number(config.attention_temperature) and 0 < config.attention_temperature <= 10,
            "a number above 0, at most 10",
        ),
        (
            "hybrid_weight",
            _is_number(config.hybrid_weight) and 0 <= config.hybrid_weight <= 1,
            "a number from 0 to 1",
        ),
        (
            "matryoshka",
            isinstance(config.matryoshka, tuple)
            and all(_is_count(d, 1) and d <= config.dimension for d in config.matryoshka),
            "whole numbers from 1 to the dimension",
        ),
        ("metric", config.metric == "cosine", "'cosine'"),
        ("base.kind", base.kind in _BASE_KINDS, "one of " + ", ".join(_BASE_KINDS)),
        (
            "base.ref",
            isinstance(base.ref, str) and bool(base.ref) and (base.kind != "embedded" or base.ref == "."),
            "'.' for an embedded base, else a path or a name",
        ),
        ("base.revision", base.revision is None or isinstance(base.revision, str), "text or null"),
        ("base.sha256", base.sha256 is None or isinstance(base.sha256, str), "text or null"),
        ("prompts.query", isinstance(prompts.query, str), "text"),
        ("prompts.document", isinstance(prompts.document, str), "text"),
        (
            "prompts.instruction",
            isinstance(prompts.instruction, str) and "{instruction}" in prompts.instruction,
            "text that contains {instruction}",
        ),
        ("stages", all(isinstance(stage, dict) for stage in config.stages), "a list of objects"),
        ("card", isinstance(config.card, dict), "an object"),
    ]


def config_to_json(config: EncoderConfig) -> dict[str, Any]:
    """The content of `llm2comp.json`, JSON types only."""
    content = asdict(config)
    content["matryoshka"] = list(config.matryoshka)
    content["stages"] = list(config.stages)
    return {**_FIXED, **content}


def config_from_json(content: Any, where: str) -> EncoderConfig:
    """The configuration that a parsed `llm2comp.json` describes.

    Args:
        content: what the JSON parser gave.
        where: the file, for the error.

    Raises:
        CheckpointError: another format version, an unknown or missing key, or a value out of its range.
    """
    if not isinstance(content, Mapping):
        raise CheckpointError("the description is not a JSON object", where, "restore the file from a copy")
    if content.get("format") != FORMAT:
        raise CheckpointError(
            f"format version is {content.get('format')!r}, this program reads {FORMAT}",
            where,
            "use the version of llm2comp that wrote it, or save the encoder again",
        )
    rest = dict(content)
    for key, value in _FIXED.items():
        if rest.pop(key, None) != value:
            raise CheckpointError(
                f"{key} is {content.get(key)!r}, this program knows only {value!r}",
                where,
                "save the encoder again",
            )
    try:
        rest["prompts"] = _build(Prompts, rest.get("prompts", {}), where, "prompts.")
        rest["base"] = _build(BaseReference, rest.get("base", {}), where, "base.")
        for name in ("matryoshka", "stages"):
            rest[name] = tuple(rest.get(name, ()))
        return _build(EncoderConfig, rest, where, "")
    except (ConfigError, TypeError) as error:
        what = error.what if isinstance(error, ConfigError) else str(error)
        raise CheckpointError(what, where, "mend the value, or restore the file from a copy") from error


def _build(kind: type[_Part], content: Any, where: str, path: str) -> _Part:
    """An instance of the dataclass `kind` from exactly its own keys.

    Raises:
        CheckpointError: a key is unknown or missing.
    """
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path.rstrip('.')} is not an object", where, "restore the file from a copy")
    known = [entry.name for entry in fields(kind)]
    for key in content:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {path}{near[0]}?" if near else ""
            raise CheckpointError(
                f"unknown key {path}{key}{hint}", where, "remove the key, or use a newer version of llm2comp"
            )
    for entry in fields(kind):
        if entry.name not in content and entry.default is MISSING and entry.default_factory is MISSING:
            raise CheckpointError(f"key {path}{entry.name} is missing", where, "restore the file from a copy")
    return kind(**content)


def read_config(directory: Path) -> EncoderConfig:
    """The configuration stored in an encoder directory.

    Raises:
        CheckpointError: the file is missing, no JSON, or not what its format says.
    """
    path = directory / FILE_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        fix = made_by_run(directory) or "give an encoder directory, or a model as hf: or st:"
        raise CheckpointError(f"there is no {FILE_NAME}", str(directory), fix) from error
    except (OSError, ValueError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise CheckpointError(
            f"{FILE_NAME} cannot be read as JSON: {error}", str(path), "restore the file from a copy"
        ) from error
    return config_from_json(content, str(path))


def made_by_run(directory: Path) -> str | None:
    """What to name instead of the folder of a training run; None for other folders."""
    inner = directory / "encoder"
    return f"this is the folder of a training run: give {inner}" if (inner / FILE_NAME).exists() else None


def write_config(directory: Path, config: EncoderConfig) -> None:
    """Stores the configuration in an encoder directory.

    Raises:
        OSError: the folder cannot be written.
    """
    write_json(directory / FILE_NAME, config_to_json(config))
