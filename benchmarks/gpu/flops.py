"""Floating point operations of a decoder, and the share of a device's peak that they are.

Counted is what the method needs: products with the weights of the layers and of attention. A lookup in the token
table is none. L layers, P numbers in them, A numbers of a token's queries in a layer (heads times head width), T tokens.

    forward, per sequence     2 P T  +  4 L A T^2        (half of the second under a causal mask)
    backward to the inputs    2 P T  +  8 L A T^2        (frozen weights get no gradient, an adapter's is left out)
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# Dense bfloat16 TFLOP/s as the makers' data sheets have them, without sparsity. The first name that fits counts.
_PEAKS = (
    ("B200", 2250.0),
    ("H200 NVL", 835.0),
    ("H200", 989.0),
    ("GH200", 990.0),
    ("H100 PCIe", 756.0),
    ("H100 NVL", 835.0),
    ("H100", 989.0),
    ("A100", 312.0),
    ("L40S", 362.0),
    ("A40", 149.7),
    ("A10", 125.0),
    ("L4", 121.0),
)


@dataclass(frozen=True)
class DecoderSize:
    """What decides the operations of a decoder without its head.

    Attributes:
        parameters: numbers in its layers, without the tables of tokens and positions.
        layers: of them.
        attention: numbers of a token's queries in a layer, heads times head width.
    """

    parameters: int
    layers: int
    attention: int

    def forward(self, lengths: Iterable[int], *, is_causal: bool = False) -> float:
        """Operations of a pass over sequences of these lengths in tokens."""
        return self._linear(lengths := list(lengths)) + self._attention(lengths, is_causal)

    def backward(self, lengths: Iterable[int], *, is_causal: bool = False) -> float:
        """Operations of the way back to the inputs, weights being frozen."""
        return self._linear(lengths := list(lengths)) + 2 * self._attention(lengths, is_causal)

    def _linear(self, lengths: list[int]) -> float:
        return 2.0 * self.parameters * sum(lengths)

    def _attention(self, lengths: list[int], is_causal: bool) -> float:
        factor = 2.0 if is_causal else 4.0
        return factor * self.layers * self.attention * sum(length**2 for length in lengths)


def decoder_size(backbone: Any) -> DecoderSize:
    """The size of a decoder of transformers, without adapter and head."""
    from torch import nn

    tables = {id(module.weight) for module in backbone.modules() if isinstance(module, nn.Embedding)}
    config = backbone.config
    head_width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return DecoderSize(
        parameters=sum(weight.numel() for weight in backbone.parameters() if id(weight) not in tables),
        layers=config.num_hidden_layers,
        attention=config.num_attention_heads * head_width,
    )


def head_operations(vocabulary: int, width: int, positions: int, passes: int) -> float:
    """Operations of a language head at so many positions, `passes` products each."""
    return 2.0 * vocabulary * width * positions * passes


def peak(device_name: str) -> float | None:
    """FLOP/s of bfloat16 products by the name of the device; None for one that is not known."""
    for name, tera in _PEAKS:
        if re.search(rf"\b{name}\b", device_name):
            return tera * 1e12
    return None


def share_of_peak(operations: float, seconds: float, device_name: str) -> float | None:
    """Operations a second over the peak of the device, 0 to 1; None for a device that is not known."""
    most = peak(device_name)
    return None if most is None else operations / seconds / most
