"""A recipe's schedule becomes rates, decay and batches of the libraries' trainers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import TrainingArguments

from encoder.errors import ConfigError
from encoder.memory import MemoryModel, new_memory
from tests.encoder.tiny import tiny_backbone
from train.running.arguments import check_betas, compute_dtype, decayed_names, rate_factor, training_arguments
from train.running.run_folder import RunFolder
from train.settings import Schedule, Watch


def rate(schedule, step):
    return schedule.learning_rate * rate_factor(schedule)(step)


def test_the_papers_rates_rise_from_1e_5_to_1e_4_and_fall_in_a_line_to_0():
    paper = Schedule(steps=32_000, learning_rate=1e-4, warmup_steps=3_200, warmup_from=1e-5)
    expected = {0: 1e-5, 1_600: 5.5e-5, 3_200: 1e-4, 17_600: 5e-5, 32_000: 0.0}
    assert {step: rate(paper, step) for step in expected} == pytest.approx(expected)


def test_cosine_decay_is_half_way_down_in_the_middle():
    schedule = Schedule(steps=110, learning_rate=2e-3, warmup_steps=10, decay="cosine")
    expected = {0: 0.0, 5: 1e-3, 10: 2e-3, 35: 1e-3 * (1 + math.sqrt(0.5)), 60: 1e-3, 110: 0.0}
    assert {step: rate(schedule, step) for step in expected} == pytest.approx(expected)


def test_a_constant_rate_stays():
    schedule = Schedule(steps=10, learning_rate=3e-4, decay="constant")
    assert {rate(schedule, step) for step in range(11)} == {3e-4}


@given(
    steps=st.integers(1, 50),
    warmup=st.integers(0, 60),
    start=st.floats(0, 1e-3),
    decay=st.sampled_from(["linear", "cosine", "constant"]),
)
def test_rates_rise_then_never_rise_again_and_are_never_negative(steps, warmup, start, decay):
    schedule = Schedule(steps=steps, learning_rate=1e-3, warmup_steps=warmup, warmup_from=start, decay=decay)
    rates = [rate(schedule, step) for step in range(steps + 1)]
    rising, falling = rates[: warmup + 1], rates[warmup:]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert min(rates) >= 0


def test_a_learning_rate_of_0_gives_rates_of_0():
    schedule = Schedule(steps=4, learning_rate=0.0)
    assert [rate(schedule, step) for step in range(5)] == [0.0] * 5


def test_matrices_decay_but_norms_biases_and_memory_tokens_do_not():
    backbone = tiny_backbone()
    model = MemoryModel(backbone, new_memory(backbone, 2))
    names = set(decayed_names(model.named_parameters()))
    assert "backbone.embed_tokens.weight" in names
    assert "backbone.layers.0.mlp.up_proj.weight" in names
    assert not any("norm" in name or name.endswith(("bias", "memory")) for name in names)
    assert "memory" in dict(model.named_parameters())


def test_a_bias_does_not_decay():
    assert decayed_names(nn.Linear(3, 2).named_parameters()) == ["weight"]


@pytest.mark.parametrize("betas", [(0.9,), (0.9, 0.99, 0.999), (0.9, 1.0), (-0.1, 0.9)])
def test_betas_that_adamw_cannot_take_are_refused(betas):
    with pytest.raises(ConfigError, match="schedule.betas is .* expected two numbers from 0, below 1"):
        check_betas(Schedule(steps=1, betas=betas))


@pytest.mark.parametrize(
    ("changes", "what", "fix"),
    [
        (
            {"warmup_from": 2e-4},
            "schedule.warmup_from is 0.0002, above schedule.learning_rate 0.0001",
            "at most 0.0001",
        ),
    ],
)
def test_a_rate_that_does_not_rise_to_its_highest_is_refused(tmp_path, changes, what, fix):
    with pytest.raises(ConfigError) as caught:
        arguments(tmp_path, Schedule(**{"steps": 3, "dtype": "float32", **changes}))
    assert what in caught.value.what
    assert fix in caught.value.fix


def test_a_rate_that_begins_at_its_highest_and_a_warmup_up_to_the_last_step_are_fine(tmp_path):
    schedule = Schedule(steps=3, warmup_steps=2, warmup_from=1e-4, dtype="float32")
    assert arguments(tmp_path, schedule).max_steps == 3


def test_several_gpus_without_torchrun_do_not_multiply_the_batch(tmp_path):
    class OfFourGpus(TrainingArguments):
        def __post_init__(self):
            super().__post_init__()
            self._n_gpu = 4

    schedule = Schedule(steps=3, batch=12, dtype="float32")
    made = training_arguments(OfFourGpus, schedule, Watch(), RunFolder(tmp_path), device="cpu")
    assert made.n_gpu == 1
    assert made.train_batch_size == 12


def arguments(tmp_path, schedule=None, watch=None, **more):
    schedule = schedule or Schedule(steps=3, dtype="float32")
    return training_arguments(
        TrainingArguments, schedule, watch or Watch(), RunFolder(tmp_path), device="cpu", **more
    )


def test_a_batch_is_taken_in_parts_when_the_recipe_says_so(tmp_path):
    made = arguments(tmp_path, Schedule(steps=3, batch=12, device_batch=4, dtype="float32"))
    assert (made.per_device_train_batch_size, made.gradient_accumulation_steps) == (4, 3)


def test_the_share_of_a_device_is_smaller_the_more_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr("train.running.arguments.world_size", lambda: 4)
    schedule = Schedule(steps=3, batch=12, dtype="float32")
    made = training_arguments(dict, schedule, Watch(), RunFolder(tmp_path), device="cpu")
    assert (made["per_device_train_batch_size"], made["gradient_accumulation_steps"]) == (3, 1)
    assert made["ddp_backend"] == "gloo"


@pytest.mark.parametrize(
    ("watched", "stage", "measure", "greater"),
    [
        ("auto", "known_items", "known_items", True),
        ("auto", "held_out_loss", "held_out_loss", False),
        ("held_out_loss", "known_items", "held_out_loss", False),
        ("last", "known_items", None, False),
    ],
)
def test_the_best_checkpoint_goes_by_what_the_recipe_says(tmp_path, watched, stage, measure, greater):
    made = arguments(tmp_path, watch=Watch(best_by=watched), best_by=stage)
    assert made.metric_for_best_model == measure
    assert made.greater_is_better == greater


def test_bfloat16_is_autocast_on_a_processor_too(tmp_path):
    made = arguments(tmp_path, Schedule(steps=3, dtype="bfloat16"))
    assert made.bf16 and made.use_cpu
    assert compute_dtype(Schedule(steps=3, dtype="bfloat16"), "cpu") == torch.bfloat16


def test_the_processor_is_taken_where_there_is_no_other_device(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    schedule = Schedule(steps=3, dtype="bfloat16")
    made = training_arguments(TrainingArguments, schedule, Watch(), RunFolder(tmp_path), device="auto")
    assert made.use_cpu
