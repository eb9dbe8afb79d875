"""Matrix products in float32 on processors by oneDNN where that is faster than the BLAS of torch's builds.

MKL, which they bring, runs below its speed on AMD processors: 105 against 250 GFLOP/s in one thread of a Zen 5.
The operator is no part of torch's public interface, so it is tried once and left alone where it fails. It compiles
code for each number of rows, half a millisecond and about a megabyte a time, so rows go in pieces of a few sizes.
What `encoder.linear` does for inference, this does for training too.
Shapes: N rows, I and O the widths of a layer's input and output.
"""

from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

_PIECES = (512, 256, 128, 64, 32)  # rows; what is left over is multiplied as usual
_TOLERANCE = 1e-5


def product(rows_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """`rows @ weight.T + bias`, [N, O], in the dtype of its inputs; no gradient flows through it.

    Args:
        rows_NI: [N, I] floating.
        weight_OI: [O, I] of the same dtype; both may be transposed views.
        bias_O: [O] of the same dtype, or None.
    """
    with torch.no_grad(), torch.autocast(rows_NI.device.type, enabled=False):
        if not _is_for_onednn(rows_NI) or len(rows_NI) < _PIECES[-1]:
            return linear(rows_NI, weight_OI, bias_O)
        if len(rows_NI) in _PIECES:
            return _onednn(rows_NI, weight_OI, bias_O)
        result_NO = rows_NI.new_empty(len(rows_NI), len(weight_OI))
        start = 0
        for size in _PIECES:
            while len(rows_NI) - start >= size:
                piece = slice(start, start + size)
                result_NO[piece] = _onednn(rows_NI[piece], weight_OI, bias_O)
                start += size
        result_NO[start:] = linear(rows_NI[start:], weight_OI, bias_O)
        return result_NO


def use_fast_products(model: nn.Module) -> int:
    """Lets every linear layer of a model compute by oneDNN where it can, forth and back, in place.

    The layers, their weights and their names stay. Each call decides anew, so the model may move to a GPU, be
    compiled or run under autocast, and then nothing is different.

    Args:
        model: adapters and all.

    Returns:
        How many layers were changed; 0 where oneDNN is of no use.
    """
    if not _is_usable():
        return 0
    layers = [module for module in model.modules() if type(module) is nn.Linear]
    for layer in layers:
        layer.forward = partial(_forward, layer)  # type: ignore[method-assign]
    return len(layers)


def _forward(layer: nn.Linear, inputs: Tensor) -> Tensor:
    """The layer's output [..., O] for inputs [..., I]."""
    is_plain = torch.compiler.is_compiling() or torch.is_autocast_enabled(inputs.device.type)
    if is_plain or not _is_for_onednn(inputs) or layer.weight.dtype != torch.float32:
        return linear(inputs, layer.weight, layer.bias)
    rows_NI = inputs.reshape(-1, inputs.shape[-1])
    return _Product.apply(rows_NI, layer.weight, layer.bias).view(*inputs.shape[:-1], layer.out_features)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows_NI if ctx.needs_input_grad[1] else None, weight_OI)
        return product(rows_NI, weight_OI, bias_O)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_NO: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        rows_NI, weight_OI = ctx.saved_tensors
        of_rows, of_weight, of_bias = ctx.needs_input_grad
        return (
            product(gradient_NO, weight_OI.t()) if of_rows else None,
            gradient_NO.t() @ rows_NI if of_weight else None,
            gradient_NO.sum(dim=0) if of_bias else None,
        )


def _onednn(rows_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(rows_NI, weight_OI, bias_O, "none", [], "")


def _is_for_onednn(inputs: Tensor) -> bool:
    return inputs.dtype == torch.float32 and inputs.device.type == "cpu" and _is_usable()


@cache
def _is_usable() -> bool:
    random = torch.Generator().manual_seed(0)
    rows, weight, bias = (torch.randn(shape, generator=random) for shape in ((3, 24), (16, 24), (16,)))
    cases: list[tuple[Tensor, Tensor, Tensor | None]] = [
        (rows, weight, bias),
        (rows[:, :16], weight.t(), None),
    ]
    try:
        return all(torch.allclose(_onednn(*case), linear(*case), atol=_TOLERANCE) for case in cases)
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
