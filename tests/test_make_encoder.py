"""`make bundled-encoder` gives commands that exist, each what the one before it wrote."""

import shlex
import subprocess
from pathlib import Path

from app.cli import build_parser
from train.distillation.recipe import Recipe
from train.recipe import read_recipe
from train.settings import ContrastiveRecipe

ROOT = Path(__file__).parents[1]


def _commands(*variables):
    line = ["make", "-n", "--no-print-directory", "bundled-encoder", *variables]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [shlex.split(line) for line in done.stdout.splitlines() if "llm2comp train" in line]
    return [words[1:] for words in lines]


def test_each_command_is_one_of_ours_and_takes_what_was_made_before(tmp_path):
    parsed = [build_parser().parse_args(words) for words in _commands(f"DATA={tmp_path}", "WORK=some where")]
    distil, contrastive, soup, hybrid = parsed
    assert [each.stage for each in parsed] == ["distil", "contrastive", "soup", "hybrid"]
    assert contrastive.set == [f"encoder={distil.out}"]
    assert soup.encoders == [str(distil.out), f"{contrastive.out}/encoder"]
    assert soup.dtype == "float16"
    assert str(hybrid.encoder) == soup.out
    assert hybrid.config == contrastive.config  # what that run holds out
    assert {each.data for each in (distil, contrastive, hybrid)} == {tmp_path}
    assert read_recipe(Recipe, ROOT / distil.config).student.n_memory == 8
    assert read_recipe(ContrastiveRecipe, ROOT / contrastive.config).held_out > 0


def test_without_data_it_says_what_is_missing():
    line = ["make", "bundled-encoder", "BIN=false", "-o", "development"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "say where texts and pairs lie: make bundled-encoder DATA=folder" in done.stderr
