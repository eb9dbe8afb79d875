"""What a recipe would take: steps, tokens, memory of a device, arithmetic; from shapes alone, nothing is trained.

It promises no time unless it is given a measured speed. The counting is in
`train.planning`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from encoder.errors import ConfigError
from train.batch_plan import batch_plan
from train.planning.activations import LayerShape, Precision, layer_shape
from train.planning.device_memory import DeviceMemory, device_memory
from train.planning.parameters import ParameterCounts, count_parameters
from train.planning.workload import (
    Pass,
    TrainingRecipe,
    Workload,
    longest_sequence_of,
    trained_part,
    workload,
)
from train.settings import ContrastiveRecipe, PretrainRecipe, Schedule, SimcseRecipe

_USABLE = 0.9  # the rest goes to the CUDA context, to libraries' workspaces, and is lost between blocks


@dataclass(frozen=True)
class Estimate:
    """What a recipe would take on so many devices."""

    stage: str
    devices: int
    device_bytes: int
    steps: int
    batch: int
    device_batch: int
    accumulation: int
    mini_batch: int | None  # texts encoded at a time where gradients are cached
    in_flight_setting: str  # the key of the recipe that decides how much a device holds at a time
    texts: int  # encoded in the whole run, repetitions included
    most_tokens: int  # of text in the whole run as the trainer counts them, at most; two views count once
    expected_tokens: int  # with texts of `mean_tokens`
    mean_tokens: float | None
    trained_parameters: int
    frozen_parameters: int
    gradient_checkpointing: bool
    memory_plain: DeviceMemory
    memory_checkpointed: DeviceMemory
    largest_plain: int  # most that fits at a time without gradient checkpointing; 0: nothing
    largest_checkpointed: int
    flops: dict[str, float]  # of the whole run, by model

    @property
    def memory(self) -> DeviceMemory:
        """With the recipe's own choice about checkpointing."""
        return self.memory_checkpointed if self.gradient_checkpointing else self.memory_plain

    @property
    def usable_bytes(self) -> int:
        """What a run can count on of a device."""
        return int(self.device_bytes * _USABLE)

    @property
    def fits(self) -> bool:
        """Whether the recipe runs on such devices as it stands."""
        return self.memory.total <= self.usable_bytes


def estimate(
    recipe: TrainingRecipe,
    config: Any = None,
    *,
    devices: int = 1,
    device_bytes: float = 80e9,
    n_memory: int = 8,
    mean_tokens: float | None = None,
    frozen_bytes: int | None = None,
) -> Estimate:
    """What a recipe would take. Trained weights are float32, as training keeps them.

    Args:
        recipe: of a stage that trains.
        config: the backbone's configuration of transformers; None for pretraining, whose recipe has it.
        devices: how many train together.
        device_bytes: memory of one of them.
        n_memory: of the encoder, for the stages after compression.
        mean_tokens: of a text, where it is known.
        frozen_bytes: a number of the frozen weights; None: as training keeps them on a GPU. With 4 under bfloat16,
            autocast keeps a copy of every frozen matrix for the backward pass.

    Raises:
        ConfigError: the batch cannot be spread over the devices, texts are longer than the backbone's window, or
            the adapter names layers that the backbone does not have.
    """
    schedule = recipe.schedule
    device_batch, accumulation = batch_plan(schedule, devices)
    config = _config_of(recipe, config)
    _check_window(recipe, config, n_memory)
    counts = count_parameters(recipe, config, n_memory=n_memory)
    shape = layer_shape(config, has_head_norms=counts.has_head_norms)
    setting, mini_batch = _in_flight(recipe, device_batch)

    def load(in_flight: int) -> Workload:
        return workload(
            recipe, in_flight, n_memory=n_memory, mean_tokens=mean_tokens, pass_tokens=_pass_tokens(config)
        )

    def memory(in_flight: int, is_checkpointed: bool) -> DeviceMemory:
        return device_memory(
            load(in_flight),
            counts,
            shape,
            precision=_precision(recipe, frozen_bytes),
            devices=devices,
            is_checkpointed=is_checkpointed,
        )

    def largest(is_checkpointed: bool) -> int:
        return _largest(
            lambda held: memory(held, is_checkpointed).total, device_batch * accumulation, device_bytes
        )

    held = mini_batch or device_batch
    found = load(held)
    return Estimate(
        stage=found.stage,
        devices=devices,
        device_bytes=int(device_bytes),
        steps=schedule.steps,
        batch=schedule.batch,
        device_batch=device_batch,
        accumulation=accumulation,
        mini_batch=mini_batch,
        in_flight_setting=setting,
        texts=found.texts * schedule.steps,
        most_tokens=round(found.most_tokens * schedule.steps),
        expected_tokens=round(found.expected_tokens * schedule.steps),
        mean_tokens=mean_tokens,
        trained_parameters=counts.trained,
        frozen_parameters=counts.frozen,
        gradient_checkpointing=schedule.gradient_checkpointing,
        memory_plain=memory(held, False),
        memory_checkpointed=memory(held, True),
        largest_plain=largest(False),
        largest_checkpointed=largest(True),
        flops=_flops(found, counts, shape, schedule),
    )


def estimate_to_json(found: Estimate) -> dict[str, Any]:
    """Every field, and what follows from them."""
    return {
        **asdict(found),
        "memory_bytes": found.memory.total,
        "usable_bytes": found.usable_bytes,
        "fits": found.fits,
    }


def _config_of(recipe: TrainingRecipe, config: Any) -> Any:
    """The configuration given, or the one that pretraining makes."""
    if config is not None or not isinstance(recipe, PretrainRecipe):
        return config
    from transformers import LlamaConfig

    shape = recipe.shape
    return LlamaConfig(
        vocab_size=recipe.tokenizer.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.mlp,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.max_positions,
        tie_word_embeddings=True,
    )


def _check_window(recipe: TrainingRecipe, config: Any, n_memory: int) -> None:
    """Refuses texts that do not fit into the backbone.

    Raises:
        ConfigError: text, BOS and memory tokens together are longer than the backbone's window.
    """
    from encoder.attention import longest_sequence

    needed, window = longest_sequence_of(recipe, n_memory), longest_sequence(config)
    if window is not None and needed > window:
        raise ConfigError(
            f"Text, BOS and memory tokens make {needed} tokens, the backbone takes {window}.",
            "max_tokens of the recipe",
            f"lower it by {needed - window}, or choose a backbone with a longer window",
        )


def _in_flight(recipe: TrainingRecipe, device_batch: int) -> tuple[str, int | None]:
    """The key that decides how many texts a device holds at a time; the mini-batch where gradients are cached."""
    if isinstance(recipe, SimcseRecipe):
        return "views.mini_batch", min(recipe.views.mini_batch, device_batch)
    if isinstance(recipe, ContrastiveRecipe):
        return "contrast.mini_batch", min(recipe.contrast.mini_batch, device_batch)
    return "schedule.device_batch", None


def _pass_tokens(config: Any) -> int:
    import torch

    from train.compression.passes import pass_budget

    return pass_budget(config, torch.device("cuda"))


def _precision(recipe: TrainingRecipe, frozen_bytes: int | None) -> Precision:
    products = 4 if recipe.schedule.dtype == "float32" else 2
    # Under an adapter frozen weights lie in the dtype of the products; a decoder of its own is kept as it was read.
    usual = products if trained_part(recipe) == "adapter" else 4
    return Precision(products=products, frozen=frozen_bytes or usual)


def _largest(total: Callable[[int], int], share: int, device_bytes: float) -> int:
    """The most texts at a time that fit, among the divisors of a device's share of the batch; 0: none."""
    divisors = [count for count in range(share, 0, -1) if share % count == 0]
    return next((count for count in divisors if total(count) <= _USABLE * device_bytes), 0)


def _flops(
    load: Workload, counts: ParameterCounts, shape: LayerShape, schedule: Schedule
) -> dict[str, float]:
    """Multiplications and additions of a whole run by model."""
    return {
        part.model: schedule.steps * _pass_flops(part, counts, shape, schedule.gradient_checkpointing)
        for part in load.passes
    }


def _pass_flops(part: Pass, counts: ParameterCounts, shape: LayerShape, is_checkpointed: bool) -> float:
    """2 a parameter and token forward, as much again for gradients of inputs, and again for those of weights.

    So 6 P a token where all is trained, 4 P through frozen weights, 2 P for the teacher.
    """
    backward = {"all": 2, "adapter": 1, "nothing": 1, None: 0}[part.trains]
    forward = 1 + part.extra_forwards + (is_checkpointed and part.can_checkpoint and part.trains is not None)
    matrices = 2 * counts.layers * (forward + backward)
    if part.trains == "adapter":
        matrices += 2 * counts.trained * (forward + 2)
    seen = part.length if part.is_masked else part.length / 2
    scores = 4 * shape.layers * shape.queries * seen * (forward + 2 * (part.trains is not None))
    return part.tokens * (matrices + scores) + 2 * counts.head * part.head_rows * (1 + backward)


def describe(found: Estimate, *, tokens_per_second: float | None = None) -> list[str]:
    """Lines for a terminal: the plan, the memory it takes, and what to change where it does not fit.

    Args:
        found: the estimate.
        tokens_per_second: of all devices together, as a run has shown them; without it no time is named.
    """
    expected = (
        f", {_number(found.expected_tokens)} at {found.mean_tokens:g} a text" if found.mean_tokens else ""
    )
    lines = [
        f"{found.stage}: {found.steps:,} steps of {found.batch:,}, {_spread(found)}",
        f"texts: {_number(found.texts)} encoded, at most {_number(found.most_tokens)} tokens{expected}",
        f"parameters: {_number(found.trained_parameters)} trained, {_number(found.frozen_parameters)} frozen",
        f"memory of a device: {_parts(found.memory)}",
        _verdict(found),
        _work(found),
    ]
    if found.mini_batch and found.accumulation > 1:
        lines.append(
            f"note: in-batch negatives come from {found.device_batch * found.devices:,} of the {found.batch:,}; set "
            "schedule.device_batch to 0 to use all"
        )
    if tokens_per_second:
        hours = found.expected_tokens / tokens_per_second / 3600
        lines.append(f"time: {hours:,.1f} hours at {tokens_per_second:,.0f} tokens/s")
    return lines


def _spread(found: Estimate) -> str:
    devices = f"{found.devices} devices" if found.devices > 1 else "1 device"
    held = f"{found.device_batch:,} at a time on {devices}"
    if found.mini_batch:
        held += f", encoded {found.mini_batch:,} at a time"
    return held + (f", {found.accumulation:,} times an update" if found.accumulation > 1 else "")


def _parts(memory: DeviceMemory) -> str:
    """Every part of at least a percent, largest first."""
    parts = sorted(asdict(memory).items(), key=lambda part: -part[1])
    named = [
        f"{name.replace('_', ' ')} {_bytes(size)}" for name, size in parts if size >= 0.01 * memory.total
    ]
    return f"{_bytes(memory.total)}: " + ", ".join(named)


def _verdict(found: Estimate) -> str:
    of = f"{_bytes(found.usable_bytes)} usable of {_bytes(found.device_bytes)}"
    largest = found.largest_checkpointed if found.gradient_checkpointing else found.largest_plain
    if found.fits:
        other = found.memory_plain if found.gradient_checkpointing else found.memory_checkpointed
        word = "without" if found.gradient_checkpointing else "with"
        return (
            f"fits ({of}; {found.in_flight_setting} up to {largest:,}; {word} gradient checkpointing "
            f"{_bytes(other.total)})"
        )
    if largest:
        return f"does not fit ({of}): set {found.in_flight_setting} to {largest:,}"
    if found.largest_checkpointed:
        return (
            f"does not fit ({of}): set schedule.gradient_checkpointing to true and {found.in_flight_setting} to at "
            f"most {found.largest_checkpointed:,}"
        )
    return f"does not fit ({of}), not even one at a time: {_last_resort(found)}"


def _last_resort(found: Estimate) -> str:
    if found.stage == "pretrain":
        return "make shape.layers, shape.width or shape.window smaller, or take larger devices"
    if found.trained_parameters > 0.5 * found.frozen_parameters:  # far more than an adapter has
        return "set adapter.lora to true, or take a smaller backbone or larger devices"
    return "lower max_tokens, or take a smaller backbone or larger devices"


def _work(found: Estimate) -> str:
    total = sum(found.flops.values())
    parts = ", ".join(f"{model} {100 * flops / total:.0f} %" for model, flops in found.flops.items())
    bound = "" if found.mean_tokens else "at most "
    return f"work: {bound}{total:.1e} FLOPs ({parts})"


def _bytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _number(count: float) -> str:
    for size, name in ((1e9, "billion"), (1e6, "million")):
        if count >= size:
            return f"{count / size:.1f} {name}"
    return f"{count:,.0f}"
