"""Likeness by length agrees with closed forms: texts that crowd as they grow, and texts that do not."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from encoder.errors import ShapeError, UsageError
from encoder.spectrum.length_bias import length_bias, length_report_to_json, same_text_lengths
from tests.conftest import WordEmbedder


def _random(n, dimension, seed=0):
    return np.random.default_rng(seed).standard_normal((n, dimension))


def _crowding(per_length=200, dimension=64, pulls=(0.0, 0.5, 1.0, 1.5, 2.0)):
    """Rows of length 8 in all directions, pulled to one axis by 8 times `pulls`; and lengths of texts."""
    rows = _random(per_length * len(pulls), dimension)
    rows[:, 0] += np.repeat(pulls, per_length) * 8
    return rows, np.repeat(np.arange(1, len(pulls) + 1) * 10, per_length)


def test_texts_that_are_pulled_together_as_they_grow_crowd():
    rows, lengths = _crowding()
    report = length_bias(rows, lengths)
    assert [each.least for each in report.bins] == [10, 20, 30, 40, 50]
    for each, pull in zip(report.bins, (0, 0.5, 1, 1.5, 2), strict=True):
        # Gaussian with a mean of length 8a: a^2 / (1 + a^2) in 64 dimensions.
        assert each.mean_cosine == pytest.approx(pull**2 / (1 + pull**2), abs=0.03)
    assert report.collapse == pytest.approx(0.8, abs=0.03)
    assert report.spearman == pytest.approx(1)
    assert report.bins[0].effective_rank > report.bins[-1].effective_rank > 40
    assert report.sentence.startswith(
        "Long texts crowd together: mean cosine 0.00 among the shortest (about 10"
    )


def test_short_texts_can_crowd_too():
    rows, lengths = _crowding()
    report = length_bias(rows, 60 - lengths)
    assert report.collapse == pytest.approx(-0.8, abs=0.03)
    assert report.spearman == pytest.approx(-1)
    assert report.sentence.startswith("Short texts crowd together: ")


def test_length_without_an_effect_is_called_so():
    report = length_bias(_random(2000, 64), np.random.default_rng(1).integers(5, 200, 2000))
    assert len(report.bins) == 5
    assert abs(report.collapse) < 3 * report.collapse_error
    assert report.attraction == pytest.approx(1, abs=0.1)
    assert sum(each.row_share for each in report.bins) == pytest.approx(1)
    assert sum(each.neighbour_share for each in report.bins) == pytest.approx(1)
    assert report.sentence.startswith("Length makes little difference: ")


def test_chance_among_few_texts_is_not_called_crowding():
    rows = np.concatenate([_random(4, 3), _random(4, 3, seed=5)])
    report = length_bias(rows, np.repeat([1, 9], 4), bins=2)
    assert abs(report.collapse) > 0.05
    assert report.sentence.startswith("Length makes little difference: ")


def test_a_bin_that_everybody_is_near_attracts():
    axes = np.eye(8)
    centre = np.ones((4, 8)) + 0.01 * _random(4, 8)
    report = length_bias(np.concatenate([axes, centre]), np.array([5] * 8 + [90] * 4), bins=2, k=3)
    # Every axis is nearest to three of the four in the middle; those are nearest to one another.
    assert report.bins[-1].neighbour_share == 1.0
    assert report.bins[-1].row_share == pytest.approx(4 / 12)
    assert report.attraction == pytest.approx(3)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_mean_cosine_and_the_rank_correlation_are_those_of_slow_ways(data):
    n = data.draw(st.integers(2, 40))
    lengths = np.array(data.draw(st.lists(st.integers(0, 12), min_size=n, max_size=n)))
    rows = _random(n, 5, seed=data.draw(st.integers(0, 1000)))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    report = length_bias(rows, lengths, bins=data.draw(st.integers(1, 6)))
    assert sum(each.n for each in report.bins) == n
    for each in report.bins:
        inside = unit[(lengths >= each.least) & (lengths <= each.most)]
        assert len(inside) == each.n  # equal lengths are in one bin, and bins do not overlap
        if each.n > 1:
            cosines = (inside @ inside.T)[np.triu_indices(each.n, 1)]
            assert each.mean_cosine == pytest.approx(cosines.mean(), abs=1e-9)
        else:
            assert each.mean_cosine is None
    if report.spearman is not None:
        cosines = [each.mean_cosine for each in report.bins]
        expected = spearmanr([each.mean_tokens for each in report.bins], cosines).statistic
        assert report.spearman == pytest.approx(expected)


def test_the_standard_error_is_the_spread_of_repeated_draws():
    found = []
    for seed in range(200):
        rows = _random(60, 16, seed)
        rows[:, 0] += 3
        found.append(length_bias(rows, np.full(60, 7), bins=1).bins[0])
    spread = np.std([each.mean_cosine for each in found])
    assert np.mean([each.error for each in found]) == pytest.approx(spread, rel=0.2)


def test_ranks_are_of_equally_many_texts():
    rows = np.concatenate([_random(30, 64), _random(600, 64, seed=1)])
    report = length_bias(rows, np.repeat([3, 50], [30, 600]), bins=2)
    assert report.rank_rows == min(each.n for each in report.bins)
    assert all(each.effective_rank <= report.rank_rows - 1 for each in report.bins)
    assert report.bins[0].effective_rank == pytest.approx(report.bins[1].effective_rank, rel=0.1)


def test_curves_are_the_spectra_of_equally_many_texts():
    rows, lengths = _random(300, 8), np.repeat([3, 50, 70], 100)
    report = length_bias(rows, lengths, bins=3)
    assert (report.curve_rows, report.dimension) == (100, 8)
    for at, each in enumerate(report.bins):
        unit = rows[100 * at : 100 * (at + 1)]
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        assert each.singular_values == pytest.approx(np.linalg.svd(unit, compute_uv=False) / 10)
        assert each.eigenvalues == pytest.approx(np.linalg.eigvalsh(np.cov(unit.T))[::-1])


def test_a_length_of_fewer_texts_than_dimensions_has_no_curve_and_shortens_no_other():
    rows = np.concatenate([_random(40, 64), _random(400, 64, seed=1), _random(200, 64, seed=2)])
    report = length_bias(rows, np.repeat([3, 50, 70], [40, 400, 200]), bins=20)
    assert [each.n for each in report.bins] == [40, 400, 200]
    assert (report.rank_rows, report.curve_rows) == (40, 200)
    assert [len(each.eigenvalues) for each in report.bins] == [0, 64, 64]
    assert [len(each.singular_values) for each in report.bins] == [0, 64, 64]
    assert length_bias(rows[:40], np.full(40, 3)).curve_rows == 0


def test_turning_the_space_changes_nothing():
    rows, lengths = _crowding(per_length=60, dimension=16)
    turn = np.linalg.qr(_random(16, 16, seed=3))[0]
    first, second = length_bias(rows, lengths), length_bias(rows @ turn, lengths)
    assert first.collapse == pytest.approx(second.collapse)
    assert first.attraction == pytest.approx(second.attraction, abs=0.01)
    assert [each.effective_rank for each in first.bins] == pytest.approx(
        [each.effective_rank for each in second.bins]
    )


def test_a_sample_is_drawn_by_its_seed():
    rows, lengths = _crowding(per_length=60)
    first, again, other = (length_bias(rows, lengths, most_rows=50, seed=seed) for seed in (1, 1, 2))
    assert (first.n, first.sampled, first.seed) == (300, 50, 1)
    assert first == again
    assert [each.row_share for each in first.bins] != [each.row_share for each in other.bins]
    assert first.collapse == other.collapse  # of all rows


def test_rows_without_direction_are_left_out_with_their_lengths():
    rows, lengths = _crowding(per_length=40)
    bad = np.array([np.zeros(64), np.full(64, np.nan), np.full(64, np.inf)])
    report = length_bias(np.concatenate([bad, rows]), np.concatenate([[999, 0, 5], lengths]))
    expected = length_bias(rows, lengths)
    assert (report.n, report.left_out) == (200, 3)
    assert report.bins == expected.bins


@pytest.mark.parametrize(("n", "bins"), [(0, 0), (1, 1), (2, 2)])
def test_too_few_texts_leave_measures_open(n, bins):
    report = length_bias(_random(n, 4), np.arange(n))
    assert len(report.bins) == bins
    assert report.collapse is None and report.spearman is None
    assert report.sentence == "Texts of several lengths are needed to compare them."
    json.dumps(length_report_to_json(report), allow_nan=False)


def test_texts_that_are_cut_at_one_length_are_a_bin():
    report = length_bias(_random(90, 4), np.concatenate([np.arange(10, 40), np.full(60, 254)]))
    assert [(each.least, each.most, each.n) for each in report.bins] == [
        (10, 27, 18),
        (28, 39, 12),
        (254, 254, 60),
    ]


def test_texts_of_one_length_are_one_bin():
    report = length_bias(_random(50, 4), np.full(50, 7))
    assert len(report.bins) == 1 and report.collapse is None
    assert report.bins[0].row_share == report.bins[0].neighbour_share == 1


@pytest.mark.parametrize(
    ("lengths", "options", "error", "message"),
    [
        (np.ones(3, int), {}, ShapeError, r"lengths have the shape \(3,\)"),
        (np.ones(4), {}, ShapeError, "type float64"),
        (np.ones(4, int), {"bins": 0}, UsageError, "bins is 0"),
        (np.ones(4, int), {"bins": 101}, UsageError, "bins is 101"),
        (np.ones(4, int), {"k": 0}, UsageError, "k is 0"),
        (np.ones(4, int), {"most_rows": 0}, UsageError, "most_rows is 0"),
        (np.array([1, 2, -3, 4]), {}, UsageError, "a length is -3"),
    ],
)
def test_what_makes_no_sense_is_refused(lengths, options, error, message):
    with pytest.raises(error, match=message):
        length_bias(np.ones((4, 2)), lengths, **options)


# the same texts at several lengths


def _texts(count=40, words=30):
    """Texts of words of their own that all end in the same words."""
    return [
        " ".join([f"own{number}x{at}" for at in range(words // 2)] + ["all", "say", "this"] * (words // 6))
        for number in range(count)
    ]


def test_cut_texts_are_as_alike_as_what_is_left_of_them():
    texts = _texts()
    short, whole = same_text_lengths(WordEmbedder(), [*texts, "too short"], [15, 30])
    assert (short.tokens, short.n, whole.tokens, whole.n) == (15, 40, 30, 40)
    vectors = WordEmbedder().encode_document(texts).astype(np.float64)
    cosines = (vectors @ vectors.T)[np.triu_indices(40, 1)]
    assert whole.mean_cosine == pytest.approx(cosines.mean(), abs=1e-6)
    assert short.mean_cosine < whole.mean_cosine - 0.2  # the common end is cut off
    assert short.effective_rank > whole.effective_rank


def test_a_count_that_was_given_twice_is_measured_once_and_in_order():
    assert [each.tokens for each in same_text_lengths(WordEmbedder(), _texts(), [20, 10, 20])] == [10, 20]


@pytest.mark.parametrize(
    ("counts", "message"), [([], "token counts are missing"), ([0, 5], "0, 5"), ([10_000], "10000")]
)
def test_impossible_token_counts_are_refused(counts, message):
    with pytest.raises(UsageError, match=message) as caught:
        same_text_lengths(WordEmbedder(), _texts(), counts)
    assert caught.value.fix.startswith("give whole numbers from 1 to ")


def test_texts_that_are_too_short_are_refused():
    with pytest.raises(UsageError, match="1 of 3 texts have 30 tokens") as caught:
        same_text_lengths(WordEmbedder(), ["one", "two", _texts()[0]], [5, 30])
    assert caught.value.fix == "give longer texts, or smaller counts"


def test_progress_is_told_up_to_the_end():
    shares = []
    same_text_lengths(WordEmbedder(), _texts(), [5, 10], report=shares.append)
    length_bias(_random(20, 3), np.arange(20), report=shares.append)
    assert shares == [0.5, 1.0, 1.0]
