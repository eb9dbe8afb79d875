"""A dry run says what a recipe would take, checks what can be checked, and trains nothing."""

import json
from pathlib import Path

import pytest

from app.cli import main
from encoder.errors import CheckpointError, ConfigError
from tests.encoder.tiny import tiny_backbone
from tests.train.stages.contrast_runs import content_of, write_adapted, write_encoder, write_pairs
from tests.train.stages.tiny_runs import write_texts
from train.dry_run import plan
from train.recipe import build_recipe, recipe_to_json
from train.settings import CompressRecipe, ContrastiveRecipe, PretrainRecipe, SimcseRecipe

KINDS = {
    "pretrain": PretrainRecipe,
    "compress": CompressRecipe,
    "simcse": SimcseRecipe,
    "contrastive": ContrastiveRecipe,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Texts, pairs, a whole encoder, and one that is an adapter over `backbone`."""
    folder = tmp_path_factory.mktemp("dry")
    write_texts(folder / "texts.txt")
    write_pairs(folder / "pairs.jsonl")
    write_encoder(folder / "whole")
    write_adapted(folder / "adapted")
    return folder


def _recipe(stage, folder, **sections):
    if stage in ("simcse", "contrastive"):
        encoder = sections.pop("encoder", folder / "whole")
        files = {"pairs": folder / "pairs.jsonl"} if stage == "contrastive" else folder / "texts.txt"
        content = content_of(stage, folder / "out", encoder, files, **sections)
    else:
        content = {
            "out": str(folder / "out"),
            "texts": {"files": [str(folder / "texts.txt")]},
            "schedule": {"steps": 3, "batch": 16},
            **({"backbone": str(folder / "backbone")} if stage == "compress" else {}),
            **({"memory": {"max_tokens": 40}} if stage == "compress" else {}),
        }
        for name, section in sections.items():
            content[name] = {**content.get(name, {}), **section} if isinstance(section, dict) else section
    return build_recipe(KINDS[stage], content, "test")


@pytest.mark.parametrize("stage", KINDS)
def test_every_stage_has_a_plan_for_one_device_and_eight(folder, stage):
    found = plan(_recipe(stage, folder, schedule={"steps": 3, "batch": 16}))
    assert [(each.stage, each.devices, each.steps) for each in found.estimates] == [
        (stage, 1, 3),
        (stage, 8, 3),
    ]
    assert all(each.fits and each.trained_parameters > 1000 for each in found.estimates)
    assert found.notes == ()
    lines = found.lines()
    assert [line for line in lines if not line.startswith(" ")] == ["1 x 80 GB", "8 x 80 GB"]
    assert json.loads(json.dumps(found.to_json()))["estimates"][1]["devices"] == 8
    assert not (folder / "out").exists()


def test_the_adapter_of_an_encoder_is_counted_over_its_backbone(folder):
    found = plan(_recipe("simcse", folder, encoder=folder / "adapted", adapter={"lora": True})).estimates[0]
    whole = sum(weight.numel() for weight in tiny_backbone().parameters())
    assert found.frozen_parameters == whole + 4 * 32  # memory tokens stand still under an adapter


def test_a_batch_that_eight_devices_cannot_share_is_noted(folder):
    found = plan(_recipe("simcse", folder, schedule={"batch": 12}))
    assert [each.devices for each in found.estimates] == [1]
    assert found.notes == (
        "not on 8 devices: A batch of 12 cannot be spread over 8 devices. set schedule.batch to 8 or 16.",
    )
    assert found.lines()[-1].startswith("note: not on 8 devices")


def test_a_batch_that_one_device_cannot_take_is_refused(folder):
    with pytest.raises(ConfigError, match="cannot be taken 5 at a time"):
        plan(_recipe("simcse", folder, schedule={"batch": 12, "device_batch": 5}))


@pytest.mark.parametrize("stage", ["pretrain", "compress", "simcse"])
def test_texts_that_are_not_there_are_noted(folder, stage):
    found = plan(
        _recipe(stage, folder, texts={"files": ["nowhere.txt", "hf:org/name"]}, schedule={"batch": 16})
    )
    assert found.notes == ("nowhere.txt is not there yet",)
    assert len(found.estimates) == 2


def test_pairs_that_are_not_there_are_noted_once(folder):
    pairs = [{"name": "a", "files": ["nowhere.jsonl"]}, {"name": "b", "files": ["nowhere.jsonl"]}]
    found = plan(_recipe("contrastive", folder, pairs=pairs, schedule={"batch": 16}))
    assert found.notes == ("nowhere.jsonl is not there yet",)


def test_an_encoder_that_is_not_there_yet_is_refused_with_a_way_out(folder):
    with pytest.raises(
        CheckpointError, match="nowhere is not there yet, so its shape is not known"
    ) as caught:
        plan(_recipe("simcse", folder, encoder="nowhere"))
    assert "--set encoder=hf:NAME" in caught.value.fix


@pytest.mark.parametrize("stage", ["simcse", "contrastive"])
def test_a_backbone_stands_in_for_an_encoder_that_is_not_there_yet(folder, stage):
    found = plan(_recipe(stage, folder, encoder=folder / "backbone", schedule={"batch": 16}))
    assert len(found.estimates) == 2
    assert "is a backbone, taken as an encoder of 8 memory tokens" in found.notes[0]


def test_a_backbone_that_is_not_there_yet_is_refused(folder):
    with pytest.raises(ConfigError, match="The backbone nowhere does not exist") as caught:
        plan(_recipe("compress", folder, backbone="nowhere"))
    assert "`llm2comp train pretrain` makes a small one" in caught.value.fix


def test_a_damaged_configuration_is_refused(folder, tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="the configuration of .* cannot be read"):
        plan(_recipe("compress", folder, backbone=str(tmp_path)))


class _Hub:
    """The Hub with one repository, or without a connection."""

    def __init__(self, place=None):
        self.place, self.asked = place, []

    def __call__(self, name, *, revision, allow_patterns, local_files_only):
        self.asked.append((name, revision, allow_patterns))
        if self.place is None:
            raise OSError("Name or service not known")
        return str(self.place)


@pytest.mark.parametrize("stage", ["compress", "simcse"])
def test_of_a_backbone_on_the_hub_the_configuration_alone_is_fetched(folder, monkeypatch, stage):
    hub = _Hub(folder / "backbone")
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub)
    key = "backbone" if stage == "compress" else "encoder"
    found = plan(_recipe(stage, folder, **{key: "hf:org/name@v1"}, schedule={"batch": 16}))
    assert hub.asked == [("org/name", "v1", ["config.json"])]
    assert found.estimates[0].fits


def test_a_backbone_on_the_hub_without_a_network_is_refused(folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", _Hub())
    with pytest.raises(CheckpointError, match="org/name could not be fetched: Name or service") as caught:
        plan(_recipe("compress", folder, backbone="hf:org/name"))
    assert "check the name and the connection" in caught.value.fix


# The recipe is checked as a run checks it.


@pytest.mark.parametrize(
    ("stage", "sections", "what"),
    [
        ("simcse", {"watch": {"best_by": "held_out_loss"}}, "goes by held_out_loss"),
        ("simcse", {"texts": {"held_out": 0}}, "texts.held_out is 0"),
        ("contrastive", {"soup": 3}, "6 steps make 2"),
        ("contrastive", {"held_out": 1}, "held_out is 1"),
        ("contrastive", {"pairs": []}, "names no pairs"),
        ("contrastive", {"contrast": {"matryoshka": [64]}}, "matryoshka holds 64"),
        (
            "contrastive",
            {"contrast": {"layers": "random", "layer_sizes": [[3, 8]]}},
            r"layer_sizes holds \[3, 8\], the encoder has 2 layers",
        ),
    ],
)
def test_impossible_recipes_are_refused(folder, stage, sections, what):
    with pytest.raises(ConfigError, match=what):
        plan(_recipe(stage, folder, **sections))


def test_an_encoder_without_memory_tokens_is_refused(folder, tmp_path):
    write_encoder(tmp_path / "mntp")
    content = json.loads((tmp_path / "mntp" / "llm2comp.json").read_text())
    content |= {"n_memory": 0, "pooling": "bidirectional_mean"}
    (tmp_path / "mntp" / "llm2comp.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="has no memory tokens"):
        plan(_recipe("simcse", folder, encoder=tmp_path / "mntp"))


@pytest.mark.parametrize(
    ("stage", "sections", "note"),
    [
        (
            "simcse",
            {"views": {"max_tokens": 60}},
            "views.max_tokens is 60: cut to 24 tokens",
        ),  # the encoder's
        (
            "contrastive",
            {"contrast": {"max_document_tokens": 2000}},
            "contrast.max_document_tokens is 2,000: cut to 123 tokens",  # the backbone's 128 - 4 - BOS
        ),
    ],
)
def test_lengths_are_those_of_a_run(folder, stage, sections, note):
    found = plan(_recipe(stage, folder, **sections, schedule={"batch": 16}))
    (told,) = found.notes
    assert told.startswith(note)


# The command.


def _toml(recipe, path: Path):
    content = recipe_to_json(recipe)
    lines = [f"{name} = {json.dumps(value)}" for name, value in content.items() if isinstance(value, str)]
    for name in ("texts", "schedule", "views", "adapter", "watch"):
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in content[name].items())]
    path.write_text("\n".join(lines))
    return str(path)


def test_the_command_says_it_in_lines_or_as_json(folder, tmp_path, capsys):
    config = _toml(_recipe("simcse", folder, schedule={"batch": 12}), tmp_path / "recipe.toml")
    assert main(["train", "simcse", "--config", config, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 x 80 GB"
    assert lines[-1].startswith("note: not on 8 devices")
    assert main(["train", "simcse", "--config", config, "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["format"], len(found["estimates"]), len(found["notes"])) == (1, 1, 1)
    assert not (folder / "out").exists()


def test_the_command_refuses_what_a_run_would_refuse(folder, tmp_path, capsys):
    config = _toml(_recipe("simcse", folder), tmp_path / "recipe.toml")
    assert main(["train", "simcse", "--config", config, "--dry-run", "--set", "encoder=nowhere"]) == 1
    assert "error: the encoder nowhere is not there yet" in capsys.readouterr().err
