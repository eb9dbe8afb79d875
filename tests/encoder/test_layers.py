import shutil

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from sentence_transformers import SentenceTransformer
from torch import nn

from encoder.checkpoint import load_encoder
from encoder.config import BaseReference
from encoder.errors import UnsupportedBackboneError, UsageError
from encoder.export import TOLERANCE, export_encoder
from encoder.layers import keep_layers
from encoder.memory import new_memory
from encoder.save import save_encoder
from tests.encoder.tiny import ARCHITECTURES, TEXTS, tiny_backbone, tiny_config, tiny_tokenizer


def _load(spec):
    return load_encoder(str(spec), device="cpu", dtype="float32")


def _shallow(deep, kind, layers, **changes):
    """A decoder that is built with fewer layers and given the numbers of a deeper one."""
    made = tiny_backbone(kind, seed=9, num_hidden_layers=layers, **changes)
    state = deep.state_dict()
    made.load_state_dict({name: state[name] for name in made.state_dict()})
    return made


def _save(place, backbone, **changes):
    torch.manual_seed(5)
    save_encoder(
        place,
        backbone=backbone,
        memory=new_memory(backbone, 4),
        tokenizer=tiny_tokenizer(),
        config=tiny_config(**changes),
    )
    return place


@pytest.mark.parametrize("kind", [*ARCHITECTURES, "smollm3"])
def test_a_cut_encoder_is_the_encoder_built_with_fewer_layers(kind, tmp_path):
    deep = tiny_backbone(kind, num_hidden_layers=3)
    shallow = _shallow(deep, kind, 2)
    whole = _save(tmp_path / "whole", deep)
    built = _save(tmp_path / "built", shallow)
    cut, reference = _load(f"{whole}?layers=2"), _load(built)
    assert np.array_equal(cut.encode_memory(TEXTS), reference.encode_memory(TEXTS))
    assert cut.fingerprint == reference.fingerprint != _load(whole).fingerprint


def test_as_many_layers_as_there_are_change_nothing(encoder, encoder_directory):
    assert _load(f"{encoder_directory}?layers=2").fingerprint == encoder.fingerprint


def test_an_adapter_is_cut_with_its_backbone(tmp_path):
    deep = tiny_backbone(num_hidden_layers=3)
    deep.save_pretrained(tmp_path / "base")
    torch.manual_seed(3)
    model = get_peft_model(deep, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    _save(tmp_path / "adapted", model, base=BaseReference("path", "../base"))
    merged = _load(tmp_path / "adapted")._model.backbone
    _save(tmp_path / "built", _shallow(merged, "llama", 1))
    found = _load(f"{tmp_path / 'adapted'}?layers=1").encode_document(TEXTS)
    assert np.allclose(found, _load(tmp_path / "built").encode_document(TEXTS), atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "last", "bidirectional_mean"])
def test_a_bare_backbone_is_cut_and_pooled(pooling, tmp_path):
    deep = tiny_backbone(num_hidden_layers=3)
    for name, backbone in (("deep", deep), ("built", _shallow(deep, "llama", 1))):
        backbone.save_pretrained(tmp_path / name)
        tiny_tokenizer().save_pretrained(tmp_path / name)
    found = _load(f"{tmp_path / 'deep'}?pooling={pooling}&layers=1").encode_document(TEXTS)
    assert np.array_equal(found, _load(f"{tmp_path / 'built'}?pooling={pooling}").encode_document(TEXTS))


def test_a_name_on_the_hub_can_be_cut(monkeypatch, encoder_directory):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(encoder_directory))
    assert _load("hf:org/name?layers=1").fingerprint == _load(f"{encoder_directory}?layers=1").fingerprint


def test_more_layers_than_there_are_are_refused(encoder_directory):
    with pytest.raises(UsageError, match="layers is 3, the backbone has 2") as caught:
        _load(f"{encoder_directory}?layers=3")
    assert caught.value.fix == "give 1 to 2"


def test_no_layer_at_all_is_refused():
    with pytest.raises(UsageError, match="layers is 0, the backbone has 2"):
        keep_layers(tiny_backbone(), 0, where="here")


def test_a_refused_number_leaves_the_decoder_whole():
    backbone = tiny_backbone()
    with pytest.raises(UsageError):
        keep_layers(backbone, 3, where="here")
    assert len(backbone.layers) == backbone.config.num_hidden_layers == 2


class _Odd(nn.Module):
    """A decoder that keeps its layers where nobody looks."""

    def __init__(self, lists):
        super().__init__()
        self.config = tiny_backbone().config
        self.stacks = nn.ModuleDict(
            {f"stack{number}": nn.ModuleList([nn.Identity(), nn.Identity()]) for number in range(lists)}
        )


@pytest.mark.parametrize("lists", [0, 2])
def test_an_architecture_whose_layers_cannot_be_found_is_refused_by_name(lists):
    with pytest.raises(
        UnsupportedBackboneError, match=f"llama cannot be cut to 1 layers: {lists} lists of 2"
    ):
        keep_layers(_Odd(lists), 1, where="here")


def test_experts_of_a_layer_are_not_taken_for_layers():
    backbone = tiny_backbone()
    backbone.layers[0].experts = nn.ModuleList([nn.Identity(), nn.Identity()])
    keep_layers(backbone, 1, where="here")
    assert len(backbone.layers) == 1 and len(backbone.layers[0].experts) == 2


def test_what_the_configuration_says_of_each_layer_is_cut_too():
    backbone = tiny_backbone("qwen3", num_hidden_layers=3)
    backbone.config.eos_token_id = [1, 2, 3]  # as long as the layers by chance
    keep_layers(backbone, 2, where="here")
    assert backbone.config.num_hidden_layers == len(backbone.config.layer_types) == 2
    assert backbone.config.eos_token_id == [1, 2, 3]


def test_an_export_of_the_first_layers_has_their_vectors(encoder_directory, tmp_path):
    spec = f"{shutil.copytree(encoder_directory, tmp_path / 'encoder')}?layers=1"
    assert export_encoder(spec, tmp_path / "out") <= TOLERANCE
    plain = SentenceTransformer(str(tmp_path / "out"), device="cpu", local_files_only=True)
    assert np.allclose(plain.encode(TEXTS), _load(spec).encode_document(TEXTS), atol=1e-5)
