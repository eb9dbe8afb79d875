"""Stages 2 and 3 by torchrun: two processes make the steps of one, and stay equal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.encoder.tiny import tiny_tokenizer
from tests.train.stages.contrast_runs import (
    content_of,
    largest_difference,
    train,
    write_encoder,
    write_pairs,
)
from tests.train.stages.tiny_runs import losses, write_texts
from train.settings import Texts
from train.texts.stream import TextStream

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SCHEDULE = {"steps": 8, "batch": 8}
# Two data sets with other columns each, rounds of four and five batches, and numbers drawn in every step.
CONTRASTIVE = {
    "contrast": {"mixed_negatives": 2, "layers": "random", "matryoshka": [16]},
    "schedule": SCHEDULE,
    "watch": {"best_by": "last"},
}
ACCUMULATED = {**CONTRASTIVE, "schedule": {**SCHEDULE, "device_batch": 2}}
SIMCSE = {"schedule": {**SCHEDULE, "steps": 4}, "watch": {"best_by": "last"}}


def _sets(folder):
    hard = {"files": folder / "hard.jsonl", "negatives": ["negative_1", "negative_2"]}
    return {"pairs": {"files": folder / "pairs.jsonl", "instruction": "find"}, "hard": hard}


def _texts(folder):
    return Texts((str(folder / "texts.txt"),), held_out=12, shuffle=20)


def _toml(content):
    """The content of a recipe as TOML."""
    plain = {name: value for name, value in content.items() if not isinstance(value, dict | list)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in plain.items()]
    for name, value in content.items():
        for table in value if isinstance(value, list) else [value] * isinstance(value, dict):
            lines.append(f"[[{name}]]" if isinstance(value, list) else f"[{name}]")
            lines += [f"{key} = {json.dumps(each)}" for key, each in table.items()]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where two processes ran every case, one after the other."""
    folder = tmp_path_factory.mktemp("devices")
    write_texts(folder / "texts.txt")
    write_pairs(folder / "pairs.jsonl")
    write_pairs(folder / "hard.jsonl", 48, seed=1, negatives=2)
    write_encoder(folder / "encoder")
    jobs = [
        _job(folder, "contrastive", "two", CONTRASTIVE),
        _job(folder, "contrastive", "accumulated", ACCUMULATED),
        _job(folder, "contrastive", "stopped", CONTRASTIVE, stop_after=7),
        _job(folder, "contrastive", "stopped", CONTRASTIVE),
        _job(folder, "simcse", "views", SIMCSE),
    ]
    (folder / "jobs.json").write_text(json.dumps(jobs))
    codes = _torchrun(folder)
    assert codes == [[0, 0, 130, 0, 0]] * 2
    return folder


def _job(folder, stage, name, sections, stop_after=None):
    files = folder / "texts.txt" if stage == "simcse" else _sets(folder)
    recipe = folder / f"{name}.toml"
    recipe.write_text(_toml(content_of(stage, folder / name, folder / "encoder", files, **sections)))
    arguments = ["train", stage, "--config", str(recipe), "--device", "cpu"]
    return {"arguments": arguments, "stop_after": stop_after, "left": str(folder / f"{name} left")}


def _torchrun(folder):
    """What each process said of its jobs, by rank."""
    script = str(Path(__file__).with_name("rank_of_runs.py"))
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "HF_DATASETS_CACHE": str(folder / "cache"),
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    found = subprocess.run(
        [*command, script, str(folder / "jobs.json")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert found.returncode == 0, found.stderr
    lines = [json.loads(line) for line in found.stdout.splitlines() if line.startswith("{")]
    return [each["codes"] for each in sorted(lines, key=lambda each: each["rank"])]


@pytest.fixture(scope="module")
def alone(folder):
    """The same run in one process."""
    train("contrastive", folder / "alone", folder / "encoder", _sets(folder), **CONTRASTIVE)
    return folder / "alone"


@pytest.mark.parametrize("name", ["two", "accumulated", "stopped", "views"])
def test_processes_end_with_the_same_weights(folder, name):
    first, second = (load_file(folder / f"{name} left" / f"{rank}.safetensors") for rank in range(2))
    assert first.keys() == second.keys()
    assert all(first[key].equal(second[key]) for key in first)


def test_two_processes_make_the_steps_of_one(folder, alone):
    found = losses(folder / "two")
    assert len(found) == 8
    assert found == pytest.approx(losses(alone), rel=1e-4)
    assert largest_difference(folder / "two" / "encoder", alone / "encoder") < 1e-4


def test_a_stop_of_two_processes_changes_nothing(folder):
    assert losses(folder / "stopped") == pytest.approx(losses(folder / "two"), rel=1e-6)
    assert largest_difference(folder / "stopped" / "encoder", folder / "two" / "encoder") < 1e-6


def test_negatives_are_those_of_what_the_devices_take_at_a_time(folder, alone):
    # Half of the batch at a time: fewer negatives, so a lower loss of the same first batch.
    assert losses(folder / "accumulated")[1] < losses(alone)[1]


def test_two_processes_share_the_texts_of_a_step(folder):
    first, second = (json.loads((folder / "views left" / f"{rank}.json").read_text()) for rank in range(2))
    expected = [text for text, _ in zip(TextStream(_texts(folder)), range(4 * 8), strict=False)]
    tokenizer = tiny_tokenizer()
    found = [
        tokenizer.decode(row[1:]) for one, other in zip(first, second, strict=True) for row in one + other
    ]
    assert [len(rows) for rows in first] == [len(rows) for rows in second] == [4] * 4
    assert all(text.startswith(start) for text, start in zip(expected, found, strict=True))
