"""Tokens that tell an encoder nothing are counted, where its vocabulary has such; else nothing is said."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from encoder.prompt import TextTokenizer
from encoder.stats import EncodingStats
from encoder.unknown import unknown_tokens
from tests.encoder.tiny import tiny_tokenizer

_RUSSIAN = "дорога"  # of which the vocabulary below has every letter
_CHINESE = "道路"


def _wordpiece(*more):
    words = ["[UNK]", "road", "##s", "x", "é", "α", "##α", "道", "中", "!", "²", "дом"]
    words += [mark + letter for letter in sorted(set(_RUSSIAN)) for mark in ("", "##")]
    vocabulary = {word: number for number, word in enumerate([*words, *more])}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return backend


def _unknown(*texts, backend=None, **options):
    found = TextTokenizer(backend or _wordpiece(), None).ids(texts, **options)
    return list(zip(found.unknown.tolist(), found.length.tolist(), strict=True))


def test_the_unknown_token_and_single_letters_of_other_alphabets_tell_nothing():
    backend = _wordpiece()
    found = unknown_tokens(backend)
    names = {token for token, number in backend.get_vocab().items() if found[number]}
    assert {"[UNK]", "α", "##α", "д", "##д", "道", "中"} <= names
    assert names.isdisjoint({"road", "##s", "x", "é", "!", "²", "дом"})


def test_counts_are_those_of_the_tokens_kept():
    assert _unknown("roads", "", _RUSSIAN, "road ☃", "roads" + f" {_RUSSIAN}", _CHINESE) == [
        (0, 2),
        (0, 0),
        (6, 6),
        (1, 2),
        (6, 8),
        (2, 2),
    ]
    assert _unknown(f"roads {_RUSSIAN}", longest=3) == [(1, 3)]


@pytest.mark.parametrize("texts", [["road " + _RUSSIAN * 50_000], ["x" * 300_000], ["roads", _RUSSIAN] * 50])
def test_counts_agree_with_a_loop_over_the_names(texts):
    backend = _wordpiece()
    tells_nothing = unknown_tokens(backend)
    expected = []
    for text in texts:
        ids = TextTokenizer(backend, None).ids([text]).ids[0]
        expected.append((sum(bool(tells_nothing[number]) for number in ids), len(ids)))
    assert _unknown(*texts) == expected


def test_a_vocabulary_made_from_text_with_ideographs_knows_them():
    ideographs = [chr(0x4E00 + number) for number in range(2500)]
    backend = _wordpiece(*(sign for sign in ideographs if sign not in "道中"))
    assert _unknown(ideographs[100] + ideographs[200], backend=backend) == [(0, 2)]
    assert _unknown(_RUSSIAN, backend=backend) == [(6, 6)]


@pytest.mark.parametrize("byte_fallback", [False, True])
def test_where_no_token_is_unknown_nothing_is_said(byte_fallback):
    backend = tiny_tokenizer().backend_tokenizer
    if byte_fallback:
        backend = Tokenizer(models.BPE({"<unk>": 0, "д": 1}, [], unk_token="<unk>", byte_fallback=True))
    assert unknown_tokens(backend) is None
    assert _unknown(_RUSSIAN, backend=backend)[0][0] == 0


def test_statistics_name_the_texts_that_are_mostly_unknown():
    tokenizer, stats = TextTokenizer(_wordpiece(), None), EncodingStats()
    for first, texts in ((0, ["roads", _RUSSIAN, ""]), (3, [_CHINESE, "road ☃"])):
        stats.count_cuts(tokenizer.ids(texts), first)
        stats.texts += len(texts)
    assert stats.mostly_unknown == [1, 3]  # a half is not most
    assert stats.unknown == 6 + 2 + 1
    assert "2 texts in writing that the encoder hardly knows" in stats.describe()


def test_encoders_number_the_texts_over_calls_and_windows(monkeypatch):
    from encoder.checkpoint import load_encoder

    bundled, stats = load_encoder("default", device="cpu"), EncodingStats()
    monkeypatch.setattr("encoder.model._WINDOW_TEXTS", 2)
    texts = [
        "who pays for roads",
        "кто платит за дороги",
        "",
        "who pays",
        "谁为道路付费",
        "πληρώνει για τους δρόμους",
    ]
    bundled.encode_document(texts, stats=stats)
    bundled.encode_query(texts[:2], stats=stats)
    assert stats.mostly_unknown == [1, 4, 5, 7]
    assert stats.texts == 8
    assert np.isfinite(bundled.encode_document(texts)).all()


@pytest.mark.parametrize(
    "text", ["wer bezahlt für die Straßen", "¿quién paga las carreteras?", "kto płaci za drogi"]
)
def test_a_language_in_latin_letters_is_spelt_and_not_called_unknown(text):
    from encoder.checkpoint import load_encoder

    stats = EncodingStats()
    load_encoder("default", device="cpu").encode_query([text], stats=stats)
    assert stats.mostly_unknown == []
