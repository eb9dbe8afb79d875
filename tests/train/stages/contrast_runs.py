"""Encoders, pairs and recipes of seconds for stages 2 and 3."""

import json
import random
from pathlib import Path

import torch

from encoder.config import BaseReference, Prompts
from encoder.memory import new_memory
from encoder.save import save_encoder
from encoder.weights import read_tensors
from tests.encoder.tiny import tiny_backbone, tiny_config, tiny_tokenizer
from tests.train.stages.tiny_runs import WORDS
from train.adapter import attach_adapter
from train.contrast.trainer import ContrastiveTrainer
from train.recipe import build_recipe
from train.settings import Adapter, ContrastiveRecipe, SimcseRecipe

LORA = {"lora": True, "rank": 2, "alpha": 4, "dropout": 0.1}
WHOLE = {"lora": False}
ONE_STEP = {"steps": 1, "batch": 8}
_SCHEDULE = {"steps": 6, "batch": 8, "learning_rate": 3e-3, "dtype": "float32"}
_WATCH = {"log_steps": 1, "evaluate_steps": 3, "known_items": 20, "keep": 9}


class Stopped(Exception):
    """A stop in the middle of a run, as Ctrl+C would make it."""


def write_encoder(place: Path, *, prompts: Prompts | None = None, max_tokens: int = 24, **shape) -> Path:
    """A whole encoder of random weights, with a history of one stage."""
    backbone = tiny_backbone(**shape)
    config = tiny_config(
        max_tokens=max_tokens, prompts=prompts or Prompts(), stages=({"stage": "compress", "steps": 1},)
    )
    save_encoder(
        place, backbone=backbone, memory=new_memory(backbone, 4), tokenizer=tiny_tokenizer(), config=config
    )
    return place


def write_adapted(place: Path, *, dropout: float = 0.1) -> Path:
    """An encoder that is an adapter, which does something, over `backbone` beside it."""
    backbone = tiny_backbone()
    backbone.save_pretrained(place.parent / "backbone")
    torch.manual_seed(1)
    adapted = attach_adapter(backbone, Adapter(rank=2, alpha=4, dropout=dropout))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.05)
    config = tiny_config(max_tokens=24, base=BaseReference("path", "../backbone"))
    save_encoder(
        place, backbone=adapted, memory=new_memory(backbone, 4), tokenizer=tiny_tokenizer(), config=config
    )
    return place


def write_pairs(path: Path, count: int = 40, *, seed: int = 0, negatives: int = 0) -> Path:
    """JSON lines; an anchor and its positive have two words in common that no other pair has."""
    generator = random.Random(seed)
    every = generator.sample([a + b for a in WORDS for b in WORDS], 2 * count)
    rows = []
    for number in range(count):
        own = every[2 * number : 2 * number + 2]
        row = {"anchor": " ".join(own), "positive": f"{own[1]} {own[0]} " + _words(generator)}
        rows.append(row | {f"negative_{place + 1}": _words(generator) for place in range(negatives)})
    return write_rows(path, rows)


def _words(generator: random.Random) -> str:
    return " ".join(generator.choices(WORDS, k=4))


def write_rows(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def content_of(stage: str, out: Path, encoder: Path, files: dict | Path, **sections) -> dict:
    """A recipe as TOML would hold it.

    Args:
        stage: "simcse" or "contrastive".
        out: of the run.
        encoder: begun with.
        files: of texts; or of pairs by name of the data set, or that with more keys.
        sections: merged into the tiny ones.
    """
    own: dict = {"texts": {"files": [str(files)], "held_out": 12, "shuffle": 20}}
    if stage == "simcse":
        own["views"] = {"max_tokens": 24, "mini_batch": 4, "attention_dropout": 0.2}
    else:
        sets = {name: value if isinstance(value, dict) else {"files": value} for name, value in files.items()}
        own = {"held_out": 8, "contrast": {"mini_batch": 4, "max_query_tokens": 8, "max_document_tokens": 24}}
        own["pairs"] = [{"name": name, **more, "files": [str(more["files"])]} for name, more in sets.items()]
    content = {
        "out": str(out),
        "encoder": str(encoder),
        "adapter": WHOLE,
        "schedule": _SCHEDULE,
        "watch": _WATCH,
        **own,
    }
    for name, section in sections.items():
        content[name] = {**content.get(name, {}), **section} if isinstance(section, dict) else section
    return content


def recipe_of(stage: str, *places, **sections):
    kind = {"simcse": SimcseRecipe, "contrastive": ContrastiveRecipe}[stage]
    return build_recipe(kind, content_of(stage, *places, **sections), "test")


def train(stage: str, *places, stop_at: int | None = None, **sections) -> tuple[dict, list[str]]:
    """Runs a stage in this process, to a step if asked for; gives its measures and what it said."""
    from train.stages.contrastive import contrastive
    from train.stages.simcse import simcse

    notes: list[str] = []

    def note(line: str) -> None:
        notes.append(line)
        if line.startswith(f"step {stop_at} of") and "loss" in line:
            raise Stopped

    work = {"simcse": simcse, "contrastive": contrastive}[stage]
    return work(recipe_of(stage, *places, **sections), note, device="cpu"), notes


def spoil(patch, *, step: int) -> None:
    """Makes a memory token NaN before a step, as a broken device or a mad learning rate would."""
    train_on = ContrastiveTrainer.training_step

    def training_step(self, model, *rest):
        if self.state.global_step + 1 == step:
            with torch.no_grad():
                dict(model.named_parameters())["0.model.memory"][0, 0] = float("nan")
        return train_on(self, model, *rest)

    patch.setattr(ContrastiveTrainer, "training_step", training_step)


def tensors(folder: Path) -> dict:
    """All tensors of an encoder directory, by file and name."""
    files = sorted(folder.glob("*.safetensors"))
    return {f"{path.name} {name}": value for path in files for name, value in read_tensors(path).items()}


def largest_difference(one: Path, other: Path) -> float:
    """Of two encoder directories of one shape."""
    first, second = tensors(one), tensors(other)
    assert first and first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)
