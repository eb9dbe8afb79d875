"""A vocabulary learnt from texts writes down any text and gives it back."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from encoder.prompt import TextTokenizer
from train.texts.vocabulary import BEGIN, learn_tokenizer

_TEXTS = ["the quick brown fox jumps over the lazy dog", "wizards read 12 old books in quiet rooms"] * 20


@pytest.fixture(scope="module")
def learnt():
    return learn_tokenizer(_TEXTS, 320)


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("<s> is text here")
@example("  two  spaces\n\nand lines\t")
@example("naïve café 😀 e\u0301")
def test_any_text_comes_back_but_for_unicode_composition(learnt, text):
    plain = TextTokenizer(learnt.backend_tokenizer, learnt.bos_token_id)
    ids = plain.ids([text]).ids[0].tolist()
    assert learnt.bos_token_id not in ids
    assert learnt.decode(ids) == unicodedata.normalize("NFC", text)


def test_the_vocabulary_has_at_most_the_tokens_asked_for_and_words_that_are_frequent(learnt):
    assert 257 < len(learnt) <= 320
    assert len(learnt.encode(" the quick", add_special_tokens=False)) < len(" the quick")


def test_one_token_begins_ends_and_pads(learnt):
    assert learnt.convert_ids_to_tokens([learnt.bos_token_id]) == [BEGIN]
    assert learnt.bos_token_id == learnt.eos_token_id == learnt.pad_token_id


def test_digits_stand_alone(learnt):
    ids = learnt.encode("2026", add_special_tokens=False)
    assert len(ids) == 4


def test_the_same_texts_give_the_same_vocabulary(learnt):
    assert learn_tokenizer(_TEXTS, 320).get_vocab() == learnt.get_vocab()
