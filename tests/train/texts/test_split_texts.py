"""A step of compression takes texts with splits that follow from the seed and the number of the item."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.errors import InputError
from encoder.prompt import TextTokenizer
from tests.encoder.tiny import tiny_tokenizer
from train.settings import Compression, Texts
from train.texts.split_texts import SplitTexts, collate_splits
from train.texts.stream import TextStream

SETTINGS = Compression(shortest_context=3, shortest_continuation=2, splits=2)


@pytest.fixture(scope="module")
def tokenizer():
    return TextTokenizer(tiny_tokenizer().backend_tokenizer, None)


def split_texts(tokenizer, folder, lines, *, held_out=2, seed=0, settings=SETTINGS, longest=12):
    path = folder / "texts.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    stream = TextStream(Texts(files=(str(path),), held_out=held_out, shuffle=5))
    return SplitTexts(stream, tokenizer, longest=longest, settings=settings, seed=seed)


LONG = [f"wizards read {number} old books in quiet rooms" for number in range(20)]
SHORT = ["fox", "dog", "a"]


def test_items_are_the_same_at_every_start(tokenizer, tmp_path):
    texts = split_texts(tokenizer, tmp_path, LONG)
    again = split_texts(tokenizer, tmp_path, LONG)
    assert list(islice(texts, 50)) == list(islice(texts, 50)) == list(islice(again, 50))


def test_another_seed_cuts_elsewhere(tokenizer, tmp_path):
    one, other = (split_texts(tokenizer, tmp_path, LONG, seed=seed) for seed in (1, 2))
    assert [item["splits"] for item in islice(one, 30)] != [item["splits"] for item in islice(other, 30)]


def test_a_text_that_comes_again_is_cut_elsewhere(tokenizer, tmp_path):
    texts = split_texts(tokenizer, tmp_path, LONG)
    splits = {}
    for item in islice(texts, 18 * 6):
        splits.setdefault(tuple(item["input_ids"]), set()).add(tuple(item["splits"]))
    assert max(map(len, splits.values())) > 1


@given(
    length=st.integers(5, 60),
    number=st.integers(0, 10**6),
    seed=st.integers(0, 10**6),
    splits=st.integers(1, 8),
)
def test_splits_lie_within_bounds_and_follow_from_seed_and_number(tokenizer, length, number, seed, splits):
    settings = Compression(shortest_context=3, shortest_continuation=2, splits=splits)
    texts = SplitTexts(None, tokenizer, longest=60, settings=settings, seed=seed)
    item = texts.item(list(range(length)), number)
    assert len(item["splits"]) == splits
    assert all(3 <= split <= length - 2 for split in item["splits"])
    assert item == texts.item(list(range(length)), number)


def test_texts_too_short_to_split_are_passed_over_and_counted_once(tokenizer, tmp_path):
    texts = split_texts(tokenizer, tmp_path, LONG + SHORT, held_out=0)
    items = list(islice(texts, 70))
    assert min(len(item["input_ids"]) for item in items) >= 5
    assert [item["number"] for item in items] == list(range(70))
    assert texts.too_short == 3
    assert texts.notes() == ["3 texts were too short to split and were passed over"]


def test_texts_that_are_all_too_short_are_an_error_that_says_so(tokenizer, tmp_path):
    texts = split_texts(tokenizer, tmp_path, SHORT, held_out=0)
    with pytest.raises(
        InputError, match="Every text is shorter than the 5 tokens that a split needs"
    ) as caught:
        next(iter(texts))
    assert caught.value.where.endswith("texts.txt")
    assert "shortest_context" in caught.value.fix


def test_held_out_items_are_those_long_enough_and_always_split_alike(tokenizer, tmp_path):
    texts = split_texts(tokenizer, tmp_path, LONG + SHORT, held_out=23 - 1)
    found = texts.held_out()
    assert 0 < len(found) == len([t for t in texts.stream.held_out if t not in SHORT])
    assert found == texts.held_out()


def test_a_batch_is_padded_on_the_right(tokenizer):
    texts = SplitTexts(None, tokenizer, longest=60, settings=SETTINGS, seed=0)
    batch = collate_splits([texts.item([7, 8, 9, 10, 11], 4), texts.item([3] * 8, 5)])
    assert batch["input_ids"].tolist() == [[7, 8, 9, 10, 11, 0, 0, 0], [3] * 8]
    assert batch["length"].tolist() == [5, 8]
    assert batch["splits"].shape == (2, 2)
    assert batch["number"].tolist() == [4, 5]
