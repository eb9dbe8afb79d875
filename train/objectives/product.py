"""Matrix products in float32 on processors by oneDNN where that is faster than the BLAS of torch's builds.

MKL, which they bring, runs below its speed on AMD processors: 105 against 250 GFLOP/s in one thread of a Zen 5.
The operator is no part of torch's public interface, so it is tried once and left alone where it fails.
Shapes: N rows, I and O the widths of a layer's input and output.
"""

from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import linear

_TOLERANCE = 1e-5


def product(rows_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """`rows @ weight.T + bias`, [N, O]; no gradient flows through it.

    Args:
        rows_NI: [N, I] floating.
        weight_OI: [O, I] of the same dtype; a transposed view costs little.
        bias_O: [O] of the same dtype, or None.
    """
    if rows_NI.dtype == torch.float32 and rows_NI.device.type == "cpu" and len(rows_NI) and _is_usable():
        with torch.no_grad():
            return _onednn(rows_NI, weight_OI, bias_O)
    with torch.no_grad(), torch.autocast(rows_NI.device.type, enabled=False):
        return linear(rows_NI, weight_OI, bias_O)


def _onednn(rows_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(rows_NI, weight_OI, bias_O, "none", [], "")


@cache
def _is_usable() -> bool:
    random = torch.Generator().manual_seed(0)
    rows, weight, bias = (torch.randn(shape, generator=random) for shape in ((3, 24), (16, 24), (16,)))
    try:
        pairs = [
            (_onednn(rows, weight, bias), linear(rows, weight, bias)),
            (_onednn(rows[:, :16], weight.t(), None), linear(rows[:, :16], weight.t())),
        ]
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    return all(torch.allclose(ours, theirs, atol=_TOLERANCE) for ours, theirs in pairs)
