from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model

from encoder.errors import ShapeError, UnsupportedBackboneError
from encoder.layers import keep_layers
from encoder.memory import MemoryModel, new_memory
from tests.encoder.tiny import ARCHITECTURES, tiny_backbone

_BACKBONE = tiny_backbone("gpt2")  # learned absolute positions: the strictest about where padding lies
_MODEL = MemoryModel(_BACKBONE, new_memory(_BACKBONE, 3))


def _states(ids, mask):
    with torch.inference_mode():
        return _MODEL(torch.tensor(ids), torch.tensor(mask))


@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(st.lists(st.integers(3, 299), max_size=9), min_size=1, max_size=4),
    gaps=st.randoms(use_true_random=False),
)
def test_states_depend_on_the_text_alone(texts, gaps):
    width = max(len(text) for text in texts) + 3
    ids, masks = [], []
    for text in texts:
        places = sorted(gaps.sample(range(width), len(text)))
        row, mask = [7] * width, [0] * width
        for place, token in zip(places, text, strict=True):
            row[place], mask[place] = token, 1
        ids.append(row)
        masks.append(mask)
    together = _states(ids, masks)
    for text, states in zip(texts, together, strict=True):
        alone = _states([text], [[1] * len(text)]) if text else _states([[7]], [[0]])
        assert torch.allclose(states, alone[0], atol=1e-5)


def test_memory_follows_the_text_at_the_next_positions():
    ids = torch.tensor([[5, 6]])
    embeddings = torch.cat([_BACKBONE.get_input_embeddings()(ids)[0], _MODEL.memory])[None]
    mask = torch.zeros(1, 1, 1, 5)
    with torch.inference_mode():
        expected = _BACKBONE(
            inputs_embeds=embeddings, attention_mask=mask, position_ids=torch.arange(5)[None]
        ).last_hidden_state[:, 2:]
    assert torch.allclose(_states([[5, 6]], [[1, 1]]), expected, atol=1e-6)


def test_a_text_without_tokens_is_its_memory_alone():
    with torch.inference_mode():
        states = _MODEL(torch.zeros((2, 0), dtype=torch.long), torch.zeros((2, 0)))
    assert states.shape == (2, 3, 32)
    assert torch.equal(states[0], states[1])


def test_gradients_reach_memory_and_backbone():
    model = MemoryModel(tiny_backbone("llama"), new_memory(_BACKBONE, 3))
    model(torch.tensor([[5, 6, 0]]), torch.tensor([[1, 1, 0]])).square().sum().backward()
    assert model.memory.grad.abs().min(dim=1).values.min() >= 0
    assert all(model.memory.grad.abs().sum(dim=1) > 0)
    assert model.backbone.get_input_embeddings().weight.grad[5].abs().sum() > 0


def test_the_parameter_given_is_the_parameter_trained():
    memory = new_memory(_BACKBONE, 3)
    assert MemoryModel(_BACKBONE, memory).memory is memory


def test_new_memory_tokens_differ_and_repeat_by_seed():
    first, second = new_memory(_BACKBONE, 4, seed=1), new_memory(_BACKBONE, 4, seed=1)
    assert torch.equal(first, second)
    assert not torch.equal(first, new_memory(_BACKBONE, 4, seed=2))
    assert torch.pdist(first.detach()).min() > 1e-2


@pytest.mark.parametrize("shape", [(0, 32), (4, 31), (32,)])
def test_memory_of_another_shape_is_refused(shape):
    with pytest.raises(ShapeError, match="memory tokens have the shape"):
        MemoryModel(_BACKBONE, torch.zeros(shape))


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_inner_states_are_those_of_a_model_cut_to_so_many_layers(kind):
    model = MemoryModel(tiny_backbone(kind), new_memory(_BACKBONE, 3))
    ids, mask = torch.tensor([[5, 6, 0], [7, 8, 9]]), torch.tensor([[1, 1, 0], [1, 1, 1]])
    with torch.inference_mode():
        inner, whole = model.layer_states(ids, mask, [1, 2])
        assert torch.equal(whole, model(ids, mask))
        keep_layers(model.backbone, 1, where="test")
        assert torch.allclose(inner, model(ids, mask), atol=1e-6)
    assert not torch.allclose(inner, whole, atol=1e-2)


def test_inner_states_pass_the_adapter():
    backbone = get_peft_model(
        tiny_backbone(), LoraConfig(init_lora_weights=False, target_modules="all-linear")
    )
    model = MemoryModel(backbone.eval(), new_memory(_BACKBONE, 3))
    ids, mask = torch.tensor([[5, 6, 7]]), torch.ones(1, 3)
    with torch.inference_mode():
        (inner,) = model.layer_states(ids, mask, [1])
        keep_layers(model.backbone, 1, where="test")
        assert torch.allclose(inner, model(ids, mask), atol=1e-6)


def test_a_backbone_without_a_known_final_norm_is_refused_for_inner_states():
    backbone = tiny_backbone()
    backbone.last_norm = backbone.norm
    backbone.forward = lambda **kwargs: SimpleNamespace(
        hidden_states=[kwargs["inputs_embeds"]] * 3, last_hidden_state=kwargs["inputs_embeds"]
    )
    del backbone.norm
    model = MemoryModel(backbone, new_memory(_BACKBONE, 3))
    with pytest.raises(UnsupportedBackboneError, match="llama has no final norm under a known name"):
        model.layer_states(torch.tensor([[5]]), torch.ones(1, 1), [1])
