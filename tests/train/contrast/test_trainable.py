"""An encoder opened for training: which weights move, and where the others lie."""

import json
import shutil

import pytest
import torch

from encoder.checkpoint import load_encoder
from encoder.errors import CheckpointError, ConfigError
from tests.train.stages.contrast_runs import write_adapted, write_encoder
from train.contrast.trainable import fingerprint_encoder, open_trainable
from train.settings import Adapter

LORA, WHOLE = Adapter(rank=2, alpha=4, dropout=0.0), Adapter(lora=False)
TEXTS = ["gan bas tin", "tor", ""]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A whole encoder, and one that is an adapter over `backbone`."""
    folder = tmp_path_factory.mktemp("trainable")
    write_encoder(folder / "whole")
    write_adapted(folder / "adapted")
    return folder


def _trained(opened):
    return {name for name, weight in opened.model.named_parameters() if weight.requires_grad}


def _embed(opened):
    with torch.no_grad():
        found = opened.module(opened.module.preprocess(TEXTS))["sentence_embedding"]
    return found.numpy()


@pytest.mark.parametrize(
    ("encoder", "settings", "adapter"),
    [
        ("whole", WHOLE, "none"),
        ("whole", LORA, "new"),
        ("adapted", LORA, "continued"),
        ("adapted", WHOLE, "merged"),
    ],
)
def test_an_opened_encoder_gives_the_vectors_of_the_stored_one(folder, encoder, settings, adapter):
    opened = open_trainable(str(folder / encoder), settings)
    expected = load_encoder(str(folder / encoder), device="cpu", dtype="float32").encode_document(TEXTS)
    assert opened.adapter == adapter
    assert abs(_embed(opened) - expected).max() < 1e-5


@pytest.mark.parametrize("encoder", ["whole", "adapted"])
def test_an_adapter_alone_is_trained(folder, encoder):
    trained = _trained(open_trainable(str(folder / encoder), LORA))
    assert trained
    assert all("lora_" in name for name in trained)


@pytest.mark.parametrize("encoder", ["whole", "adapted"])
def test_all_weights_are_trained_memory_tokens_included(folder, encoder):
    opened = open_trainable(str(folder / encoder), WHOLE)
    assert _trained(opened) == {name for name, _ in opened.model.named_parameters()}
    assert opened.memory.requires_grad
    assert not any("lora_" in name for name in _trained(opened))


def test_what_is_trained_is_told_with_numbers(folder):
    opened = open_trainable(str(folder / "adapted"), LORA)
    # Per layer: rank 2 times the widths of both sides of q, v, o, gate, up and down.
    layer = 2 * ((32 + 32) + (32 + 16) + (32 + 32) + 3 * (32 + 48))
    total = sum(weight.numel() for weight in opened.model.parameters())
    assert opened.told() == (
        f"trained: the adapter that is there, with its own rank and dropout ({2 * layer:,} of {total:,})"
    )


@pytest.mark.parametrize(
    ("encoder", "settings", "kind", "place"),
    [
        ("whole", WHOLE, "embedded", None),
        ("whole", LORA, "path", "whole"),
        ("adapted", LORA, "path", "backbone"),
        ("adapted", WHOLE, "embedded", None),
    ],
)
def test_frozen_weights_stay_where_they_lie(folder, encoder, settings, kind, place):
    base = open_trainable(str(folder / encoder), settings).base
    assert base.kind == kind
    assert base.ref == ("." if place is None else str((folder / place).resolve()))


def test_a_new_adapter_follows_from_the_seed(folder):
    first, same, other = (
        dict(open_trainable(str(folder / "whole"), LORA, seed=seed).model.named_parameters())
        for seed in (1, 1, 2)
    )
    assert all(first[name].equal(same[name]) for name in first)
    assert not all(first[name].equal(other[name]) for name in first)


@pytest.mark.parametrize(("encoder", "settings"), [("whole", WHOLE), ("whole", LORA), ("adapted", LORA)])
def test_activations_computed_twice_give_the_same_gradients(folder, encoder, settings):
    found = []
    for is_checkpointed in (False, True):
        opened = open_trainable(str(folder / encoder), settings, gradient_checkpointing=is_checkpointed)
        opened.model.train()
        decoder = opened.backbone.get_base_model() if settings.lora else opened.backbone
        assert decoder.is_activation_checkpointing == is_checkpointed
        vectors = opened.module(opened.module.preprocess(TEXTS))["sentence_embedding"]
        (vectors * torch.arange(32)).sum().backward()
        found.append({name: w.grad for name, w in opened.model.named_parameters() if w.requires_grad})
    assert any(gradient.abs().max() > 1e-4 for gradient in found[0].values())
    assert all(torch.allclose(found[0][name], found[1][name], atol=1e-5) for name in found[0])


def test_frozen_weights_alone_can_be_kept_in_half_the_bytes(folder):
    opened = open_trainable(str(folder / "adapted"), LORA, half_base=True)
    kinds = {weight.requires_grad: weight.dtype for weight in opened.backbone.parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    whole = open_trainable(str(folder / "adapted"), WHOLE, half_base=True)
    assert {weight.dtype for weight in whole.backbone.parameters()} == {torch.float32}


def test_the_temperature_of_attention_is_applied_once(folder, tmp_path):
    shutil.copytree(folder / "whole", tmp_path / "sharp")
    content = json.loads((tmp_path / "sharp" / "llm2comp.json").read_text())
    (tmp_path / "sharp" / "llm2comp.json").write_text(json.dumps(content | {"attention_temperature": 0.5}))
    expected = load_encoder(str(tmp_path / "sharp"), device="cpu", dtype="float32").encode_document(TEXTS)
    assert abs(_embed(open_trainable(str(tmp_path / "sharp"), LORA)) - expected).max() < 1e-5
    assert abs(_embed(open_trainable(str(folder / "whole"), LORA)) - expected).max() > 1e-4


# What may not change when a run goes on.


def _change_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda at: shutil.copy(at / "other" / "model.safetensors", at / "backbone"), "model.safetensors"),
        (lambda at: shutil.copy(at / "other" / "memory.safetensors", at / "adapted"), "memory.safetensors"),
        (
            lambda at: _change_json(at / "adapted" / "adapter_config.json", lora_alpha=9),
            "adapter_config.json",
        ),
        (lambda at: _change_json(at / "adapted" / "llm2comp.json", max_tokens=9), "configuration"),
    ],
)
def test_what_decides_the_vectors_is_in_the_fingerprint(folder, tmp_path, change, key):
    for name in ("adapted", "backbone"):
        shutil.copytree(folder / name, tmp_path / name)
    write_encoder(tmp_path / "other", seed=3)
    before = fingerprint_encoder(str(tmp_path / "adapted"))
    change(tmp_path)
    after = fingerprint_encoder(str(tmp_path / "adapted"))
    assert {name for name in after if after[name] != before.get(name)} == {key}


def test_what_people_are_told_is_not_in_the_fingerprint(folder, tmp_path):
    shutil.copytree(folder / "whole", tmp_path / "whole")
    _change_json(tmp_path / "whole" / "llm2comp.json", card={"licence": "MIT"}, hybrid_weight=0.2, stages=[])
    assert fingerprint_encoder(str(tmp_path / "whole")) == fingerprint_encoder(str(folder / "whole"))


# What is refused.


@pytest.mark.parametrize("opening", [lambda place: open_trainable(place, LORA), fingerprint_encoder])
def test_no_encoder_is_refused(tmp_path, opening):
    with pytest.raises(ConfigError, match="nowhere does not exist"):
        opening(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="there is no llm2comp.json"):
        opening(str(tmp_path / "empty"))


@pytest.mark.parametrize("opening", [lambda place: open_trainable(place, LORA), fingerprint_encoder])
def test_an_encoder_without_memory_tokens_is_refused(folder, tmp_path, opening):
    shutil.copytree(folder / "whole", tmp_path / "mntp")
    _change_json(tmp_path / "mntp" / "llm2comp.json", n_memory=0, pooling="bidirectional_mean")
    (tmp_path / "mntp" / "memory.safetensors").unlink()
    with pytest.raises(ConfigError, match="has no memory tokens .pooling bidirectional_mean") as caught:
        opening(str(tmp_path / "mntp"))
    assert 'another objective than "mntp"' in caught.value.fix


def test_layers_that_are_not_there_are_refused(folder):
    with pytest.raises(ConfigError, match="no linear layer called 'nothing'"):
        open_trainable(str(folder / "whole"), Adapter(targets=("nothing",)))


def test_an_adapter_whose_backbone_is_gone_is_refused(folder, tmp_path):
    shutil.copytree(folder / "adapted", tmp_path / "alone" / "adapted")
    with pytest.raises(CheckpointError, match="the backbone ../backbone is not there"):
        fingerprint_encoder(str(tmp_path / "alone" / "adapted"))
