"""A stage begins in its folder once, and checkpointing goes by the library's name for it."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from encoder.errors import ConfigError
from tests.encoder.tiny import tiny_backbone
from train.adapter import attach_adapter
from train.running.run_folder import finish
from train.running.stage_run import checkpoint_activations, is_half, run_once, train_stage
from train.settings import Adapter, Schedule


@dataclass(frozen=True)
class _Recipe:
    out: str
    rate: float = 1.0
    card: dict = field(default_factory=dict)


def _run(recipe, train, notes):
    hashes = {"data": {"a": "1"}, "model": {"b": "2"}}
    return run_once(recipe, stage="toy", **hashes, result="made", note=notes.append, train=train)


def _train(folder):
    (folder.path / "made").mkdir()
    finish(folder, {"known_items": 3.0}, {})
    return {"known_items": 3.0}


def _never(folder):
    raise AssertionError("trained again")


def test_a_run_that_is_finished_is_not_trained_again(tmp_path):
    notes: list[str] = []
    recipe = _Recipe(str(tmp_path / "run"))
    first = _run(recipe, _train, notes)
    assert notes == []
    assert _run(recipe, _never, notes) == first == {"known_items": 3.0}
    assert notes == ["the run was finished before; nothing is left to train"]


def test_a_run_whose_result_is_gone_is_trained_again(tmp_path):
    recipe = _Recipe(str(tmp_path / "run"))
    _run(recipe, _train, [])
    (tmp_path / "run" / "made").rmdir()
    assert _run(recipe, _train, []) == {"known_items": 3.0}


def test_another_recipe_in_a_finished_folder_is_refused(tmp_path):
    recipe = _Recipe(str(tmp_path / "run"))
    _run(recipe, _train, [])
    with pytest.raises(ConfigError, match=r"rate: 1\.0, now 2\.0"):
        _run(_Recipe(recipe.out, rate=2.0), _never, [])


@pytest.mark.parametrize(
    ("device", "bf16", "expected"), [("cuda", True, True), ("cuda", False, False), ("cpu", True, False)]
)
def test_frozen_weights_are_halved_for_bfloat16_on_a_gpu_alone(device, bf16, expected):
    assert is_half(SimpleNamespace(device=torch.device(device), bf16=bf16)) is expected


def test_activations_are_checkpointed_below_an_adapter():
    adapted = attach_adapter(tiny_backbone(), Adapter(rank=2))
    checkpoint_activations(adapted)
    assert adapted.get_base_model().is_activation_checkpointing


def test_a_decoder_with_the_older_name_alone_is_checkpointed_by_that():
    class Older(nn.Module):
        def gradient_checkpointing_enable(self, settings):
            self.asked = settings

    decoder = Older()
    checkpoint_activations(decoder)
    assert decoder.asked == {"use_reentrant": False}


def test_a_warmup_that_outlasts_the_run_is_said():
    notes: list[str] = []
    trainer = SimpleNamespace(prepare=lambda stage: None, add_callback=lambda callback: None, run=dict)
    for warmup in (4, 3):
        schedule = Schedule(steps=4, warmup_steps=warmup)
        train_stage(trainer, SimpleNamespace(schedule=schedule, folder=None), notes.append)
    assert notes == [
        "note: the rate never reaches schedule.learning_rate, since 4 steps of warm-up are not below the 4 of the run"
    ]
