"""All measures at once agree with each alone, whatever the blocks, and are JSON."""

import json

import numpy as np
import pytest

from encoder.spectrum import (
    check,
    compare,
    diagnose,
    diagnosis_to_json,
    examination_to_json,
    examine,
    parse_requirement,
)


def _rows(n=400, dimension=12, seed=0):
    return np.random.default_rng(seed).standard_normal((n, dimension)) + 0.5


def _assert_alike(first, second):
    """Nested JSON values are the same within rounding."""
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            _assert_alike(first[key], second[key])
    elif isinstance(first, list | tuple):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            _assert_alike(one, other)
    elif isinstance(first, float):
        assert first == pytest.approx(second, rel=1e-6, abs=1e-9)
    else:
        assert first == second


def test_the_diagnosis_is_that_of_diagnose():
    rows = _rows()
    found = diagnosis_to_json(examine(rows).diagnosis)
    _assert_alike(diagnosis_to_json(diagnose(rows)), found)


@pytest.mark.parametrize("size", [1, 7, 400])
def test_blocks_change_nothing(size):
    rows = _rows()
    rows[[5, 200]] = 0
    rows[17] = rows[300]
    blocks = (rows[start : start + size] for start in range(0, len(rows), size))
    whole = examination_to_json(examine(rows, most_pair_rows=300))
    _assert_alike(whole, examination_to_json(examine(blocks, most_pair_rows=300)))
    assert whole["duplicates"]["equal"]["largest"][0]["positions"] == (17, 300)


@pytest.mark.parametrize(
    "rows",
    [
        _rows(),
        _rows(1),
        _rows(0),
        np.zeros((4, 3)),
        np.full((60, 3), np.nan),
        np.ones((200, 5)),
        np.full((3, 2), 1e300),
        _rows(300, 1),
        np.tile(np.eye(6), (40, 1)),
        _rows(300).astype(np.float16),
    ],
)
def test_any_examination_is_json_without_nan(rows):
    found = examination_to_json(examine(rows))
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text)["state"] in ("healthy", "watch", "collapsed", "cannot tell")
    assert set(diagnosis_to_json(diagnose(rows))) < set(found)


def test_float16_as_collections_store_it_is_measured_as_well():
    rows = _rows(500, 20)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    half, full = examine(unit.astype(np.float16)), examine(unit)
    assert half.diagnosis.effective_rank == pytest.approx(full.diagnosis.effective_rank, rel=1e-4)
    assert half.verdict.state == full.verdict.state


def test_float32_has_the_eigenvalues_of_float64():
    rows = _rows(3000, 30)
    half = diagnose(rows.astype(np.float32)).eigenvalues
    np.testing.assert_allclose(half, diagnose(rows).eigenvalues, rtol=1e-5)


def test_measures_are_named_for_requirements():
    found = examine(_rows()).measures()
    assert check(found, [parse_requirement("state!=collapsed"), parse_requirement("equal_share==0")]) == []
    assert all(value is None or isinstance(value, int | float | str) for value in found.values())
    diagnosis = diagnose(_rows())
    assert found["effective_rank"] == pytest.approx(diagnosis.effective_rank_centred)
    assert found["effective_rank_with_mean"] == pytest.approx(diagnosis.effective_rank)
    assert "effective_rank_centred" not in found
    names = {"first_direction", "hub_skewness", "antihub_share", "intrinsic_dimension", "near_share", "n90"}
    assert names < set(found)


def test_stages_are_told():
    seen = []
    examine(_rows(), report=lambda stage, fraction: seen.append((stage, fraction)))
    assert [stage for stage, _ in seen] == ["spectrum", "intervals", "neighbours"]
    assert seen[-1] == ("neighbours", 1.0)


def test_equal_numbers_of_rows_can_be_compared():
    found = compare(diagnose(_rows()), diagnose(_rows(seed=1)))
    assert found.notes == ()
    (rank,) = [each for each in found.measures if each.measure == "effective_rank"]
    assert rank.difference == pytest.approx(rank.second - rank.first)
    assert (rank.first, rank.second) == (
        pytest.approx(diagnose(_rows()).effective_rank_centred),
        pytest.approx(diagnose(_rows(seed=1)).effective_rank_centred),
    )


def test_other_numbers_of_rows_and_dimensions_are_said():
    found = compare(diagnose(_rows(1000, 12)), diagnose(_rows(100, 8)))
    assert found.notes == (
        "The first has 1,000 rows, the second 100: fewer rows show fewer directions. "
        "Compare ranks at equal numbers of rows.",
        "The first has 12 dimensions, the second 8: read ranks as shares of them.",
    )


def test_what_is_not_defined_has_no_difference():
    found = compare(diagnose(_rows(0)), diagnose(_rows()))
    assert {each.difference for each in found.measures} == {None}
