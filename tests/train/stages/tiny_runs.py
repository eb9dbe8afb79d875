"""Recipes of seconds, the same for tests and for the processes they start and kill."""

import json
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from encoder.errors import Llm2CompError
from train.recipe import build_recipe
from train.settings import CompressRecipe, PretrainRecipe

WORDS = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in "nrst"]

_PRETRAIN = {
    "tokenizer": {"vocabulary": 320},
    "shape": {"width": 16, "layers": 2, "heads": 2, "mlp": 24, "window": 32, "max_positions": 64},
}
_COMPRESS = {
    "memory": {"n_memory": 2, "max_tokens": 40},
    "adapter": {"rank": 4},
    "compression": {"shortest_context": 4, "shortest_continuation": 4},
}
# Looks and checkpoints fall between two losses: nothing of a mean over steps may be lost with a stop.
_BOTH = {
    "schedule": {"steps": 6, "batch": 4, "learning_rate": 1e-2, "dtype": "float32"},
    "watch": {"log_steps": 2, "evaluate_steps": 3},
}


def write_texts(path: Path, count: int = 60, seed: int = 0) -> Path:
    """A line a text, the words of each from one of eight groups: a context tells which words come next."""
    generator = random.Random(seed)
    groups = [WORDS[start::8] for start in range(8)]
    lines = [" ".join(generator.choices(groups[number % 8], k=24)) for number in range(count)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def content_of(stage: str, folder: Path, out: Path, **sections) -> dict:
    """A recipe as TOML would hold it; sections are merged into the tiny ones."""
    content = {
        "out": str(out),
        "texts": {"files": [str(folder / "texts.txt")], "held_out": 12, "shuffle": 20},
        **(_PRETRAIN if stage == "pretrain" else {"backbone": str(folder / "backbone"), **_COMPRESS}),
        **_BOTH,
    }
    for name, section in sections.items():
        content[name] = {**content.get(name, {}), **section} if isinstance(section, dict) else section
    return content


def recipe_of(stage: str, folder: Path, out: Path, **sections):
    kind = PretrainRecipe if stage == "pretrain" else CompressRecipe
    return build_recipe(kind, content_of(stage, folder, out, **sections), "test")


def write_recipe(path: Path, content: dict) -> Path:
    """The content as TOML."""
    tables = {name: value for name, value in content.items() if isinstance(value, dict)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in content.items() if name not in tables]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def train(stage: str, folder: Path, out: Path, **sections) -> tuple[dict, list[str]]:
    """Runs a stage in this process; gives its measures and what it said."""
    from train.stages.compress import compress
    from train.stages.pretrain import pretrain

    notes: list[str] = []
    work = {"pretrain": pretrain, "compress": compress}[stage]
    return work(recipe_of(stage, folder, out, **sections), notes.append, device="cpu"), notes


def refusal(kind: type[Llm2CompError], *arguments, **sections) -> Llm2CompError:
    """The error of that kind that a run ends with."""
    with pytest.raises(kind) as caught:
        train(*arguments, **sections)
    return caught.value


def train_until_killed(stage: str, folder: Path, out: Path, sections: dict, changes: int) -> None:
    """Runs a stage in a process of its own, which kills itself at a change of the run's folder.

    Args:
        stage: its name.
        folder: with texts and backbone.
        out: of the run.
        sections: of the recipe.
        changes: files opened for writing, renamed or taken away in `out` before the kill.
    """
    import torch

    torch.set_num_threads(1)
    seen = 0

    def watch(event: str, arguments: tuple) -> None:
        nonlocal seen
        if event not in ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"):
            return
        if event == "open" and not (
            isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        ):
            return
        if str(arguments[0]).startswith(str(out)):
            seen += 1
            if seen == changes:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    train(stage, folder, out, **sections)


def losses(out: Path) -> dict[int, float]:
    """Loss by step, as `metrics.jsonl` has it; a step that is there twice is an error."""
    found = [row for row in rows(out) if "loss" in row]
    by_step = {row["step"]: row["loss"] for row in found}
    assert len(by_step) == len(found), "a step was logged twice"
    return by_step


def rows(out: Path) -> list[dict]:
    """The lines of `metrics.jsonl`."""
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def measured(out: Path) -> list[dict]:
    """The same without what depends on the clock."""
    clock = {"tokens_per_s", "seconds_left", "memory_bytes", "time"}
    return [{name: value for name, value in row.items() if name not in clock} for row in rows(out)]


def weights(folder: Path) -> dict:
    """All tensors of a model's folder, by file and name."""
    from encoder.weights import read_tensors

    files = sorted(folder.glob("*.safetensors"))
    return {f"{path.name} {name}": value for path in files for name, value in read_tensors(path).items()}


def same_weights(one: Path, other: Path) -> bool:
    """Whether two folders hold the same tensors, bit for bit."""
    import torch

    first, second = weights(one), weights(other)
    return (
        bool(first) and first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)
    )
