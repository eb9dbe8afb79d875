"""The formula for activations against what autograd really saves."""

import gc

import pytest
import torch
from transformers import AutoConfig, AutoModel

from train.adapter import attach_adapter
from train.planning.activations import AdapterShape, Precision, kept_by_layer, kept_by_model, layer_shape
from train.settings import Adapter

B, T, WIDTH = 3, 64, 64
_SHAPE = {
    "vocab_size": 300,
    "hidden_size": WIDTH,
    "intermediate_size": 172,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
}
_ADAPTED_INPUTS = 5 * WIDTH + 172  # q, v, o, gate, up; down


def _backbone(kind, layers, trains, dtype, dropout):
    config = AutoConfig.for_model(kind, num_hidden_layers=layers, **_SHAPE)
    backbone = AutoModel.from_config(config, dtype=torch.float32).to(dtype).train()
    if trains == "adapter":
        return attach_adapter(backbone, Adapter(rank=4, dropout=dropout)).train()
    return backbone.requires_grad_(trains == "all")


def _run(backbone, dtype, products, is_masked):
    inputs = torch.randn(B, T, WIDTH, requires_grad=True).to(dtype)
    mask = torch.zeros(B, 1, 1, T, dtype=dtype) if is_masked else None
    with torch.autocast("cpu", torch.bfloat16, enabled=products == 2):
        return backbone(
            inputs_embeds=inputs,
            attention_mask=mask,
            position_ids=torch.arange(T).expand(B, T),
            use_cache=False,
        ).last_hidden_state


def _saved_bytes(backbone, run):
    """Bytes of all storages that autograd saves, the model's own left out; and those of [.., T or B * T, ..]."""
    own = {weight.untyped_storage().data_ptr() for weight in (*backbone.parameters(), *backbone.buffers())}
    kept = []

    def pack(tensor):
        kept.append(tensor)  # held, so that no storage is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = run()
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for tensor in kept
        if not set(tensor.shape).isdisjoint({T * B, B})  # copies of weights are counted elsewhere
    }
    del output
    return sum(size for pointer, size in storages.items() if pointer not in own)


def _measured(kind, trains, dtype, products, dropout, is_masked):
    """Bytes a token and layer: two models that differ in their layers alone."""
    found = []
    for layers in (2, 4):
        backbone = _backbone(kind, layers, trains, dtype, dropout)
        found.append(_saved_bytes(backbone, lambda model=backbone: _run(model, dtype, products, is_masked)))
    return (found[1] - found[0]) / 2 / (B * T)


def _expected(kind, trains, dtype, products, dropout, is_masked):
    shape = layer_shape(
        AutoConfig.for_model(kind, num_hidden_layers=2, **_SHAPE), has_head_norms=kind == "qwen3"
    )
    return kept_by_layer(
        shape,
        trains,
        precision=Precision(products=products, frozen=dtype.itemsize, noise=4),
        adapter=AdapterShape(inputs=_ADAPTED_INPUTS, ranks=6 * 4, has_dropout=dropout > 0),
        is_masked=is_masked,
    )


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
@pytest.mark.parametrize("is_masked", [True, False])
@pytest.mark.parametrize(
    ("trains", "dtype", "products", "dropout"),
    [
        ("all", torch.float32, 4, 0.0),
        ("all", torch.float32, 2, 0.0),
        ("adapter", torch.bfloat16, 2, 0.0),
        ("adapter", torch.bfloat16, 2, 0.05),
        ("adapter", torch.float32, 2, 0.05),
        ("adapter", torch.float32, 4, 0.05),
        ("nothing", torch.bfloat16, 2, 0.0),
        ("nothing", torch.float32, 4, 0.0),
    ],
)
def test_a_layer_keeps_what_the_formula_says(kind, trains, dtype, products, dropout, is_masked):
    case = (kind, trains, dtype, products, dropout, is_masked)
    assert _expected(*case) == pytest.approx(_measured(*case), rel=0.01)


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_in_float32_without_dropout_the_formula_says_at_most_a_fifth_too_much(kind):
    case = (kind, "adapter", torch.float32, 4, 0.0, True)
    assert 1.0 <= _expected(*case) / _measured(*case) <= 1.2


def _living():
    """Tensors of the size of a layer's input, by where they lie."""
    gc.collect()
    return {
        tensor.untyped_storage().data_ptr(): tensor
        for tensor in gc.get_objects()
        if type(tensor) is torch.Tensor and tensor.shape == (B, T, WIDTH)
    }


def _kept_inputs(layers):
    """Bytes of tensors of that size that a checkpointed pass leaves behind."""
    backbone = _backbone("llama", layers, "adapter", torch.bfloat16, 0.05)
    backbone.gradient_checkpointing_enable({"use_reentrant": False})
    before = _living()
    output = _run(backbone, torch.bfloat16, 2, True)
    found = sum(tensor.nbytes for pointer, tensor in _living().items() if pointer not in before)
    del output
    return found


def test_with_checkpointing_a_layer_keeps_its_input_alone():
    # 0 bytes a layer: none is computed again yet.
    few, many = (
        kept_by_model(
            layer_shape(AutoConfig.for_model("llama", num_hidden_layers=layers, **_SHAPE)),
            0,
            2,
            is_checkpointed=True,
        )
        for layers in (2, 6)
    )
    assert _kept_inputs(6) - _kept_inputs(2) == B * T * (many - few)


def test_without_checkpointing_every_layer_keeps_its_own():
    shape = layer_shape(AutoConfig.for_model("llama", num_hidden_layers=5, **_SHAPE))
    assert kept_by_model(shape, 1000, 2, is_checkpointed=False) == 5 * 1000 + 8 * WIDTH
