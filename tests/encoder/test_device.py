"""Placing a model: weights take the dtype of the device, and nothing else does."""

import torch

from encoder.attention import bidirectional_states
from encoder.device import Placement
from encoder.memory import MemoryModel, new_memory
from tests.encoder.tiny import tiny_backbone

_HALF = Placement(torch.device("cpu"), torch.bfloat16, torch.bfloat16)


def test_weights_are_cast_and_rotary_frequencies_are_not():
    backbone = tiny_backbone("llama", max_position_embeddings=4096)
    before = {name: buffer.clone() for name, buffer in backbone.named_buffers()}
    model = MemoryModel(backbone, new_memory(backbone, 3))
    _HALF.place(model)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert before and all(torch.equal(before[name], buffer) for name, buffer in backbone.named_buffers())


def test_a_late_token_is_where_float32_has_it():
    """With frequencies in bfloat16 the angles of late positions are off by more than the weights' rounding is."""
    tokens = 400
    exact, placed = (tiny_backbone("llama", max_position_embeddings=4096) for _ in range(2))
    _HALF.place(placed)
    embeddings = torch.randn(
        (1, tokens, exact.config.hidden_size), generator=torch.Generator().manual_seed(0)
    )
    real = torch.ones((1, tokens), dtype=torch.bool)
    with torch.no_grad():
        expected = bidirectional_states(exact, embeddings, real)[0]
        found = bidirectional_states(placed, embeddings.bfloat16(), real)[0].float()
        placed.to(torch.bfloat16)
        cast_too = bidirectional_states(placed, embeddings.bfloat16(), real)[0].float()
    near, far = (torch.cosine_similarity(states, expected).min() for states in (found, cast_too))
    assert near > 0.99 and near > far


def test_weights_that_are_shared_stay_shared():
    layer = torch.nn.Linear(4, 4)
    model = torch.nn.ModuleList([layer, torch.nn.Linear(4, 4)])
    model[1].weight = layer.weight
    _HALF.place(model)
    assert model[0].weight is model[1].weight and model[0].weight.dtype == torch.bfloat16
