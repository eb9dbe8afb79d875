"""Mixtures of negatives."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from train.contrast.mixing import draw_coefficients, mixed_similarities


@given(rows=st.integers(1, 5), count=st.integers(1, 6), step=st.integers(0, 1000))
def test_coefficients_are_convex_and_follow_from_the_step(rows, count, step):
    shares = draw_coefficients(rows, count, seed=3, step=step)
    assert shares.shape == (rows, count, max(2, count))
    assert (shares >= 0).all()
    assert torch.allclose(shares.sum(dim=2), torch.ones(rows, count), atol=1e-5)
    assert torch.equal(shares, draw_coefficients(rows, count, seed=3, step=step))
    assert not torch.equal(shares, draw_coefficients(rows, count, seed=3, step=step + 1))


def test_the_hardest_negatives_are_mixed():
    row = torch.tensor([[1.0, 0.0, 0.0]])
    candidates = torch.nn.functional.normalize(
        torch.tensor([[1.0, 0.0, 0.0], [3.0, 4.0, 0.0], [4.0, 0.0, 3.0], [0.0, 1.0, 0.0]]), dim=1
    )
    similarity = row @ candidates.T
    similarity[0, 0] = -torch.inf  # the positive
    shares = torch.tensor([[[0.25, 0.75]]])
    mixture = torch.nn.functional.normalize(0.25 * candidates[2] + 0.75 * candidates[1], dim=0)
    found = mixed_similarities(row, candidates, similarity, shares)
    assert torch.allclose(found, mixture[:1][None])


def test_one_negative_alone_is_its_own_mixture():
    vectors = torch.eye(3)
    similarity = torch.tensor([[-torch.inf, 0.0, -torch.inf]])
    found = mixed_similarities(vectors[1:2], vectors, similarity, torch.tensor([[[0.3, 0.7]]]))
    assert torch.allclose(found, torch.ones(1, 1))


def test_without_negatives_there_are_no_mixtures():
    vectors = torch.eye(3)
    similarity = torch.full((1, 3), -torch.inf)
    found = mixed_similarities(vectors[:1], vectors, similarity, torch.full((1, 2, 2), 0.5))
    assert found.tolist() == [[-torch.inf, -torch.inf]]


def test_more_sources_than_candidates_are_no_obstacle():
    vectors = torch.eye(2)
    similarity = torch.tensor([[-torch.inf, 0.5]])
    found = mixed_similarities(vectors[:1], vectors, similarity, draw_coefficients(1, 5, seed=0, step=0))
    assert found.shape == (1, 5)
    assert torch.isfinite(found).all()
