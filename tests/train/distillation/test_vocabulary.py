"""A smaller vocabulary spells every word that the whole one knew."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from encoder.errors import ConfigError
from train.distillation.vocabulary import frequent_tokens, keep_tokens

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_WORDS = ["the", "then", "other", "##er", "##en", "straße", "##aße", "ocean"]
_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "é", "ж", *_LETTERS, *(f"##{letter}" for letter in _LETTERS), *_WORDS]


def _backend():
    backend = Tokenizer(models.WordPiece({token: n for n, token in enumerate(_TOKENS)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.add_special_tokens(["[PAD]", "[UNK]", "[CLS]"])
    return backend


def _counts(**often):
    return np.array([often.get(token.replace("#", "_"), 0) for token in _TOKENS])


_ROOM = 3 + 2 * len(_LETTERS)  # what is always kept


def test_special_tokens_characters_and_frequent_words_stay():
    counts = _counts(the=9, ocean=5, then=2, **{"é": 1})
    kept = frequent_tokens(_backend(), counts, _ROOM + 3)
    tokens = {_TOKENS[old] for old in kept}
    assert tokens - set(_LETTERS) - {f"##{letter}" for letter in _LETTERS} == {
        "[PAD]", "[UNK]", "[CLS]", "é", "the", "ocean"
    }  # fmt: skip
    assert list(kept) == sorted(kept)


def test_a_word_that_is_gone_is_spelt_with_shorter_tokens():
    kept = frequent_tokens(_backend(), _counts(the=9, __er=3), _ROOM + 2)
    smaller = keep_tokens(_backend(), kept)
    assert smaller.encode("the other").tokens == ["the", "o", "##t", "##h", "##er"]
    assert smaller.get_vocab_size() == _ROOM + 2
    assert smaller.token_to_id("[PAD]") == 0


@settings(max_examples=50)
@given(st.text(_LETTERS, min_size=1, max_size=12), st.integers(_ROOM, len(_TOKENS) - 2))
def test_every_ascii_word_survives_any_size(word, size):
    smaller = keep_tokens(_backend(), frequent_tokens(_backend(), _counts(the=9, then=4), size))
    assert "".join(token.removeprefix("##") for token in smaller.encode(word).tokens) == word


def test_tokens_keep_their_order_and_special_ones_their_role():
    backend = _backend()
    kept = frequent_tokens(backend, _counts(then=4), _ROOM + 1)
    smaller = keep_tokens(backend, kept)
    assert [smaller.id_to_token(new) for new in range(len(kept))] == [_TOKENS[old] for old in kept]
    assert smaller.encode("[CLS]").ids == [smaller.token_to_id("[CLS]")]


@pytest.mark.parametrize("size", [0, _ROOM - 1, len(_TOKENS) + 1])
def test_an_impossible_size_is_refused(size):
    with pytest.raises(ConfigError, match=f"A vocabulary of {size} tokens cannot be made") as caught:
        frequent_tokens(_backend(), _counts(), size)
    assert str(_ROOM) in caught.value.fix
