import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from encoder.checkpoint import load_encoder
from encoder.errors import UsageError
from encoder.st import MemoryEncoder, as_sentence_transformer
from tests.encoder.tiny import TEXTS


@pytest.fixture(scope="module")
def model(encoder_directory):
    return as_sentence_transformer(encoder_directory)


def test_sentence_transformers_gives_the_same_vectors(model, encoder):
    assert np.allclose(model.encode(TEXTS), encoder.encode_document(TEXTS), atol=1e-5)


def test_the_directory_names_our_class_to_sentence_transformers(encoder_directory, encoder):
    model = SentenceTransformer(str(encoder_directory), trust_remote_code=True, device="cpu")
    assert type(model[0]).__name__ == "MemoryEncoder"
    assert np.allclose(model.encode(TEXTS), encoder.encode_document(TEXTS), atol=1e-5)


def test_a_prompt_is_a_prefix(model, encoder):
    found = model.encode(["fox"], prompt="find: ")
    assert np.allclose(found, encoder.encode_query(["fox"], instruction="find"), atol=1e-5)


def test_what_sentence_transformers_saves_is_an_encoder(model, encoder, tmp_path):
    model.save(str(tmp_path / "again"))
    again = load_encoder(str(tmp_path / "again"), device="cpu", dtype="float32")
    assert again.fingerprint == encoder.fingerprint
    assert np.allclose(again.encode_document(TEXTS), encoder.encode_document(TEXTS), atol=1e-6)


def test_it_can_be_trained(encoder_directory):
    module = MemoryEncoder.load(str(encoder_directory))
    features = module(module.preprocess(TEXTS))
    features["sentence_embedding"][:, 0].sum().backward()
    assert module.model.memory.grad.abs().sum() > 0
    assert torch.isfinite(module.model.memory.grad).all()


def test_the_length_can_be_set_within_the_backbone(encoder_directory):
    module = MemoryEncoder.load(str(encoder_directory))
    module.max_seq_length = 11
    assert module.max_seq_length == 11
    assert module.preprocess(["word " * 50])["input_ids"].shape == (1, 11)
    with pytest.raises(UsageError, match="max_seq_length is 125, the backbone takes 124"):
        module.max_seq_length = 125


def test_sizes_put_the_vectors_of_cut_encoders_beside_the_whole_one(encoder_directory, encoder):
    module = MemoryEncoder.load(str(encoder_directory))
    features = module.preprocess(TEXTS) | {"layer_sizes": ((1, 8), (2, 16))}
    with torch.inference_mode():
        found = module(features)["sentence_embedding"]
        whole = module(module.preprocess(TEXTS))["sentence_embedding"]
    cut = load_encoder(f"{encoder_directory}?layers=1", device="cpu", dtype="float32")
    assert found.shape == (len(TEXTS), 32 + 8 + 16)
    assert torch.equal(found[:, :32], whole)
    assert np.allclose(found[:, 32:40], cut.encode_document(TEXTS, truncate_dim=8), atol=1e-5)
    assert np.allclose(found[:, 40:], encoder.encode_document(TEXTS, truncate_dim=16), atol=1e-5)


def test_training_may_cut_texts_elsewhere(encoder_directory):
    module = MemoryEncoder.load(str(encoder_directory))
    assert module.preprocess(["word " * 50], max_length=5)["input_ids"].shape == (1, 6)
