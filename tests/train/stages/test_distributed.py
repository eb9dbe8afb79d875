"""Two processes train as one: the same losses, the same weights, one log, one result."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from encoder.checkpoint import load_encoder
from tests.train.stages.tiny_runs import content_of, losses, rows, train, weights, write_recipe

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
# Each process draws dropout of its own.
STILL = {"adapter": {"rank": 4, "dropout": 0.0}}


def torchrun(arguments, *, no_python=False):
    """Runs the command in two processes of the processor."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        str(port),
    ]
    command = (
        ["--no-python", str(Path(sys.executable).with_name("llm2comp"))] if no_python else ["-m", "app.cli"]
    )
    return subprocess.run(
        [*launcher, *command, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture(scope="module")
def two(tmp_path_factory, material):
    """A run of two processes, and one of one process with the same batch."""
    folder = tmp_path_factory.mktemp("two")
    # A part of the batch at a time, so that accumulation is seen too.
    sections = {**STILL, "schedule": {"device_batch": 1}, "watch": {"log_steps": 1}}
    train("compress", material, folder / "one", **sections)
    recipe = write_recipe(
        folder / "recipe.toml", content_of("compress", material, folder / "run", **sections)
    )
    done = torchrun(["train", "compress", "--config", recipe, "--device", "cpu", "--json"])
    assert done.returncode == 0, done.stderr
    return folder, done


def test_the_losses_are_those_of_one_process(two):
    folder, _done = two
    assert losses(folder / "run") == pytest.approx(losses(folder / "one"), abs=1e-4, rel=1e-4)


def test_the_weights_are_those_of_one_process(two):
    folder, _done = two
    together, alone = weights(folder / "run" / "encoder"), weights(folder / "one" / "encoder")
    assert together.keys() == alone.keys()
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, atol=1e-4, rtol=1e-4)


def test_there_is_one_log_one_answer_and_one_result(two):
    folder, done = two
    assert [(row["step"], "loss" in row) for row in rows(folder / "run")] == [
        (row["step"], "loss" in row) for row in rows(folder / "one")
    ]
    answer = json.loads(done.stdout)
    assert answer["out"] == str(folder / "run" / "encoder")
    assert done.stderr.count("step 6 of 6 · loss") == 1
    assert {path.name for path in (folder / "run").iterdir()} == {
        path.name for path in (folder / "one").iterdir()
    }


def test_the_result_can_be_loaded(two):
    folder, _done = two
    assert load_encoder(str(folder / "run" / "encoder"), device="cpu").dimension == 16


def test_checkpoints_have_the_random_state_of_each_process(two):
    folder, _done = two
    for step in (3, 6):
        names = {path.name for path in (folder / "run" / "checkpoints" / f"checkpoint-{step}").iterdir()}
        assert {"rng_state_0.pth", "rng_state_1.pth", "complete"} <= names


def test_a_run_of_two_goes_on_after_a_stop_as_two_with_dropout(tmp_path, material):
    """What `--no-python llm2comp` starts is the same command."""
    schedule = {"steps": 4}
    answers = []
    for name in ("whole", "broken"):
        sections = {"schedule": schedule, "watch": {"evaluate_steps": 2, "log_steps": 1, "best_by": "last"}}
        content = content_of("compress", material, tmp_path / name, **sections)
        recipe = write_recipe(tmp_path / f"{name}.toml", content)
        done = torchrun(["train", "compress", "--config", recipe, "--device", "cpu"], no_python=True)
        assert done.returncode == 0, done.stderr
        answers.append(weights(tmp_path / name / "encoder"))
    checkpoints = tmp_path / "broken" / "checkpoints"
    (checkpoints / "checkpoint-4" / "complete").unlink()
    (tmp_path / "broken" / "finished.json").unlink()
    done = torchrun(
        ["train", "compress", "--config", tmp_path / "broken.toml", "--device", "cpu"], no_python=True
    )
    assert "going on after step 2" in done.stderr
    again = weights(tmp_path / "broken" / "encoder")
    assert all(torch.equal(again[name], value) for name, value in answers[0].items())
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")


def test_pretraining_is_that_of_one_process_and_learns_its_vocabulary_once(tmp_path, material, pretrained):
    recipe = write_recipe(tmp_path / "r.toml", content_of("pretrain", material, tmp_path / "run"))
    done = torchrun(["train", "pretrain", "--config", recipe, "--device", "cpu"])
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path / "run") == pytest.approx(losses(pretrained.out), abs=1e-5)
    assert done.stderr.count("learning a vocabulary") == 1


def test_a_batch_that_cannot_be_shared_is_refused_by_name(tmp_path, material):
    content = content_of("compress", material, tmp_path / "run", schedule={"batch": 3})
    done = torchrun(
        ["train", "compress", "--config", write_recipe(tmp_path / "r.toml", content), "--device", "cpu"]
    )
    assert done.returncode != 0
    assert "A batch of 3 cannot be spread over 2 devices" in done.stderr
    assert "set schedule.batch to 2 or 4" in done.stderr
