"""Two views of a text need noise."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from encoder.errors import ConfigError, UnsupportedBackboneError
from tests.encoder.tiny import ARCHITECTURES, tiny_backbone
from train.contrast.dropout import has_dropout, require_dropout, set_dropout

_QUIET = {
    "gpt2": {"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0},
    "opt": {"dropout": 0.0, "word_embed_proj_dim": 32, "ffn_dim": 48},
}


@pytest.mark.parametrize("kind", [*ARCHITECTURES, "opt", "stablelm"])
def test_dropout_acts_once_it_is_set(kind):
    backbone = tiny_backbone(kind, **_QUIET.get(kind, {}))
    assert not has_dropout(backbone)
    set_dropout(backbone, 0.2)
    assert has_dropout(backbone)
    set_dropout(backbone, 0.0)
    assert not has_dropout(backbone)


def test_dropout_of_an_adapter_is_enough():
    backbone = get_peft_model(
        tiny_backbone(), LoraConfig(init_lora_weights=False, lora_dropout=0.1, target_modules="all-linear")
    )
    require_dropout(backbone)
    set_dropout(backbone, 0.2)
    assert backbone.get_base_model().layers[1].self_attn.attention_dropout == 0.2


def test_the_stored_configuration_stays():
    backbone = tiny_backbone()
    set_dropout(backbone, 0.2)
    assert backbone.config.attention_dropout == 0.0


def test_looking_for_dropout_changes_nothing():
    backbone = tiny_backbone(attention_dropout=0.2)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert has_dropout(backbone)
    assert not backbone.training
    assert torch.equal(torch.rand(2), expected)


def test_identical_views_are_refused():
    with pytest.raises(ConfigError, match="dropout is zero") as caught:
        require_dropout(tiny_backbone())
    assert "attention_dropout" in caught.value.fix


def test_an_attention_without_known_dropout_is_refused():
    backbone = tiny_backbone()
    for layer in backbone.layers:
        del layer.self_attn.attention_dropout
    with pytest.raises(
        UnsupportedBackboneError, match="attention dropout of llama was found in 0 of 2 layers"
    ):
        set_dropout(backbone, 0.2)
    set_dropout(backbone, 0.0)
