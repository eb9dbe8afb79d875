"""The measures of an embedding space agree with closed forms, and never give a NaN."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import hyp0f1
from scipy.stats import ortho_group

from encoder.errors import ShapeError
from encoder.spectrum import (
    Covariance,
    alignment,
    diagnose,
    diagnosis_to_json,
    iso_score,
    slot_similarity,
    spectrum_measures,
)


def _random_rows(n, dimension, seed=0):
    return np.random.default_rng(seed).standard_normal((n, dimension))


def _both_ways(axes, dimension):
    """+e_i and -e_i of the first `axes` directions."""
    basis = np.eye(dimension)[:axes]
    return np.concatenate([basis, -basis])


def _assert_same(first, second, tolerance=1e-9):
    first, second = diagnosis_to_json(first), diagnosis_to_json(second)
    for key, value in first.items():
        if value is None or second[key] is None:
            assert value == second[key], key
        else:
            loose = 1e-5 if key == "uniformity" else tolerance  # pairs are compared in float32
            np.testing.assert_allclose(value, second[key], rtol=loose, atol=loose, err_msg=key)


def test_both_ways_along_every_axis_is_perfectly_even():
    found = diagnose(_both_ways(64, 64))
    for value in (
        found.effective_rank,
        found.effective_rank_centred,
        found.participation_ratio,
        found.participation_ratio_centred,
        found.stable_rank,
        found.stable_rank_centred,
    ):
        assert value == pytest.approx(64)
    assert (found.n, found.dimension, found.n90, found.n99, found.numerical_rank) == (128, 64, 58, 64, 64)
    assert found.iso_score == pytest.approx(1)
    assert found.mean_cosine == pytest.approx(-1 / 127)
    expected = np.log((64 * np.exp(-8) + 64 * 126 * np.exp(-4)) / (64 * 127))
    assert found.uniformity == pytest.approx(expected, abs=1e-6)
    assert found.uniformity == pytest.approx(-4.0078, abs=1e-4)


def test_eight_of_64_axes_are_eight_directions():
    found = diagnose(_both_ways(8, 64))
    for value in (found.effective_rank, found.participation_ratio, found.stable_rank, found.n99):
        assert value == pytest.approx(8)
    assert found.rank_me == pytest.approx(8, rel=1e-4)
    assert found.numerical_rank == 8
    assert found.iso_score == pytest.approx(7 / 63)
    assert found.mean_cosine == pytest.approx(-1 / 15)
    assert found.uniformity == pytest.approx(-4.0677, abs=1e-4)


def test_points_on_one_line_are_one_direction():
    line = np.linspace(-1, 1, 10)[:, None] * _random_rows(1, 16)
    found = diagnose(line)
    for value in (
        found.effective_rank_centred,
        found.participation_ratio_centred,
        found.stable_rank_centred,
        found.n99,
        found.numerical_rank,
    ):
        assert value == pytest.approx(1)
    assert found.iso_score == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("n", [2, 5, 64, 65, 3000])
def test_equal_rows_have_no_centred_spectrum(n):
    found = diagnose(np.tile(_random_rows(1, 64), (n, 1)))
    assert found.effective_rank == pytest.approx(1)
    assert found.mean_cosine == pytest.approx(1)
    assert found.uniformity == pytest.approx(0, abs=1e-6)
    assert found.numerical_rank == 1
    assert not found.eigenvalues.any()
    undefined = (
        found.effective_rank_centred,
        found.participation_ratio_centred,
        found.stable_rank_centred,
        found.n90,
        found.n99,
        found.iso_score,
    )
    assert undefined == (None,) * 6


def test_an_orthonormal_basis_loses_one_direction_to_its_mean():
    found = diagnose(np.eye(64))
    assert found.effective_rank == pytest.approx(64)
    assert found.effective_rank_centred == pytest.approx(63)
    assert found.mean_cosine == pytest.approx(0, abs=1e-12)
    assert found.uniformity == pytest.approx(-4, abs=1e-6)
    assert found.iso_score == pytest.approx(62 / 63)


def test_two_opposite_rows_are_as_far_apart_as_can_be():
    row = _random_rows(1, 5)
    found = diagnose(np.concatenate([row, -3 * row]))
    assert found.uniformity == pytest.approx(-8, abs=1e-5)
    assert found.mean_cosine == pytest.approx(-1)


@pytest.mark.parametrize(
    ("singular_values", "effective_rank", "participation_ratio", "stable_rank"),
    [
        (np.array([2.0, 1, 1, 1]), 3.7893, 49 / 19, 1.75),
        (1 / np.arange(1, 65), 29.1179, 2.4531, 1.6294),
        (np.array([3.0]), 1, 1, 1),
        (np.array([1.0, 2, 1, 1]), 3.7893, 49 / 19, 1.75),
        (np.array([2e-200, 1e-200, 1e-200, 1e-200]), 3.7893, 49 / 19, 1.75),
        (np.array([2e200, 1e200, 1e200, 1e200]), 3.7893, 49 / 19, 1.75),
    ],
)
def test_measures_of_a_known_spectrum(singular_values, effective_rank, participation_ratio, stable_rank):
    found = spectrum_measures(singular_values)
    assert found.effective_rank == pytest.approx(effective_rank, abs=5e-5)
    assert found.participation_ratio == pytest.approx(participation_ratio, abs=5e-5)
    assert found.stable_rank == pytest.approx(stable_rank, abs=5e-5)


def test_rank_me_adds_its_floor_to_every_share():
    share = np.array([0.5, 0.3, 0.2, 0.0]) + 1e-7
    expected = np.exp(-(share * np.log(share)).sum())
    assert spectrum_measures(np.array([5.0, 3, 2, 0])).rank_me == pytest.approx(expected, rel=1e-12)


def test_few_directions_that_hold_90_and_99_percent_are_counted():
    found = spectrum_measures(np.sqrt([0.6, 0.3, 0.09, 0.005, 0.005]))
    assert (found.n90, found.n99) == (2, 3)


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros(4)])
def test_a_spectrum_of_zeros_has_no_measures(values):
    found = spectrum_measures(values)
    assert found.effective_rank is found.rank_me is found.participation_ratio is None
    assert found.stable_rank is found.n90 is found.n99 is None


def test_iso_score_grows_by_equal_steps_with_the_directions_used():
    for used in range(1, 17):
        assert iso_score(np.ones(used), 16) == pytest.approx((used - 1) / 15, abs=1e-12)


def test_iso_score_needs_two_dimensions():
    assert iso_score(np.ones(1), 1) is None


def test_points_around_a_circle_have_the_uniformity_of_the_circle():
    n = 500
    angle = np.arange(n) * 2 * np.pi / n
    with_themselves = np.exp(-4) * hyp0f1(1, 4)  # mean over all pairs; pairs i < j leave out the diagonal
    found = diagnose(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    assert found.uniformity == pytest.approx(np.log((n * with_themselves - 1) / (n - 1)), abs=1e-6)
    assert np.log(with_themselves) == pytest.approx(-1.5750, abs=1e-4)


@pytest.mark.parametrize(("dimension", "expected"), [(8, -3.0825), (64, -3.8752), (384, -3.9792)])
def test_random_directions_have_the_uniformity_of_the_sphere(dimension, expected):
    assert expected == pytest.approx(-4 + np.log(hyp0f1(dimension / 2, 4)), abs=1e-4)
    assert diagnose(_random_rows(2000, dimension)).uniformity == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(("a", "expected"), [(0, 0.0), (1, 0.501), (3, 0.901)])
def test_a_mean_direction_raises_the_mean_cosine_and_no_centred_measure(a, expected):
    rows = _random_rows(3000, 64)
    shifted = rows.copy()
    shifted[:, 0] += 8 * a
    found, plain = diagnose(shifted), diagnose(rows)
    assert found.mean_cosine == pytest.approx(expected, abs=0.01)
    assert found.effective_rank_centred == pytest.approx(plain.effective_rank_centred, rel=0.01)


def test_gaussian_rows_have_the_known_measures():
    found = diagnose(_random_rows(2000, 64))
    assert found.effective_rank == pytest.approx(63.7, abs=0.15)
    assert found.participation_ratio == pytest.approx(61.9, abs=0.5)
    assert found.stable_rank == pytest.approx(46, abs=3)
    assert found.iso_score == pytest.approx(0.967, abs=0.01)


def test_the_spectrum_is_that_of_a_singular_value_decomposition():
    for rows in (_random_rows(50, 12), _random_rows(9, 12)):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        found = diagnose(rows)
        np.testing.assert_allclose(
            found.singular_values, np.linalg.svd(unit / np.sqrt(len(unit)), compute_uv=False), atol=1e-12
        )
        centred = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False) ** 2 / (len(unit) - 1)
        np.testing.assert_allclose(found.eigenvalues, centred, atol=1e-12)


def test_mean_cosine_and_uniformity_are_those_of_all_pairs():
    rows = _random_rows(40, 6)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = [(i, j) for i in range(40) for j in range(i)]
    cosine = np.array([unit[i] @ unit[j] for i, j in pairs])
    distance = np.array([((unit[i] - unit[j]) ** 2).sum() for i, j in pairs])
    found = diagnose(rows)
    assert found.mean_cosine == pytest.approx(cosine.mean(), abs=1e-12)
    assert found.uniformity == pytest.approx(np.log(np.exp(-2 * distance).mean()), abs=1e-6)


def test_more_pairs_than_one_block_are_all_seen():
    rows = np.concatenate([np.tile([[1.0, 0.0]], (1500, 1)), np.tile([[-1.0, 0.0]], (1500, 1))])
    same, n = 1500 * 1499, 3000
    expected = np.log((same + 1500 * 1500 * np.exp(-8)) / (n * (n - 1) / 2))
    assert diagnose(rows).uniformity == pytest.approx(expected, abs=1e-6)


def test_a_lone_row_has_a_raw_spectrum_and_no_pairs():
    found = diagnose(_random_rows(1, 8))
    assert found.effective_rank == found.participation_ratio == found.stable_rank == pytest.approx(1)
    assert found.eigenvalues.shape == (0,)
    assert found.effective_rank_centred is found.iso_score is None
    assert found.mean_cosine is found.uniformity is None


@pytest.mark.parametrize("rows", [np.zeros((0, 8)), np.zeros((3, 8)), np.full((2, 8), np.nan)])
def test_without_a_direction_nothing_is_defined(rows):
    found = diagnose(rows)
    assert (found.n, found.dimension) == (0, 8)
    assert found.singular_values.shape == found.eigenvalues.shape == (0,)
    said = diagnosis_to_json(found)
    measured = {key for key, value in said.items() if value is not None and value != []}
    assert measured == {"n", "dimension", "zero_rows", "non_finite_rows", "sampled_rows", "seed"}


def test_no_blocks_at_all_are_no_rows():
    assert diagnose([]).n == 0


def test_zero_and_non_finite_rows_are_counted_and_left_out():
    rows = _random_rows(20, 8)
    bad = np.insert(rows, [3, 7, 7], np.zeros(8), axis=0)
    bad = np.concatenate([bad, np.full((1, 8), np.inf), bad[:1]])
    bad[-1, 4] = np.nan
    found = diagnose(bad)
    assert (found.n, found.zero_rows, found.non_finite_rows) == (20, 3, 2)
    clean = diagnosis_to_json(diagnose(rows)) | {"zero_rows": 3, "non_finite_rows": 2}
    for key, value in diagnosis_to_json(found).items():
        if value is None:
            assert clean[key] is None
        else:
            np.testing.assert_allclose(value, clean[key], rtol=1e-10)


def test_the_length_of_a_row_does_not_matter():
    rows = _random_rows(30, 8)
    lengths = 10.0 ** np.linspace(-300, 300, 30)[:, None]
    _assert_same(diagnose(rows), diagnose(rows * lengths))


def test_half_precision_rows_are_measured_in_double():
    rows = (_random_rows(200, 16) * 1000).astype(np.float16)
    _assert_same(diagnose(rows), diagnose(rows.astype(np.float64)), 1e-12)


@pytest.mark.parametrize("n", [5, 16, 17, 200])
def test_blocks_give_what_one_array_gives(n):
    rows = _random_rows(n, 16)
    rows[3] = 0
    blocks = iter([rows[:2], rows[2:2], rows[2:4], rows[4:]])
    _assert_same(diagnose(rows), diagnose(blocks))


def test_the_sample_of_pairs_does_not_depend_on_the_blocks():
    rows = _random_rows(500, 8)
    whole = diagnose(rows, most_pair_rows=50, seed=3)
    parts = diagnose((rows[start : start + 30] for start in range(0, 500, 30)), most_pair_rows=50, seed=3)
    assert whole.sampled_rows == parts.sampled_rows == 50
    assert whole.uniformity == pytest.approx(parts.uniformity, abs=1e-6)
    assert diagnose(rows, most_pair_rows=50, seed=4).uniformity != whole.uniformity


def test_the_sample_is_near_to_all_pairs():
    rows = _random_rows(3000, 8)
    assert diagnose(rows, most_pair_rows=1000).uniformity == pytest.approx(
        diagnose(rows).uniformity, abs=0.05
    )


def test_the_accumulator_keeps_no_hold_of_what_it_was_given():
    rows = _random_rows(4, 8)
    covariance = Covariance(8)
    covariance.add(rows)
    before = covariance.spectra()[0]
    rows[:] = 0
    np.testing.assert_array_equal(covariance.spectra()[0], before)


def test_equal_memory_states_are_one_slot():
    memory = np.repeat(_random_rows(6, 10)[:, None], 4, axis=1)
    found = diagnose(memory.mean(axis=1), memory=memory)
    np.testing.assert_allclose(found.slot_similarity, np.ones((4, 4)), atol=1e-12)
    assert found.slot_similarity_mean == pytest.approx(1)


def test_slot_similarity_is_the_mean_cosine_of_two_slots_over_texts():
    memory = np.random.default_rng(1).standard_normal((7, 3, 5)) * [[[0.1], [1], [40]]]
    found = slot_similarity(memory)
    for a in range(3):
        for b in range(3):
            cosine = [row[a] @ row[b] / np.linalg.norm(row[a]) / np.linalg.norm(row[b]) for row in memory]
            assert found[a, b] == pytest.approx(np.mean(cosine))
    off = [found[0, 1], found[0, 2], found[1, 2]]
    assert diagnose(memory[:, 0], memory=memory).slot_similarity_mean == pytest.approx(np.mean(off))


def test_texts_with_a_lost_memory_state_are_left_out():
    memory = np.random.default_rng(1).standard_normal((5, 3, 4))
    bad = memory.copy()
    bad[1, 2], bad[3, 0, 1] = 0, np.inf
    np.testing.assert_allclose(slot_similarity(bad), slot_similarity(memory[[0, 2, 4]]))
    assert slot_similarity(bad[[1, 3]]) is None


def test_one_memory_token_has_nothing_to_be_like():
    found = diagnose(_random_rows(3, 4), memory=_random_rows(3, 4)[:, None])
    np.testing.assert_array_equal(found.slot_similarity, [[1.0]])
    assert found.slot_similarity_mean is None


def test_without_memory_states_there_is_no_slot_similarity():
    found = diagnose(_random_rows(3, 4))
    assert found.slot_similarity is None
    assert found.slot_similarity_mean is None


def test_alignment_is_zero_for_equal_and_four_for_opposite_pairs():
    rows = _random_rows(9, 6)
    assert alignment(rows, 7 * rows) == pytest.approx(0, abs=1e-12)
    assert alignment(rows, -rows) == pytest.approx(4)
    assert alignment(np.eye(4), np.roll(np.eye(4), 1, axis=0)) == pytest.approx(2)


def test_alignment_leaves_out_pairs_without_direction():
    first, second = np.eye(3), -np.eye(3)
    first[0], second[1, 1] = 0, np.nan
    assert alignment(first, second) == pytest.approx(4)
    assert alignment(first[:1], second[:1]) is None


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: diagnose(np.zeros(3)), r"embeddings have the shape \(3,\), expected \[N, D\]"),
        (lambda: diagnose(np.zeros((3, 0))), r"embeddings have the shape \(3, 0\)"),
        (lambda: diagnose([np.eye(3), np.eye(4)]), "a block of embeddings is 4 wide, the first one 3"),
        (lambda: diagnose(np.eye(3), memory=np.eye(3)), r"memory states have the shape \(3, 3\)"),
        (lambda: slot_similarity(np.zeros((2, 0, 3))), r"memory states have the shape \(2, 0, 3\)"),
        (lambda: alignment(np.eye(3), np.eye(4)), r"the pairs have the shapes \(3, 3\) and \(4, 4\)"),
    ],
)
def test_arrays_of_another_shape_are_refused(call, what):
    with pytest.raises(ShapeError, match=what):
        call()


def test_a_diagnosis_is_json_without_nan():
    rows = _random_rows(9, 5)
    for found in (diagnose(rows, memory=rows[:, None]), diagnose(rows[:1]), diagnose(rows[:0])):
        assert set(json.loads(json.dumps(diagnosis_to_json(found), allow_nan=False))) == set(vars(found))


_ROWS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.floats(-1e3, 1e3, allow_subnormal=True),
)


@given(_ROWS)
def test_every_measure_of_any_rows_is_in_its_range(rows):
    found = diagnose(rows)
    json.dumps(diagnosis_to_json(found), allow_nan=False)
    n, dimension = found.n, found.dimension
    _assert_between(found.effective_rank, 1, min(n, dimension))
    _assert_between(found.effective_rank_centred, 1, min(max(n - 1, 1), dimension))
    _assert_between(found.participation_ratio, 1, min(n, dimension))
    _assert_between(found.stable_rank, 1, min(n, dimension))
    _assert_between(found.iso_score, 0, 1)
    _assert_between(found.mean_cosine, -1 / max(n - 1, 1), 1)
    _assert_between(found.uniformity, -8, 0)
    assert n + found.zero_rows + found.non_finite_rows == len(rows)


def _assert_between(value, low, high):
    assert value is None or low - 1e-6 <= value <= high + 1e-6


@given(st.integers(1, 12), st.integers(0, 99))
def test_orthonormal_rows_have_the_effective_rank_of_their_number(n, seed):
    rows = ortho_group.rvs(12, random_state=seed)[:n] if n < 12 else np.eye(12)
    assert diagnose(rows).effective_rank == pytest.approx(n)


@given(st.integers(2, 40), st.integers(0, 99))
def test_a_rotation_changes_nothing(n, seed):
    rows = _random_rows(n, 10, seed) + 0.3
    _assert_same(diagnose(rows), diagnose(rows @ ortho_group.rvs(10, random_state=seed)), 1e-7)


@given(st.permutations(range(8)))
def test_the_order_of_the_rows_changes_nothing(order):
    rows = _random_rows(8, 5)
    _assert_same(diagnose(rows), diagnose(rows[list(order)]), 1e-7)
