import pytest
import torch

from encoder.errors import ShapeError
from encoder.pooling import normalise, pool_memory, pool_span

_HIDDEN = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
_START = torch.tensor([0, 1, 2])
_END = torch.tensor([5, 4, 2])


def _by_hand(weights):
    rows = []
    for row, (start, end) in enumerate(zip(_START.tolist(), _END.tolist(), strict=True)):
        total = torch.zeros(4)
        for number, position in enumerate(range(start, end)):
            total += weights(number, end - start) * _HIDDEN[row, position]
        rows.append(total)
    return torch.stack(rows)


@pytest.mark.parametrize(
    ("weighting", "weights"),
    [
        ("even", lambda t, n: 1 / n),
        ("rising", lambda t, n: (t + 1) / (n * (n + 1) / 2)),
        ("last", lambda t, n: float(t == n - 1)),
    ],
)
def test_span_pooling_agrees_with_a_loop(weighting, weights):
    found = pool_span(_HIDDEN, _START, _END, weighting=weighting)
    assert torch.allclose(found, _by_hand(weights), atol=1e-6)


def test_states_outside_the_span_may_be_anything():
    spoilt = _HIDDEN.clone()
    spoilt[1, 4] = float("nan")
    spoilt[1, 0] = float("inf")
    found = pool_span(spoilt, _START, _END)
    assert torch.allclose(found[1], _HIDDEN[1, 1:4].mean(dim=0), atol=1e-6)


def test_an_empty_span_gives_zeros():
    assert torch.equal(pool_span(_HIDDEN, _START, _END)[2], torch.zeros(4))


def test_memory_is_pooled_by_its_mean_in_float32():
    states = _HIDDEN.to(torch.bfloat16)
    found = pool_memory(states)
    assert found.dtype == torch.float32
    assert torch.allclose(found, states.float().mean(dim=1))


def test_no_memory_is_refused():
    with pytest.raises(ShapeError, match=r"expected \[B, M, D\] with M >= 1"):
        pool_memory(torch.zeros(2, 0, 4))


def test_an_unknown_weighting_is_refused():
    with pytest.raises(ShapeError, match="there is no weighting 'falling'"):
        pool_span(_HIDDEN, _START, _END, weighting="falling")


def test_normalised_rows_have_length_one_and_zero_stays():
    found = normalise(torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.bfloat16))
    assert torch.allclose(found, torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
