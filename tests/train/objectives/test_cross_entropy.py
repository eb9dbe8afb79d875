"""Cross-entropy by chunks against torch's own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from encoder.errors import ShapeError
from train.objectives.cross_entropy import token_loss
from train.objectives.head import LinearHead

WIDTH, VOCABULARY = 12, 57


def _case(rows, seed=0, *, dtype=torch.float32, spread=1.0, factor=1.0):
    """Student, targets, weights and head."""
    random = torch.Generator().manual_seed(seed)
    layer = nn.Linear(WIDTH, VOCABULARY).to(dtype)
    with torch.no_grad():
        layer.weight.copy_(spread * torch.randn(VOCABULARY, WIDTH, generator=random))
    student = torch.randn(rows, WIDTH, generator=random).to(dtype).requires_grad_()
    target = torch.randint(0, VOCABULARY, (rows,), generator=random)
    return student, target, torch.rand(rows, generator=random), LinearHead(layer, factor)


def _plain(student, target, weight, head):
    return (weight * cross_entropy(head(student), target, reduction="none")).sum()


def _loss_and_gradient(loss, student):
    return loss.detach(), torch.autograd.grad(loss, student)[0]


def test_a_linear_head_agrees_with_torch_in_float64():
    case = _case(23, dtype=torch.float64, factor=0.5)
    ours = _loss_and_gradient(token_loss(*case, chunk_rows=5), case[0])
    for found, expected in zip(ours, _loss_and_gradient(_plain(*case), case[0]), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_any_other_head_agrees_with_torch_in_float64():
    student, target, weight, head = _case(23, dtype=torch.float64)

    def capped(hidden):
        return 4 * torch.tanh(head(hidden) / 4)

    ours = _loss_and_gradient(token_loss(student, target, weight, capped, chunk_rows=5), student)
    plain = _loss_and_gradient(_plain(student, target, weight, capped), student)
    for found, expected in zip(ours, plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(0, 40), chunk_rows=st.integers(1, 50), seed=st.integers(0, 1000))
def test_the_chunk_size_changes_neither_loss_nor_gradient(rows, chunk_rows, seed):
    case = _case(rows, seed)
    some = _loss_and_gradient(token_loss(*case, chunk_rows=chunk_rows), case[0])
    whole = _loss_and_gradient(token_loss(*case, chunk_rows=64), case[0])
    for found, expected in zip(some, whole, strict=True):
        torch.testing.assert_close(found, expected, rtol=2e-5, atol=1e-6)


def test_a_target_that_underflows_has_a_finite_loss():
    case = _case(9, spread=1e4)
    loss, gradient = _loss_and_gradient(token_loss(*case), case[0])
    assert loss.isfinite()
    assert gradient.isfinite().all()


def test_targets_for_other_rows_are_refused():
    student, target, weight, head = _case(4)
    with pytest.raises(ShapeError, match=r"4 rows, the targets the shape \(3,\)"):
        token_loss(student, target[:3], weight, head)
