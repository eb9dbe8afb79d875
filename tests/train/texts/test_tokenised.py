"""A stream of texts becomes a stream of token ids in the same order."""

from itertools import count, islice

import pytest

from encoder.prompt import TextTokenizer
from tests.encoder.tiny import TEXTS, tiny_tokenizer
from train.texts.tokenised import tokenised


@pytest.fixture(scope="module")
def tokenizer():
    return TextTokenizer(tiny_tokenizer().backend_tokenizer, None)


@pytest.mark.parametrize("number", [0, 1, 255, 256, 257, 600])
def test_every_text_comes_in_order(tokenizer, number):
    texts = [f"fox {place}" for place in range(number)]
    found = list(tokenised(iter(texts), tokenizer, None))
    assert found == [ids.tolist() for ids in tokenizer.ids(texts).ids]


def test_an_endless_stream_is_read_as_far_as_it_is_needed(tokenizer):
    texts = (f"fox {place}" for place in count())
    assert len(list(islice(tokenised(texts, tokenizer, None), 300))) == 300


def test_texts_are_cut_at_the_longest_length(tokenizer):
    assert max(map(len, tokenised(iter(TEXTS), tokenizer, 5))) == 5
