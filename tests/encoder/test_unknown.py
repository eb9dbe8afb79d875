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
    return list(zip(found.unknown.tolist(), found.own.tolist(), strict=True))


def test_the_unknown_token_and_single_letters_of_other_alphabets_tell_nothing():
    backend = _wordpiece()
    found = unknown_tokens(backend).is_unknown_V
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
    tells_nothing = unknown_tokens(backend).is_unknown_V
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


def _marked(letters):
    return [mark + letter for letter in letters for mark in ("", "##")]


def _cased(*more):
    backend = _wordpiece(*more)
    backend.normalizer = normalizers.NFC()  # keeps Hangul syllables and voiced kana whole
    return backend


def test_a_vocabulary_of_hangul_syllables_knows_them():
    syllables = [chr(0xAC00 + number) for number in range(0, 11172, 8)]
    text = syllables[0] + syllables[5] + " " + syllables[7]
    assert _unknown(text, _RUSSIAN, backend=_cased(*_marked(syllables))) == [(0, 3), (6, 6)]
    assert _unknown(text, backend=_cased(*_marked(syllables[:20]))) == [(2, 3)]  # the last is a symbol


def test_kana_are_known_where_ideographs_are():
    kana = [chr(number) for number in (*range(0x3042, 0x3094), *range(0x30A1, 0x30FB), 0x30FC)]
    ideographs = [chr(0x5000 + number) for number in range(2500)]
    assert _unknown("のは", "ロード", backend=_cased(*_marked(kana), *ideographs)) == [(0, 2), (0, 3)]
    assert _unknown("のは", "ロード", backend=_cased(*_marked(kana))) == [(2, 2), (3, 3)]


@pytest.mark.parametrize(
    ("first", "letters", "text"), [(0x0430, 32, _RUSSIAN), (0x3042, 80, "のは"), (0xAC00, 99, "갃갅")]
)
def test_a_script_is_known_by_the_pieces_of_its_words(first, letters, text):
    alphabet = [chr(first + number) for number in range(letters)]
    words = [one + other for one in alphabet for other in alphabet if one + other not in text][:300]
    singles = [each for each in _marked(alphabet) if each.removeprefix("##") not in _RUSSIAN]
    size = len(text)
    assert _unknown(text, backend=_cased(*singles, *words)) == [(0, size)]
    assert _unknown(text, backend=_cased(*singles, *words[:100])) == [(size, size)]


def test_signs_of_latin_text_are_no_other_alphabet():
    backend = _cased(*_marked("ªºℓℝＡﬁ"), *_marked("ｱﺏ"))
    found = unknown_tokens(backend).is_unknown_V
    names = {token for token, number in backend.get_vocab().items() if found[number]}
    assert names.isdisjoint(_marked("ªºℓℝＡﬁ"))
    assert names.issuperset(_marked("ｱﺏ"))


def test_a_letter_that_is_a_word_by_itself_is_a_symbol():
    assert _unknown("α road α α", "α", "αα", "road αs", "α!road") == [(0, 4), (0, 1), (2, 2), (1, 3), (0, 3)]
    assert _unknown("road α road", "road αα", longest=2) == [(0, 2), (1, 2)]


def test_the_prefix_counts_neither_way():
    assert _unknown(_RUSSIAN, "road", "", prefix="x road: x x x x x x x ") == [(6, 6), (0, 1), (0, 0)]
    assert _unknown("road", prefix=f"{_RUSSIAN} ") == [(0, 1)]
    assert _unknown(_RUSSIAN, prefix="x road x ", longest=5) == [(2, 2)]
    assert _unknown(_RUSSIAN, "road " + _RUSSIAN * 60_000, prefix="x road x ", longest=2) == [(0, 0)] * 2


def test_an_instruction_does_not_hide_that_a_query_is_unknown():
    stats = EncodingStats()
    found = TextTokenizer(_wordpiece(), None).ids([_RUSSIAN, "road"], prefix="x road x road x road x road ")
    stats.count_cuts(found, 0)
    assert found.length.tolist() == [14, 9]
    assert stats.mostly_unknown == [0]


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
