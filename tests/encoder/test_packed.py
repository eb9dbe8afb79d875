"""The packed forward pass gives the states of the plain one, is used where it can be, and nowhere else."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder import packed
from encoder.checkpoint import Checkpoint, assemble_encoder
from encoder.memory import MemoryModel, new_memory
from encoder.packed import PackedModel, pack
from tests.encoder.tiny import TEXTS, tiny_backbone, tiny_config, tiny_tokenizer


def _opt(**changes):
    shape = {
        "ffn_dim": 48,
        "word_embed_proj_dim": 32,
        "do_layer_norm_before": False,
        "activation_function": "gelu",
    }
    return tiny_backbone("opt", **{**shape, **changes})


def _model(**changes):
    backbone = _opt(**changes)
    with torch.no_grad():  # fresh biases are zero, and would hide one that is left out
        for name, parameter in backbone.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.2)
    return MemoryModel(backbone, new_memory(backbone, 3)).eval()


@pytest.fixture(scope="module")
def pair():
    model = _model()
    return model, pack(model, torch.float32)


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=9),
    padding=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_the_states_are_those_of_the_plain_model_wherever_padding_lies(pair, lengths, padding, seed):
    model, fast = pair
    random = torch.Generator().manual_seed(seed)
    ids_BT = torch.randint(0, 300, (len(lengths), max(lengths) + padding), generator=random)
    order_BT = torch.rand(ids_BT.shape, generator=random).argsort(dim=1)
    real_BT = order_BT < torch.tensor(lengths)[:, None]
    with torch.inference_mode():
        torch.testing.assert_close(fast(ids_BT, real_BT), model(ids_BT, real_BT), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("dtype", "least"), [(torch.float32, 1 - 1e-5), (torch.bfloat16, 0.9995)])
def test_vectors_agree_for_each_shape(activation, layers, dtype, least):
    model = _model(activation_function=activation, num_hidden_layers=layers)
    fast = PackedModel(model, dtype)
    ids_BT = torch.randint(0, 300, (5, 20), generator=torch.Generator().manual_seed(2))
    real_BT = torch.arange(20) < torch.tensor([20, 20, 7, 1, 0])[:, None]
    with torch.inference_mode():
        found, expected = (each(ids_BT, real_BT).float().mean(dim=1) for each in (fast, model))
    assert torch.nn.functional.cosine_similarity(found, expected).min() >= least


def test_texts_whose_scores_fill_a_block_are_split(pair, monkeypatch):
    model, fast = pair
    ids_BT = torch.randint(0, 300, (7, 10), generator=torch.Generator().manual_seed(3))
    real_BT = torch.ones(7, 10)
    with torch.inference_mode():
        whole = fast(ids_BT, real_BT)
        monkeypatch.setattr(packed, "_BLOCK_BYTES", 2 * 16 * 13 * 13)
        sizes = [group.texts for group in packed._group(torch.full((7,), 13), 16)]
        split = fast(ids_BT, real_BT)
    assert sizes == [2, 2, 2, 1]
    torch.testing.assert_close(split, whole, atol=1e-6, rtol=1e-5)


def test_long_texts_in_bfloat16_take_the_fused_kernel_and_agree(monkeypatch):
    fast = PackedModel(_model(), torch.bfloat16)
    ids_BT = torch.randint(0, 300, (2, 30), generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        plain = fast(ids_BT, torch.ones(2, 30)).float()
        monkeypatch.setattr(packed, "_MOST_SCORE_BYTES", 0)
        fused = fast(ids_BT, torch.ones(2, 30)).float()
    assert torch.nn.functional.cosine_similarity(plain.flatten(1), fused.flatten(1)).min() > 0.999


def _encoder(backbone, *, temperature=1.0, dtype="float32"):
    config = tiny_config(attention_temperature=temperature)
    parts = Checkpoint(backbone, new_memory(backbone, 4), tiny_tokenizer(), config)
    return assemble_encoder(parts, name="made", device="cpu", dtype=dtype)


def test_an_encoder_of_this_shape_is_packed_and_others_are_not():
    assert isinstance(_encoder(_opt())._model, PackedModel)
    assert not isinstance(_encoder(tiny_backbone())._model, PackedModel)
    assert not isinstance(_encoder(_opt(do_layer_norm_before=True))._model, PackedModel)
    assert not isinstance(_encoder(_opt(activation_function="silu"))._model, PackedModel)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_temperature_has_the_effect_that_it_has_on_the_plain_model(dtype, monkeypatch):
    temperatures = (1.0, 0.5)
    fast = [_encoder(_opt(), temperature=each, dtype=dtype) for each in temperatures]
    monkeypatch.setattr("encoder.checkpoint.pack", lambda model, dtype: model)
    plain = [_encoder(_opt(), temperature=each) for each in temperatures]
    assert [isinstance(each._model, PackedModel) for each in (*fast, *plain)] == [True, True, False, False]
    warm, cold, plain_warm, plain_cold = (each.encode_document(TEXTS) for each in (*fast, *plain))
    tolerance = 1e-5 if dtype == "float32" else 0.02
    np.testing.assert_allclose(warm, plain_warm, atol=tolerance)
    np.testing.assert_allclose(cold, plain_cold, atol=tolerance)
    assert not np.allclose(cold, warm, atol=1e-4)


def test_gradients_are_refused(pair):
    ids_BT = torch.zeros(1, 3, dtype=torch.int64)
    with pytest.raises(RuntimeError, match="inference_mode"):
        pair[1](ids_BT, torch.ones(1, 3))
    with torch.no_grad():
        assert not pair[1](ids_BT, torch.ones(1, 3)).requires_grad


@pytest.mark.parametrize("again", [copy.deepcopy, lambda encoder: pickle.loads(pickle.dumps(encoder))])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_encoder_can_be_copied_and_pickled(again, dtype):
    encoder = _encoder(_opt(), temperature=0.8, dtype=dtype)
    made = again(encoder)
    assert isinstance(made._model, PackedModel)
    assert made._model.memory is not encoder._model.memory
    assert not made._model.training
    assert made.card == encoder.card
    assert np.array_equal(made.encode_memory(TEXTS), encoder.encode_memory(TEXTS))


def test_layers_that_are_packed_do_not_learn_another_product(monkeypatch):
    changed = []
    monkeypatch.setattr("encoder.checkpoint.use_onednn", changed.append)
    packed_backbone, plain_backbone = _opt(), tiny_backbone()
    _encoder(packed_backbone)
    _encoder(plain_backbone)
    assert changed == [plain_backbone]


@pytest.mark.parametrize("wrong", [("relu", ""), ("gelu", "tanh")])
def test_the_plain_model_stays_where_the_numbers_differ(wrong, monkeypatch):
    model = _model()
    assert isinstance(pack(model, torch.float32), PackedModel)
    monkeypatch.setattr(packed, "_ACTIVATIONS", {"gelu": wrong})
    assert pack(model, torch.float32) is model


def test_the_plain_model_stays_where_only_long_texts_differ(monkeypatch):
    model = _model()
    attend = packed._attend
    monkeypatch.setattr(
        packed, "_attend", lambda query, key, value: attend(query, key[:, :, :100], value[:, :, :100])
    )
    assert pack(model, torch.float32) is model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_states_that_are_no_numbers_are_not_the_same(dtype):
    broken_BMD = torch.full((2, 3, 4), torch.nan)
    assert not packed._is_same(broken_BMD, broken_BMD, dtype)


def test_a_backbone_of_few_positions_is_packed():
    model = _model(max_position_embeddings=8)
    assert isinstance(pack(model, torch.float32), PackedModel)


def test_the_plain_model_stays_where_torch_lacks_the_operators(monkeypatch):
    def missing(parts, dtype):
        raise AttributeError("no such operator")

    model = _model()
    monkeypatch.setattr(packed, "_product", missing)
    assert pack(model, torch.float32) is model


def test_packing_adds_no_weights():
    model = _model()
    assert PackedModel(model, torch.float32).state_dict().keys() == model.state_dict().keys()
