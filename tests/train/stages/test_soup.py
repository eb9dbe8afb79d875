"""The mean of encoders is an encoder whose weights are the mean."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from encoder.checkpoint import load_encoder, read_checkpoint
from encoder.config import BaseReference, Prompts, read_config
from encoder.errors import CheckpointError, ConfigError
from encoder.memory import new_memory
from encoder.save import save_encoder
from tests.encoder.tiny import TEXTS, tiny_backbone, tiny_config, tiny_tokenizer
from train.stages.soup import average_encoders

WEIGHTS = [1.0, 2.0, 5.0]


def _save(folder, *, seed=0, kind="llama", tokenizer=None, n_memory=4, steps=1, config=None, **changes):
    backbone = tiny_backbone(kind, seed=seed, **changes)
    card = {"licence": "MIT", "held_out_short": 0.9, "measures": {"known_items": float(steps)}}
    described = tiny_config(n_memory=n_memory, stages=({"stage": "x", "steps": steps},), card=card)
    save_encoder(
        folder,
        backbone=backbone,
        memory=new_memory(backbone, n_memory, seed=seed),
        tokenizer=tokenizer or tiny_tokenizer(),
        config=replace(described, **(config or {})),
    )
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Three encoders with all their weights."""
    folder = tmp_path_factory.mktemp("whole")
    return [_save(folder / str(seed), seed=seed, steps=100 * seed) for seed in range(3)]


def _save_adapter(folder, base, *, seed=0, rank=2, targets=("q_proj", "down_proj"), **more):
    torch.manual_seed(seed)
    options = {"lora_alpha": 6, "init_lora_weights": False, **more}
    backbone = get_peft_model(tiny_backbone(), LoraConfig(r=rank, target_modules=list(targets), **options))
    save_encoder(
        folder,
        backbone=backbone,
        memory=new_memory(tiny_backbone(), 4, seed=seed),
        tokenizer=tiny_tokenizer(),
        config=tiny_config(base=BaseReference("path", str(base))),
    )
    return folder


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    """Three encoders that are adapters over one backbone."""
    folder = tmp_path_factory.mktemp("adapted")
    tiny_backbone().save_pretrained(folder / "base")
    return [_save_adapter(folder / str(seed), "../base", seed=seed) for seed in range(3)]


def _weights(directory):
    """Weights of the backbone with the adapter merged, and the memory tokens."""
    parts = read_checkpoint(directory)
    backbone = parts.backbone
    if hasattr(backbone, "peft_config"):
        backbone = backbone.merge_and_unload()
    return backbone.state_dict() | {"memory": parts.memory}


def _assert_mean(out, directories, weights):
    states = [_weights(each) for each in directories]
    found = _weights(out)
    for name, tensor in found.items():
        exact = sum(w * state[name].double() for w, state in zip(weights, states, strict=True)) / sum(weights)
        assert torch.allclose(tensor.double(), exact, rtol=0, atol=1e-6), name
        assert not torch.equal(tensor, states[0][name]) or torch.equal(states[0][name], states[1][name])


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_whole_backbones_are_averaged(tmp_path, whole, weights):
    average_encoders(whole, tmp_path / "soup", weights)
    _assert_mean(tmp_path / "soup", whole, weights or [1, 1, 1])
    vectors = load_encoder(str(tmp_path / "soup"), device="cpu", dtype="float32").encode_document(TEXTS)
    assert np.isfinite(vectors).all()


def test_the_mean_may_be_stored_in_half(tmp_path, whole):
    average_encoders(whole, tmp_path / "whole")
    average_encoders(whole, tmp_path / "half", dtype="float16")
    wide, half = (read_checkpoint(tmp_path / name).backbone.state_dict() for name in ("whole", "half"))
    assert all(torch.equal(half[name], wide[name].half().float()) for name in wide)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    assert read_config(tmp_path / "half") == read_config(tmp_path / "whole")


def test_an_encoder_and_what_a_trainer_made_of_it_are_averaged(tmp_path, whole):
    """Training writes `use_cache: false` into the backbone's config; that decides no vector."""
    trained = _save(tmp_path / "trained", seed=7, use_cache=False)
    average_encoders([whole[0], trained], tmp_path / "soup")
    _assert_mean(tmp_path / "soup", [whole[0], trained], [1, 1])


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_what_adapters_add_is_averaged(tmp_path, adapted, weights):
    average_encoders(adapted, tmp_path / "deeper" / "soup", weights)
    _assert_mean(tmp_path / "deeper" / "soup", adapted, weights or [1, 1, 1])
    content = json.loads((tmp_path / "deeper" / "soup" / "adapter_config.json").read_text())
    assert (content["r"], content["lora_alpha"]) == (6, 18)


def test_adapters_with_ranks_of_their_own_are_averaged(tmp_path, adapted):
    base = adapted[0].parent / "base"
    more = {"rank_pattern": {"down_proj": 3}, "alpha_pattern": {"down_proj": 5}}
    two = [_save_adapter(tmp_path / str(seed), base, seed=seed, **more) for seed in (4, 5)]
    average_encoders(two, tmp_path / "soup")
    _assert_mean(tmp_path / "soup", two, [1, 1])


def test_the_backbone_is_found_from_the_new_place(tmp_path, adapted):
    average_encoders(adapted, tmp_path / "soup")
    base = read_config(tmp_path / "soup").base
    assert base.kind == "path"
    assert (tmp_path / "soup" / base.ref).resolve() == (adapted[0].parent / "base").resolve()
    load_encoder(str(tmp_path / "soup"), device="cpu").encode_document(["fox"])


def test_the_mean_of_equal_encoders_is_that_encoder_to_the_last_bit(tmp_path, whole):
    average_encoders([whole[1]] * 3, tmp_path / "soup", WEIGHTS)
    one, other = (
        load_encoder(str(each), device="cpu", dtype="float32") for each in (whole[1], tmp_path / "soup")
    )
    assert one.fingerprint == other.fingerprint


def test_the_history_says_what_was_averaged(tmp_path, whole):
    average_encoders(whole, tmp_path / "soup", [1, 1, 2])
    stages = read_config(tmp_path / "soup").stages
    assert stages[0] == {"stage": "x", "steps": 200}
    assert stages[1]["stage"] == "soup"
    assert stages[1]["steps"] == [0, 100, 200]
    assert stages[1]["weights"] == [0.25, 0.25, 0.5]
    assert str(tmp_path) not in json.dumps(stages)
    assert read_config(tmp_path / "soup").card == {"licence": "MIT"}, (
        "figures of one are not those of the mean"
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"n_memory": 5}, "n_memory is 4 in the first and 5 in the second"),
        ({"num_hidden_layers": 3}, "num_hidden_layers is 2 in the first and 3 in the second"),
        ({"kind": "qwen2"}, r"is .* in the first and .* in the second"),
        ({"config": {"prompts": Prompts(query="q: ")}}, "prompts.query is '' in the first and 'q: '"),
        ({"config": {"matryoshka": (8,)}}, r"matryoshka is \[\] in the first and \[8\]"),
        ({"tokenizer": tiny_tokenizer(bos=None)}, "the tokenizers .* differ"),
    ],
)
def test_encoders_of_another_kind_are_refused(tmp_path, whole, change, what):
    other = _save(tmp_path / "other", seed=5, **change)
    with pytest.raises(CheckpointError, match=what) as caught:
        average_encoders([whole[0], other], tmp_path / "soup")
    assert str(other) in caught.value.where
    assert not (tmp_path / "soup").exists()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"rank": 3}, "r is 2 in the first and 3 in the second"),
        ({"lora_alpha": 7}, "lora_alpha is 6 in the first and 7"),
        ({"targets": ("q_proj",)}, "target_modules is"),
        ({"use_rslora": True}, "The adapter has use_rslora, whose mean is no adapter"),
    ],
)
def test_other_adapters_are_refused(tmp_path, adapted, change, what):
    other = _save_adapter(tmp_path / "other", adapted[0].parent / "base", seed=5, **change)
    with pytest.raises(CheckpointError, match=what):
        average_encoders([adapted[0], other], tmp_path / "soup")


def test_adapters_over_other_weights_are_refused(tmp_path, adapted):
    tiny_backbone(seed=9).save_pretrained(tmp_path / "base")
    other = _save_adapter(tmp_path / "other", "../base", seed=5)
    with pytest.raises(CheckpointError, match="the adapters belong to different backbones"):
        average_encoders([adapted[0], other], tmp_path / "soup")


def test_a_copy_of_the_backbone_is_the_same_backbone(tmp_path, adapted):
    tiny_backbone().save_pretrained(tmp_path / "base")
    other = _save_adapter(tmp_path / "other", "../base", seed=5)
    average_encoders([adapted[0], other], tmp_path / "soup")
    _assert_mean(tmp_path / "soup", [adapted[0], other], [1, 1])


def test_an_adapter_and_a_whole_encoder_are_refused(tmp_path, whole, adapted):
    with pytest.raises(CheckpointError, match="base.kind is 'embedded' in the first and 'path'"):
        average_encoders([whole[0], adapted[0]], tmp_path / "soup")


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, float("nan")], [1.0, -1.0]])
def test_weights_that_are_no_mean_are_refused(tmp_path, whole, weights):
    with pytest.raises(ConfigError, match="expected 2 numbers above 0"):
        average_encoders(whole[:2], tmp_path / "soup", weights)


def test_nothing_to_average_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="There is no encoder to average"):
        average_encoders([], tmp_path / "soup")
