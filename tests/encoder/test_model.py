from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.checkpoint import Checkpoint, assemble_encoder
from encoder.errors import InputError, UsageError
from encoder.memory import new_memory
from encoder.model import shorten
from encoder.stats import EncodingStats
from tests.encoder.tiny import TEXTS, tiny_backbone, tiny_config, tiny_tokenizer

_HARD_TEXTS = [
    "",
    " ",
    "a",
    "😀",
    "a\x00b",
    "\ud83d",
    "<s></s><pad>",
    "\u202eright to left",
    "word " * 100_000,
]


def _assemble(config=None, dtype="float32", **parts):
    backbone = parts.pop("backbone", None) or tiny_backbone()
    config = config or tiny_config()
    memory = new_memory(backbone, config.n_memory) if config.n_memory else torch.empty(0, 32)
    made = Checkpoint(backbone, memory, parts.pop("tokenizer", None) or tiny_tokenizer(), config)
    return assemble_encoder(made, name="made", device="cpu", dtype=dtype)


def test_vectors_are_unit_rows_in_the_order_given(encoder):
    vectors = encoder.encode_document(TEXTS)
    assert vectors.shape == (len(TEXTS), encoder.dimension)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert np.allclose(encoder.encode_document([text])[0], vector, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(
    texts=st.lists(st.text(max_size=40), max_size=8),
    batch_tokens=st.integers(1, 400),
    seed=st.integers(0, 99),
)
def test_batch_size_and_order_change_nothing(encoder, texts, batch_tokens, seed):
    order = np.random.default_rng(seed).permutation(len(texts))
    straight = encoder.encode_document(texts)
    shuffled = encoder.encode_document([texts[number] for number in order], batch_tokens=batch_tokens)
    assert np.allclose(straight[order], shuffled, atol=1e-5)


def test_the_vector_is_the_normalised_mean_of_the_memory(encoder):
    memory = encoder.encode_memory(TEXTS)
    assert memory.shape == (len(TEXTS), encoder.n_memory, encoder.dimension)
    mean = memory.mean(axis=1)
    expected = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    assert np.allclose(encoder.encode_document(TEXTS), expected, atol=1e-6)


def test_no_texts_give_no_rows(encoder):
    assert encoder.encode_document([]).shape == (0, 32)
    assert encoder.encode_memory([]).shape == (0, 4, 32)


@pytest.mark.parametrize("text", _HARD_TEXTS, ids=[repr(text[:12]) for text in _HARD_TEXTS])
def test_any_text_has_a_finite_unit_vector(encoder, text):
    vector = encoder.encode_query([text])[0]
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_a_lone_surrogate_is_encoded_as_the_replacement_character(encoder):
    pair = encoder.encode_document(["fox \ud800 dog", "fox \ufffd dog"])
    assert np.array_equal(pair[0], pair[1])


def test_a_look_alike_token_is_not_the_token(encoder):
    bos_again = encoder.token_ids(["<s> fox"])[0]
    assert (bos_again == 1).sum() == 1


def test_a_tokenizer_without_bos_and_an_empty_text_leave_the_memory_alone():
    encoder = _assemble(tokenizer=tiny_tokenizer(bos=None))
    assert encoder.token_ids(["", "fox"])[0].tolist() == []
    assert np.linalg.norm(encoder.encode_document([""])[0]) == pytest.approx(1, abs=1e-6)


def test_what_is_beyond_the_longest_length_is_cut_and_counted(encoder):
    stats = EncodingStats()
    long, longer = "word " * 300, "word " * 300 + "and an end that nobody sees"
    vectors = encoder.encode_document([long, longer, "fox"], stats=stats)
    assert np.array_equal(vectors[0], vectors[1])
    assert (stats.texts, stats.truncated) == (3, 2)
    assert stats.tokens == 2 * encoder.max_tokens + len(encoder.tokenize(["fox"])[0])
    assert "2 texts cut at the longest length" in stats.describe()


def test_progress_reaches_the_end_and_never_falls(encoder):
    calls = []
    encoder.encode_document(TEXTS, batch_tokens=20, progress=lambda *call: calls.append(call))
    assert len(calls) > 2
    assert calls == sorted(calls)
    done, total, tokens = calls[-1]
    assert (done, total) == (len(TEXTS), len(TEXTS))
    assert tokens == sum(min(len(each), encoder.max_tokens) for each in encoder.tokenize(TEXTS))


def test_windows_join_without_a_seam(encoder, monkeypatch):
    whole = encoder.encode_document(TEXTS)
    monkeypatch.setattr("encoder.model._WINDOW_TEXTS", 2)
    assert np.allclose(encoder.encode_document(TEXTS), whole, atol=1e-5)


def test_an_instruction_changes_the_query_and_an_empty_one_does_not(encoder):
    plain = encoder.encode_query(["fox"])
    assert np.array_equal(encoder.encode_query(["fox"], instruction=""), plain)
    with_prompt = encoder.encode_query(["fox"], instruction="find")
    assert np.allclose(with_prompt, encoder.encode_document(["find: fox"]), atol=1e-6)
    assert not np.allclose(with_prompt, plain, atol=1e-3)


def test_shortened_vectors_have_unit_length(encoder):
    whole = encoder.encode_query(TEXTS)
    short = encoder.encode_query(TEXTS, truncate_dim=8)
    assert short.shape == (len(TEXTS), 8)
    assert np.allclose(np.linalg.norm(short, axis=1), 1, atol=1e-6)
    assert np.allclose(short, whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("dimension", [0, 33, -1])
def test_a_dimension_out_of_range_is_refused(dimension):
    with pytest.raises(UsageError, match=f"truncate_dim is {dimension}, the encoder makes 32 numbers"):
        shorten(np.ones((1, 32), dtype=np.float32), dimension)


def test_a_batch_size_below_one_is_refused(encoder):
    with pytest.raises(UsageError, match="batch_tokens is 0"):
        encoder.encode_document(["fox"], batch_tokens=0)


@pytest.mark.parametrize("texts", ["fox", [1], [None], [b"fox"]])
def test_what_is_no_list_of_texts_is_refused(encoder, texts):
    with pytest.raises(InputError):
        encoder.encode_document(texts)


def test_out_of_memory_halves_the_batch_and_remembers(encoder, monkeypatch):
    expected = encoder.encode_document(TEXTS * 10)
    run, sizes = encoder._run, []

    def small_memory(forward, rows, framing):
        sizes.append(len(rows))
        if len(rows) > 7:
            raise torch.OutOfMemoryError("no room")
        return run(forward, rows, framing)

    monkeypatch.setattr(encoder, "_run", small_memory)
    monkeypatch.setattr(encoder, "_batch_tokens", 2048)
    assert np.allclose(encoder.encode_document(TEXTS * 10), expected, atol=1e-5)
    assert encoder._batch_tokens < 2048
    assert max(sizes) > 7


def test_out_of_memory_for_a_single_text_is_raised(encoder, monkeypatch):
    def no_memory(forward, rows, framing):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(encoder, "_run", no_memory)
    with pytest.raises(torch.OutOfMemoryError):
        encoder.encode_document(["fox"])


def test_bfloat16_is_close_and_pooled_in_float32():
    exact, fast = _assemble(), _assemble(dtype="bfloat16")
    left, right = exact.encode_document(TEXTS), fast.encode_document(TEXTS)
    assert right.dtype == np.float32
    assert (left * right).sum(axis=1).min() > 0.999
    assert not np.array_equal(left, right)
    assert np.allclose(np.linalg.norm(right, axis=1), 1, atol=1e-6)
    assert fast.card["computed_on"] == "cpu bfloat16"


def test_the_fingerprint_is_for_what_decides_the_vectors():
    first = _assemble()
    assert first.fingerprint == _assemble(dtype="bfloat16").fingerprint
    assert first.fingerprint == _assemble(config=tiny_config(hybrid_weight=0.9)).fingerprint
    others = [
        _assemble(backbone=tiny_backbone(seed=1)),
        _assemble(config=tiny_config(max_tokens=39)),
        _assemble(config=tiny_config(prompts=replace(tiny_config().prompts, query="q: "))),
        _assemble(config=tiny_config(attention_temperature=0.9)),
        _assemble(tokenizer=tiny_tokenizer(bos=None)),
    ]
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == len(others) + 1


def test_attention_temperature_changes_the_vectors():
    sharper = _assemble(config=tiny_config(attention_temperature=0.5))
    assert not np.allclose(_assemble().encode_document(TEXTS), sharper.encode_document(TEXTS), atol=1e-3)


def test_max_tokens_is_capped_by_the_backbone():
    encoder = _assemble(config=tiny_config(max_tokens=10_000))
    assert encoder.max_tokens == 128 - 4 - 1
    assert np.isfinite(encoder.encode_document(["word " * 1000])).all()


def test_a_sliding_window_caps_max_tokens():
    encoder = _assemble(backbone=tiny_backbone("mistral", sliding_window=16))
    assert encoder.max_tokens == 16 - 4 - 1


@pytest.mark.parametrize("pooling", ["mean", "last", "weighted", "bidirectional_mean", "echo", "prompteol"])
def test_a_bare_backbone_gives_the_same_vector_alone_and_in_a_batch(pooling):
    encoder = _assemble(config=tiny_config(pooling=pooling, n_memory=0), backbone=tiny_backbone("gpt2"))
    texts = [text for text in TEXTS if text]
    together = encoder.encode_query(texts, instruction="find")
    for text, vector in zip(texts, together, strict=True):
        assert np.allclose(encoder.encode_query([text], instruction="find")[0], vector, atol=1e-5)
    with pytest.raises(UsageError, match=f"pooling {pooling} has no memory tokens"):
        encoder.encode_memory(texts)


@pytest.mark.parametrize("pooling", ["echo", "prompteol"])
def test_a_long_instruction_takes_room_from_the_text(pooling):
    encoder = _assemble(
        config=tiny_config(pooling=pooling, n_memory=0, max_tokens=500), backbone=tiny_backbone("gpt2")
    )
    assert np.isfinite(encoder.encode_query(["word " * 500], instruction="find " * 5)).all()


def test_mean_pooling_of_a_bare_backbone_agrees_with_the_backbone_itself():
    backbone = tiny_backbone()
    ids = tiny_tokenizer()("the quick brown fox", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        states = backbone(input_ids=ids).last_hidden_state[0]
    expected = {
        "mean": states.mean(dim=0),
        "last": states[-1],
        "weighted": (states * torch.arange(1, len(states) + 1)[:, None]).sum(dim=0),
    }
    for pooling, vector in expected.items():
        encoder = _assemble(config=tiny_config(pooling=pooling, n_memory=0), backbone=tiny_backbone())
        found = encoder.encode_document(["the quick brown fox"])[0]
        assert np.allclose(found, (vector / vector.norm()).numpy(), atol=1e-5), pooling


def test_echo_pools_the_second_copy_only():
    hf, backbone = tiny_tokenizer(), tiny_backbone()
    first, text, second = (
        hf(part, add_special_tokens=False)["input_ids"]
        for part in ("Document:", "the fox", "\nDocument again:")
    )
    ids = torch.tensor([[1, *first, *text, *second, *text]])
    with torch.inference_mode():
        vector = backbone(input_ids=ids).last_hidden_state[0, -len(text) :].mean(dim=0)
    encoder = _assemble(config=tiny_config(pooling="echo", n_memory=0), backbone=tiny_backbone())
    found = encoder.encode_document(["the fox"])[0]
    assert np.allclose(found, (vector / vector.norm()).numpy(), atol=1e-5)
