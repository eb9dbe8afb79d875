import copy

import pytest
import torch
from torch import nn

from train.objectives import product as module
from train.objectives.product import product, use_fast_products

MODEL = nn.Sequential(nn.Linear(24, 40), nn.GELU(), nn.Linear(40, 8, bias=False))


# A torch without the operator is tested as what it is.
@pytest.fixture(params=[True, False] if module._is_usable() else [False])
def usable(request, monkeypatch):
    monkeypatch.setattr(module, "_is_usable", lambda: request.param)
    return request.param


@pytest.mark.parametrize("rows", [0, 1, 31, 32, 100, 512, 1500])
@pytest.mark.parametrize("is_transposed", [False, True])
def test_a_product_is_the_product(usable, rows, is_transposed):
    inputs, weight, bias = torch.randn(rows, 24), torch.randn(16, 24), torch.randn(16)
    if is_transposed:
        weight = weight.t().contiguous().t()
    expected = (inputs.double() @ weight.double().t() + bias).float()
    torch.testing.assert_close(product(inputs, weight, bias), expected, rtol=1e-4, atol=1e-4)


def _run(model, inputs):
    model.zero_grad()
    inputs = inputs.clone().requires_grad_()
    output = model(inputs)
    output.square().sum().backward()
    return [output.detach(), inputs.grad, *(parameter.grad for parameter in model.parameters())]


@pytest.mark.parametrize("shape", [(3, 50, 24), (7, 24), (0, 24)])
def test_a_fast_model_computes_the_same_forth_and_back(usable, shape):
    plain, fast = copy.deepcopy(MODEL), copy.deepcopy(MODEL)
    assert use_fast_products(fast) == (2 if usable else 0)
    inputs = torch.randn(shape)
    for ours, theirs in zip(_run(fast, inputs), _run(plain, inputs), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_frozen_weights_get_no_gradient(usable):
    fast = copy.deepcopy(MODEL).requires_grad_(False)
    use_fast_products(fast)
    inputs = torch.randn(64, 24, requires_grad=True)
    fast(inputs).sum().backward()
    assert inputs.grad is not None
    assert all(parameter.grad is None for parameter in fast.parameters())


def test_a_fast_model_still_follows_autocast_and_dtype(usable):
    fast = copy.deepcopy(MODEL)
    use_fast_products(fast)
    with torch.autocast("cpu", torch.bfloat16):
        assert fast(torch.randn(64, 24)).dtype == torch.bfloat16
    assert fast.double()(torch.randn(64, 24).double()).dtype == torch.float64


def test_a_copy_of_a_fast_model_has_weights_of_its_own(usable):
    fast = copy.deepcopy(MODEL)
    use_fast_products(fast)
    other = copy.deepcopy(fast)
    inputs = torch.randn(64, 24)
    before = fast(inputs)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert torch.equal(fast(inputs), before)
    assert not other(inputs).any()


def test_an_operator_that_is_missing_is_not_used(monkeypatch):
    def missing(*_inputs):
        raise AttributeError("no such operator")

    monkeypatch.setattr(module, "_onednn", missing)
    assert module._is_usable.__wrapped__() is False


def test_an_operator_that_is_wrong_is_not_used(monkeypatch):
    monkeypatch.setattr(module, "_onednn", lambda rows, weight, bias: torch.zeros(len(rows), len(weight)))
    assert module._is_usable.__wrapped__() is False
