import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.checkpoint import text_tokenizer
from encoder.errors import InputError
from encoder.prompt import Frame, check_texts, fill_batch
from tests.encoder.tiny import tiny_tokenizer

_HF = tiny_tokenizer()
_TOKENIZER = text_tokenizer(_HF)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=[]), max_size=30), max_size=4))
def test_offsets_lie_in_the_text_in_order(texts):
    found = _TOKENIZER.offsets(texts)
    assert len(found) == len(texts)
    for text, offsets in zip(texts, found, strict=True):
        assert offsets.dtype == np.int64
        assert offsets.shape[1:] == (2,)
        assert (offsets >= 0).all()
        assert (offsets <= len(text)).all()
        assert (offsets[:, 0] <= offsets[:, 1]).all()
        assert (np.diff(offsets[:, 0]) >= 0).all()


def test_offsets_count_characters_and_cover_the_words():
    text = "naïve 😀 fox"
    offsets = _TOKENIZER.offsets([text])[0]
    covered = {number for start, end in offsets.tolist() for number in range(start, end)}
    assert covered == set(range(len(text)))


def test_offsets_cross_chunks_in_order():
    texts = [f"fox {number}" for number in range(1500)]
    found = _TOKENIZER.offsets(texts)
    assert [offsets[-1, 1] for offsets in found] == [len(text) for text in texts]


_WORDS = st.lists(st.sampled_from(["fox", "wizards", "naïve", "😀", ".", "lazy\ndog", "a  b"]), max_size=60)


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(_WORDS.map(" ".join), min_size=1, max_size=4), longest=st.none() | st.integers(1, 30))
def test_texts_in_pieces_and_chunks_give_the_same_tokens(texts, longest):
    offsets, tokens = _TOKENIZER.offsets(texts), _TOKENIZER.ids(texts, longest=longest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("encoder.prompt._PIECE_CHARACTERS", 30)
        patch.setattr("encoder.prompt._CHUNK_CHARACTERS", 50)
        offsets_again, tokens_again = _TOKENIZER.offsets(texts), _TOKENIZER.ids(texts, longest=longest)
    assert all(np.array_equal(*pair) for pair in zip(offsets, offsets_again, strict=True))
    assert all(np.array_equal(*pair) for pair in zip(tokens.ids, tokens_again.ids, strict=True))
    assert tokens.truncated == tokens_again.truncated


def test_a_long_text_without_white_space_is_tokenised_whole(monkeypatch):
    monkeypatch.setattr("encoder.prompt._PIECE_CHARACTERS", 30)
    text = "x" * 100
    offsets = _TOKENIZER.offsets([text])[0]
    assert (offsets[0, 0], offsets[-1, 1]) == (0, 100)
    assert (offsets[1:, 0] == offsets[:-1, 1]).all()


def test_no_texts_give_no_offsets_and_no_ids():
    assert _TOKENIZER.offsets([]) == []
    assert _TOKENIZER.ids([]).ids == []


def test_ids_are_the_tokenizers_own_without_special_tokens():
    text = "the quick  brown\nfox 😀"
    assert _TOKENIZER.ids([text]).ids[0].tolist() == _HF(text, add_special_tokens=False)["input_ids"]


def test_the_prefix_is_tokenised_with_the_text():
    expected = _HF("find: the fox", add_special_tokens=False)["input_ids"]
    assert _TOKENIZER.ids(["the fox"], prefix="find: ").ids[0].tolist() == expected


def test_cut_texts_are_counted():
    found = _TOKENIZER.ids(["fox", "fox " * 50, "dog " * 60], longest=10)
    assert found.truncated == 2
    assert found.length.tolist() == [len(_TOKENIZER.ids(["fox"]).ids[0]), 10, 10]


@pytest.mark.parametrize("text", ["<s>", "a </s> b", "<pad><s>"])
def test_characters_that_look_like_a_special_token_stay_characters(text):
    ids = _TOKENIZER.ids([text]).ids[0]
    assert set(ids.tolist()).isdisjoint({0, 1, 2})
    assert _HF.decode(ids) == text


def test_the_given_tokenizer_keeps_its_settings():
    before = _HF.backend_tokenizer.to_str()
    text_tokenizer(_HF)
    assert _HF.backend_tokenizer.to_str() == before
    assert _HF("<s>", add_special_tokens=False)["input_ids"] == [1]


def test_a_lone_surrogate_counts_as_the_replacement_character():
    expected = _TOKENIZER.ids(["a\ufffdb"]).ids[0]
    assert np.array_equal(_TOKENIZER.ids(["a\ud83db"]).ids[0], expected)
    assert _TOKENIZER.offsets(["a\ud83db"])[0][-1].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("fox", "a single text was given"),
        (["fox", None], r"text 1 is None of type NoneType, expected str"),
        ([b"fox"], r"text 0 is b'fox' of type bytes"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(texts, message):
    with pytest.raises(InputError, match=message):
        check_texts(texts)


def test_a_bad_text_far_down_is_named_by_its_number():
    with pytest.raises(InputError, match="text 1100 is 3"):
        _TOKENIZER.ids(["fox"] * 1100 + [3])


def test_the_hash_tells_tokenizers_apart():
    assert _TOKENIZER.sha256 == text_tokenizer(tiny_tokenizer()).sha256
    assert _TOKENIZER.sha256 != text_tokenizer(tiny_tokenizer(bos=None)).sha256


def test_a_frame_knows_its_size_and_room():
    once, twice = Frame((1,), None, (8, 9)), Frame((1,), (7,), ())
    assert (once.size(5), twice.size(5)) == (8, 12)
    assert (once.room(8), twice.room(13)) == (5, 5)


def test_a_batch_is_right_padded_with_the_frame_around_each_text():
    batch = fill_batch(Frame((1,), None, (9,)), [np.array([5, 6]), np.array([], dtype=np.int64)])
    assert batch.ids_BT.tolist() == [[1, 5, 6, 9], [1, 9, 0, 0]]
    assert batch.length_B.tolist() == [4, 2]
    assert (batch.start_B.tolist(), batch.end_B.tolist()) == ([0, 0], [4, 2])


def test_a_text_said_twice_is_pooled_over_its_second_copy():
    batch = fill_batch(Frame((1,), (7, 8), (9,)), [np.array([5, 6])])
    assert batch.ids_BT.tolist() == [[1, 5, 6, 7, 8, 5, 6, 9]]
    assert (batch.start_B.tolist(), batch.end_B.tolist()) == ([5], [7])
