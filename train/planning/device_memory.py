"""Bytes that training needs on one device."""

from dataclasses import asdict, dataclass

from train.planning.activations import LayerShape, Precision, kept_by_layer, kept_by_model
from train.planning.parameters import ParameterCounts
from train.planning.workload import Workload

_LOGIT_COPIES = 4  # student, teacher, their difference and its gradient
_MASTER_BYTES = 4  # trained weights, their gradients, and each of AdamW's two means are float32
_STEP_BYTES = 4  # AdamW counts the steps of each tensor in a float32


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes on one device at the worst moment of an update."""

    frozen_weights: int
    weight_copies: int  # in the dtype of the products, made by autocast
    trained_weights: int
    gradients: int
    gradient_buckets: int  # what several devices exchange
    optimizer: int
    activations: int
    scores: int  # logits of a chunk, or similarities of a batch, with their gradients
    working: int  # temporaries of one layer

    @property
    def total(self) -> int:
        """The sum."""
        return sum(asdict(self).values())


def device_memory(
    load: Workload,
    counts: ParameterCounts,
    shape: LayerShape,
    *,
    precision: Precision,
    devices: int,
    is_checkpointed: bool,
) -> DeviceMemory:
    """What one device holds when the forward passes are done and the backward pass is about to begin.

    Args:
        load: of an update, with what a device holds at a time.
        counts: of the models' numbers.
        shape: of their layers.
        precision: bytes a number.
        devices: how many train together.
        is_checkpointed: activations are computed twice.
    """
    activations = working = 0.0
    for part in load.passes:
        if part.trains is None:
            continue
        layer = kept_by_layer(
            shape, part.trains, precision=precision, adapter=counts.adapter, is_masked=part.is_masked
        )
        stream = precision.residual(part.trains)
        is_twice = is_checkpointed and part.can_checkpoint
        activations += part.kept_tokens * kept_by_model(shape, layer, stream, is_checkpointed=is_twice)
        working = max(working, part.kept_tokens * layer)
    master = _MASTER_BYTES * counts.trained
    return DeviceMemory(
        frozen_weights=precision.frozen * counts.frozen,
        weight_copies=_weight_copies(load, counts, shape, precision, is_checkpointed),
        trained_weights=master,
        gradients=master,
        gradient_buckets=master if devices > 1 else 0,
        optimizer=2 * master + _STEP_BYTES * counts.trained_tensors,
        activations=round(activations),
        scores=round(_score_bytes(load, counts, shape, devices)),
        working=round(working),
    )


def _weight_copies(
    load: Workload, counts: ParameterCounts, shape: LayerShape, precision: Precision, is_checkpointed: bool
) -> int:
    """Autocast casts float32 weights: trained ones once and for all passes, frozen ones in each pass anew."""
    found = 0.0
    for part in load.passes:
        is_cast = part.trains is not None and precision.products < precision.residual(part.trains)
        is_twice = is_checkpointed and part.can_checkpoint
        found += precision.products * counts.layers * is_cast / (shape.layers if is_twice else 1)
    return round(found)


def _score_bytes(load: Workload, counts: ParameterCounts, shape: LayerShape, devices: int) -> float:
    """Logits of a chunk with the states they come from, or similarities with the vectors they come from."""
    if load.similarities:
        return 2 * 4 * (load.similarities / devices + load.texts * shape.width)
    vocabulary = counts.head // shape.width
    rows = sum(part.kept_tokens for part in load.passes if part.head_rows)
    return 4 * _LOGIT_COPIES * load.chunk_rows * vocabulary + 2 * 4 * rows * shape.width
