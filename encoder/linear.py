"""Faster float32 matrix products on processors: oneDNN's instead of the BLAS that torch was built with.

MKL, which torch's builds bring, runs below its speed on AMD processors; `benchmarks/bench_encode.py` shows the result.
"""

from functools import partial

import torch
from torch import Tensor, nn

_TOLERANCE = 1e-4


def use_onednn(backbone: nn.Module) -> int:
    """Lets every linear layer of a float32 model on a processor compute by oneDNN, in place.

    The layers, their weights and their names stay; only how they multiply changes. Nothing happens where torch
    lacks the operator, which is not part of its public interface, or where it gives other numbers.

    Args:
        backbone: a decoder whose weights are float32 on a processor, for inference only.

    Returns:
        How many layers were changed.
    """
    if not _is_usable():
        return 0
    layers = [module for module in backbone.modules() if type(module) is nn.Linear]
    for layer in layers:
        layer.forward = partial(_product, layer)  # type: ignore[method-assign]
    return len(layers)


def _product(layer: nn.Linear, inputs: Tensor) -> Tensor:
    """The layer's output [..., out] for inputs [..., in]."""
    return torch.ops.mkldnn._linear_pointwise(inputs, layer.weight, layer.bias, "none", [], "")


def _is_usable() -> bool:
    layer = nn.Linear(24, 16)
    inputs = torch.randn(2, 3, 24, generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            difference = (
                (_product(layer, inputs) - nn.functional.linear(inputs, layer.weight, layer.bias)).abs().max()
            )
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    return bool(difference < _TOLERANCE)
