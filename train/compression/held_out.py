"""Held-out texts -> the loss of an objective of stage 1, and whether the memory is of any use to the decoder."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from train.compression.compressor import Compressor
from train.texts.split_texts import collate_splits

_BATCH = 8
# What `Compressor.controls` gives -> the measure; a useful memory has them in this order, the least first.
MEASURES = {"own": "held_out_loss", "none": "loss_without_memory", "other": "loss_with_other_memory"}


def held_out_losses(objective: nn.Module, items: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Mean losses over held-out items, in evaluation mode.

    Args:
        objective: of stage 1, on any device; its mode is put back.
        items: of `SplitTexts`, at least one. The same items have the same splits.

    Returns:
        "held_out_loss"; of a `Compressor` also "loss_with_other_memory", where a text is continued from the memory of
        another (two items at least), and "loss_without_memory", from the start token alone (where there is one).
    """
    device = next(objective.parameters()).device
    was_training = objective.training
    objective.eval()
    sums: dict[str, list[float]] = {}
    with torch.no_grad():
        for start in range(0, len(items), _BATCH):
            chunk = items[start : start + _BATCH]
            batch = {name: value.to(device) for name, value in collate_splits(chunk).items()}
            batch.pop("number")
            for name, loss in _losses(objective, batch).items():
                if name != MEASURES["other"] or len(chunk) > 1:
                    sums.setdefault(name, []).extend([float(loss)] * len(chunk))
    objective.train(was_training)
    return {name: sum(values) / len(values) for name, values in sums.items()}


def _losses(objective: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if isinstance(objective, Compressor):
        return {MEASURES[name]: loss for name, loss in objective.controls(**batch).items()}
    return {MEASURES["own"]: objective(**batch)["loss"]}
