"""The curve beside the measured one is that of random directions."""

import numpy as np
import pytest

from encoder.spectrum import diagnose, isotropic


@pytest.mark.parametrize(("n", "dimension"), [(2000, 64), (130, 128), (128, 128), (50, 200), (1000, 1000)])
def test_the_curve_is_the_mean_of_simulated_ones(n, dimension):
    random = np.random.default_rng(0)
    drawn = [diagnose(random.standard_normal((n, dimension)), most_pair_rows=2) for _ in range(3)]
    found = isotropic(n, dimension)
    rank = np.mean([each.effective_rank_centred for each in drawn])
    assert found.measures.effective_rank == pytest.approx(rank, rel=0.005)
    count = min(n - 1, dimension)
    simulated = np.mean([each.eigenvalues[:count] for each in drawn], axis=0)
    assert found.eigenvalues.shape == (count,)
    assert np.abs(found.eigenvalues - simulated).max() < 0.06 * simulated[0]
    assert found.first_direction == pytest.approx(simulated[0] / simulated.sum(), rel=0.08)


def test_ever_more_rows_are_ever_more_even():
    assert isotropic(10**9, 50).measures.effective_rank == pytest.approx(50, rel=1e-6)
    np.testing.assert_allclose(isotropic(10**9, 50).eigenvalues, 0.02, rtol=1e-3)


@pytest.mark.parametrize(("n", "dimension", "count"), [(0, 5, 0), (1, 5, 0), (2, 5, 1), (9, 1, 1), (0, 0, 0)])
def test_few_rows_have_few_directions(n, dimension, count):
    found = isotropic(n, dimension)
    assert found.eigenvalues.shape == (count,)
    assert (found.first_direction is None) == (count == 0)


@pytest.mark.parametrize(("n", "dimension"), [(3, 8), (100, 8), (8, 8), (9, 8)])
def test_the_curve_falls_and_holds_the_whole_variance(n, dimension):
    found = isotropic(n, dimension).eigenvalues
    assert found.sum() == pytest.approx(1)
    assert (np.diff(found) <= 0).all()
    assert (found > 0).all()
