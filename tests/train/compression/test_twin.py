import pytest
import torch

from tests.train.objectives.tiny_lm import CAPPED, LINEAR, tiny_lm
from train.adapter import attach_adapter
from train.compression.twin import copy_decoder, share_decoder
from train.settings import Adapter

IDS = torch.arange(5, 14)[None]


def _logits(model):
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits


def _waken(model):
    """An adapter that changes much: a fresh one changes nothing."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 1)


@pytest.mark.parametrize("kind", LINEAR + CAPPED)
def test_an_adapter_on_the_model_is_not_in_its_twin(kind):
    model = tiny_lm(kind)
    before = _logits(model)
    twin = share_decoder(model)
    _waken(attach_adapter(model.base_model, Adapter()))
    assert torch.equal(_logits(twin), before)
    assert not torch.allclose(_logits(model), before, atol=1e-2)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_twin_costs_no_memory(kind):
    model = tiny_lm(kind)
    theirs = {name: value.data_ptr() for name, value in model.named_parameters()}
    theirs |= {name: value.data_ptr() for name, value in model.named_buffers()}
    twin = share_decoder(model)
    ours = {name: value.data_ptr() for name, value in twin.named_parameters()}
    ours |= {name: value.data_ptr() for name, value in twin.named_buffers()}
    assert ours == theirs


def test_tied_weights_stay_tied():
    twin = share_decoder(tiny_lm("llama", tie_word_embeddings=True))
    assert twin.lm_head.weight is twin.model.embed_tokens.weight


def test_model_and_twin_change_their_dtype_together():
    model = tiny_lm()
    twin = share_decoder(model)
    torch.nn.ModuleList([model, twin]).to(torch.bfloat16)
    assert all(a is b for a, b in zip(model.parameters(), twin.parameters(), strict=True))
    assert twin.lm_head.weight.dtype == torch.bfloat16


def test_the_twin_has_a_mode_and_a_configuration_of_its_own():
    model = tiny_lm("gpt2")
    twin = share_decoder(model)
    model.train()
    model.config.eos_token_id = 77
    assert not any(module.training for module in twin.modules())
    assert twin.config.eos_token_id == 2


def test_the_adapter_trains_beside_a_frozen_twin():
    model = tiny_lm()
    twin = share_decoder(model)
    adapted = attach_adapter(model.base_model, Adapter())
    assert not any(parameter.requires_grad for parameter in twin.parameters())
    hidden = adapted(IDS).last_hidden_state
    twin(inputs_embeds=hidden).logits.square().mean().backward()
    assert all(parameter.grad is not None for parameter in adapted.parameters() if parameter.requires_grad)
    assert all(parameter.grad is None for parameter in twin.parameters())


def test_a_copy_stays_when_the_models_weights_change():
    model = tiny_lm()
    before = _logits(model)
    decoder = copy_decoder(model.train())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert torch.equal(_logits(decoder), before)
    assert not decoder.training
    assert not any(parameter.requires_grad for parameter in decoder.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
