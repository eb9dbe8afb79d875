"""The machinery around a library's trainer: looks, checkpoints, resuming, and stops when it goes wrong."""

import errno
import json

import pytest
import torch

from encoder.errors import CheckpointError, ConfigError, TrainingError
from tests.train.running.toy import Run
from train.running.run_folder import last_checkpoint, step_of


def steps_of(run):
    return sorted(step_of(path) for path in run.folder.checkpoints.iterdir())


def rows_of(run):
    return [json.loads(line) for line in run.folder.metrics.read_text(encoding="utf-8").splitlines()]


def losses(run):
    return {row["step"]: row["loss"] for row in rows_of(run) if "loss" in row}


def stop_at(run, step):
    """Makes a run end as by a kill once this checkpoint is written."""
    save = run.trainer._save_checkpoint

    def save_and_stop(*args):
        save(*args)
        if run.trainer.state.global_step == step:
            raise KeyboardInterrupt

    run.trainer._save_checkpoint = save_and_stop
    with pytest.raises(KeyboardInterrupt):
        run.run()


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("whole"))
    run.measures = run.run()
    return run


def test_a_run_looks_before_the_first_step_at_every_checkpoint_and_at_the_end(tmp_path):
    run = Run(tmp_path, schedule={"steps": 8})
    run.run()
    assert [row["step"] for row in rows_of(run) if "eval_known_items" in row] == [0, 3, 6, 8]


def test_the_loss_is_logged_when_asked_and_at_every_checkpoint(whole):
    assert list(losses(whole)) == [2, 3, 4, 6]


def test_a_run_gives_the_measures_of_the_best_checkpoint(tmp_path):
    run = Run(tmp_path, measures=lambda step: {"known_items": {0: 50.0, 3: 20.0, 6: 10.0}[step]})
    assert run.run() == {"known_items": 20.0}
    assert run.trainer.best_step() == 3


def test_a_run_that_goes_by_the_last_gives_the_last(tmp_path):
    run = Run(tmp_path, watch={"best_by": "last"}, measures=lambda step: {"known_items": 9.0 - step})
    assert run.run() == {"known_items": 3.0}
    assert run.trainer.best_step() == 6


def test_the_best_checkpoint_stays_beside_the_latest(tmp_path):
    run = Run(
        tmp_path,
        schedule={"steps": 12},
        watch={"keep": 1},
        measures=lambda step: {"known_items": 99.0 if step == 6 else 1.0 + step},
    )
    run.run()
    assert steps_of(run) == [6, 12]


def test_a_lower_loss_is_better(tmp_path):
    run = Run(
        tmp_path, watch={"best_by": "held_out_loss"}, measures=lambda step: {"held_out_loss": 5.0 + step}
    )
    assert run.run() == {"held_out_loss": 8.0}


@pytest.mark.parametrize("schedule", [{}, {"device_batch": 2}, {"warmup_steps": 4, "decay": "cosine"}])
def test_a_run_that_went_on_equals_one_that_never_stopped(tmp_path, schedule):
    unbroken = Run(tmp_path / "unbroken", schedule=schedule)
    unbroken.run()
    stop_at(Run(tmp_path / "broken", schedule=schedule), 3)
    again = Run(tmp_path / "broken", schedule=schedule)
    again.run()
    assert again.notes[0] == "going on after step 3"
    assert equal(again.weights(), unbroken.weights())
    assert losses(again) == losses(unbroken)
    assert [row["step"] for row in rows_of(again)] == [row["step"] for row in rows_of(unbroken)]


def test_a_stop_before_the_first_checkpoint_begins_again(tmp_path, whole):
    broken = Run(tmp_path)
    broken.model.poison[3] = lambda loss: 1 / 0
    with pytest.raises(ZeroDivisionError):
        broken.run()
    again = Run(tmp_path)
    again.run()
    assert equal(again.weights(), whole.weights())
    assert [row["step"] for row in rows_of(again)] == [row["step"] for row in rows_of(whole)]


def test_a_finished_run_trains_nothing_more_and_gives_the_same(whole):
    before = rows_of(whole)
    again = Run(whole.folder.path)
    assert again.run() == whole.measures
    assert again.model.calls == 0
    assert equal(again.weights(), whole.weights())
    assert steps_of(again) == [3, 6]
    assert rows_of(again) == before


def test_an_unfinished_checkpoint_is_taken_away_and_written_again(tmp_path, whole):
    stop_at(Run(tmp_path), 3)
    torn = tmp_path / "checkpoints" / "checkpoint-6"
    torn.mkdir()
    (torn / "rng_state_7.pth").write_bytes(b"of a run that was killed")
    again = Run(tmp_path)
    again.run()
    assert not (torn / "rng_state_7.pth").exists()
    assert equal(again.weights(), whole.weights())


def test_looking_more_often_changes_nothing_in_training(tmp_path):
    seldom = Run(tmp_path / "seldom", schedule={"steps": 12}, watch={"evaluate_steps": 12, "log_steps": 1})
    often = Run(tmp_path / "often", schedule={"steps": 12}, watch={"evaluate_steps": 2, "log_steps": 1})
    seldom.run()
    often.run()
    assert losses(often) == losses(seldom)
    assert equal(often.weights(), seldom.weights())


def test_accumulated_parts_of_a_batch_train_as_the_whole_batch(tmp_path):
    runs = [Run(tmp_path / str(parts), schedule={"device_batch": parts}) for parts in (0, 1)]
    for run in runs:
        run.model.dropout.p = 0.0
        run.run()
    for name, value in runs[0].weights().items():
        torch.testing.assert_close(runs[1].weights()[name], value, atol=1e-6, rtol=1e-5)
    assert losses(runs[1]) == pytest.approx(losses(runs[0]))


def test_tokens_are_counted(whole):
    assert whole.trainer.tokens_seen == 6 * 4 * 4


# Stops.


def test_a_loss_that_is_not_finite_stops_before_it_spoils_anything_and_names_step_batch_and_checkpoint(
    tmp_path,
):
    run = Run(tmp_path, watch={"evaluate_steps": 2})
    run.model.poison[4] = lambda loss: loss * float("nan")
    with pytest.raises(TrainingError, match="The loss is nan at step 4") as caught:
        run.run()
    assert "in a batch of the items [12, 13, 14, 15]" in caught.value.what
    assert str(run.folder.checkpoint(2)) in caught.value.where
    assert "learning_rate" in caught.value.fix
    assert steps_of(run) == [2]
    assert all(torch.isfinite(value).all() for value in run.weights().values())
    again = Run(tmp_path, watch={"evaluate_steps": 2})
    again.run()  # the cause is gone
    assert steps_of(again)[-1] == 6


@pytest.mark.parametrize("clip", [1.0, 0.0])
def test_a_gradient_that_is_not_finite_stops_before_the_weights_change(tmp_path, clip):
    class Explode(torch.autograd.Function):
        @staticmethod
        def forward(context, loss):
            return loss.clone()

        @staticmethod
        def backward(context, gradient):
            return gradient * float("inf")

    run = Run(tmp_path, schedule={"clip": clip})
    run.model.poison[2] = Explode.apply
    before = {}
    run.trainer.add_callback(_Remember(run, before))
    with pytest.raises(TrainingError, match="The gradient's length is (nan|inf) at step 2") as caught:
        run.run()
    assert "before any checkpoint" in caught.value.where
    assert equal(run.weights(), before[1])


def _Remember(run, found):
    from transformers import TrainerCallback

    class Remember(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            found[state.global_step] = run.weights()

    return Remember()


def test_a_measure_that_was_finite_and_is_no_more_stops_the_run(tmp_path):
    def measures(step):
        return {"known_items": 1.0, **({"held_out_loss": 2.0} if step < 3 else {})}

    run = Run(tmp_path, measures=measures)
    with pytest.raises(TrainingError, match="The held_out_loss of held-out texts is not finite at step 3"):
        run.run()
    assert not run.folder.checkpoint(3).exists()


def test_a_best_measure_that_cannot_be_measured_is_refused_before_training(tmp_path):
    run = Run(tmp_path, measures=lambda step: {"held_out_loss": 1.0})
    with pytest.raises(TrainingError, match="goes by known_items, which cannot be measured") as caught:
        run.run()
    assert run.model.calls == 0
    assert "watch.best_by to 'last'" in caught.value.fix


def test_without_any_measure_the_last_checkpoint_is_the_result(tmp_path):
    run = Run(tmp_path, watch={"best_by": "last"}, measures=lambda step: {})
    assert run.run() == {}
    assert run.trainer.best_step() == 6


def collapsing(step):
    rank = {0: 20.0, 3: 15.0, 6: 4.0}[step]
    return {"known_items": 1.0, "rank_me": rank, "effective_rank_centred": rank}


def test_a_collapse_is_said(tmp_path):
    run = Run(tmp_path, measures=collapsing)
    run.run()
    said = [line for line in run.notes if "collapsing" in line]
    assert said == ["the space is collapsing: effective rank (centred) 4.0, at the start 20.0"]


def test_a_collapse_stops_the_run_where_the_recipe_asks_for_that_and_earlier_checkpoints_stay(tmp_path):
    run = Run(tmp_path, watch={"stop_below_rank_share": 0.4}, measures=collapsing)
    with pytest.raises(TrainingError, match=r"fell from 20\.0 to 4\.0 at step 6, below 0\.4") as caught:
        run.run()
    assert caught.value.where == str(tmp_path)
    assert steps_of(run) == [3]


@pytest.mark.parametrize("lost", ["rank_me", "effective_rank_centred"])
def test_a_stop_by_a_rank_that_cannot_be_measured_is_refused_before_training(tmp_path, lost):
    def measures(step):
        return {name: value for name, value in collapsing(step).items() if name != lost}

    run = Run(tmp_path, watch={"stop_below_rank_share": 0.4}, measures=measures)
    with pytest.raises(
        ConfigError, match=r"stop_below_rank_share is 0\.4, and the rank cannot be measured"
    ) as caught:
        run.run()
    assert run.model.calls == 0
    assert caught.value.where == "watch.stop_below_rank_share"
    assert "set it to 0, or hold out two texts or more" in caught.value.fix


# The disk.

_FILES = [
    "model.safetensors",
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "trainer_state.json",
    "complete",
]


def fail_at(monkeypatch, name, at_step):
    """The disk is full when this file of the checkpoint is written."""

    def guard(function, place_of):
        def write(*args, **kwargs):
            place = str(place_of(args))
            if place.endswith(name) and f"checkpoint-{at_step}" in place:
                raise OSError(errno.ENOSPC, "No space left on device", place)
            return function(*args, **kwargs)

        return write

    import transformers.trainer_callback

    import tests.train.running.toy as toy
    import train.running.run_folder as run_folder

    state = transformers.trainer_callback.TrainerState
    monkeypatch.setattr(toy, "save_file", guard(toy.save_file, lambda args: args[1]))
    monkeypatch.setattr(torch, "save", guard(torch.save, lambda args: args[1]))
    monkeypatch.setattr(state, "save_to_json", guard(state.save_to_json, lambda args: args[1]))
    monkeypatch.setattr(run_folder, "write_bytes", guard(run_folder.write_bytes, lambda args: args[0]))


@pytest.mark.parametrize("name", _FILES)
def test_a_disk_full_at_any_file_of_a_checkpoint_leaves_the_one_before_and_the_run_goes_on(
    tmp_path, monkeypatch, whole, name
):
    run = Run(tmp_path)
    with monkeypatch.context() as patch:
        fail_at(patch, name, at_step=6)
        with pytest.raises(TrainingError, match="checkpoint after step 6 could not be written") as caught:
            run.run()
    assert "No space left on device" in caught.value.what
    assert str(run.folder.checkpoint(3)) in caught.value.where
    assert "the same command" in caught.value.fix
    assert last_checkpoint(run.folder) == run.folder.checkpoint(3)
    assert not run.folder.checkpoint(6).exists()
    again = Run(tmp_path)
    again.run()
    assert equal(again.weights(), whole.weights())


def test_weights_that_are_not_finite_are_not_kept_and_not_blamed_on_the_disk(tmp_path):
    run = Run(tmp_path)

    def refuse(place, step):
        raise CheckpointError("tensor layer.weight holds NaN or infinity", str(place), "restore it")

    object.__setattr__(run.trainer.stage, "save", refuse)
    with pytest.raises(TrainingError, match="tensor layer.weight holds NaN or infinity") as caught:
        run.run()
    assert "learning_rate" in caught.value.fix
    assert list(run.folder.checkpoints.iterdir()) == []


def test_an_interrupt_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path, whole):
    run = Run(tmp_path)
    save = run.save

    def interrupt(place, step):
        save(place, step)
        if step == 6:
            raise KeyboardInterrupt

    object.__setattr__(run.trainer.stage, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert last_checkpoint(run.folder) == run.folder.checkpoint(3)
    again = Run(tmp_path)
    again.run()
    assert equal(again.weights(), whole.weights())
