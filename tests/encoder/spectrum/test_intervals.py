"""Intervals hold the value that ever more rows give, as often as they say."""

from dataclasses import astuple

import numpy as np
import pytest
from scipy.stats import t

from encoder.spectrum import diagnose, diagnosis_of, gather
from encoder.spectrum.intervals import INTERVAL_MEASURES, spectrum_intervals, t_quantile

DIMENSION = 36
REPEATS = 60
LEAST_COVERED = 0.85

SCALES = {
    "equal": np.ones(DIMENSION),
    "falling": np.arange(1, DIMENSION + 1) ** -0.7,
    "steep": np.arange(1, DIMENSION + 1) ** -1.2,
}
MEANS = {"equal": 0.0, "falling": 2.0, "steep": 0.5}


def _rows(kind, n, random):
    rows = random.standard_normal((n, DIMENSION)) * SCALES[kind]
    rows[:, 0] += MEANS[kind]
    return rows


def _intervals(rows, seed=0, most=300):
    return spectrum_intervals(gather(rows, most, seed=seed, in_detail=True))


@pytest.mark.parametrize("kind", SCALES)
@pytest.mark.parametrize("rows_a_dimension", [3, 12])
def test_intervals_cover_what_many_rows_give(kind, rows_a_dimension):
    random = np.random.default_rng(5)
    limit = diagnose(_rows(kind, 200_000, random), most_pair_rows=6000)
    hits = dict.fromkeys(INTERVAL_MEASURES, 0)
    given = dict.fromkeys(INTERVAL_MEASURES, 0)
    for repeat in range(REPEATS):
        found = _intervals(_rows(kind, rows_a_dimension * DIMENSION, random), seed=repeat).of
        for name, interval in found.items():
            if interval is not None:
                given[name] += 1
                hits[name] += interval.low <= getattr(limit, name) <= interval.high
    for name in INTERVAL_MEASURES:
        if (kind, name) == ("equal", "first_direction"):
            assert given[name] < REPEATS / 10  # all directions are as strong: which is the first is chance
        elif name == "first_direction" and given[name] < REPEATS:
            assert hits[name] >= LEAST_COVERED * given[name]  # too near to the second in some draws
        else:
            assert given[name] == REPEATS
            assert hits[name] >= LEAST_COVERED * REPEATS, name


def test_the_estimate_is_nearer_to_the_limit_than_the_value():
    random = np.random.default_rng(0)
    limit = diagnose(_rows("falling", 100_000, random), most_pair_rows=10).effective_rank_centred
    for _ in range(5):
        found = _intervals(_rows("falling", 5 * DIMENSION, random)).of["effective_rank_centred"]
        assert found.value < found.estimate
        assert abs(found.estimate - limit) < abs(found.value - limit)


def test_values_are_those_of_the_diagnosis():
    gathering = gather(_rows("falling", 4000, np.random.default_rng(1)), 300, seed=0, in_detail=True)
    diagnosis = diagnosis_of(gathering)
    for name, interval in spectrum_intervals(gathering).of.items():
        assert interval.value == pytest.approx(getattr(diagnosis, name), rel=1e-9), name
        assert interval.low <= interval.estimate <= interval.high


def test_more_rows_make_it_narrower():
    random = np.random.default_rng(2)
    few, many = (_intervals(_rows("falling", n, random)).of["effective_rank"] for n in (200, 20_000))
    assert many.high - many.low < (few.high - few.low) / 4


def test_the_same_rows_and_seed_give_the_same_and_another_seed_another():
    rows = _rows("steep", 300, np.random.default_rng(3))
    parts = _intervals([rows[:100], rows[100:]]).of
    for name, interval in _intervals(rows).of.items():
        assert astuple(parts[name]) == pytest.approx(astuple(interval), rel=1e-9), name
    assert _intervals(rows).of["effective_rank"] != _intervals(rows, seed=1).of["effective_rank"]


def test_too_few_rows_are_refused_in_a_sentence():
    found = _intervals(_rows("falling", 107, np.random.default_rng(4)))
    assert found.refused == ("107 rows are too few for intervals of ranks in 36 dimensions: they need 108.")
    assert {name for name, interval in found.of.items() if interval} == {"uniformity"}


@pytest.mark.parametrize("rows", [np.zeros((0, 4)), np.zeros((5, 4)), []])
def test_without_rows_nothing_is_known(rows):
    found = _intervals(rows)
    assert found.refused
    assert set(found.of.values()) == {None}


def test_equal_rows_have_only_what_is_defined():
    found = _intervals(np.ones((500, 4))).of
    assert found["effective_rank_centred"] is found["first_direction"] is None
    assert (found["effective_rank"].low, found["effective_rank"].high) == pytest.approx((1, 1))
    assert found["mean_cosine"].high == pytest.approx(1)


@pytest.mark.parametrize("freedom", [4, 7, 9, 19])
def test_the_quantile_of_students_t(freedom):
    assert t_quantile(freedom) == pytest.approx(t.ppf(0.975, freedom), rel=3e-3)
