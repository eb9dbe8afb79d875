"""`llm2comp train` as a user meets it: help, answers, silence, mistakes and stops."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.cli import main
from tests.train.stages.tiny_runs import content_of, write_recipe, write_texts

ROOT = Path(__file__).parents[2]
HEAVY = {
    "torch",
    "transformers",
    "datasets",
    "peft",
    "sentence_transformers",
    "numpy",
    "pyarrow",
    "accelerate",
}
STAGES = ["pretrain", "compress", "simcse", "contrastive", "mine", "soup", "hybrid", "distil"]


@pytest.fixture
def recipe(tmp_path):
    write_texts(tmp_path / "texts.txt")
    content = content_of(
        "pretrain", tmp_path, tmp_path / "run", schedule={"steps": 2}, watch={"log_steps": 1}
    )
    return write_recipe(tmp_path / "recipe.toml", content)


@pytest.mark.parametrize("stage", [None, *STAGES])
def test_help_loads_nothing_heavy_and_ends_with_examples(stage):
    arguments = ["train", *([stage] if stage else []), "--help"]
    code = (
        "import sys; from app.cli import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        f"sys.stderr.write(' '.join({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    if stage:
        assert done.stdout.count(f"llm2comp train {stage}", done.stdout.index("examples:")) == 2
    else:
        assert {line.split()[0] for line in done.stdout.splitlines() if line.startswith("    ")} >= set(
            STAGES
        )


def test_a_stage_says_its_progress_on_stderr_and_its_result_on_stdout(recipe, capsys):
    assert main(["train", "pretrain", "--config", str(recipe), "--device", "cpu"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{recipe.parent / 'run' / 'backbone'}\n"
    assert "step 2 of 2 · loss" in said.err
    assert (recipe.parent / "run" / "backbone" / "config.json").exists()


def test_json_is_one_object_with_the_measures(recipe, capsys):
    assert main(["train", "pretrain", "--config", str(recipe), "--device", "cpu", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["format"] == 1
    assert answer["out"] == str(recipe.parent / "run" / "backbone")
    assert answer["measures"]["held_out_loss"] > 0


def test_quiet_says_nothing_but_the_result(recipe, capsys):
    assert main(["train", "pretrain", "--config", str(recipe), "--device", "cpu", "--quiet"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.endswith("backbone\n")


def test_out_and_set_win_over_the_recipe(recipe, capsys):
    out = recipe.parent / "else where"
    arguments = ["--set", "schedule.steps=1", "--set", "card.name=mine", "--out", str(out), "--device", "cpu"]
    assert main(["train", "pretrain", "--config", str(recipe), *arguments]) == 0
    claim = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert claim["recipe"]["schedule"]["steps"] == 1
    assert claim["recipe"]["card"] == {"name": "mine"}
    assert not (recipe.parent / "run").exists()


def test_the_same_command_again_trains_nothing(recipe, capsys):
    arguments = ["train", "pretrain", "--config", str(recipe), "--device", "cpu", "--json"]
    answers = []
    for _ in range(2):
        assert main(arguments) == 0
        answers.append(capsys.readouterr())
    assert answers[0].out == answers[1].out
    assert answers[1].err == "the run was finished before; nothing is left to train\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "required: STAGE"),
        (["tune"], 2, "invalid choice: 'tune'"),
        (["pretrain"], 2, "required: --config"),
        (["pretrain", "--config", "none.toml"], 1, "The recipe does not exist."),
        (
            ["pretrain", "--config", "RECIPE", "--set", "schedule.stepz=3"],
            1,
            "There is no key schedule.stepz.",
        ),
        (["pretrain", "--config", "RECIPE", "--set", "schedule.steps=0"], 1, "expected 1 or more"),
        (["pretrain", "--config", "RECIPE", "--set", "schedule"], 1, "'schedule' sets nothing."),
        (["pretrain", "--config", "RECIPE", "--device", "abacus"], 2, "invalid choice: 'abacus'"),
        (["compress", "--config", "RECIPE"], 1, "There is no key tokenizer."),
    ],
)
def test_mistakes_are_said_in_three_lines_with_their_exit_code(recipe, capsys, arguments, code, said):
    arguments = [str(recipe) if word == "RECIPE" else word for word in arguments]
    assert main(["train", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    what, where, fix = captured.err.splitlines()
    assert what.startswith("error: ") and said in what
    assert where.startswith("where: ") and fix.startswith("do:    ")


def test_a_refused_run_is_json_on_request(recipe, capsys):
    (recipe.parent / "run").mkdir()
    (recipe.parent / "run" / "mine.txt").write_text("x", encoding="utf-8")
    assert main(["train", "pretrain", "--config", str(recipe), "--device", "cpu", "--json"]) == 1
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["kind"] == "TrainingError"
    assert "no run: mine.txt" in error["what"]


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("steps", [3, 10**6])
def test_a_stop_exits_with_130_and_says_what_is_kept(recipe, stop, steps):
    out = recipe.parent / "run"
    arguments = [
        "--set",
        "schedule.steps=1000000",
        "--set",
        f"watch.evaluate_steps={steps}",
        "--device",
        "cpu",
    ]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "app.cli", "train", "pretrain", "--config", str(recipe), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    waited_for = out / ("checkpoints/checkpoint-3/complete" if steps == 3 else "metrics.jsonl")
    while not waited_for.exists() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(stop)
    said_out, said_err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert said_out == ""
    kept, last = said_err.splitlines()[-3:-1], said_err.splitlines()[-1]
    expected = (
        f"the last checkpoint is {out}/checkpoints/checkpoint-"
        if steps == 3
        else "there is no checkpoint yet"
    )
    assert any(line.startswith(expected) for line in kept)
    assert last == "interrupted; what was finished is kept, the same command goes on"
