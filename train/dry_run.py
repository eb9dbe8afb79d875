"""What a recipe would take on one device of 80 GB and on eight: looked up, counted, nothing trained."""

from pathlib import Path
from typing import Any, NamedTuple

from encoder.attention import longest_sequence
from encoder.config import FILE_NAME, read_config
from encoder.errors import CheckpointError, ConfigError
from encoder.weights import fetch, first_line
from train.contrast.checks import check_recipe, need_memory
from train.contrast.layers import check_sizes
from train.contrast.lengths import fit_lengths, longest_read
from train.estimate import Estimate, describe, estimate, estimate_to_json
from train.planning.workload import TrainingRecipe
from train.settings import CompressRecipe, ContrastiveRecipe, PretrainRecipe, SimcseRecipe
from train.stages.backbone import find_backbone
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
        return [*found, *(f"note: {line}" for line in self.notes)]

    def to_json(self) -> dict[str, Any]:
        """For a program."""
        return {"estimates": [estimate_to_json(each) for each in self.estimates], "notes": list(self.notes)}


class _Shape(NamedTuple):
    """Of what a recipe trains."""

    config: Any  # the backbone's; None where the recipe says it itself
    n_memory: int
    max_tokens: int | None = None  # that the encoder reads; None where nobody has said
    notes: tuple[str, ...] = ()


def plan(recipe: TrainingRecipe) -> Plan:
    """What a recipe would take, after all that can be checked without training is checked.

    Args:
        recipe: of a stage that trains.

    Raises:
        CheckpointError: the configuration of the backbone or encoder cannot be read.
        ConfigError: the recipe is impossible on one device, or names no backbone.
    """
    if isinstance(recipe, SimcseRecipe | ContrastiveRecipe):
        check_recipe(recipe)
    shape = _shape_of(recipe)
    estimates, notes = [], [*shape.notes]
    if isinstance(recipe, SimcseRecipe | ContrastiveRecipe):
        recipe, told = _as_run(recipe, shape)
        notes += told
    for devices in _DEVICES:
        try:
            estimates.append(estimate(recipe, shape.config, devices=devices, n_memory=shape.n_memory))
        except ConfigError as error:
            if devices == 1:
                raise
            notes.append(f"not on {devices} devices: {error.what} {error.fix}.")
    return Plan(tuple(estimates), (*notes, *_missing(recipe)))


def _as_run(
    recipe: SimcseRecipe | ContrastiveRecipe, shape: _Shape
) -> tuple[SimcseRecipe | ContrastiveRecipe, list[str]]:
    """The recipe with lengths as a run would cut them, and what it would say.

    Raises:
        ConfigError: the recipe names sizes that the encoder does not have.
    """
    bound = longest_sequence(shape.config)
    room = None if bound is None else bound - shape.n_memory - 1  # BOS
    if isinstance(recipe, SimcseRecipe):
        most = shape.max_tokens or room
        return (recipe, []) if most is None else fit_lengths(recipe, most)
    check_sizes(recipe.contrast, shape.config.num_hidden_layers, shape.config.hidden_size)
    return fit_lengths(recipe, longest_read(shape.max_tokens or 0, recipe, room))


def _missing(recipe: Any) -> list[str]:
    """Files that a run would not find; a dry run goes on without them."""
    texts = getattr(recipe, "texts", None)
    paths = local_paths(texts) if texts else []
    paths += [Path(name) for pairs in getattr(recipe, "pairs", ()) for name in pairs.files]
    return [f"{path} is not there yet" for path in dict.fromkeys(paths) if not path.exists()]


def _shape_of(recipe: TrainingRecipe) -> _Shape:
    if isinstance(recipe, PretrainRecipe):
        return _Shape(None, _DEFAULT_MEMORY)
    if isinstance(recipe, CompressRecipe):
        return _Shape(_backbone(recipe.backbone), recipe.memory.n_memory)
    name, place = recipe.encoder, Path(recipe.encoder)
    if (place / FILE_NAME).exists():
        config = read_config(place)
        need_memory(config, name)
        base = config.base
        folder = fetch(base.ref, base.revision, only_config=True) if base.kind == "name" else place / base.ref
        return _Shape(_read(folder, name), config.n_memory, config.max_tokens)
    if name.startswith("hf:") or (place / "config.json").exists():
        told = f"{name} is a backbone, taken as an encoder of {_DEFAULT_MEMORY} memory tokens; a run needs an encoder"
        return _Shape(_backbone(name), _DEFAULT_MEMORY, notes=(told,))
    raise CheckpointError(
        f"the encoder {name} is not there yet, so its shape is not known",
        "encoder",
        "run the stage before it, or name its backbone, for the dry run alone: --set encoder=hf:NAME (or a folder)",
    )


def _backbone(name: str) -> Any:
    """The configuration of a folder or of `hf:NAME`, of which nothing else is downloaded."""
    return _read(find_backbone(name, only_config=True)[0], name)


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
