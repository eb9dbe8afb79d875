"""A batch is spread over devices without a remainder, or refused with values that fit."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.errors import ConfigError
from train.batch_plan import batch_plan
from train.settings import Schedule


def _schedule(batch, device_batch=0):
    return Schedule(steps=1, batch=batch, device_batch=device_batch)


@pytest.mark.parametrize(
    ("batch", "device_batch", "devices", "expected"),
    [(32, 0, 1, (32, 1)), (32, 0, 8, (4, 1)), (32, 4, 1, (4, 8)), (1024, 16, 8, (16, 8)), (4, 4, 1, (4, 1))],
)
def test_a_batch_is_spread(batch, device_batch, devices, expected):
    assert batch_plan(_schedule(batch, device_batch), devices) == expected


@pytest.mark.parametrize(
    ("batch", "device_batch", "devices", "what", "fix"),
    [
        (4, 0, 8, "A batch of 4 cannot be spread over 8 devices.", "set schedule.batch to 8"),
        (30, 0, 8, "A batch of 30 cannot be spread over 8 devices.", "set schedule.batch to 24 or 32"),
        (
            24,
            5,
            2,
            "A batch of 24 on 2 devices cannot be taken 5 at a time: a device's share is 12.",
            "set schedule.device_batch to 4 or 6, or schedule.batch to 20 or 30",
        ),
        (
            8,
            16,
            1,
            "A batch of 8 on 1 devices cannot be taken 16 at a time: a device's share is 8.",
            "set schedule.device_batch to 8, or schedule.batch to 16",
        ),
    ],
)
def test_what_leaves_a_remainder_is_refused_with_the_nearest_values(batch, device_batch, devices, what, fix):
    with pytest.raises(ConfigError) as caught:
        batch_plan(_schedule(batch, device_batch), devices)
    assert (caught.value.what, caught.value.fix) == (what, fix)


@given(st.integers(1, 3000), st.integers(0, 300), st.integers(1, 16))
def test_a_plan_is_exact_and_every_value_that_is_proposed_works(batch, device_batch, devices):
    try:
        taken, accumulation = batch_plan(_schedule(batch, device_batch), devices)
    except ConfigError as error:
        for name, values in re.findall(r"schedule\.(\w+) to ((?:\d+(?: or )?)+)", error.fix):
            for value in re.findall(r"\d+", values):
                plan = {"batch": batch, "device_batch": device_batch} | {name: int(value)}
                if name == "batch" and "spread" in error.what:
                    plan["device_batch"] = 0
                assert batch_plan(_schedule(**plan), devices)
    else:
        assert taken * accumulation * devices == batch
        assert device_batch in (0, taken)
