"""oneDNN's products are those of torch, and only float32 on a processor uses them."""

import torch
from torch import nn

from encoder import linear
from encoder.linear import use_onednn


def test_the_products_stay_the_same_with_and_without_bias():
    model = nn.Sequential(nn.Linear(64, 48), nn.Linear(48, 32, bias=False))
    inputs = torch.randn(3, 5, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        before = model(inputs)
        assert use_onednn(model) == 2
        after = model(inputs)
    assert after.shape == (3, 5, 32)
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)


def test_names_and_weights_stay():
    model = nn.Sequential(nn.Linear(8, 8))
    before = model.state_dict()
    use_onednn(model)
    assert model.state_dict().keys() == before.keys()


def test_a_torch_without_the_operator_computes_as_ever(monkeypatch):
    def missing(layer, inputs):
        raise AttributeError("no such operator")

    monkeypatch.setattr(linear, "_product", missing)
    model = nn.Sequential(nn.Linear(8, 8))
    assert use_onednn(model) == 0
    assert model(torch.zeros(1, 8)).shape == (1, 8)
