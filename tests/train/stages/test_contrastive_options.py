"""What a stop leaves, and what every option of stage 3 leaves on disk."""

import numpy as np
import pytest

from encoder.checkpoint import load_encoder, read_checkpoint
from encoder.config import read_config
from encoder.errors import TrainingError
from tests.train.stages.contrast_runs import (
    LORA,
    ONE_STEP,
    Stopped,
    largest_difference,
    read_rows,
    train,
    write_adapted,
    write_encoder,
    write_pairs,
)
from tests.train.stages.tiny_runs import rows
from train.contrast.loss import ContrastiveLoss
from train.stages import contrastive as module


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """Nothing of the tests stays in the cache of the user."""
    import datasets

    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("cache")
    yield
    datasets.config.HF_DATASETS_CACHE = before


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pairs, pairs with hard negatives, a whole encoder, and one that is an adapter over `backbone`."""
    folder = tmp_path_factory.mktemp("options")
    write_pairs(folder / "pairs.jsonl")
    write_pairs(folder / "hard.jsonl", seed=1, negatives=1)
    write_encoder(folder / "whole")
    write_adapted(folder / "adapted")
    return folder


def _losses(out):
    return [row["loss"] for row in rows(out) if "loss" in row]


# Going on after a stop.

STOPPED = {
    "drawn numbers": {"contrast": {"mixed_negatives": 2, "layers": "random", "matryoshka": [8, 16]}},
    "accumulation": {
        "contrast": {"mixed_negatives": 2, "layers": "random"},
        "schedule": {"device_batch": 4, "steps": 6},
    },
    "dropout": {"adapter": LORA},
}


@pytest.mark.parametrize("case", STOPPED)
@pytest.mark.parametrize("stop_at", [4, 8])  # in the first round of the pairs and in a later one
def test_a_stop_changes_nothing(folder, case, stop_at):
    sets = {
        "pairs": folder / "pairs.jsonl",
        "hard": {"files": folder / "hard.jsonl", "negatives": ["negative_1"]},
    }
    more = {**STOPPED[case]}
    more["schedule"] = {**more.get("schedule", {}), "steps": 9}
    encoder = folder / ("adapted" if "adapter" in more else "whole")
    whole, stopped = (folder / "runs" / f"{case} {stop_at} {word}" for word in ("whole", "stopped"))
    train("contrastive", whole, encoder, sets, **more)
    with pytest.raises(Stopped):
        train("contrastive", stopped, encoder, sets, stop_at=stop_at, **more)
    _, notes = train("contrastive", stopped, encoder, sets, **more)
    assert any(note.startswith("going on after step") for note in notes)
    assert _losses(stopped) == pytest.approx(_losses(whole))
    for name in ("checkpoints/checkpoint-9", "encoder"):
        assert largest_difference(stopped / name, whole / name) < 1e-6


def test_what_the_loss_draws_differs_in_every_part_of_an_accumulated_batch(folder, tmp_path, monkeypatch):
    steps = []
    forward = ContrastiveLoss.forward

    def spy(self, columns, labels=None):
        steps.append(self.step)
        return forward(self, columns, labels)

    monkeypatch.setattr(ContrastiveLoss, "forward", spy)
    train(
        "contrastive",
        tmp_path / "run",
        folder / "whole",
        {"pairs": folder / "pairs.jsonl"},
        schedule={"steps": 3, "device_batch": 4},
    )
    assert steps == [0, 1, 2, 3, 4, 5]


# Options.


def test_the_sizes_that_stand_alone_are_stored_with_those_from_before(folder, tmp_path):
    places = (folder / "whole", {"pairs": folder / "pairs.jsonl"})
    train("contrastive", tmp_path / "one", *places, contrast={"matryoshka": [16]}, schedule=ONE_STEP)
    sets = {"pairs": folder / "pairs.jsonl"}
    train(
        "contrastive",
        tmp_path / "two",
        tmp_path / "one" / "encoder",
        sets,
        contrast={"matryoshka": [8, 16]},
        schedule=ONE_STEP,
    )
    assert read_config(tmp_path / "two" / "encoder").matryoshka == (8, 16)


def test_a_shorter_encoder_comes_out_of_training_its_layers(folder, tmp_path):
    contrast = {"layers": "starbucks", "layer_sizes": [[1, 16], [2, 32]], "matryoshka": [16]}
    write_encoder(tmp_path / "encoder", num_hidden_layers=3)
    sets = {"pairs": folder / "pairs.jsonl"}
    queries, documents = (
        [row[column] for row in read_rows(folder / "pairs.jsonl")] for column in ("anchor", "positive")
    )
    found = {}
    for name, more in {"with": contrast, "without": {}}.items():
        train(
            "contrastive",
            tmp_path / name,
            tmp_path / "encoder",
            sets,
            contrast=more,
            schedule={"steps": 24},
            watch={"best_by": "last"},
        )
        short = load_encoder(f"{tmp_path / name / 'encoder'}?layers=1", device="cpu", dtype="float32")
        query, document = (
            short.encode_query(queries)[:, :16],
            short.encode_document(documents)[:, :16],
        )
        query, document = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (query, document))
        scores = query @ document.T
        found[name] = float((scores.diagonal()[:, None] >= scores).mean())
    assert found["with"] > found["without"]


def test_a_guide_is_named_by_its_spec(folder, tmp_path, monkeypatch):
    places = (folder / "whole", {"pairs": folder / "pairs.jsonl"})
    schedule = {"steps": 1, "batch": 16}
    train("contrastive", tmp_path / "plain", *places, schedule=schedule)
    # Every candidate is as near as the positive less 2, so all negatives are left out.
    contrast = {"guide": str(folder / "adapted"), "guide_margin": 2.0}
    train("contrastive", tmp_path / "guided", *places, schedule=schedule, contrast=contrast)
    assert _losses(tmp_path / "guided") == [pytest.approx(0.0, abs=1e-6)]
    assert _losses(tmp_path / "plain")[0] > 0.1


def test_documents_may_look_for_their_queries_too(folder, tmp_path):
    places = (folder / "whole", {"pairs": folder / "pairs.jsonl"})
    for name, is_symmetric in {"one": False, "two": True}.items():
        train(
            "contrastive", tmp_path / name, *places, contrast={"symmetric": is_symmetric}, schedule=ONE_STEP
        )
    one, two = (_losses(tmp_path / name)[0] for name in ("one", "two"))
    assert abs(one - two) > 1e-4


def test_the_last_checkpoint_can_become_the_result(folder, tmp_path):
    places = (folder / "whole", {"pairs": folder / "pairs.jsonl"})
    # A rate that ruins the encoder, so that the first checkpoint is better.
    for best_by in ("last", "known_items"):
        train(
            "contrastive",
            tmp_path / best_by,
            *places,
            schedule={"learning_rate": 1.0, "decay": "constant"},
            watch={"best_by": best_by, "evaluate_steps": 1, "log_steps": 1},
        )
    last = read_config(tmp_path / "last" / "encoder").stages[-1]["steps"]
    best = read_config(tmp_path / "known_items" / "encoder").stages[-1]["steps"]
    looks = {
        row["step"]: row["eval_known_items"] for row in rows(tmp_path / "last") if "eval_known_items" in row
    }
    assert last == 6
    assert looks[best] == max(score for step, score in looks.items() if step)


# Averages.


def _average(places):
    found = [_weights(place) for place in places]
    return {name: sum(each[name] for each in found) / len(found) for name in found[0]}


def _weights(place):
    """What an encoder's layers multiply with, adapters merged."""
    parts = read_checkpoint(place)
    backbone = parts.backbone
    backbone = backbone.merge_and_unload() if hasattr(backbone, "merge_and_unload") else backbone
    return {"memory": parts.memory, **backbone.state_dict()}


@pytest.mark.parametrize(("encoder", "adapter"), [("whole", {"lora": False}), ("adapted", LORA)])
def test_the_last_checkpoints_can_be_averaged(folder, monkeypatch, encoder, adapter):
    monkeypatch.setattr(module, "_better", lambda best, soup, note: soup)  # whatever it scores
    out = folder / "runs" / f"soup of {encoder}"
    _, notes = train(
        "contrastive",
        out,
        folder / encoder,
        {"pairs": folder / "pairs.jsonl"},
        adapter=adapter,
        watch={"evaluate_steps": 2},
        soup=2,
    )
    expected = _average([out / "checkpoints" / f"checkpoint-{step}" for step in (4, 6)])
    found = _weights(out / "encoder")
    assert max(float((found[name] - expected[name]).abs().max()) for name in expected) < 1e-6
    stages = read_config(out / "encoder").stages
    assert [stage["stage"] for stage in stages] == (["compress"] if encoder == "whole" else []) + [
        "contrastive"
    ]
    assert (stages[-1]["averaged_steps"], stages[-1]["steps"]) == ([4, 6], 6)
    assert not (out / "soup").exists()
    assert "4, 6 steps" in (out / "encoder" / "README.md").read_text()


def test_an_average_that_finds_less_is_not_taken(folder, tmp_path):
    _, notes = train(
        "contrastive",
        tmp_path / "run",
        folder / "whole",
        {"pairs": folder / "pairs.jsonl"},
        schedule={"learning_rate": 1.0, "decay": "constant"},  # an average of ruins
        watch={"evaluate_steps": 2},
        soup=3,
    )
    (told,) = [note for note in notes if note.startswith("known items: ")]
    soup, best = float(told.split()[2]), float(told.split()[9])
    averaged = "averaged_steps" in read_config(tmp_path / "run" / "encoder").stages[-1]
    assert averaged == (soup >= best)
    assert told.endswith("the average is kept" if averaged else "the best one is kept")


def test_a_full_disk_costs_no_training(folder, tmp_path, monkeypatch):
    places = (tmp_path / "run", folder / "whole", {"pairs": folder / "pairs.jsonl"})
    average = module.average_encoders

    def full(checkpoints, out):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "average_encoders", full)
    with pytest.raises(TrainingError, match="average of 2 checkpoints could not be written.*No space left"):
        train("contrastive", *places, soup=2)
    assert not (tmp_path / "run" / "encoder").exists()
    monkeypatch.setattr(module, "average_encoders", average)
    before = (tmp_path / "run" / "checkpoints" / "checkpoint-6" / "model.safetensors").stat().st_mtime_ns
    train("contrastive", *places, soup=2)
    assert load_encoder(str(tmp_path / "run" / "encoder"), device="cpu").dimension == 32
    assert (
        before == (tmp_path / "run" / "checkpoints" / "checkpoint-6" / "model.safetensors").stat().st_mtime_ns
    )
