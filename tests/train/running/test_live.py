"""The vectors of a model in training are those of the encoder that is saved from it."""

import numpy as np
import pytest
import torch
from torch import nn

from encoder.checkpoint import load_encoder, text_tokenizer
from encoder.config import EncoderConfig
from encoder.memory import MemoryModel
from encoder.save import save_encoder
from tests.encoder.tiny import TEXTS, tiny_backbone, tiny_config, tiny_tokenizer
from train.running.live import LiveEncoder


@pytest.fixture(scope="module")
def parts():
    backbone = tiny_backbone()
    memory = nn.Parameter(torch.randn(4, 32, generator=torch.Generator().manual_seed(1)))
    return backbone, memory, tiny_tokenizer()


def live(parts, **options):
    backbone, memory, tokenizer = parts
    return LiveEncoder(
        MemoryModel(backbone, memory), text_tokenizer(tokenizer), **{"max_tokens": 40, **options}
    )


def test_the_vectors_are_those_of_the_saved_encoder(parts, tmp_path):
    backbone, memory, tokenizer = parts
    save_encoder(tmp_path / "e", backbone=backbone, memory=memory, tokenizer=tokenizer, config=tiny_config())
    saved = load_encoder(str(tmp_path / "e"), device="cpu", dtype="float32")
    np.testing.assert_allclose(live(parts).encode(TEXTS).vectors, saved.encode_document(TEXTS), atol=1e-5)


def test_so_are_those_of_a_mean_over_the_text(parts, tmp_path):
    from train.stages.compress import MeanOfText

    backbone, _memory, tokenizer = parts
    config = EncoderConfig(n_memory=0, dimension=32, max_tokens=40, pooling="bidirectional_mean")
    save_encoder(
        tmp_path / "e",
        backbone=backbone,
        memory=torch.empty(0, 32),
        tokenizer=tokenizer,
        config=config,
    )
    saved = load_encoder(str(tmp_path / "e"), device="cpu", dtype="float32")
    mean = LiveEncoder(
        MeanOfText(backbone), text_tokenizer(tokenizer), max_tokens=40, has_memory=False
    ).encode(TEXTS)
    np.testing.assert_allclose(mean.vectors, saved.encode_document(TEXTS), atol=1e-5)
    assert mean.memory is None


def test_vectors_are_unit_means_of_the_memory_states_in_the_order_of_the_texts(parts):
    encoder = live(parts)
    found = encoder.encode(TEXTS)
    assert found.memory.shape == (len(TEXTS), 4, 32)
    means = found.memory.mean(axis=1)
    np.testing.assert_allclose(found.vectors, means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-6)
    for number, text in enumerate(TEXTS):
        np.testing.assert_allclose(encoder.encode([text]).vectors[0], found.vectors[number], atol=1e-5)


def test_many_batches_give_what_one_gives(parts, monkeypatch):
    whole = live(parts).encode(TEXTS).vectors
    monkeypatch.setattr("train.running.live._BATCH_TOKENS", 60)
    np.testing.assert_allclose(live(parts).encode(TEXTS).vectors, whole, atol=1e-5)


@pytest.mark.parametrize("was_training", [True, False])
def test_dropout_is_off_and_the_mode_is_as_before(was_training):
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.dropout = nn.Embedding(300, 8), nn.Dropout(0.5)

        def forward(self, input_ids, attention_mask):
            return self.dropout(self.table(input_ids)).mean(dim=1, keepdim=True)

    model = Noisy().train(was_training)
    encoder = LiveEncoder(model, text_tokenizer(tiny_tokenizer()), max_tokens=10)
    first, again = encoder.encode(TEXTS).vectors, encoder.encode(TEXTS).vectors
    np.testing.assert_array_equal(first, again)
    assert model.training == model.dropout.training == was_training


def test_the_mode_is_as_before_even_after_an_error(parts):
    class Broken(nn.Linear):
        def forward(self, input_ids, attention_mask):
            raise ValueError("no")

    model = Broken(2, 2).train()
    with pytest.raises(ValueError, match="no"):
        LiveEncoder(model, text_tokenizer(tiny_tokenizer()), max_tokens=10).encode(["a"])
    assert model.training


def test_bfloat16_products_come_back_as_float32(parts):
    found = live(parts, dtype=torch.bfloat16).encode(TEXTS)
    assert found.vectors.dtype == np.float32
    exact = live(parts).encode(TEXTS).vectors
    assert 0.99 < (found.vectors * exact).sum(axis=1).min() < 1.0
