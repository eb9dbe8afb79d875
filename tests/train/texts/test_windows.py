"""Texts packed end to end lose nothing but the incomplete last window."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.prompt import TextTokenizer
from tests.encoder.tiny import TEXTS, tiny_tokenizer
from train.texts.windows import Windows, collate_windows

END = 2


@pytest.fixture(scope="module")
def tokenizer():
    return TextTokenizer(tiny_tokenizer().backend_tokenizer, None)


@given(texts=st.lists(st.sampled_from([*TEXTS, "a", "the " * 70]), max_size=12), window=st.integers(2, 40))
def test_the_windows_are_a_prefix_of_all_tokens_each_text_closed_by_the_end(tokenizer, texts, window):
    tokens = [token for text in texts for token in [*tokenizer.ids([text]).ids[0].tolist(), END]]
    windows = list(Windows(texts, tokenizer, end=END, window=window))
    assert [item["number"] for item in windows] == list(range(len(windows)))
    assert all(len(item["input_ids"]) == window for item in windows)
    packed = [token for item in windows for token in item["input_ids"]]
    assert packed == tokens[: len(packed)]
    assert len(tokens) - len(packed) < window


def test_windows_can_be_read_again_from_the_first(tokenizer):
    windows = Windows(TEXTS * 3, tokenizer, end=END, window=16)
    assert list(islice(windows, 5)) == list(islice(windows, 5))


def test_a_batch_holds_ids_and_numbers(tokenizer):
    batch = collate_windows(list(islice(Windows(TEXTS * 3, tokenizer, end=END, window=16), 3)))
    assert batch["input_ids"].shape == (3, 16)
    assert batch["number"].tolist() == [0, 1, 2]
