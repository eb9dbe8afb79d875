"""One pass keeps the same whatever the blocks, and names rows by their place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.errors import ShapeError
from encoder.spectrum.covariance import Covariance, merged
from encoder.spectrum.gathering import gather, group_count, row_hashes
from encoder.spectrum.norms import norms_of


def _random_rows(n, dimension, seed=0):
    return np.random.default_rng(seed).standard_normal((n, dimension))


def _unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@given(st.lists(st.integers(0, 60), max_size=4))
def test_blocks_change_nothing_that_is_kept(cuts):
    rows = _random_rows(60, 5)
    rows[7], rows[20, 2] = 0, np.nan
    edges = [0, *sorted(cuts), 60]
    blocks = [rows[a:b] for a, b in zip(edges, edges[1:], strict=False)]
    whole = gather(rows, 20, seed=3, in_detail=True)
    parts = gather(blocks, 20, seed=3, in_detail=True)
    for name in ("positions", "norms", "hashes"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    np.testing.assert_array_equal(whole.sample.positions, parts.sample.positions)
    np.testing.assert_array_equal(whole.sample.rows, parts.sample.rows)
    assert [group.n for group in whole.groups] == [group.n for group in parts.groups]
    for one, other in zip(whole.groups, parts.groups, strict=True):
        np.testing.assert_allclose(one.moments()[1], other.moments()[1], atol=1e-12)
    assert (parts.zero_rows, parts.non_finite_rows, parts.total().n) == (1, 1, 58)


def test_rows_are_named_by_their_place_among_all_that_were_given():
    rows = _random_rows(30, 4)
    rows[[0, 3, 29]] = 0
    found = gather([rows[:10], rows[10:]], 12, seed=0, in_detail=True)
    np.testing.assert_array_equal(found.positions, [at for at in range(30) if at not in (0, 3, 29)])
    assert len(found.sample.positions) == 12
    np.testing.assert_allclose(found.sample.rows, _unit(rows[found.sample.positions]), atol=1e-7)


def test_lengths_are_those_that_were_given():
    rows = _unit(_random_rows(6, 3)) * np.array([1e-250, 1e-3, 1, 2, 1e3, 1e250])[:, None]
    found = gather(rows, 9, seed=0, in_detail=True)
    np.testing.assert_allclose(found.norms, [1e-250, 1e-3, 1, 2, 1e3, 1e250], rtol=1e-12)


@pytest.mark.parametrize("n", [5, 12, 13, 100])
def test_merged_parts_are_the_whole(n):
    rows = _random_rows(n, 12)
    parts = [Covariance(12) for _ in range(3)]
    for at, part in enumerate(parts):
        part.add(rows[at::3])
    whole = Covariance(12)
    whole.add(rows)
    for found, expected in zip(merged(parts).spectra(), whole.spectra(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(merged(parts).total, whole.total)


def test_without_a_part_the_rest_is_left():
    rows = _random_rows(100, 6)
    whole, part, rest = Covariance(6), Covariance(6), Covariance(6)
    whole.add(rows)
    part.add(rows[:4])
    rest.add(rows[4:])
    left = whole.without(part)
    assert left.n == 96
    for found, expected in zip(left.spectra(), rest.spectra(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_wide_encoder_has_fewer_groups():
    assert [group_count(dimension) for dimension in (2, 384, 1024, 2048, 4096)] == [20, 20, 20, 8, 5]


def test_equal_rows_and_no_others_share_a_hash():
    rows = _unit(_random_rows(2000, 8))
    again = row_hashes(np.concatenate([rows, rows[:500]]))
    assert len(np.unique(again)) == 2000
    np.testing.assert_array_equal(again[:500], again[2000:])


def test_a_minus_before_a_zero_makes_no_other_row():
    first, second = row_hashes(np.array([[0.0, 1.0], [-0.0, 1.0]]))
    assert first == second


def test_blocks_of_another_width_are_refused():
    with pytest.raises(ShapeError, match="a block of embeddings is 4 wide, the first one 3"):
        gather([np.eye(3), np.eye(4)], 5, seed=0, in_detail=True)


def test_norms_are_summed_up():
    found = norms_of(np.array([1.0] * 18 + [2.0, 5.0]))
    assert (found.least, found.median, found.most) == (1, 1, 5)
    assert found.spread == pytest.approx(1)
    assert norms_of(np.array([np.inf])).most == np.finfo(float).max
    assert norms_of(np.zeros(0)).median is None
