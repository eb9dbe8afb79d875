"""Empty, odd and very long texts, on the bundled encoder and on a small one of the shape that teacher layers give."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertConfig, BertModel

from encoder.checkpoint import load_encoder, save_encoder
from encoder.config import EncoderConfig
from encoder.stats import EncodingStats
from train.distillation.bundled import student_tokenizer
from train.distillation.teacher_layers import student_of_teacher

_MAX_TOKENS = 254
_NOTHING = ["", " ", "\n\t  \r\n", "\x00\x01\x02\x07", "\u200b\ufeff"]
_ODD = ["a", "!", "é", "😀", "д", "\ud83d", "\u202eback", "[CLS] [UNK] [PAD]", "the " * 253, "x" * 101]
_LONG = ["the " * 100_000, "the road " * 3_000 + "\x00", "道" * 3_000]


def _wordpiece():
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["[PAD]", "[UNK]", "[CLS]", "the", "road", "!", *letters, *(f"##{letter}" for letter in letters)]
    backend = Tokenizer(models.WordPiece({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return backend


@pytest.fixture(scope="module")
def opt(tmp_path_factory):
    """A folder with an OPT decoder whose norms stand behind, made of two layers of a small BERT."""
    tokenizer = student_tokenizer(_wordpiece(), has_bos=True)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    teacher = BertModel(BertConfig(vocab_size=len(tokenizer), **shape)).eval()
    tokens = np.arange(len(tokenizer))
    student = student_of_teacher(teacher, tokens, np.ones_like(tokens), n_memory=8, layers=2, seed=0)
    config = EncoderConfig(n_memory=8, dimension=32, max_tokens=_MAX_TOKENS)
    folder = tmp_path_factory.mktemp("encoders") / "opt"
    parts = {"backbone": student.backbone, "memory": student.memory.detach(), "tokenizer": tokenizer}
    save_encoder(folder, **parts, config=config, dtype="float16")
    return str(folder)


@pytest.fixture(scope="module", params=["default", "opt"])
def shaped(request):
    spec = request.getfixturevalue("opt") if request.param == "opt" else "default"
    return load_encoder(spec, device="cpu", dtype="float32")


def _check(encoder, texts):
    together = encoder.encode_document(texts)
    assert np.isfinite(together).all()
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.concatenate([encoder.encode_document([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-5
    return together


def test_what_holds_nothing_is_encoded_like_the_empty_text(shaped):
    vectors = _check(shaped, _NOTHING)
    assert np.allclose(vectors[:4], vectors[0], atol=1e-6)


def test_odd_texts_have_the_same_vector_in_a_batch_and_alone(shaped):
    vectors = _check(shaped, [*_ODD, *_NOTHING])
    assert np.abs(vectors[0] - vectors[-1]).max() > 1e-3  # one letter is more than nothing


def test_long_texts_are_cut_counted_and_the_same_in_a_batch(shaped):
    stats = EncodingStats()
    vectors = _check(shaped, [*_LONG, "the road", ""])
    shaped.encode_document([*_LONG, "the road", ""], stats=stats)
    assert stats.truncated == len(_LONG)
    assert stats.tokens == len(_LONG) * _MAX_TOKENS + 2
    assert np.allclose(vectors[0], shaped.encode_document(["the " * _MAX_TOKENS])[0], atol=1e-5)


@pytest.mark.parametrize(("tokens", "cut"), [(253, 0), (254, 0), (255, 1), (256, 1), (511, 1), (513, 1)])
def test_the_cut_is_at_the_longest_length_exactly(shaped, tokens, cut):
    assert shaped.max_tokens == _MAX_TOKENS
    stats = EncodingStats()
    text = "the " * (tokens - 1) + "road"
    vector = shaped.encode_document([text], stats=stats)[0]
    assert (stats.truncated, stats.tokens) == (cut, min(tokens, _MAX_TOKENS))
    kept = "the " * min(tokens, _MAX_TOKENS) if cut else text
    assert np.allclose(vector, shaped.encode_document([kept])[0], atol=1e-6)


def test_five_megabytes_without_a_space_are_a_few_unknown_words(shaped):
    stats = EncodingStats()
    vector = shaped.encode_document(["x" * 5_000_000], stats=stats)
    assert np.isfinite(vector).all()
    assert (stats.texts, stats.truncated, stats.mostly_unknown) == (1, 0, [0])
    assert (
        stats.tokens == stats.unknown == 20
    )  # a word above 100 characters is one token; the text comes in 20 pieces


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=6), batch_tokens=st.integers(1, 600))
def test_any_texts_in_any_batch_have_the_same_vectors(shaped, texts, batch_tokens):
    vectors = _check(shaped, texts)
    assert np.abs(shaped.encode_document(texts, batch_tokens=batch_tokens) - vectors).max() < 1e-5


def test_the_small_one_is_of_the_opt_shape(opt):
    card = load_encoder(opt, device="cpu").card
    assert (card["architecture"], card["n_memory"], card["max_tokens"]) == ("opt", 8, _MAX_TOKENS)
