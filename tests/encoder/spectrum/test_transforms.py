"""Transformations of an embedding space against slow formulas and properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.errors import ShapeError, UsageError
from encoder.spectrum import Covariance, diagnose
from encoder.spectrum.transforms import Steps, check_steps, fit_transform, parse_steps

SPECS = (
    "centre",
    "drop:1",
    "centre+drop:2",
    "whiten",
    "whiten:0",
    "whiten:0.05",
    "cut:3",
    "pca:4",
    "drop:2+whiten:0.5+pca:4",
    "drop:1+cut:8",
)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def crowded(n=200, width=8, seed=0):
    """Unit rows around a mean, with few strong directions."""
    random = np.random.default_rng(seed)
    rows = random.standard_normal((n, width)) * 1.5 ** -np.arange(width) + np.linspace(1, 2, width)
    return unit(rows).astype(np.float32)


def fitted(rows, spec):
    return fit_transform(rows, parse_steps(spec))


@pytest.mark.parametrize("spec", SPECS)
def test_a_spec_survives_being_read_and_written(spec):
    assert str(parse_steps(spec)) == spec


@given(
    st.builds(
        Steps,
        centre=st.booleans(),
        drop=st.integers(0, 99),
        whiten=st.none() | st.integers(0, 100).map(lambda share: share / 100),
        cut=st.none() | st.integers(1, 512),
    )
)
def test_steps_survive_as_text(steps):
    again = parse_steps(str(steps))
    assert str(again) == str(steps) and again.is_centred == steps.is_centred


def test_one_transformation_has_one_name():
    assert str(parse_steps("centre+drop:1+whiten:0.1")) == "drop:1+whiten" and parse_steps("none") == Steps()
    assert str(parse_steps("whiten:1.0")) == "whiten:1"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "''"),
        ("Centre", "'Centre'"),
        ("centre+", "''"),
        ("centre+centre", "'centre'"),
        ("whiten+centre", "'centre'"),
        ("centre:1", "'centre:1'"),
        ("drop", "'drop:'"),
        ("drop:", "'drop:'"),
        ("drop:0", "'drop:0'"),
        ("drop:-1", "'drop:-1'"),
        ("drop:1.5", "'drop:1.5'"),
        ("drop:\u0661", "drop"),
        ("drop:1000000", "'drop:1000000'"),
        ("whiten:2", "'whiten:2'"),
        ("whiten:nan", "'whiten:nan'"),
        ("whiten:0.123456", "'whiten:0.123456'"),
        ("cut:2+pca:2", "cut and pca together"),
        ("centre " * 50, "centre"),
        ("none+centre", "'none'"),
    ],
)
def test_what_is_no_spec_is_refused(spec, message):
    with pytest.raises(UsageError, match="of a transformation is not understood") as caught:
        parse_steps(spec)
    assert message in caught.value.what and caught.value.fix


@pytest.mark.parametrize("spec", ["drop:8", "cut:9", "pca:9", "drop:3+pca:6"])
def test_more_than_there_is_cannot_be_taken(spec):
    with pytest.raises(UsageError, match="asks for more than the 8 numbers"):
        check_steps(parse_steps(spec), 8)
    with pytest.raises(UsageError, match="asks for more than the 8 numbers"):
        fitted(crowded(), spec)


def test_centring_both_sides_is_subtracting_the_mean():
    rows, others = crowded(), crowded(20, seed=1)
    wide = rows.astype(np.float64)
    expected = unit(others - wide.mean(axis=0))
    assert np.abs(fitted(rows, "centre").apply(others) - expected).max() < 1e-6


def test_dropping_is_projecting_out_the_singular_directions():
    rows = crowded()
    wide = rows.astype(np.float64)
    for spec, seen in (("drop:2", wide), ("centre+drop:2", wide - wide.mean(axis=0))):
        strongest = np.linalg.svd(seen)[2][:2]
        expected = unit(seen - seen @ strongest.T @ strongest)
        assert np.abs(fitted(rows, spec).apply(rows) - expected).max() < 1e-5


def moved(transform, rows):
    return (rows - transform.mean) @ transform.matrix


def test_whitening_without_shrinkage_leaves_no_direction_above_another():
    rows = crowded()
    covariance = np.cov(moved(fitted(rows, "whiten:0"), rows), rowvar=False, bias=True)
    assert np.abs(covariance - np.eye(8)).max() < 1e-3


def test_whitening_shrinks_eigenvalues_to_their_mean():
    rows = crowded()
    values = np.linalg.eigvalsh(np.cov(rows.astype(np.float64), rowvar=False, bias=True))
    after = np.linalg.eigvalsh(np.cov(moved(fitted(rows, "whiten:0.3"), rows), rowvar=False, bias=True))
    assert np.sort(values / (0.7 * values + 0.3 * values.mean())) == pytest.approx(after, abs=1e-4)


def test_whitening_all_the_way_to_the_mean_only_centres():
    rows = crowded()
    assert np.abs(fitted(rows, "whiten:1").apply(rows) - fitted(rows, "centre").apply(rows)).max() < 1e-5


def test_what_was_dropped_does_not_come_back_by_whitening():
    rows = crowded()
    dropped = np.linalg.svd((rows - rows.mean(axis=0)).astype(np.float64))[2][:2]
    assert np.abs(fitted(rows, "drop:2+whiten:0").apply(rows) @ dropped.T).max() < 1e-4


def test_cut_keeps_the_first_numbers_and_pca_the_strongest_directions():
    rows = crowded()
    assert np.abs(fitted(rows, "cut:3").apply(rows) - unit(rows[:, :3])).max() < 1e-6
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    expected = unit(centred @ np.linalg.svd(centred)[2][:3].T)
    found = fitted(rows, "centre+pca:3").apply(rows)
    assert np.abs(np.abs(found) - np.abs(expected)).max() < 1e-5


def test_whitened_components_keep_the_order_of_before():
    rows = crowded()
    found = moved(fitted(rows, "whiten:0+pca:2"), rows)
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    first = centred @ np.linalg.svd(centred)[2][:2].T
    assert np.abs(np.corrcoef(np.hstack([found, first]), rowvar=False))[[0, 1], [2, 3]].min() > 0.999


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SPECS), st.integers(1, 60))
def test_rows_come_out_unit_and_finite_however_few_they_are(seed, spec, n):
    rows = crowded(n, seed=seed)
    transform = fitted(rows, spec)
    found = transform.apply(rows)
    assert found.dtype == np.float32 and np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-5
    assert transform.rows == n and np.allclose(transform.apply(rows[:1]), found[:1], atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(SPECS), st.integers(0, 200))
def test_it_does_not_depend_on_the_blocks(spec, at):
    rows = crowded()
    whole, parts = fitted(rows, spec), fitted(iter([rows[:at], rows[at:]]), spec)
    assert np.abs(parts.matrix - whole.matrix).max() < 1e-4 * np.abs(whole.matrix).max()
    assert np.abs(parts.mean - whole.mean).max() < 1e-6


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_centring_documents_only_changes_no_ranking(seed):
    """q·(d - m) = q·d - q·m, and q·m is the same for all documents; only renormalising them would change it."""
    documents, queries = crowded(60, seed=seed).astype(np.float64), crowded(5, seed=seed + 1)
    mean = fitted(documents, "centre").mean
    before = queries @ documents.T
    after = queries @ (documents - mean).T
    assert np.ptp(before - after, axis=1).max() < 1e-12
    gaps = np.diff(np.sort(before, axis=1), axis=1).min()
    assert gaps < 1e-9 or (before.argsort(axis=1) == after.argsort(axis=1)).all()


def test_centring_both_sides_does_change_rankings():
    documents, queries = crowded(60), crowded(20, seed=1)
    transform = fitted(documents, "centre")
    after = transform.apply(queries) @ transform.apply(documents).T
    assert ((queries @ documents.T).argsort(axis=1) != after.argsort(axis=1)).any()


def test_a_row_of_which_nothing_is_left_becomes_the_first_direction():
    rows = np.tile(crowded(1), (5, 1))
    for spec in ("centre", "whiten", "drop:1"):
        assert np.array_equal(fitted(rows, spec).apply(rows), np.eye(1, 8).repeat(5, axis=0))
    zeros = fitted(crowded(), "cut:4").apply(np.zeros((2, 8)))
    assert np.array_equal(zeros, np.eye(1, 4).repeat(2, axis=0))


def test_rows_without_direction_do_not_count():
    rows = crowded()
    dirty = np.concatenate([rows * 3, np.zeros((2, 8)), np.full((1, 8), np.nan)])
    assert np.allclose(fitted(dirty, "centre").mean, fitted(rows, "centre").mean, atol=1e-7)
    assert fitted(dirty, "centre").rows == len(rows)


def test_sums_fit_as_rows_do():
    rows = crowded()
    total = Covariance(8)
    total.add(rows)
    assert np.allclose(
        fit_transform(total, parse_steps("whiten")).matrix, fitted(rows, "whiten").matrix, atol=1e-4
    )
    assert np.allclose(Covariance(8).moments()[1], 0)


def test_centring_takes_the_crowding_away():
    rows = crowded()
    after = diagnose(fitted(rows, "centre").apply(rows))
    assert diagnose(rows).mean_cosine > 0.7 and abs(after.mean_cosine) < 0.1


def test_the_hash_tells_transformations_apart():
    rows = crowded()
    hashes = {fitted(rows, spec).sha256 for spec in SPECS}
    assert len(hashes) == len(SPECS) and fitted(rows, "centre").sha256 in hashes
    assert fitted(rows[:-1], "centre").sha256 not in hashes


def test_impossible_rows_are_refused():
    with pytest.raises(ShapeError, match="no row to fit"):
        fitted(np.zeros((0, 8)), "centre")
    with pytest.raises(ShapeError, match="no row to fit"):
        fitted(iter([]), "centre")
    with pytest.raises(UsageError, match="no step to take"):
        fitted(crowded(), "none")
    transform = fitted(crowded(), "centre")
    for wrong in (np.zeros((2, 7)), np.zeros(8), np.full((1, 8), np.inf)):
        with pytest.raises(ShapeError, match="do not fit centre, or are not finite"):
            transform.apply(wrong)
