"""Neighbours are the exact ones; hubs, dimension and lone rows agree with closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group, skew

from encoder.spectrum import gather, look_around
from encoder.spectrum.neighbourhood import hubness, intrinsic_dimension, nearest, outliers


def _unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _random_unit(n, dimension, seed=0):
    return _unit(np.random.default_rng(seed).standard_normal((n, dimension)))


def _star():
    """Nine axes and what lies between them all."""
    leaves = np.eye(9)
    return _unit(np.concatenate([leaves, leaves.sum(axis=0, keepdims=True)]))


def test_the_neighbours_are_those_of_all_distances():
    unit = _random_unit(1100, 6)  # more than two blocks
    apart = np.linalg.norm(unit[:, None].astype(float) - unit[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    found = nearest(unit, 7)
    np.testing.assert_allclose(found.distances, np.sort(apart, axis=1)[:, :7], atol=1e-9)
    np.testing.assert_allclose(np.take_along_axis(apart, found.positions, axis=1), found.distances, atol=1e-9)
    np.testing.assert_allclose(
        found.cosines, (unit @ unit.T)[np.arange(1100)[:, None], found.positions], atol=1e-6
    )


def test_a_row_is_not_its_own_neighbour_even_among_equals():
    found = nearest(np.ones((40, 1), np.float32), 39)
    for at, row in enumerate(found.positions):
        assert sorted(row) == [other for other in range(40) if other != at]


@pytest.mark.parametrize(("n", "k"), [(0, 0), (1, 0), (2, 1), (5, 4), (11, 10), (30, 10)])
def test_no_more_neighbours_than_other_rows(n, k):
    found = nearest(_random_unit(n, 3))
    assert found.positions.shape == found.distances.shape == (n, k)


def test_close_rows_keep_their_distance():
    step = 1e-5
    angle = np.arange(5) ** 2 * step
    found = nearest(np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32), 1)
    assert found.distances[4, 0] == pytest.approx(7 * step, rel=0.02)


def test_the_centre_of_a_star_is_the_hub():
    found = hubness(nearest(_star(), 1))
    assert found.counts[9] == found.most == 9
    assert sorted(found.counts[:9]) == [0] * 8 + [1]
    assert found.skewness == pytest.approx(2.6087, abs=1e-4)
    assert found.antihub_share == pytest.approx(0.8)
    assert (found.hubs, found.hub_count) == (((9, 9),), 1)


def test_rows_around_a_circle_have_no_hubs():
    angle = np.arange(50) * 2 * np.pi / 50
    found = hubness(nearest(_unit(np.stack([np.cos(angle), np.sin(angle)], axis=1)), 2))
    assert set(found.counts) == {2}
    assert found.skewness is None
    assert (found.antihub_share, found.hubs) == (0, ())


def test_random_directions_have_hardly_any_hubs():
    found = hubness(nearest(_random_unit(2000, 64)))
    assert found.counts.mean() == 10
    assert found.skewness == pytest.approx(0.27, abs=0.1)
    assert found.skewness == pytest.approx(skew(found.counts))
    assert found.antihub_share < 0.001


def test_a_mean_makes_hubs():
    rows = np.random.default_rng(0).standard_normal((2000, 64))
    rows[:, 0] += 24
    assert hubness(nearest(_unit(rows))).skewness > 3


@given(st.permutations(range(12)), st.integers(0, 50))
def test_order_and_rotation_change_no_count(order, seed):
    unit = np.random.default_rng(seed).standard_normal((12, 4))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    turned = (unit @ ortho_group.rvs(4, random_state=seed))[list(order)].astype(np.float32)
    before, after = hubness(nearest(unit.astype(np.float32), 3)), hubness(nearest(turned, 3))
    np.testing.assert_array_equal(before.counts[list(order)], after.counts)


@pytest.mark.parametrize("dimension", [1, 2, 4, 8])
def test_a_sphere_has_its_dimension(dimension):
    found = intrinsic_dimension(nearest(_random_unit(6000, dimension + 1), 2))
    assert found.value == pytest.approx(dimension, rel=0.1)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("dimension", [2, 5])
def test_a_ball_in_many_dimensions_has_its_own(dimension):
    random = np.random.default_rng(1)
    ball = random.standard_normal((6000, dimension))
    ball *= (random.random(6000) ** (1 / dimension) / np.linalg.norm(ball, axis=1))[:, None]
    rows = np.concatenate([np.ones((6000, 1)), 0.05 * ball, np.zeros((6000, 30))], axis=1)
    turned = rows @ ortho_group.rvs(rows.shape[1], random_state=0)
    assert intrinsic_dimension(nearest(_unit(turned), 2)).value == pytest.approx(dimension, rel=0.1)


def test_the_interval_of_the_dimension_covers_it():
    covered = 0
    for seed in range(40):
        found = intrinsic_dimension(nearest(_random_unit(400, 3, seed), 2))
        covered += found.low <= 2 <= found.high
    assert covered >= 34


@pytest.mark.parametrize("n", [0, 1, 2, 15])
def test_few_rows_have_no_dimension(n):
    assert intrinsic_dimension(nearest(_random_unit(n, 3), 2)) is None


def test_evenly_spaced_rows_have_no_dimension():
    assert intrinsic_dimension(nearest(np.eye(40, dtype=np.float32), 2)) is None


def test_a_row_that_stands_alone_is_found_with_its_score():
    random = np.random.default_rng(0)
    rows = random.standard_normal((500, 8)) * 0.1
    rows[:, 0] += 1
    rows[123] = [-1, 0, 0, 0, 0, 0, 0, 0]
    neighbours = nearest(_unit(rows))
    found = outliers(neighbours)
    assert found.rows[0][0] == 123
    cosines = neighbours.cosines[:, -1]
    spread = 1.4826 * np.median(np.abs(cosines - np.median(cosines)))
    assert found.rows[0][1] == pytest.approx((np.median(cosines) - cosines[123]) / spread)
    assert found.count == len(found.rows)


def test_rows_that_are_all_as_far_have_no_outliers():
    found = outliers(nearest(np.eye(30, dtype=np.float32)))
    assert found.median == pytest.approx(0)
    assert (found.spread, found.rows, found.count) == (None, (), 0)
    assert outliers(nearest(np.zeros((0, 3), np.float32))).median is None


def test_hubs_and_outliers_are_named_by_their_place_among_all_rows():
    star = np.insert(_star(), [0, 5], np.zeros(9), axis=0)
    around = look_around(gather(star, 100, seed=0, in_detail=True), k=1)
    assert around.hubness.hubs == ((11, 9),)
    np.testing.assert_array_equal(around.positions, [1, 2, 3, 4, 5, 7, 8, 9, 10, 11])


def test_equal_rows_count_once_among_neighbours():
    rows = np.concatenate([_random_unit(30, 4)] * 3)
    around = look_around(gather(rows, 1000, seed=0, in_detail=True))
    np.testing.assert_array_equal(around.positions, np.arange(30))
    assert around.neighbours.distances.min() > 0


def test_progress_ends_at_all():
    seen = []
    nearest(_random_unit(1100, 3), report=seen.append)
    assert seen == sorted(seen)
    assert (len(seen), seen[-1]) == (3, 1.0)
