"""What is compared: encoders, the training-free poolings of a backbone, and baselines."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from encoder.config import FILE_NAME, POOLINGS, read_config
from encoder.errors import UsageError
from encoder.spec import parse_spec
from encoder.weights import fetch
from train.evaluation.baselines import BASELINES, minilm_spec

_TITLE_PARTS = 2  # "compress/encoder": the last one alone says little


@dataclass(frozen=True)
class Candidate:
    """A column of the report."""

    title: str
    spec: str  # as for load_encoder; "" for what is no encoder, or not installed
    kind: str  # encoder, pooling or baseline


def encoder_candidates(specs: Sequence[str]) -> list[Candidate]:
    """Encoders by their specs, each once.

    Raises:
        UsageError: a spec is not understood.
    """
    for spec in specs:
        parse_spec(spec)
    different = list(dict.fromkeys(specs))
    return [Candidate(_title(spec, different), spec, "encoder") for spec in different]


def baseline_candidates(names: Sequence[str]) -> list[Candidate]:
    """Baselines by their names, each once; minilm has no spec where it is not installed.

    Raises:
        UsageError: there is no such baseline.
    """
    for name in names:
        if name not in BASELINES:
            raise UsageError(
                f"there is no baseline {name}", "option --baselines", "use some of " + ", ".join(BASELINES)
            )
    return [
        Candidate(name, (minilm_spec() or "") if name == "minilm" else "", "baseline")
        for name in dict.fromkeys(names)
    ]


def pooling_candidates(backbone: str, max_tokens: int | None = None) -> list[Candidate]:
    """Every training-free pooling of a backbone.

    Args:
        backbone: a folder, or hf:NAME.
        max_tokens: most tokens of a text; None for what such encoders take by themselves.

    Raises:
        UsageError: the backbone is no folder and no hf:NAME, or is an encoder.
    """
    parsed = parse_spec(backbone)
    if parsed.kind in ("default", "st") or parsed.pooling is not None or parsed.max_tokens is not None:
        raise UsageError(
            f"{backbone} is no backbone", "option --poolings", "name a folder or hf:NAME, without options"
        )
    if parsed.kind == "path" and (Path(parsed.place) / FILE_NAME).exists():
        raise UsageError(
            f"{backbone} is an encoder, and its pooling is fixed",
            "option --poolings",
            "name the backbone it was made from, or give --poolings no value to take that by itself",
        )
    bound = f"&max_tokens={max_tokens}" if max_tokens else ""
    return [
        Candidate(f"untrained {pooling}", f"{backbone}?pooling={pooling}{bound}", "pooling")
        for pooling in POOLINGS
    ]


def _title(spec: str, specs: Sequence[str]) -> str:
    """The spec; of an absolute path its last parts, as many as tell it from the others."""
    scheme = "st:" if spec.startswith("st:") else ""
    path = spec.removeprefix(scheme)
    if not Path(path).is_absolute():
        return spec
    parts = Path(path).parts[1:]
    for count in range(min(_TITLE_PARTS, len(parts)), len(parts) + 1):
        ending = "/".join(parts[-count:])
        if sum(each.endswith(f"/{ending}") for each in specs) == 1 and scheme + ending not in specs:
            return scheme + ending
    return spec


def own_backbone(specs: Sequence[str]) -> tuple[str, int]:
    """The backbone of the first encoder that says which it is, and that encoder's longest text.

    Raises:
        UsageError: none of them says so.
    """
    for spec in specs:
        parsed = parse_spec(spec)
        if parsed.kind == "st":
            continue
        place = fetch(parsed.place, parsed.revision) if parsed.kind == "hf" else Path(parsed.place)
        if not (place / FILE_NAME).exists():
            continue
        config = read_config(place)
        if config.base.kind == "name":
            revision = f"@{config.base.revision}" if config.base.revision else ""
            return f"hf:{config.base.ref}{revision}", config.max_tokens
        if config.base.kind == "path":
            return os.path.normpath(place / config.base.ref), config.max_tokens
    raise UsageError(
        "no encoder here says which backbone it was made from: it holds its own weights",
        "option --poolings",
        "name the backbone: --poolings DIR, or --poolings hf:NAME",
    )
