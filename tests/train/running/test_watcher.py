"""What is looked at during training: known items, the spectrum, and whether it collapses."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from train.running.live import Embedded
from train.running.watcher import Watcher, first_look, is_collapsed, known_item_score, split_in_two

LONG = "the first half of a text that is long enough to be cut, and the second half of the very same text"


def slow_score(queries, documents):
    """NDCG@10 by sorting, a tie counting as half a place lost."""
    total = 0.0
    for row, query in enumerate(queries):
        scores = [float(np.dot(query, document)) for document in documents]
        better = sum(score > scores[row] for score in scores)
        equal = sum(score == scores[row] for score in scores) - 1
        place = better + equal / 2
        total += 1 / math.log2(place + 2) if place < 10 else 0.0
    return 100 * total / len(queries)


# Small whole numbers: products are exact, and ties are common.
_ROWS = st.integers(1, 25).flatmap(
    lambda n: st.tuples(*[arrays(np.float32, (n, 3), elements=st.integers(-2, 2).map(np.float32))] * 2)
)


@given(_ROWS)
def test_known_items_are_scored_as_by_brute_force(pair):
    queries, documents = pair
    assert known_item_score(queries, documents) == pytest.approx(slow_score(queries, documents))


def test_a_perfect_space_scores_100():
    assert known_item_score(np.eye(12, dtype=np.float32), np.eye(12, dtype=np.float32)) == 100


def test_a_space_of_one_point_finds_nothing():
    same = np.tile(np.float32([1, 0]), (40, 1))
    assert known_item_score(same, same) == 0


def test_vectors_that_are_not_finite_have_no_score():
    spoiled = np.eye(3, dtype=np.float32)
    spoiled[1, 1] = np.nan
    assert math.isnan(known_item_score(spoiled, np.eye(3, dtype=np.float32)))


def test_a_text_is_cut_at_the_white_space_nearest_to_its_middle():
    ((first, second),) = split_in_two([LONG], 5)
    assert f"{first} {second}" == LONG
    spaces = [place for place, letter in enumerate(LONG) if letter == " "]
    assert len(first) == min(spaces, key=lambda place: abs(place - len(LONG) // 2))


def test_a_line_end_is_white_space_too():
    ((first, second),) = split_in_two(["a" * 45 + "\n" + "b" * 45], 5)
    assert (first, second) == ("a" * 45, "b" * 45)


@pytest.mark.parametrize("text", ["字" * 100, "Title: " + "字" * 100])
def test_a_text_without_white_space_near_its_middle_is_cut_there_all_the_same(text):
    ((first, second),) = split_in_two([text], 5)
    assert first + second == text
    assert abs(len(first) - len(second)) <= 1


@given(st.lists(st.text(st.sampled_from("ab \n字"), max_size=200), max_size=6), st.integers(0, 4))
def test_halves_are_never_empty_and_lose_nothing_but_white_space(texts, most):
    halves = split_in_two(texts, most)
    long_enough = [text.strip() for text in texts if len(text.strip()) >= 80]
    assert len(halves) == min(most, len(long_enough))
    for (first, second), text in zip(halves, long_enough, strict=False):
        assert first and second
        assert "".join((first + second).split()) == "".join(text.split())


class Space:
    """An encoder that gives each text a random vector of its own, and memory states."""

    def __init__(self, memory=True, value=None):
        self._memory, self._value = memory, value

    def encode(self, texts):
        random = np.random.default_rng(0)
        memory_NMD = random.standard_normal((len(texts), 2, 8)).astype(np.float32)
        if self._value is not None:
            memory_NMD[:] = self._value
        vectors = memory_NMD.mean(axis=1)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Embedded(vectors, memory_NMD if self._memory else None)


def look(texts, encoder=None, **options):
    return Watcher(encoder or Space(), texts, **{"known_items": 10, **options}).look()


_SPECTRUM = {"effective_rank", "effective_rank_centred", "rank_me", "mean_cosine", "uniformity"}


def test_a_look_gives_known_items_spectrum_and_slots():
    texts = [f"{number} {LONG}" for number in range(6)]
    found = look(texts, held_out=lambda: {"held_out_loss": 1.5})
    assert found.keys() == _SPECTRUM | {"held_out_loss", "known_items", "slot_similarity"}
    assert found["held_out_loss"] == 1.5
    assert all(math.isfinite(value) for value in found.values())


def test_a_model_without_memory_tokens_has_no_slot_similarity():
    texts = [f"{number} {LONG}" for number in range(6)]
    assert look(texts, Space(memory=False)).keys() == _SPECTRUM | {"known_items"}


def test_texts_too_short_to_cut_have_a_spectrum_alone():
    assert look(["a", "b", "c"]).keys() == _SPECTRUM | {"slot_similarity"}


def test_nothing_held_out_gives_no_measures():
    assert look([]) == {}


def test_measures_that_are_not_finite_are_left_out():
    texts = [f"{number} {LONG}" for number in range(6)]
    found = look(texts, Space(value=np.nan), held_out=lambda: {"held_out_loss": float("inf")})
    assert "held_out_loss" not in found and "known_items" not in found


def test_the_first_look_is_found_in_what_a_trainer_logged():
    history = [{"loss": 1.0, "step": 5}, {"eval_rank_me": 9.0, "step": 0, "epoch": 0}, {"eval_rank_me": 1.0}]
    assert first_look(history) == {"rank_me": 9.0}
    assert first_look([{"loss": 1.0, "step": 5}]) == {}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ({"rank_me": 4.0, "effective_rank_centred": 8.0}, True),
        ({"rank_me": 4.0, "effective_rank_centred": 12.0}, False),  # a growing mean alone
        ({"rank_me": 6.0, "effective_rank_centred": 8.0}, False),
        ({"rank_me": 5.0, "effective_rank_centred": 10.0}, False),  # just at the bound
        ({"rank_me": 4.0}, False),
        ({}, False),
    ],
)
def test_a_space_is_collapsed_when_raw_and_centred_rank_both_fell(now, expected):
    assert is_collapsed({"rank_me": 10.0, "effective_rank_centred": 20.0}, now, 0.5) is expected


def test_nothing_is_collapsed_before_the_first_look():
    assert not is_collapsed({}, {"rank_me": 0.1, "effective_rank_centred": 0.1}, 0.5)
