"""The temperature of attention, from the spec to the vectors, against weights that were scaled by hand."""

import numpy as np
import pytest
import torch

from encoder.attention import bidirectional_states, scale_attention
from encoder.checkpoint import load_encoder
from encoder.errors import UnsupportedBackboneError, UsageError
from encoder.export import export_encoder
from encoder.memory import new_memory
from encoder.save import save_encoder
from tests.encoder.tiny import ARCHITECTURES, TEXTS, tiny_backbone, tiny_config, tiny_tokenizer


def _load(spec):
    return load_encoder(str(spec), device="cpu", dtype="float32")


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


def _states(backbone):
    torch.manual_seed(1)
    ids = torch.randint(3, 300, (2, 9))
    real = torch.ones(2, 9, dtype=torch.bool)
    real[1, 6:] = False
    with torch.inference_mode():
        return bidirectional_states(backbone, backbone.get_input_embeddings()(ids), real)[real]


def _divide_queries(kind, backbone, temperature):
    """Divides what the scores are linear in: the projection to queries, or the norm after it."""
    with torch.no_grad():
        for layer in backbone.layers:
            attention = layer.self_attn
            if kind in ("qwen3", "olmo2"):
                attention.q_norm.weight /= temperature
            else:
                attention.q_proj.weight /= temperature
                if attention.q_proj.bias is not None:
                    attention.q_proj.bias /= temperature


@pytest.mark.parametrize("temperature", [0.5, 0.9, 1.7])
@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "qwen3", "gemma2", "olmo2"])
def test_a_temperature_divides_every_score(kind, temperature):
    by_hand, ours, plain = tiny_backbone(kind), tiny_backbone(kind), tiny_backbone(kind)
    _divide_queries(kind, by_hand, temperature)
    scale_attention(ours, temperature)
    assert torch.allclose(_states(ours), _states(by_hand), atol=1e-4)
    assert (_states(plain) - _states(by_hand)).abs().max() > 1e-2


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_a_temperature_changes_the_vectors_of_every_architecture(kind, tmp_path):
    place = _save(tmp_path / kind, tiny_backbone(kind))
    plain, sharper = _load(place), _load(f"{place}?temperature=0.8")
    assert np.abs(plain.encode_document(TEXTS) - sharper.encode_document(TEXTS)).max() > 1e-3
    assert np.allclose(np.linalg.norm(sharper.encode_document(TEXTS), axis=1), 1, atol=1e-5)


def test_temperature_one_changes_no_bit(encoder, encoder_directory):
    one = _load(f"{encoder_directory}?temperature=1.0")
    assert one.fingerprint == encoder.fingerprint
    assert np.array_equal(one.encode_memory(TEXTS), encoder.encode_memory(TEXTS))


def test_a_spec_and_a_stored_configuration_give_the_same_encoder(encoder_directory, tmp_path):
    stored = _load(_save(tmp_path / "stored", tiny_backbone(), attention_temperature=0.7))
    named = _load(f"{_save(tmp_path / 'plain', tiny_backbone())}?temperature=0.7")
    assert stored.fingerprint == named.fingerprint != _load(encoder_directory).fingerprint
    assert np.array_equal(stored.encode_memory(TEXTS), named.encode_memory(TEXTS))


def test_a_spec_goes_before_the_stored_temperature(tmp_path):
    stored = _save(tmp_path / "stored", tiny_backbone(), attention_temperature=0.7)
    plain = _load(_save(tmp_path / "plain", tiny_backbone()))
    assert _load(f"{stored}?temperature=1").fingerprint == plain.fingerprint


@pytest.mark.parametrize("pooling", ["mean", "last", "bidirectional_mean"])
def test_a_bare_backbone_takes_a_temperature(pooling, tmp_path):
    for name, divide in (("plain", False), ("by_hand", True)):
        backbone = tiny_backbone()
        if divide:
            _divide_queries("llama", backbone, 0.6)
        backbone.save_pretrained(tmp_path / name)
        tiny_tokenizer().save_pretrained(tmp_path / name)
    ours = _load(f"{tmp_path / 'plain'}?pooling={pooling}&temperature=0.6").encode_document(TEXTS)
    by_hand = _load(f"{tmp_path / 'by_hand'}?pooling={pooling}").encode_document(TEXTS)
    assert np.allclose(ours, by_hand, atol=1e-4)


def test_a_name_on_the_hub_takes_a_temperature(monkeypatch, encoder_directory):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(encoder_directory))
    found, local = _load("hf:org/name?temperature=0.9"), _load(f"{encoder_directory}?temperature=0.9")
    assert found.fingerprint == local.fingerprint
    assert found.config.attention_temperature == 0.9


def test_layers_and_temperature_go_together(encoder_directory):
    both = _load(f"{encoder_directory}?layers=1&temperature=0.9")
    single = {
        _load(f"{encoder_directory}?{option}").fingerprint for option in ("layers=1", "temperature=0.9")
    }
    assert both.config.attention_temperature == 0.9
    assert both.fingerprint not in single


def test_the_bundled_encoder_takes_options():
    cut = _load("default?layers=1&temperature=0.9")
    assert cut.name == "default?layers=1&temperature=0.9"
    assert cut.fingerprint not in {_load("default").fingerprint, _load("default?layers=1").fingerprint}


def test_an_architecture_without_a_scale_is_refused_by_name(tmp_path):
    tiny_backbone("falcon").save_pretrained(tmp_path / "falcon")
    tiny_tokenizer().save_pretrained(tmp_path / "falcon")
    _load(f"{tmp_path / 'falcon'}?pooling=mean&temperature=1")
    with pytest.raises(UnsupportedBackboneError, match="falcon takes no attention temperature"):
        _load(f"{tmp_path / 'falcon'}?pooling=mean&temperature=0.9")


def test_a_temperature_of_the_spec_cannot_be_exported(encoder_directory, tmp_path):
    with pytest.raises(UsageError, match=r"attention_temperature 0\.9 cannot be exported") as caught:
        export_encoder(f"{encoder_directory}?temperature=0.9", tmp_path / "out")
    assert caught.value.fix == "leave out temperature=, or set attention_temperature to 1.0 in llm2comp.json"
    assert not (tmp_path / "out").exists()
