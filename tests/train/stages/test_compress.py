"""Stage 1 by a recipe: the encoder it makes, what it says, and that stops change nothing."""

import json
import shutil

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from encoder.checkpoint import load_encoder
from encoder.config import read_config
from tests.train.stages.tiny_runs import losses, measured, recipe_of, rows, same_weights, train, weights
from train.running.live import LiveEncoder
from train.stages.compress import build_parts

QUERIES = ["bar ben bin", "a text that is much longer than the others " * 3, "", "naïve"]
FULL = {"adapter": {"lora": False}}
MNTP = {"compression": {"objective": "mntp"}}
KINDS = pytest.mark.parametrize(
    "sections",
    [{}, FULL, MNTP, {"adapter": {"lora": False}, **MNTP}],
    ids=["lora", "full", "mntp", "mntp-full"],
)


# What is trained.


def test_frozen_weights_are_kept_in_half_but_not_the_angles_of_positions(tmp_path, material):
    parts = build_parts(recipe_of("compress", material, tmp_path), material / "backbone", half_base=True)
    weights = {name: weight.dtype for name, weight in parts.objective.named_parameters()}
    frozen = {name for name in weights if "lora_" not in name and not name.endswith("memory")}
    assert {weights[name] for name in frozen} == {torch.bfloat16}
    assert {weights[name] for name in weights.keys() - frozen} == {torch.float32}
    angles = [buffer for name, buffer in parts.objective.named_buffers() if name.endswith("inv_freq")]
    assert [buffer.dtype for buffer in angles] == [torch.float32] * len(angles) and angles


def test_all_weights_that_are_trained_stay_whole(tmp_path, material):
    recipe = recipe_of("compress", material, tmp_path, **FULL)
    parts = build_parts(recipe, material / "backbone", half_base=True)
    assert {weight.dtype for weight in parts.objective.parameters()} == {torch.float32}


# What a run leaves.


def test_the_result_is_an_encoder_with_its_history(compressed):
    config = read_config(compressed.out / "encoder")
    (entry,) = config.stages
    assert (entry["stage"], entry["objective"], entry["seed"]) == ("compress", "ctkd", 0)
    assert entry["steps"] in (3, 6)
    assert list(entry["data"]) == ["texts.txt"]
    assert "torch" in entry["versions"]
    assert (config.n_memory, config.dimension, config.max_tokens) == (2, 16, 40)
    assert config.card["measures"] == compressed.measures


def test_the_card_has_data_recipe_scores_and_spectrum(compressed):
    card = (compressed.out / "encoder" / "README.md").read_text(encoding="utf-8")
    assert "texts.txt" in card
    assert '"learning_rate": 0.01' in card
    for name, value in compressed.measures.items():
        assert f"| {name} | {value:.4g} |" in card
    assert {"known_items", "effective_rank", "mean_cosine", "slot_similarity"} <= compressed.measures.keys()
    assert f"--encoder {compressed.out / 'encoder'}" in card


def test_the_run_says_loss_spectrum_and_where_the_encoder_is(compressed):
    said = "\n".join(compressed.notes)
    assert "weights are trained" in compressed.notes[0]
    assert "step 6 of 6 · loss" in said
    assert "effective rank" in said and "slot similarity" in said and "known items" in said
    assert "without memory" in said and "with another text's" in said
    assert compressed.notes[-1] == f"the encoder is {compressed.out / 'encoder'}"


def test_curves_have_loss_rank_cosine_and_slots(compressed):
    curves = EventAccumulator(str(compressed.out / "tensorboard"))
    curves.Reload()
    for name in ("effective_rank", "mean_cosine", "slot_similarity", "known_items", "held_out_loss"):
        found = [(event.step, event.value) for event in curves.Scalars(f"held_out/{name}")]
        expected = [
            (row["step"], row[f"eval_{name}"]) for row in rows(compressed.out) if f"eval_{name}" in row
        ]
        assert [step for step, _ in found] == [step for step, _ in expected] == [0, 3, 6]
        assert [value for _, value in found] == pytest.approx([value for _, value in expected])
    assert [event.step for event in curves.Scalars("train/loss")] == [2, 3, 4, 6]
    assert curves.Scalars("train/tokens_per_s")[0].value > 0


def test_nothing_of_this_machine_is_in_the_encoder(compressed):
    for path in (compressed.out / "encoder").glob("*.json"):
        assert str(compressed.folder) not in path.read_text(encoding="utf-8"), path.name


# Checkpoints.


@pytest.fixture
def seen(monkeypatch):
    """The vectors of QUERIES at every checkpoint, as the model in training gives them."""
    found = {}
    made = []

    class Remembered(LiveEncoder):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            made.append(self)

    from train.running import trainer

    seal = trainer.seal

    def look_and_seal(place):
        found[place.name] = made[-1].encode(QUERIES).vectors
        seal(place)

    monkeypatch.setattr("train.stages.compress.LiveEncoder", Remembered)
    monkeypatch.setattr(trainer, "seal", look_and_seal)
    return found


@KINDS
def test_every_checkpoint_loads_and_gives_the_vectors_of_its_moment(tmp_path, material, seen, sections):
    train("compress", material, tmp_path / "run", **sections)
    assert sorted(seen) == ["checkpoint-3", "checkpoint-6"]
    assert np.abs(seen["checkpoint-3"] - seen["checkpoint-6"]).max() > 1e-3
    for name, vectors in seen.items():
        saved = load_encoder(str(tmp_path / "run" / "checkpoints" / name), device="cpu", dtype="float32")
        np.testing.assert_allclose(saved.encode_document(QUERIES), vectors, atol=1e-5)


@KINDS
def test_the_result_is_the_best_checkpoint(tmp_path, material, seen, sections):
    measures, _notes = train("compress", material, tmp_path / "run", **sections)
    looks = {
        row["step"]: row["eval_held_out_loss"]
        for row in rows(tmp_path / "run")
        if "eval_held_out_loss" in row
    }
    best = min((3, 6), key=lambda step: (looks[step], step))
    assert measures["held_out_loss"] == looks[best]
    saved = load_encoder(str(tmp_path / "run" / "encoder"), device="cpu", dtype="float32")
    np.testing.assert_allclose(saved.encode_document(QUERIES), seen[f"checkpoint-{best}"], atol=1e-5)
    assert read_config(tmp_path / "run" / "encoder").stages[-1]["steps"] == best


def test_a_run_and_its_backbone_can_be_moved_together(tmp_path, material, compressed):
    shutil.copytree(material / "backbone", tmp_path / "backbone")
    shutil.copytree(compressed.out, tmp_path / "compressed")
    for name in ("encoder", "checkpoints/checkpoint-3"):
        here = load_encoder(str(compressed.out / name), device="cpu", dtype="float32")
        there = load_encoder(str(tmp_path / "compressed" / name), device="cpu", dtype="float32")
        np.testing.assert_array_equal(here.encode_document(QUERIES), there.encode_document(QUERIES))
    shutil.rmtree(tmp_path / "backbone")
    from encoder.errors import CheckpointError

    with pytest.raises(CheckpointError, match="backbone .* is not there"):
        load_encoder(str(tmp_path / "compressed" / "encoder"), device="cpu")


def test_the_backbone_stays_as_it_was(tmp_path, material):
    shutil.copytree(material / "backbone", tmp_path / "backbone")
    train("compress", material, tmp_path / "run", schedule={"steps": 2}, adapter={"lora": False})
    assert same_weights(tmp_path / "backbone", material / "backbone")


def test_the_result_of_pretraining_is_a_backbone(tmp_path, pretrained):
    backbone = str(pretrained.out / "backbone")
    train("compress", pretrained.folder, tmp_path / "run", schedule={"steps": 2}, backbone=backbone)
    assert load_encoder(str(tmp_path / "run" / "encoder"), device="cpu").dimension == 16


def test_only_adapter_and_memory_tokens_are_stored_with_an_adapter(compressed):
    names = {name.partition(" ")[0] for name in weights(compressed.out / "encoder")}
    assert names == {"adapter_model.safetensors", "memory.safetensors"}


# Stops.


@pytest.fixture
def stop_after(monkeypatch):
    """Ends the next run as Ctrl+C would, once the checkpoint after a step is whole."""
    from train.running import trainer

    def stop(step):
        seal = trainer.seal

        def seal_and_stop(place):
            seal(place)
            if place.name == f"checkpoint-{step}":
                monkeypatch.setattr(trainer, "seal", seal)
                raise KeyboardInterrupt

        monkeypatch.setattr(trainer, "seal", seal_and_stop)

    return stop


@pytest.mark.parametrize(
    "sections",
    [
        {},  # with dropout
        FULL,
        {"schedule": {"device_batch": 1, "steps": 6}},
        {"schedule": {"gradient_checkpointing": True}},
        MNTP,  # masks come from random numbers
        {"compression": {"objective": "nll"}, "texts": {"most": 30}},
    ],
    ids=["lora", "full", "parts", "checkpointing", "mntp", "nll"],
)
def test_a_run_that_went_on_equals_one_that_never_stopped(tmp_path, material, stop_after, sections):
    train("compress", material, tmp_path / "whole", **sections)
    stop_after(3)
    with pytest.raises(KeyboardInterrupt):
        train("compress", material, tmp_path / "broken", **sections)
    assert not (tmp_path / "broken" / "encoder").exists()
    measures, notes = train("compress", material, tmp_path / "broken", **sections)
    assert "going on after step 3" in notes
    for name in ("encoder", "checkpoints/checkpoint-6"):
        assert same_weights(tmp_path / "whole" / name, tmp_path / "broken" / name)
    assert measured(tmp_path / "broken") == measured(tmp_path / "whole")
    assert measures == read_config(tmp_path / "whole" / "encoder").card["measures"]


def test_a_run_goes_on_in_the_middle_of_a_later_round_of_the_texts(tmp_path, material, stop_after):
    sections = {"texts": {"most": 18}, "schedule": {"steps": 9}, "watch": {"keep": 3}}  # 6 texts a round
    train("compress", material, tmp_path / "whole", **sections)
    stop_after(6)
    with pytest.raises(KeyboardInterrupt):
        train("compress", material, tmp_path / "broken", **sections)
    train("compress", material, tmp_path / "broken", **sections)
    assert measured(tmp_path / "broken") == measured(tmp_path / "whole")


def test_a_finished_run_is_not_trained_again(compressed, monkeypatch):
    monkeypatch.setattr("train.stages.compress.build_parts", None)
    before = {path: path.stat().st_mtime_ns for path in compressed.out.rglob("*") if path.is_file()}
    measures, notes = train("compress", compressed.folder, compressed.out)
    assert measures == compressed.measures
    assert notes == ["the run was finished before; nothing is left to train"]
    assert {path: path.stat().st_mtime_ns for path in compressed.out.rglob("*") if path.is_file()} == before


def test_another_card_is_written_without_training(tmp_path, compressed, material):
    shutil.copytree(material / "backbone", tmp_path / "backbone")
    shutil.copy(material / "texts.txt", tmp_path / "texts.txt")
    out = tmp_path / "run"
    train("compress", tmp_path, out)
    before = losses(out)
    measures, _notes = train("compress", tmp_path, out, card={"licence": "CC0"})
    assert "| licence | CC0 |" in (out / "encoder" / "README.md").read_text(encoding="utf-8")
    assert losses(out) == before
    assert same_weights(out / "encoder", compressed.out / "encoder")
    assert measures == compressed.measures


def test_a_result_that_was_taken_away_is_written_again_without_training(tmp_path, compressed, material):
    out = material / "again"
    shutil.copytree(compressed.out, out)
    shutil.rmtree(out / "encoder")
    train("compress", material, out)
    assert same_weights(out / "encoder", compressed.out / "encoder")
    shutil.rmtree(out)


# Training itself.


def test_looking_more_often_changes_no_loss_although_there_is_dropout(tmp_path, material):
    for every in (1, 6):
        train("compress", material, tmp_path / str(every), watch={"evaluate_steps": every, "log_steps": 1})
    assert losses(tmp_path / "1") == losses(tmp_path / "6")


def test_accumulated_parts_of_a_batch_train_as_the_whole_batch(tmp_path, material):
    still = {"rank": 4, "dropout": 0.0}
    train("compress", material, tmp_path / "whole", adapter=still)
    train("compress", material, tmp_path / "parts", adapter=still, schedule={"device_batch": 1})
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("objective", ["ctkd", "nll", "reconstruction", "mntp", "ebae", "ebar"])
def test_every_objective_trains_to_an_encoder(tmp_path, material, objective):
    measures, _notes = train(
        "compress", material, tmp_path / "run", compression={"objective": objective}, schedule={"steps": 2}
    )
    assert measures["held_out_loss"] > 0
    encoder = load_encoder(str(tmp_path / "run" / "encoder"), device="cpu")
    assert encoder.encode_document(QUERIES).shape == (4, 16)
    assert read_config(tmp_path / "run" / "encoder").stages[-1]["objective"] == objective


def test_the_loss_falls(tmp_path, material):
    schedule = {"steps": 40, "learning_rate": 3e-3}
    train("compress", material, tmp_path / "run", schedule=schedule, watch={"evaluate_steps": 40})
    looks = [row["eval_held_out_loss"] for row in rows(tmp_path / "run") if "eval_held_out_loss" in row]
    assert looks[-1] < looks[0] - 0.02


def test_texts_too_short_to_split_are_counted_at_the_end(tmp_path, material):
    lines = (material / "texts.txt").read_text(encoding="utf-8").splitlines()
    (tmp_path / "texts.txt").write_text("\n".join(["bar", *lines, "ben", "", "bin"]), encoding="utf-8")
    texts = {"files": [str(tmp_path / "texts.txt")], "held_out": 12, "seed": 3}
    _measures, notes = train(
        "compress",
        material,
        tmp_path / "run",
        texts=texts,
        schedule={"steps": 20},
        watch={"evaluate_steps": 20},
    )
    assert "1 texts were passed over: no text" in notes
    assert any(line.endswith("texts were too short to split and were passed over") for line in notes)


def test_bfloat16_trains_too(tmp_path, material):
    measures, _notes = train(
        "compress", material, tmp_path / "run", schedule={"dtype": "bfloat16", "steps": 2}
    )
    assert np.isfinite(measures["held_out_loss"])
    stored = weights(tmp_path / "run" / "encoder")
    assert {value.dtype for value in stored.values()} == {torch.float32}


def test_the_recipe_that_was_run_stands_in_the_run(compressed):
    claim = json.loads((compressed.out / "run.json").read_text(encoding="utf-8"))
    from train.recipe import recipe_to_json

    assert claim["recipe"] == recipe_to_json(recipe_of("compress", compressed.folder, compressed.out))
    assert set(claim["model"]) == {"model.safetensors", "config.json", "tokenizer.json"}
