"""Runs that are killed, at any moment and as often as one likes, end as one that never was."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from tests.train.stages.tiny_runs import measured, same_weights, train, train_until_killed
from train.running.run_folder import RunFolder, last_checkpoint


@pytest.fixture(scope="module")
def processes():
    """Processes that have the libraries loaded already, and nothing else of this one."""
    context = multiprocessing.get_context("forkserver")
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    context.set_forkserver_preload(
        ["train.stages.compress", "train.stages.pretrain", "datasets", "peft", "torch.utils.tensorboard"]
    )
    yield context
    if before is None:
        del os.environ["OMP_NUM_THREADS"]
    else:
        os.environ["OMP_NUM_THREADS"] = before


def killed_at(processes, stage, material, out, changes, **sections) -> bool:
    """Whether a run in a process of its own was killed at a change of its folder, and did not end before."""
    process = processes.Process(target=train_until_killed, args=(stage, material, out, sections, changes))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def result_of(stage: str) -> str:
    return {"pretrain": "backbone", "compress": "encoder"}[stage]


def assert_as_unbroken(stage: str, out: Path, whole: Path) -> None:
    assert same_weights(out / result_of(stage), whole / result_of(stage))
    assert measured(out) == measured(whole)
    assert {path.name for path in out.iterdir()} == {path.name for path in whole.iterdir()}
    assert {path.name for path in (out / "checkpoints").iterdir()} == {"checkpoint-3", "checkpoint-6"}


def test_a_run_that_was_killed_after_its_first_checkpoint_goes_on(tmp_path, material, compressed, processes):
    out = tmp_path / "run"
    assert killed_at(processes, "compress", material, out, 60)
    assert last_checkpoint(RunFolder(out)) == RunFolder(out).checkpoint(3)
    assert not (out / "encoder").exists()
    _measures, notes = train("compress", material, out)
    assert "going on after step 3" in notes
    assert_as_unbroken("compress", out, compressed.out)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["pretrain", "compress"])
@pytest.mark.parametrize("moment", range(2, 90, 8))
def test_a_run_that_was_killed_at_any_moment_and_once_more_goes_on(
    tmp_path, material, pretrained, compressed, processes, stage, moment
):
    whole = {"pretrain": pretrained.out, "compress": compressed.out}[stage]
    out = tmp_path / "run"
    killed_at(processes, stage, material, out, moment)
    killed_at(processes, stage, material, out, (moment * 37) % 50 + 3)
    train(stage, material, out)
    assert_as_unbroken(stage, out, whole)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["pretrain", "compress"])
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_never_was(
    tmp_path, material, pretrained, compressed, processes, stage
):
    whole = {"pretrain": pretrained.out, "compress": compressed.out}[stage]
    out, kills = tmp_path / "run", 0
    for moment in (3, 7, 12, 19, 31, 44, 23, 29, 35, 40):
        kills += killed_at(processes, stage, material, out, moment)
    assert kills > 3
    train(stage, material, out)
    assert_as_unbroken(stage, out, whole)
