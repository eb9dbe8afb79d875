"""What goes wrong is named, nothing good is lost, and the same command goes on."""

import math
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import BertConfig, BertModel, MambaConfig, MambaForCausalLM

from encoder.checkpoint import load_encoder
from encoder.config import BaseReference
from encoder.errors import (
    CheckpointError,
    ConfigError,
    InputError,
    TrainingError,
    UnsupportedBackboneError,
)
from tests.train.stages.tiny_runs import measured, refusal, same_weights, train, write_texts
from train.running.run_folder import RunFolder, hold, last_checkpoint
from train.running.trainer import StageTrainer
from train.stages.backbone import find_backbone


@pytest.fixture
def own(tmp_path, material):
    """A copy of the material that a test may spoil."""
    shutil.copytree(material, tmp_path / "own", ignore=lambda folder, names: set(names) - _MATERIAL)
    return tmp_path / "own"


_MATERIAL = {"texts.txt", "backbone", *("config.json", "generation_config.json", "model.safetensors")} | {
    *("tokenizer.json", "tokenizer_config.json", "README.md", "recipe.json")
}


# The recipe against the backbone and the texts.


@pytest.mark.parametrize(
    ("sections", "what", "fix"),
    [
        (
            {"memory": {"n_memory": 8, "max_tokens": 60}},
            "memory.max_tokens 60 and 8 memory tokens need 69 places, the backbone holds 64",
            "set memory.max_tokens to at most 55",
        ),
        (
            {"memory": {"n_memory": 64, "max_tokens": 40}},
            "memory.max_tokens 40 and 64 memory tokens need 105 places, the backbone holds 64",
            "take fewer memory tokens or another backbone",
        ),
        (
            {"compression": {"shortest_context": 30, "shortest_continuation": 20}},
            "a split needs 50 tokens, memory.max_tokens is 40",
            "lower compression.shortest_context and shortest_continuation",
        ),
        (
            {"adapter": {"targets": ["q_prj"]}},
            "The backbone has no linear layer called 'q_prj'",
            "name some of",
        ),
        ({"schedule": {"batch": 5, "device_batch": 2}}, "A batch of 5", "set schedule.device_batch to"),
        ({"schedule": {"betas": [0.9]}}, "schedule.betas is [0.9]", "write betas = [0.9, 0.999]"),
    ],
)
def test_an_impossible_recipe_is_refused_with_what_is_possible(tmp_path, material, sections, what, fix):
    error = refusal(ConfigError, "compress", material, tmp_path / "run", **sections)
    assert what in error.what
    assert fix in error.fix


def test_no_held_out_texts_are_refused_before_training_where_the_best_goes_by_them(tmp_path, material):
    error = refusal(TrainingError, "compress", material, tmp_path / "run", texts={"held_out": 0})
    assert "goes by held_out_loss, which cannot be measured" in error.what
    assert "texts.held_out" in error.fix


def test_no_held_out_texts_are_fine_where_the_last_is_the_result(tmp_path, material):
    measures, _notes = train(
        "compress", material, tmp_path / "run", texts={"held_out": 0}, watch={"best_by": "last"}
    )
    assert measures == {}
    assert load_encoder(str(tmp_path / "run" / "encoder"), device="cpu").dimension == 16


@pytest.mark.parametrize(
    ("lines", "held_out", "what"),
    [
        (["bar"] * 30, 0, "Every text is shorter than the 8 tokens that a split needs"),
        (["bar ben bin " * 9] * 3, 12, "Nothing is left to train on: all 1 texts are held out"),
        ([" ", ""], 0, "Nothing is left to train on: there are no texts"),
    ],
)
def test_texts_that_teach_nothing_are_refused_and_better_ones_begin_in_the_same_folder(
    tmp_path, material, lines, held_out, what
):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    sections = {"texts": {"files": [str(path)], "held_out": held_out}, "watch": {"best_by": "last"}}
    assert what in refusal(InputError, "compress", material, tmp_path / "run", **sections).what
    write_texts(path)
    train("compress", material, tmp_path / "run", **sections)
    assert (tmp_path / "run" / "encoder").exists()


def test_a_file_damaged_in_its_middle_stops_the_run_there_and_is_named(tmp_path, material):
    path = tmp_path / "torn.parquet"
    words = [f"{number} {number * 7919 % 104729} words" for number in range(4000)]
    pq.write_table(pa.table({"text": words}), path, row_group_size=200)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = b"\xff" * 4000
    path.write_bytes(content)
    sections = {
        "texts": {"files": [str(path)]},
        "tokenizer": {"texts": 50},
        "schedule": {"batch": 50, "steps": 100},
    }
    error = refusal(InputError, "pretrain", material, tmp_path / "run", **sections)
    assert "cannot be read to their end" in error.what
    assert error.where == str(path)
    assert last_checkpoint(RunFolder(tmp_path / "run")) is not None  # it trained on what came before


# The backbone.


def test_a_missing_backbone_is_named(tmp_path, material):
    error = refusal(ConfigError, "compress", material, tmp_path / "run", backbone=str(tmp_path / "none"))
    assert error.what == f"The backbone {tmp_path / 'none'} does not exist."
    assert "llm2comp train pretrain" in error.fix
    assert not (tmp_path / "run").exists()


def test_the_folder_of_a_run_in_place_of_its_backbone_is_answered_with_the_right_one(tmp_path, pretrained):
    error = refusal(
        ConfigError, "compress", pretrained.folder, tmp_path / "run", backbone=str(pretrained.out)
    )
    assert f"name {pretrained.out / 'backbone'}" in error.fix


def test_a_folder_without_a_model_is_named(tmp_path, material):
    (tmp_path / "empty").mkdir()
    error = refusal(CheckpointError, "compress", material, tmp_path / "run", backbone=str(tmp_path / "empty"))
    assert "config.json is missing" in error.what


def test_a_model_without_a_head_is_no_backbone(tmp_path, own):
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=320, **shape)).save_pretrained(own / "backbone")
    error = refusal(CheckpointError, "compress", own, tmp_path / "run")
    assert "weights are missing" in error.what


def test_a_backbone_that_cannot_attend_in_both_directions_is_refused(tmp_path, own):
    config = MambaConfig(vocab_size=320, hidden_size=16, state_size=4, num_hidden_layers=1)
    MambaForCausalLM(config).save_pretrained(own / "backbone")
    error = refusal(UnsupportedBackboneError, "compress", own, tmp_path / "run")
    assert "mamba" in error.what or "mamba" in error.where


def test_damaged_weights_are_named(tmp_path, own):
    path = own / "backbone" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    error = refusal(CheckpointError, "compress", own, tmp_path / "run")
    assert "model.safetensors is damaged" in error.what


def test_a_backbone_without_a_tokenizer_is_named(tmp_path, own):
    for path in (own / "backbone").glob("tokenizer*"):
        path.unlink()
    assert "tokenizer" in refusal(CheckpointError, "compress", own, tmp_path / "run").what


def test_a_name_on_the_hub_may_have_a_revision(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("train.stages.backbone.fetch", lambda *name, **_: asked.append(name) or tmp_path)
    assert find_backbone("hf:org/name@v1")[1].revision == "v1"
    assert find_backbone("hf:org/name")[1].kind == "name"
    assert asked == [("org/name", "v1"), ("org/name", None)]


def test_without_a_revision_the_commit_that_was_fetched_is_kept(monkeypatch, tmp_path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    place = tmp_path / "snapshots" / commit
    monkeypatch.setattr("train.stages.backbone.fetch", lambda *name, **_: place)
    assert find_backbone("hf:org/name") == (place, BaseReference("name", "org/name", commit))
    assert find_backbone("hf:org/name@v1")[1].revision == commit  # a branch moves, too


# The folder.


def test_a_folder_of_something_else_is_left_alone(tmp_path, material):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    error = refusal(TrainingError, "compress", material, tmp_path / "photos")
    assert "holds something that is no run: cat.jpg" in error.what
    assert {path.name for path in (tmp_path / "photos").iterdir()} <= {"cat.jpg", "lock"}


def test_a_second_run_in_the_folder_is_refused(tmp_path, material):
    with hold(RunFolder(tmp_path / "run")):
        error = refusal(TrainingError, "compress", material, tmp_path / "run")
    assert error.what == "Another process trains in this folder."


@pytest.fixture(scope="module")
def begun(tmp_path_factory, material):
    """A run that stopped after its first checkpoint, with material of its own."""
    folder = tmp_path_factory.mktemp("begun")
    write_texts(folder / "texts.txt")
    shutil.copytree(material / "backbone", folder / "backbone")
    with pytest.MonkeyPatch.context() as patch:
        spoil_at(patch, step=5)
        with pytest.raises(TrainingError):
            train("compress", folder, folder / "run")
    return folder


def spoil_at(patch, step):
    """Makes a memory token NaN before a step, as a broken device or a mad learning rate would."""
    train_on = StageTrainer.training_step

    def training_step(self, model, *rest):
        if self.state.global_step + 1 == step:
            with torch.no_grad():
                model.encoder.memory[0, 0] = math.nan
        return train_on(self, model, *rest)

    patch.setattr(StageTrainer, "training_step", training_step)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"schedule": {"learning_rate": 0.5}}, "schedule.learning_rate: 0.01, now 0.5"),
        ({"compression": {"objective": "nll"}}, "compression.objective: 'ctkd', now 'nll'"),
        ({"memory": {"n_memory": 3}}, "memory.n_memory: 2, now 3"),
    ],
)
def test_going_on_with_another_recipe_is_refused_and_the_difference_named(begun, sections, said):
    error = refusal(ConfigError, "compress", begun, begun / "run", **sections)
    assert said in error.what
    assert error.where == str(begun / "run" / "run.json")


def test_going_on_with_other_texts_or_another_backbone_is_refused(begun, tmp_path):
    shutil.copytree(begun, tmp_path / "own")
    own = tmp_path / "own"
    (own / "texts.txt").write_text("other words\n" * 50, encoding="utf-8")
    path = own / "backbone" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    error = refusal(
        ConfigError,
        "compress",
        begun,
        own / "run",
        texts={"files": [str(own / "texts.txt")]},
        backbone=str(own / "backbone"),
    )
    assert "data.texts.txt: " in error.what
    assert "model.model.safetensors: " in error.what


def test_going_on_as_another_stage_is_refused(begun):
    error = refusal(ConfigError, "pretrain", begun, begun / "run")
    assert "stage: 'compress', now 'pretrain'" in error.what


# Numbers.


def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint_and_the_run_goes_on(
    tmp_path, material, compressed, monkeypatch
):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        spoil_at(patch, step=5)
        error = refusal(TrainingError, "compress", material, out)
    assert error.what == "The loss is nan at step 5, in a batch of the items [16, 17, 18, 19]."
    assert error.where == f"the last good checkpoint is {out / 'checkpoints' / 'checkpoint-3'}"
    assert load_encoder(str(out / "checkpoints" / "checkpoint-3"), device="cpu").dimension == 16
    assert not (out / "encoder").exists()
    train("compress", material, out)
    assert same_weights(out / "encoder", compressed.out / "encoder")
    assert measured(out) == measured(compressed.out)


def test_weights_spoiled_by_the_last_step_are_not_kept(tmp_path, material, monkeypatch):
    class Spoiling(torch.optim.AdamW):
        def step(self, *args, **options):
            super().step(*args, **options)
            for group in self.param_groups:
                for weight in group["params"]:
                    weight.data[:] = math.inf

    monkeypatch.setattr(
        StageTrainer,
        "create_optimizer",
        lambda self: setattr(self, "optimizer", Spoiling(self.model.parameters())),
    )
    for stage in ("pretrain", "compress"):
        out = tmp_path / stage
        sections = {"watch": {"best_by": "last"}, "schedule": {"steps": 1}}
        with pytest.raises(TrainingError, match="is not finite|NaN or infinity") as caught:
            train(stage, material, out, **sections)
        assert "learning_rate" in caught.value.fix
        assert last_checkpoint(RunFolder(out)) is None
