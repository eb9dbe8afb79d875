"""What a recipe would take on one device of 80 GB and on eight: looked up, counted, nothing trained."""

from pathlib import Path
from typing import Any, NamedTuple

from encoder.config import FILE_NAME, read_config
from encoder.errors import CheckpointError, ConfigError
from encoder.weights import fetch, first_line
from train.estimate import Estimate, describe, estimate, estimate_to_json
from train.planning.workload import TrainingRecipe
from train.settings import CompressRecipe, PretrainRecipe
from train.texts.stream import local_paths

_DEVICES = (1, 8)
_DEFAULT_MEMORY = 8


class Plan(NamedTuple):
    """Estimates for some numbers of devices, or why one of them cannot be."""

    estimates: tuple[Estimate, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """For a terminal."""
        found = []
        for each in self.estimates:
            found += [f"{each.devices} x {each.device_bytes / 1e9:.0f} GB"]
            found += [f"  {line}" for line in describe(each)]
        return [*found, *self.notes]

    def to_json(self) -> dict[str, Any]:
        """For a program."""
        return {"estimates": [estimate_to_json(each) for each in self.estimates], "notes": list(self.notes)}


def plan(recipe: TrainingRecipe) -> Plan:
    """What a recipe would take, after all that can be checked without training is checked.

    Args:
        recipe: of a stage that trains.

    Raises:
        CheckpointError: the configuration of the backbone or encoder cannot be read.
        ConfigError: the recipe is impossible on one device.
    """
    config, n_memory = _shape_of(recipe)
    estimates, notes = [], []
    for devices in _DEVICES:
        try:
            estimates.append(estimate(recipe, config, devices=devices, n_memory=n_memory))
        except ConfigError as error:
            if devices == 1:
                raise
            notes.append(f"note: not on {devices} devices: {error.what}")
    return Plan(tuple(estimates), (*notes, *_missing(recipe)))


def _missing(recipe: Any) -> list[str]:
    """Files that a run would not find; a dry run goes on without them."""
    texts = getattr(recipe, "texts", None)
    paths = local_paths(texts) if texts else []
    paths += [Path(name) for pairs in getattr(recipe, "pairs", ()) for name in pairs.files]
    return [f"note: {path} is not there yet" for path in paths if not path.exists()]


def _shape_of(recipe: TrainingRecipe) -> tuple[Any, int]:
    """The backbone's configuration (None for pretraining) and the number of memory tokens."""
    if isinstance(recipe, PretrainRecipe):
        return None, _DEFAULT_MEMORY
    if isinstance(recipe, CompressRecipe):
        name = recipe.backbone
        is_hub = name.startswith("hf:")
        place = fetch(*_hub_parts(name), only_config=True) if is_hub else Path(name)
        return _read(place, name), recipe.memory.n_memory
    place = Path(recipe.encoder)
    if not (place / FILE_NAME).exists():
        raise CheckpointError(
            f"the encoder {recipe.encoder} is not there yet, so its shape is not known",
            "encoder",
            "run the stage before it, or name an encoder directory with --set encoder=DIR",
        )
    config = read_config(place)
    base = config.base
    folder = fetch(base.ref, base.revision, only_config=True) if base.kind == "name" else place / base.ref
    return _read(folder, recipe.encoder), config.n_memory


def _hub_parts(name: str) -> tuple[str, str | None]:
    hub_name, _, revision = name.removeprefix("hf:").partition("@")
    return hub_name, revision or None


def _read(place: Path, name: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(place, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"the configuration of {name} cannot be read: {first_line(error)}",
            str(place),
            "name a folder with config.json, or hf:NAME",
        ) from error
