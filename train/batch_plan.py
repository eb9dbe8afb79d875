"""How a batch is spread: so many texts at a time on each device, so many times before the weights change."""

from collections.abc import Iterable

from encoder.errors import ConfigError
from train.settings import Schedule


def batch_plan(schedule: Schedule, devices: int) -> tuple[int, int]:
    """Texts a device takes at a time, and how often it does so for one update of the weights.

    Args:
        schedule: its `batch` counts all devices; `device_batch` 0 means all of a device's share at once.
        devices: how many train together, 1 or more.

    Returns:
        (device_batch, accumulation) with device_batch * accumulation * devices == batch.

    Raises:
        ConfigError: no whole number of texts and of times makes the batch; the nearest values that do are named.
    """
    batch, device_batch = schedule.batch, schedule.device_batch
    if batch % devices:
        raise ConfigError(
            f"A batch of {batch} cannot be spread over {devices} devices.",
            "schedule.batch",
            f"set schedule.batch to {_said(_multiples_beside(batch, devices))}",
        )
    share = batch // devices
    if not device_batch:
        return share, 1
    if share % device_batch:
        unit = device_batch * devices
        fitting = _nearest(device_batch, (d for d in range(1, share + 1) if share % d == 0))
        raise ConfigError(
            f"A batch of {batch} on {devices} devices cannot be taken {device_batch} at a time: a device's share "
            f"is {share}.",
            "schedule.device_batch",
            f"set schedule.device_batch to {_said(fitting)}, or schedule.batch to "
            f"{_said(_multiples_beside(batch, unit))}",
        )
    return device_batch, share // device_batch


def _multiples_beside(value: int, unit: int) -> list[int]:
    """The multiples of `unit` next below and above `value`, 0 left out."""
    below = value // unit * unit
    return [multiple for multiple in (below, below + unit) if multiple]


def _nearest(value: int, candidates: Iterable[int]) -> list[int]:
    """The candidates next below and above `value`."""
    candidates = sorted(candidates)
    return [each for each in candidates if each < value][-1:] + [each for each in candidates if each > value][
        :1
    ]


def _said(values: list[int]) -> str:
    return " or ".join(map(str, values))
