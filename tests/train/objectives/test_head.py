import pytest
import torch
from torch import nn

from encoder.errors import UnsupportedBackboneError
from tests.train.objectives.tiny_lm import CAPPED, LINEAR, tiny_lm
from train.objectives.head import LinearHead, language_head

IDS = torch.randint(3, 300, (2, 9), generator=torch.Generator().manual_seed(5))


def _states_and_logits(model):
    with torch.no_grad():
        states = model.base_model(input_ids=IDS, use_cache=False).last_hidden_state
        return states.flatten(0, 1), model(input_ids=IDS, use_cache=False).logits.flatten(0, 1)


@pytest.mark.parametrize("kind", LINEAR + CAPPED)
def test_the_head_gives_the_models_own_logits(kind):
    model = tiny_lm(kind)
    states, logits = _states_and_logits(model)
    with torch.no_grad():
        torch.testing.assert_close(language_head(model)(states), logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", LINEAR)
def test_linear_logits_get_a_linear_head(kind):
    assert isinstance(language_head(tiny_lm(kind)), LinearHead)


@pytest.mark.parametrize("kind", CAPPED)
def test_a_soft_cap_is_not_taken_for_linear(kind):
    # Small logits hardly feel the cap, so the model's own few would not tell.
    model = tiny_lm(kind)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(1e-3)
    assert not isinstance(language_head(model), LinearHead)


def test_half_precision_has_a_head_too():
    model = tiny_lm("granite").to(torch.bfloat16)
    states, logits = _states_and_logits(model)
    head = language_head(model)
    assert isinstance(head, LinearHead)
    with torch.no_grad():
        torch.testing.assert_close(head(states), logits)


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_the_head_follows_its_model_into_another_dtype(kind):
    model = tiny_lm(kind)
    head = language_head(model)
    model.to(torch.float64)
    states, logits = _states_and_logits(model)
    with torch.no_grad():
        torch.testing.assert_close(head(states), logits)


def test_making_a_head_leaves_the_model_as_it_was():
    model = tiny_lm("gpt2")
    _, before = _states_and_logits(model)
    language_head(model)
    _, after = _states_and_logits(model)
    assert torch.equal(before, after)


def test_a_model_without_head_is_refused():
    model = tiny_lm("llama")
    model.get_output_embeddings = lambda: None
    with pytest.raises(UnsupportedBackboneError, match="logits of llama.*has no language head"):
        language_head(model)


def test_logits_that_come_from_elsewhere_are_refused():
    model = tiny_lm("llama")
    own = model.forward

    def shifted(**inputs):
        found = own(**inputs)
        found.logits = found.logits + (1.0 if inputs.get("input_ids") is not None else 0.0)
        return found

    model.forward = shifted
    with pytest.raises(UnsupportedBackboneError, match="other logits than its own") as caught:
        language_head(model)
    assert "choose another backbone" in caught.value.fix


def test_a_model_that_cannot_be_asked_is_refused():
    model = tiny_lm("llama")
    model.base_model_prefix = "nothing"
    model.lm_head = nn.Identity()
    with pytest.raises(UnsupportedBackboneError, match="it raised"):
        language_head(model)
