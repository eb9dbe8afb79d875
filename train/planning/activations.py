"""What autograd keeps of a decoder layer until the backward pass, in bytes a token.

The formula is a count of the tensors that PyTorch saves in a Llama-shaped layer of transformers 5.23 whose
attention is fused (`sdpa`), so that no square of the length appears. It follows Korthikanti et al., "Reducing
Activation Recomputation in Large Transformer Models" (2022), equation 2, without their term for scores and with
what differs here: gated MLP, grouped keys, norms in float32, and matrices that are frozen and so keep no input.
With s bytes a number in matrix products, width d, queries q = heads * head_dim, keys k, MLP f:

    norms        2 * 4 (d + 1)                              their inputs and root mean squares, float32
    head norms   4 (q + k + heads + key heads)              where queries and keys have norms of their own
    attention    s (2 q + 2 k') + 4 heads                   query, key, value, output; k' = q under an explicit
                                                            mask, which repeats grouped keys
    MLP          s * 3 f                                    gate, its activation, up
    trained      s (5 d + f), once each in float32: s (2 d + f); norms again   if all weights are trained
    adapter      (s + noise) * (inputs of adapted matrices) + s * (ranks)      if an adapter is

A test compares it with what `torch.autograd.graph.saved_tensors_hooks` sees: equal to 1 % with bfloat16 products,
at most 1.2 times too much in float32 without dropout, where adapted matrices share an input. Layers without gate
keep less than it says.
"""

from dataclasses import dataclass
from typing import Any, Literal

Trains = Literal["all", "adapter", "nothing"]
_NORM_BYTES = 4  # norms compute in float32 whatever the products do
_LSE_BYTES = 4


@dataclass(frozen=True)
class LayerShape:
    """The sizes of a decoder layer."""

    layers: int
    width: int
    mlp: int
    heads: int
    key_heads: int
    head_dim: int
    has_head_norms: bool = False  # as in qwen3 and gemma3

    @property
    def queries(self) -> int:
        """Numbers in the queries of a token."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Numbers in the keys of a token."""
        return self.key_heads * self.head_dim


@dataclass(frozen=True)
class Precision:
    """Bytes a number."""

    products: int = 2  # in matrix products: 2 bfloat16, 4 float32
    frozen: int = 2  # frozen weights at rest
    noise: int = 1  # of a dropout mask; 4 on a processor, where it is kept as float32

    def residual(self, trains: Trains) -> int:
        """Of the stream between layers: weights in float32, as trained ones are, keep it so under autocast."""
        return 4 if trains == "all" else max(self.products, self.frozen)


@dataclass(frozen=True)
class AdapterShape:
    """What an adapter adds to one layer."""

    inputs: int = 0  # widths of the inputs of adapted matrices, summed
    ranks: int = 0  # ranks, summed
    has_dropout: bool = False


def layer_shape(config: Any, *, has_head_norms: bool = False) -> LayerShape:
    """The sizes that a configuration of transformers names.

    Args:
        config: of a decoder.
        has_head_norms: queries and keys have norms of their own; no configuration says so.
    """
    width, heads = config.hidden_size, config.num_attention_heads
    return LayerShape(
        layers=config.num_hidden_layers,
        width=width,
        mlp=getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * width,
        heads=heads,
        key_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or width // heads,
        has_head_norms=has_head_norms,
    )


def kept_by_layer(
    shape: LayerShape,
    trains: Trains,
    *,
    precision: Precision,
    adapter: AdapterShape = AdapterShape(),
    is_masked: bool = True,
) -> int:
    """Bytes a token that one layer keeps for its backward pass.

    Args:
        shape: of the layer.
        trains: which of its weights are trained; "nothing" still passes gradients on to its input.
        precision: bytes a number.
        adapter: where `trains` is "adapter".
        is_masked: attention takes an explicit mask, as both directions do.
    """
    size = precision.products
    norms = 2 * _NORM_BYTES * (shape.width + 1)
    head_norms = 0
    if shape.has_head_norms:
        head_norms = _NORM_BYTES * (shape.queries + shape.keys + shape.heads + shape.key_heads)
    keys = shape.queries if is_masked else shape.keys
    attention = size * (2 * shape.queries + 2 * keys) + _LSE_BYTES * shape.heads
    kept = norms + head_norms + attention + size * 3 * shape.mlp
    if trains == "all":
        # Under autocast every matrix has a cast input of its own; in float32 those of one norm share it.
        inputs = 5 if precision.products < precision.residual(trains) else 2
        kept += size * (inputs * shape.width + shape.mlp) + 2 * _NORM_BYTES * shape.width
        kept += size * (shape.queries + shape.keys) if shape.has_head_norms else 0
    elif trains == "adapter":
        noise = precision.noise if adapter.has_dropout else 0
        kept += (size + noise) * adapter.inputs + size * adapter.ranks
    return kept


def kept_by_model(shape: LayerShape, layer_bytes: int, input_bytes: int, *, is_checkpointed: bool) -> int:
    """Bytes a token that all layers keep.

    Args:
        shape: of the layers.
        layer_bytes: what `kept_by_layer` says.
        input_bytes: a number in the stream between layers.
        is_checkpointed: only the input of each layer is kept, and one layer at a time is computed again.
    """
    ends = 2 * _NORM_BYTES * shape.width  # the token vectors and the last norm
    if is_checkpointed:
        return shape.layers * input_bytes * shape.width + layer_bytes + ends
    return shape.layers * layer_bytes + ends
