"""What is said of memory tokens agrees with closed forms, with loops over pairs, and with real encoders."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.checkpoint import load_encoder
from encoder.errors import ShapeError, UsageError
from encoder.spectrum.slots import across_texts, examine_slots, named, slot_report_to_json, slot_shares
from tests.encoder.tiny import TEXTS


def _random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def _pooled(memory):
    mean = memory.mean(axis=1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


# shares of a score


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000), slots=st.integers(1, 9), scale=st.sampled_from([1e-200, 1e-3, 1, 1e5, 1e200])
)
def test_shares_add_up_to_the_score(seed, slots, scale):
    memory = _random(1, slots, 6, seed=seed)
    query = _random(6, seed=seed + 1)
    query /= np.linalg.norm(query)
    shares = slot_shares(query, memory[0] * scale)
    assert shares.sum() == pytest.approx(float(query @ _pooled(memory)[0]), abs=1e-12)


def test_equal_memory_tokens_share_equally():
    query = np.array([0.6, 0.8])
    assert slot_shares(query, np.array([[3.0, 0.0]] * 4)).tolist() == pytest.approx([0.15] * 4)


def test_a_share_follows_direction_and_length():
    memory = np.array([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]])  # the mean is (1, 4/3), 5/3 long
    assert slot_shares(np.array([1.0, 0.0]), memory).tolist() == pytest.approx([0.6, 0.0, 0.0])
    assert slot_shares(np.array([0.0, -1.0]), memory).tolist() == pytest.approx([0.0, -0.8, 0.0])


def test_states_that_cancel_out_share_nothing():
    assert slot_shares(np.array([1.0, 0.0]), np.array([[1.0, 0.0], [-1.0, 0.0]])).tolist() == [0.0, 0.0]
    assert slot_shares(np.array([1.0, 0.0]), np.zeros((3, 2))).tolist() == [0.0] * 3


@pytest.mark.parametrize("spec", ["tiny", "default"])
def test_shares_explain_the_score_of_a_real_hit(spec, encoder_directory):
    place = str(encoder_directory) if spec == "tiny" else spec
    encoder = load_encoder(place, device="cpu", dtype="float32")
    memory, documents = encoder.encode_memory(TEXTS), encoder.encode_document(TEXTS)
    assert memory.shape == (len(TEXTS), encoder.n_memory, encoder.dimension)
    for query in encoder.encode_query(["an old book", "fox"]):
        for states, document in zip(memory, documents, strict=True):
            shares = slot_shares(query, states)
            assert shares.sum() == pytest.approx(float(query.astype(np.float64) @ document), abs=1e-5)
            assert shares.sum() == pytest.approx(float(query @ document.astype(np.float16)), abs=2e-3)


@pytest.mark.parametrize(
    ("query", "memory"), [((3,), (2, 4)), ((4,), (1, 2, 4)), ((4,), (0, 4)), ((1, 4), (2, 4)), ((4,), (4,))]
)
def test_shares_of_what_does_not_fit_together_are_refused(query, memory):
    with pytest.raises(ShapeError, match="do not fit together"):
        slot_shares(np.zeros(query), np.zeros(memory))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_state_that_is_not_finite_is_refused(bad):
    with pytest.raises(ShapeError, match="a memory state is not finite"):
        slot_shares(np.ones(2), np.array([[1.0, bad]]))


# likeness


def test_likeness_across_texts_is_that_of_all_pairs():
    memory = _random(5, 3, 4)
    unit = memory / np.linalg.norm(memory, axis=-1, keepdims=True)
    pairs = [unit[i] @ unit[j].T for i in range(5) for j in range(5) if i != j]
    assert np.allclose(across_texts(memory), np.mean(pairs, axis=0), atol=1e-12)
    assert across_texts(memory[:1]) is None


def test_one_constant_direction_is_seen_within_and_across():
    report = examine_slots(np.ones((20, 4, 3)))
    assert np.allclose(report.within, 1) and np.allclose(report.across, 1)
    assert report.within_centred is None  # nothing differs from text to text
    assert report.groups == ((0, 1, 2, 3),)
    assert report.sentence == "All 4 memory tokens carry the same direction (mean cosine 1.00)."
    assert [slot.constant_share for slot in report.slots] == pytest.approx([1.0] * 4)
    assert [slot.effective_rank for slot in report.slots] == pytest.approx([1.0] * 4)
    assert [slot.norm for slot in report.slots] == pytest.approx([3**0.5] * 4)


def test_the_curve_of_a_memory_token_is_the_spectrum_of_its_unit_states():
    memory = _random(50, 3, 6)
    report = examine_slots(memory)
    assert report.dimension == 6
    for slot in range(3):
        unit = memory[:, slot] / np.linalg.norm(memory[:, slot], axis=1, keepdims=True)
        found = report.slots[slot]
        assert found.singular_values == pytest.approx(np.linalg.svd(unit, compute_uv=False) / 50**0.5)
        assert found.eigenvalues == pytest.approx(np.linalg.eigvalsh(np.cov(unit.T))[::-1])


def test_the_same_content_behind_different_constants_shows_when_they_are_taken_off():
    content = _random(400, 1, 32)
    constants = 40 * np.eye(32)[None, :4]
    report = examine_slots(content + constants)
    apart = ~np.eye(4, dtype=bool)
    assert np.abs(report.within[apart]).max() < 0.1
    assert report.within_centred[apart].min() > 0.999
    assert report.groups == ()
    assert "No two of the 4 memory tokens carry the same direction" in report.sentence
    assert report.sentence.endswith(
        "But what tells texts apart is much the same in each (mean cosine 1.00 without the part that is in every text)."
    )
    assert min(slot.constant_share for slot in report.slots) > 0.9


def test_memory_tokens_of_one_direction_are_named_from_one():
    base = _random(300, 1, 64)
    noise = _random(300, 8, 64, seed=1)
    memory = np.where(np.isin(np.arange(8), [2, 3, 4, 5, 6, 7])[None, :, None], base + 0.1 * noise, noise)
    report = examine_slots(memory)
    assert report.groups == ((2, 3, 4, 5, 6, 7),)
    assert report.sentence.startswith("Memory tokens 3-8 carry the same direction (mean cosine 0.99).")


def test_two_groups_are_named_apart():
    first, second, noise = _random(300, 1, 64), _random(300, 1, 64, seed=2), _random(300, 5, 64, seed=1)
    memory = np.concatenate([first, first, first, second, second], axis=1) + 0.05 * noise
    report = examine_slots(memory)
    assert report.groups == ((0, 1, 2), (3, 4))
    assert report.sentence.startswith("Memory tokens 1-3 carry the same direction, and so do 4 and 5 (")


def test_what_points_one_way_may_tell_texts_apart_all_the_same():
    content, constant = _random(400, 3, 32), 60 * np.eye(32)[0]
    report = examine_slots(np.concatenate([content + constant, _random(400, 1, 32, seed=3)], axis=1))
    assert report.groups == ((0, 1, 2),)
    assert (
        "Most of that direction is in every text and tells none apart; the rest, which does, is different in each"
        in (report.sentence)
    )
    twice = examine_slots(np.concatenate([content[:, :1]] * 2 + [content[:, 1:]], axis=1))
    assert twice.groups == ((0, 1),)
    assert "What tells texts apart is much the same in each too (mean cosine 1.00" in twice.sentence


def test_independent_memory_tokens_are_different():
    report = examine_slots(_random(500, 3, 64))
    assert report.groups == ()
    assert "is different in each" in report.sentence
    assert max(slot.constant_share for slot in report.slots) < 0.01
    assert all(slot.norm == pytest.approx(8, abs=0.1) for slot in report.slots)
    assert all(slot.effective_rank_centred > 55 for slot in report.slots)


def test_one_memory_token_is_the_embedding():
    memory = _random(20, 1, 4)
    report = examine_slots(memory, queries=memory)
    assert report.sentence == "There is one memory token: the embedding is its state."
    assert report.slots[0].overlap is None and report.slots[0].recall_change is None
    assert report.recall == 1.0
    assert examine_slots(memory, queries=-memory).recall == 0.0


@pytest.mark.parametrize(
    ("slots", "words"),
    [((2, 3, 4, 5), "3-6"), ((0, 1), "1 and 2"), ((0, 2, 3, 7), "1, 3-4, 8"), ((1, 0, 2), "1-3")],
)
def test_memory_tokens_are_counted_from_one_for_people(slots, words):
    assert named(slots) == words


# what leaving one out does


def test_leaving_out_a_repeated_memory_token_changes_no_neighbour():
    memory = np.repeat(_random(80, 1, 16), 3, axis=1)
    report = examine_slots(memory)
    assert [slot.overlap for slot in report.slots] == [1.0] * 3


def test_the_overlap_is_that_of_exact_searches():
    memory = _random(60, 3, 5)
    report = examine_slots(memory, k=4)
    for slot in range(3):
        found = []
        for states in (memory, np.delete(memory, slot, axis=1)):
            rows = _pooled(states)
            scores = rows @ rows.T
            np.fill_diagonal(scores, -np.inf)
            found.append(np.argsort(-scores, axis=1)[:, :4])
        expected = np.mean([len(set(a) & set(b)) / 4 for a, b in zip(*found, strict=True)])
        assert report.slots[slot].overlap == pytest.approx(expected)


def test_only_the_memory_token_that_knows_the_answer_matters():
    key = _random(200, 1, 32)
    noise, other = 0.2 * _random(200, 2, 32, seed=1), 0.2 * _random(200, 2, 32, seed=2)
    report = examine_slots(
        np.concatenate([noise[:, :1], key, noise[:, 1:]], axis=1),
        queries=np.concatenate([other[:, :1], key, other[:, 1:]], axis=1),
        k=1,
    )
    assert report.recall == 1.0
    changes = [slot.recall_change.value for slot in report.slots]
    assert changes[1] < -0.8
    assert changes[0] == changes[2] == 0.0
    assert report.slots[1].recall_change.high < 0


def test_a_sample_is_drawn_by_its_seed():
    memory, queries = _random(300, 3, 6), _random(300, 3, 6, seed=1)
    first, again, other = (
        examine_slots(memory, queries=queries, most_rows=50, seed=seed) for seed in (1, 1, 2)
    )
    assert (first.n, first.sampled, first.seed) == (300, 50, 1)
    assert slot_report_to_json(first) == slot_report_to_json(again)
    assert [slot.overlap for slot in first.slots] != [slot.overlap for slot in other.slots]


# edges


def test_texts_without_a_direction_are_left_out():
    memory = _random(30, 2, 5)
    expected = examine_slots(memory[3:], queries=memory[3:])
    memory[0, 0], memory[1, 1], memory[2, 0, 0] = 0, np.nan, np.inf
    found = examine_slots(memory, queries=np.concatenate([np.ones((3, 2, 5)), memory[3:]]))
    assert (found.n, found.left_out) == (27, 3)
    assert np.allclose(found.within, expected.within) and np.allclose(found.across, expected.across)
    assert found.slots == expected.slots


@pytest.mark.parametrize(("n", "begin"), [(0, "There is no text to look at."), (1, "No two of the 3")])
def test_too_few_texts_leave_measures_open(n, begin):
    report = examine_slots(_random(n, 3, 4))
    assert report.n == n and report.across is None and report.within_centred is None
    assert all(slot.overlap is None for slot in report.slots)
    json.dumps(slot_report_to_json(report), allow_nan=False)
    assert report.sentence.startswith(begin)


def test_the_report_is_json_without_nan():
    content = slot_report_to_json(examine_slots(_random(40, 3, 6), queries=_random(40, 3, 6, seed=1)))
    assert json.loads(json.dumps(content, allow_nan=False))["n"] == 40


def test_progress_is_told_up_to_the_end():
    shares = []
    examine_slots(_random(20, 4, 6), report=shares.append)
    assert shares == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    ("given_", "error", "message"),
    [
        ({"memory": np.zeros((2, 3))}, ShapeError, r"memory states have the shape \(2, 3\), expected"),
        ({"memory": np.zeros((2, 0, 3))}, ShapeError, "memory states have the shape"),
        ({"memory": np.ones((2, 2, 3)), "queries": np.ones((1, 2, 3))}, ShapeError, "queries have the shape"),
        ({"memory": np.ones((2, 2, 3)), "k": 0}, UsageError, "k is 0"),
        ({"memory": np.ones((2, 2, 3)), "most_rows": 0}, UsageError, "most_rows is 0"),
    ],
)
def test_what_makes_no_sense_is_refused(given_, error, message):
    with pytest.raises(error, match=message):
        examine_slots(**given_)


def test_the_bundled_encoder_can_be_looked_at():
    encoder = load_encoder("default", device="cpu", dtype="float32")
    texts = [
        f"{first} {second} {third}" for first in TEXTS for second in TEXTS[2:] for third in ("art", "law")
    ]
    report = examine_slots(encoder.encode_memory(texts))
    assert len(report.slots) == encoder.n_memory == 8
    assert report.groups == ((2, 5),)  # the two that came out of training most alike
    assert report.within[2, 5] == np.triu(report.within, k=1).max() > report.alike
    assert all(0 < slot.constant_share < 1 for slot in report.slots)
