import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from encoder.checkpoint import load_encoder
from encoder.errors import CheckpointError
from encoder.weights import read_backbone, read_causal_lm
from tests.encoder.tiny import TEXTS, tiny_backbone, tiny_tokenizer

_KINDS = ("llama", "gpt2", "gpt_neox", "gemma2")


def _write_lm(place, kind="llama", *, tied):
    """The folder of a whole language model, head included, as pretraining leaves it."""
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(tiny_backbone(kind, tie_word_embeddings=tied).config).eval()
    with torch.no_grad():
        model.get_output_embeddings().weight.normal_(0, 0.3)
    model.save_pretrained(place)
    tiny_tokenizer().save_pretrained(place)
    return model


def _same(found, expected):
    state = expected.state_dict()
    return found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", _KINDS)
def test_the_decoder_of_a_whole_language_model_is_read(kind, tied, tmp_path):
    model = _write_lm(tmp_path, kind, tied=tied)
    assert _same(read_backbone(tmp_path).state_dict(), model.base_model)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", _KINDS)
def test_a_whole_language_model_is_read_with_its_head(kind, tied, tmp_path):
    model = _write_lm(tmp_path, kind, tied=tied)
    found = read_causal_lm(tmp_path)
    assert _same(found.state_dict(), model)
    is_tied = found.get_output_embeddings().weight is found.get_input_embeddings().weight
    assert is_tied == tied
    ids = torch.tensor([[5, 9, 17]])
    assert torch.equal(found(ids).logits, model(ids).logits)


@pytest.mark.parametrize("tied", [False, True])
def test_a_whole_language_model_is_pooled_like_its_decoder(tied, tmp_path):
    model = _write_lm(tmp_path / "lm", tied=tied)
    model.base_model.save_pretrained(tmp_path / "decoder")
    tiny_tokenizer().save_pretrained(tmp_path / "decoder")
    whole, alone = (
        load_encoder(f"{tmp_path / name}?pooling=mean", device="cpu", dtype="float32")
        for name in ("lm", "decoder")
    )
    assert np.array_equal(whole.encode_document(TEXTS), alone.encode_document(TEXTS))
    assert whole.fingerprint == alone.fingerprint


def test_a_head_that_the_decoder_does_not_need_is_not_reported(tmp_path, caplog, capfd):
    _write_lm(tmp_path, tied=False)
    capfd.readouterr()
    read_backbone(tmp_path)
    assert "lm_head" not in capfd.readouterr().err + caplog.text


def test_language_models_are_read_in_float32_and_without_dropout(tmp_path):
    _write_lm(tmp_path, tied=False).to(torch.bfloat16).save_pretrained(tmp_path)
    found = read_causal_lm(tmp_path)
    assert {value.dtype for value in found.parameters()} == {torch.float32}
    assert not found.training


def test_a_decoder_whose_head_is_its_token_table_is_a_language_model(tmp_path):
    model = _write_lm(tmp_path / "lm", tied=True)
    model.base_model.save_pretrained(tmp_path / "decoder")
    assert _same(read_causal_lm(tmp_path / "decoder").state_dict(), model)


def test_a_decoder_without_its_head_is_no_language_model(tmp_path):
    _write_lm(tmp_path / "lm", tied=False).base_model.save_pretrained(tmp_path / "decoder")
    with pytest.raises(CheckpointError, match="1 weights are missing or misshapen, lm_head.weight first"):
        read_causal_lm(tmp_path / "decoder")


def _drop(place):
    tensors = load_file(place / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})


def _poison(place):
    tensors = load_file(place / "model.safetensors")
    tensors["lm_head.weight"][0] = float("nan")
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop, "1 weights are missing or misshapen, model.layers.1.mlp.up_proj.weight first"),
        (_poison, "tensor lm_head.weight holds NaN or infinity"),
        (lambda place: (place / "config.json").unlink(), "config.json is missing"),
        (lambda place: (place / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda place: (place / "model.safetensors").write_bytes(b"cut"), "model.safetensors is damaged"),
        (lambda place: (place / "config.json").write_text("{}"), "the backbone cannot be loaded"),
    ],
)
def test_a_damaged_language_model_is_refused_with_what_is_wrong(damage, message, tmp_path):
    _write_lm(tmp_path, tied=False)
    damage(tmp_path)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_causal_lm(tmp_path)
    assert str(tmp_path) in caught.value.where
