"""The backbone that a recipe names: where it lies, and how an encoder made from it names it."""

import re
from pathlib import Path

from encoder.config import BaseReference
from encoder.errors import ConfigError
from encoder.weights import fetch

_COMMIT = re.compile(r"[0-9a-f]{40}")


def find_backbone(name: str, *, only_config: bool = False) -> tuple[Path, BaseReference]:
    """The folder of a backbone, and how an encoder names it.

    A name or a branch is what the Hub has today; the encoder names the commit that was fetched, so that its
    adapter is never put on other weights.

    Args:
        name: a folder, or `hf:NAME` (with `@revision`), which is downloaded.
        only_config: download the description alone, no weights.

    Raises:
        CheckpointError: it cannot be fetched.
        ConfigError: there is no such folder, or it is that of a run.
    """
    if name.startswith("hf:"):
        hub_name, _, revision = name.removeprefix("hf:").partition("@")
        place = fetch(hub_name, revision or None, only_config=only_config)
        commit = place.name if _COMMIT.fullmatch(place.name) else None  # snapshots/COMMIT in the Hub's cache
        return place, BaseReference("name", hub_name, commit or revision or None)
    place = Path(name)
    if not place.is_dir():
        raise ConfigError(
            f"The backbone {name} does not exist.",
            "backbone",
            "name a folder with a causal language model, or hf:NAME; `llm2comp train pretrain` makes a small one",
        )
    if (place / "run.json").exists() and (place / "backbone").is_dir():
        raise ConfigError(
            f"The backbone {name} is the folder of a run.", "backbone", f"name {place / 'backbone'}"
        )
    return place, BaseReference("path", name)
