"""A batch over two devices is the batch on one."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.train.contrast.oracle import (
    ANCHORS,
    NEGATIVES,
    POSITIVES,
    Judge,
    features,
    relative_difference,
    tiny_model,
)
from train.contrast.guide import Guide
from train.contrast.loss import ContrastiveLoss
from train.settings import Contrast

ROOT = Path(__file__).parents[3]
# Doubled texts in the two halves, so that each device must know the other's.
COLUMNS = [[*ANCHORS, "fox"], [*POSITIVES[:6], POSITIVES[0], "seven wizards"], [*NEGATIVES, "old"]]
CASES = {
    "plain": Contrast(temperature=0.3, mini_batch=3, guide_margin=-2.0),
    "everything": Contrast(
        temperature=0.3,
        mini_batch=3,
        symmetric=True,
        mixed_negatives=3,
        focal=0.5,
        matryoshka=(16,),
        layers="random",
        guide_margin=0.2,
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where both processes left what they found."""
    folder = tmp_path_factory.mktemp("two")
    cases = {name: asdict(settings) for name, settings in CASES.items()}
    (folder / "task.json").write_text(json.dumps({"columns": COLUMNS, "cases": cases}))
    script = str(Path(__file__).with_name("one_of_two.py"))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen([sys.executable, script, str(rank), str(folder)], env=environment)
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=300) for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_processes_give_the_gradients_of_one(folder, case):
    first, second = (load_file(folder / f"{case} {rank}.safetensors") for rank in range(2))
    model = tiny_model(layers=3)
    guide = Guide(Judge(tiny_model(seed=3).eval()), model.tokenizer)
    value = ContrastiveLoss(model, CASES[case], guide=guide, seed=2)(features(model, COLUMNS))
    value.backward()
    assert (first["loss"] + second["loss"]).item() / 2 == pytest.approx(value.item(), rel=1e-5)
    for name, parameter in model.named_parameters():
        assert torch.equal(first[name], second[name])
        assert relative_difference(first[name], parameter.grad) < 1e-5
