import pytest
import torch

from encoder.errors import ConfigError
from tests.train.objectives.tiny_lm import tiny_lm
from train.adapter import attach_adapter, halve_frozen
from train.settings import Adapter

PAPER = {"q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def _adapted(model):
    """Last names of the layers that have an adapter."""
    return {name.split(".")[-4] for name, _ in model.named_parameters() if "lora_A" in name}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("llama", PAPER),
        ("mistral", PAPER),
        ("qwen3", PAPER),
        ("gemma2", PAPER),
        ("phi3", {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"}),
        ("gpt_neox", {"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"}),
        ("gpt2", {"c_attn", "c_proj", "c_fc"}),
        ("starcoder2", {"q_proj", "v_proj", "o_proj", "c_fc", "c_proj"}),
        ("opt", {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"}),  # names nobody listed: all
    ],
)
def test_the_default_targets_are_the_papers(kind, expected):
    assert _adapted(attach_adapter(tiny_lm(kind).base_model, Adapter())) == expected


def test_nothing_but_the_adapter_is_trainable():
    model = attach_adapter(tiny_lm().base_model, Adapter())
    trainable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trainable
    assert all("lora_" in name for name in trainable)


def test_the_settings_reach_the_adapter():
    model = attach_adapter(tiny_lm().base_model, Adapter(rank=3, alpha=12, dropout=0.25, targets=("k_proj",)))
    layer = model.get_submodule("base_model.model.layers.0.self_attn.k_proj")
    assert _adapted(model) == {"k_proj"}
    assert layer.lora_A["default"].weight.shape[0] == 3
    assert layer.scaling["default"] == 4.0
    assert layer.lora_dropout["default"].p == 0.25


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_fresh_adapter_changes_nothing(kind):
    backbone = tiny_lm(kind).base_model
    ids = torch.arange(5, 14)[None]
    with torch.no_grad():
        before = backbone(ids).last_hidden_state
        after = attach_adapter(backbone, Adapter()).eval()(ids).last_hidden_state
    torch.testing.assert_close(after, before)


def test_a_longer_name_chooses_single_layers():
    model = attach_adapter(tiny_lm().base_model, Adapter(targets=("layers.1.mlp.up_proj",)))
    adapted = [name for name, _ in model.named_parameters() if "lora_A" in name]
    assert len(adapted) == 1
    assert "layers.1.mlp.up_proj" in adapted[0]


@pytest.mark.filterwarnings("error:fan_in_fan_out")
def test_an_architecture_of_transposed_weights_gives_no_warning():
    attach_adapter(tiny_lm("gpt2").base_model, Adapter())


def test_frozen_weights_are_halved_and_neither_the_adapter_nor_the_angles_of_positions():
    model = attach_adapter(tiny_lm().base_model, Adapter())
    angles = {name: buffer.clone() for name, buffer in model.named_buffers()}
    halve_frozen(model)
    for name, weight in model.named_parameters():
        assert weight.dtype == (torch.float32 if "lora_" in name else torch.bfloat16)
    assert any("inv_freq" in name for name in angles)
    for name, buffer in model.named_buffers():
        assert buffer.dtype == angles[name].dtype and torch.equal(buffer, angles[name])


def test_halved_weights_that_are_shared_stay_shared_and_whole_numbers_stay_whole():
    model = tiny_lm(tie_word_embeddings=True)
    model.counts = torch.nn.Parameter(torch.arange(3), requires_grad=False)
    halve_frozen(model)
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert model.lm_head.weight.dtype == torch.bfloat16
    assert model.counts.dtype == torch.int64


def test_a_target_that_the_backbone_lacks_is_refused():
    with pytest.raises(ConfigError, match="no linear layer called 'query'") as caught:
        attach_adapter(tiny_lm().base_model, Adapter(targets=("q_proj", "query")))
    assert caught.value.where == "adapter.targets"
    assert "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj" in caught.value.fix
