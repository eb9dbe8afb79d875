"""CTKD by chunks against the formula over all logits at once."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import log_softmax

from encoder.errors import ShapeError
from train.objectives.ctkd import ctkd_loss
from train.objectives.head import LinearHead

WIDTH, VOCABULARY = 12, 57


def _case(rows, seed=0, *, has_bias=False, factor=1.0, dtype=torch.float32, spread=1.0):
    """Student, teacher, weights and head."""
    random = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, rows, WIDTH, generator=random).to(dtype)
    layer = nn.Linear(WIDTH, VOCABULARY, bias=has_bias).to(dtype)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(spread * torch.randn(parameter.shape, generator=random))
    weight = torch.rand(rows, generator=random)
    return student.requires_grad_(), teacher, weight, LinearHead(layer, factor)


def _plain(student, teacher, weight, head):
    log_p, log_q = log_softmax(head(teacher), -1), log_softmax(head(student), -1)
    return (weight * (log_p.exp() * (log_p - log_q)).sum(-1)).sum()


def _loss_and_gradient(loss, student):
    (gradient,) = torch.autograd.grad(loss, student)
    return loss.detach(), gradient


def capped(hidden):
    """A head that is not linear, as gemma2's."""
    layer = nn.Linear(WIDTH, VOCABULARY, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(VOCABULARY, WIDTH, generator=torch.Generator().manual_seed(3)))
    return 4 * torch.tanh(layer.to(hidden.dtype)(hidden) / 4)


@pytest.mark.parametrize(("has_bias", "factor"), [(False, 1.0), (True, 1.0), (False, 0.125), (True, 3.0)])
def test_a_linear_head_agrees_with_the_formula_in_float64(has_bias, factor):
    case = _case(23, has_bias=has_bias, factor=factor, dtype=torch.float64)
    ours = _loss_and_gradient(ctkd_loss(*case, chunk_rows=5), case[0])
    for found, expected in zip(ours, _loss_and_gradient(_plain(*case), case[0]), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_any_other_head_agrees_with_the_formula_in_float64():
    student, teacher, weight, _ = _case(23, dtype=torch.float64)
    ours = _loss_and_gradient(ctkd_loss(student, teacher, weight, capped, chunk_rows=5), student)
    plain = _loss_and_gradient(_plain(student, teacher, weight, capped), student)
    for found, expected in zip(ours, plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(0, 40), chunk_rows=st.integers(1, 50), seed=st.integers(0, 1000))
def test_the_chunk_size_changes_neither_loss_nor_gradient(rows, chunk_rows, seed):
    case = _case(rows, seed)
    some = _loss_and_gradient(ctkd_loss(*case, chunk_rows=chunk_rows), case[0])
    whole = _loss_and_gradient(ctkd_loss(*case, chunk_rows=64), case[0])
    for found, expected in zip(some, whole, strict=True):
        torch.testing.assert_close(found, expected, rtol=2e-5, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), spread=st.floats(0.01, 30), closeness=st.floats(0, 1))
def test_the_divergence_is_not_negative(seed, spread, closeness):
    student, teacher, weight, head = _case(6, seed, spread=spread)
    near = student.detach().lerp(teacher, closeness)
    # Rounding of the logits leaves a little, in proportion to their size.
    assert float(ctkd_loss(near, teacher, weight, head)) >= -1e-6 * (1 + spread)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), spread=st.floats(0.01, 1000))
def test_equal_rows_have_no_loss_and_no_gradient(seed, spread):
    student, _, weight, head = _case(6, seed, spread=spread)
    loss, gradient = _loss_and_gradient(ctkd_loss(student, student.detach(), weight, head), student)
    assert float(loss) == 0.0
    assert not gradient.any()


def test_the_divergence_is_that_of_the_student_from_the_teacher():
    # Reverse KL would be another number: the teacher is sure, the student is not.
    layer = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(2))
    sure, unsure = torch.tensor([[9.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    loss = ctkd_loss(unsure, sure, torch.ones(1), LinearHead(layer))
    assert abs(float(loss) - 0.6919) < 1e-3  # log 2, less the teacher's entropy


def test_probabilities_that_underflow_make_no_nan():
    case = _case(9, spread=1e4)
    assert (log_softmax(case[3](case[1]), -1).exp() == 0).any()
    loss, gradient = _loss_and_gradient(ctkd_loss(*case), case[0])
    assert loss.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("is_linear", [True, False])
def test_logits_of_unused_ids_at_minus_infinity_count_nothing(is_linear):
    student, teacher, weight, used = _case(9, has_bias=True, dtype=torch.float64)
    wider = nn.Linear(WIDTH, VOCABULARY + 2).double()
    with torch.no_grad():
        wider.weight[:VOCABULARY], wider.bias[:VOCABULARY] = used.layer.weight, used.layer.bias
        wider.bias[VOCABULARY:] = float("-inf")
    head = LinearHead(wider) if is_linear else lambda hidden: wider.to(hidden.dtype)(hidden)
    ours = _loss_and_gradient(ctkd_loss(student, teacher, weight, head, chunk_rows=4), student)
    for found, expected in zip(
        ours, _loss_and_gradient(_plain(student, teacher, weight, used), student), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_token_that_the_student_alone_rules_out_costs_more_than_anything_else():
    teacher, student = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, float("-inf")]])
    assert float(ctkd_loss(student, teacher, torch.ones(1), lambda hidden: hidden)) > 1e38


def test_float32_stays_within_rounding_of_float64():
    small = _case(64, spread=0.5)
    exact = _case(64, spread=0.5, dtype=torch.float64)
    loss, gradient = _loss_and_gradient(ctkd_loss(*small), small[0])
    exact_loss, exact_gradient = _loss_and_gradient(_plain(*exact), exact[0])
    assert abs(float(loss) - float(exact_loss)) < 1e-6 * float(exact_loss)
    assert (gradient - exact_gradient).norm() < 1e-6 * exact_gradient.norm()


def test_bfloat16_rows_are_judged_in_float32():
    student, teacher, weight, head = _case(40, dtype=torch.bfloat16)
    loss, gradient = _loss_and_gradient(ctkd_loss(student, teacher, weight, head), student)
    assert loss.dtype == torch.float32
    assert gradient.dtype == torch.bfloat16
    exact_head = LinearHead(nn.Linear(WIDTH, VOCABULARY, bias=False).double())
    exact_head.layer.weight.data.copy_(head.layer.weight)
    exact = student.detach().double().requires_grad_()
    of_exact = _loss_and_gradient(_plain(exact, teacher.double(), weight, exact_head), exact)
    assert abs(float(loss) - float(of_exact[0])) < 0.01 * float(of_exact[0])
    assert (gradient.double() - of_exact[1]).norm() < 0.01 * of_exact[1].norm()


def test_the_teacher_gets_no_gradient():
    student, teacher, weight, head = _case(4)
    teacher.requires_grad_()
    ctkd_loss(student, teacher, weight, head).backward()
    assert student.grad is not None
    assert teacher.grad is None
    assert head.layer.weight.grad is None


def test_a_teacher_of_other_rows_is_refused():
    student, teacher, weight, head = _case(4)
    with pytest.raises(ShapeError, match=r"student has rows \(4, 12\), the teacher \(3, 12\)"):
        ctkd_loss(student, teacher[:3], weight, head)
