"""Encoder directories without memory tokens; those with them are tested in test_checkpoint.py."""

import json

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

from encoder.bare import BareModel
from encoder.checkpoint import load_encoder, read_checkpoint
from encoder.config import POOLINGS, BaseReference, Prompts
from encoder.errors import CheckpointError, ConfigError, Llm2CompError, UsageError
from encoder.export import export_encoder
from encoder.pooling import normalise
from encoder.save import save_encoder
from encoder.st import MemoryEncoder
from tests.encoder.tiny import TEXTS, tiny_backbone, tiny_config, tiny_tokenizer


def _save(place, backbone, **changes):
    save_encoder(
        place,
        backbone=backbone,
        memory=torch.empty(0, 32),
        tokenizer=tiny_tokenizer(),
        config=tiny_config(**{"n_memory": 0, "pooling": "bidirectional_mean", **changes}),
    )
    return place


def _load(spec):
    return load_encoder(str(spec), device="cpu", dtype="float32")


@pytest.fixture
def directory(tmp_path):
    return _save(tmp_path / "bare", tiny_backbone())


@pytest.fixture
def adapted(tmp_path):
    """The directory of an adapter without memory tokens, and the model saved."""
    tiny_backbone().save_pretrained(tmp_path / "base")
    torch.manual_seed(3)
    model = get_peft_model(
        tiny_backbone(), LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    )
    return _save(tmp_path / "adapted", model, base=BaseReference("path", "../base")), model.eval()


def _vectors(backbone, encoder, pooling="bidirectional_mean"):
    """Unit rows of the model in memory, a text at a time."""
    model, rows = BareModel(backbone, pooling), []
    for ids_T in encoder.token_ids(TEXTS):
        ids_BT = torch.from_numpy(ids_T)[None]
        length_B = torch.tensor([ids_BT.shape[1]])
        start_B = torch.zeros(1, dtype=torch.int64)
        with torch.inference_mode():
            rows.append(normalise(model(ids_BT, length_B, start_B, length_B))[0].numpy())
    return np.stack(rows)


@pytest.mark.parametrize("pooling", ["bidirectional_mean", "mean", "last", "weighted"])
def test_an_encoder_without_memory_tokens_gives_the_vectors_of_the_model_in_memory(pooling, tmp_path):
    backbone = tiny_backbone()
    encoder = _load(_save(tmp_path / "bare", backbone, pooling=pooling))
    assert (encoder.n_memory, encoder.config.pooling) == (0, pooling)
    expected = _vectors(backbone, encoder, pooling)
    assert np.allclose(encoder.encode_document(TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_it_gives_the_vectors_of_the_bare_backbone_with_that_pooling(pooling, tmp_path):
    backbone = tiny_backbone()
    saved = _load(_save(tmp_path / "saved", backbone, pooling=pooling))
    backbone.save_pretrained(tmp_path / "backbone")
    tiny_tokenizer().save_pretrained(tmp_path / "backbone")
    bare = _load(f"{tmp_path / 'backbone'}?pooling={pooling}&max_tokens=40")
    assert np.array_equal(saved.encode_query(TEXTS), bare.encode_query(TEXTS))
    assert saved.fingerprint == bare.fingerprint


def test_an_adapter_without_memory_tokens_gives_the_vectors_of_the_adapted_model(adapted):
    place, model = adapted
    encoder = _load(place)
    assert np.allclose(encoder.encode_document(TEXTS), _vectors(model, encoder), atol=1e-5)
    plain = _vectors(tiny_backbone(), encoder)
    assert not np.allclose(encoder.encode_document(TEXTS), plain, atol=1e-2)


def test_it_keeps_prompts_and_length(tmp_path):
    place = _save(tmp_path / "bare", tiny_backbone(), prompts=Prompts(query="find: "), max_tokens=7)
    encoder = _load(place)
    assert encoder.max_tokens == 7
    assert np.array_equal(encoder.encode_query(["fox"]), encoder.encode_document(["find: fox"]))


def test_there_is_no_memory_file(directory):
    assert not (directory / "memory.safetensors").exists()


def test_its_parts_have_empty_memory(adapted):
    parts = read_checkpoint(adapted[0])
    assert parts.memory.shape == (0, 32)
    assert parts.config.n_memory == 0


def test_parts_that_were_read_are_saved_again_unchanged(directory, tmp_path):
    parts = read_checkpoint(directory)
    save_encoder(
        tmp_path / "again",
        backbone=parts.backbone,
        memory=parts.memory,
        tokenizer=parts.tokenizer,
        config=parts.config,
    )
    assert _load(tmp_path / "again").fingerprint == _load(directory).fingerprint


def test_it_takes_the_place_of_an_encoder_with_memory_tokens(tmp_path, saved_parts):
    save_encoder(tmp_path / "encoder", **saved_parts)
    _save(tmp_path / "encoder", tiny_backbone())
    assert _load(tmp_path / "encoder").n_memory == 0


def test_a_memory_file_beside_no_memory_tokens_is_refused(directory):
    save_file({"memory": torch.zeros(4, 32)}, directory / "memory.safetensors")
    with pytest.raises(CheckpointError, match="there is a memory.safetensors, llm2comp.json says n_memory 0"):
        _load(directory)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pooling": "memory_mean"}, "n_memory is 0, expected 1 or more with pooling memory_mean"),
        ({"n_memory": 4}, "n_memory is 4, expected 1 or more with pooling memory_mean, else 0"),
        ({"n_memory": 4, "pooling": "memory_mean"}, "memory.safetensors is missing"),
        ({"dimension": 16}, "the backbone is 32 wide, llm2comp.json says dimension 16"),
        ({"base": {"kind": "path", "ref": "../nowhere"}}, "adapter_config.json is missing"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(directory, changes, message):
    path = directory / "llm2comp.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(directory)


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_refused(adapted, missing):
    (adapted[0] / missing).unlink()
    with pytest.raises(CheckpointError, match=f"{missing} is missing"):
        read_checkpoint(adapted[0])


def test_memory_tokens_that_the_configuration_does_not_name_are_not_saved(tmp_path, saved_parts):
    config = tiny_config(n_memory=0, pooling="mean")
    with pytest.raises(ConfigError, match=r"memory tokens have the shape \(4, 32\), .* says \(0, 32\)"):
        save_encoder(tmp_path / "new", **{**saved_parts, "config": config})


def test_no_memory_tokens_where_the_configuration_names_them_are_not_saved(tmp_path, saved_parts):
    with pytest.raises(ConfigError, match=r"memory tokens have the shape \(0, 32\), .* says \(4, 32\)"):
        save_encoder(tmp_path / "new", **{**saved_parts, "memory": torch.empty(0, 32)})


def test_sentence_transformers_refuses_what_has_no_memory_tokens(directory):
    # Without modules.json it would take the folder for a causal decoder with a plain mean.
    with pytest.raises(Llm2CompError, match="memory tokens"):
        MemoryEncoder.load(str(directory))


def test_an_export_of_what_has_no_memory_tokens_is_refused(directory, tmp_path):
    with pytest.raises(UsageError, match="no memory tokens .pooling bidirectional_mean."):
        export_encoder(directory, tmp_path / "out")
    assert not (tmp_path / "out").exists()
