"""A faster forward pass on processors for OPT's decoder with norms after its layers, the bundled encoder's shape.

The texts of a batch lie one behind the other without padding; texts of the same length attend together, so
no mask is needed. Query, key and value are one product, GELU and residual sums are part of theirs, weights are cast and
laid out once, and of the last layer only what the memory tokens need is computed.

What is computed is what the plain model computes: at load both are compared, and the plain one stays where they differ.
Shapes: B texts, S tokens of all texts and their memory tokens, T tokens of one, M memory tokens, D width, H heads.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from encoder.attention import longest_sequence
from encoder.memory import MemoryModel
from encoder.pooling import pool_memory

_ACTIVATIONS = {"relu": ("relu", ""), "gelu": ("gelu", "none")}
_LAYOUT_TOKENS = 2048  # weights are laid out for a product with so many rows; others work too
# A block of scores stays within a core's cache; one text whose scores are above the second bound goes to the fused kernel.
_BLOCK_BYTES = 1 << 20
_MOST_SCORE_BYTES = 64 << 20
# Texts that are compared at load, batch by batch. The largest difference of float32 states, as a share of their root
# mean square, was 7e-6 in the bundled encoder and 2e-5 at temperature 0.3; GELU's other formula made it 7e-3, and in
# tiny random decoders 3e-4 at least.
_PROBE_BATCHES = ((9, 9, 3, 0), (160,))
_MOST_DIFFERENCE = 1e-4
_LEAST_COSINE = 0.999  # of vectors in bfloat16


class _Product(NamedTuple):
    """A linear layer whose weight lies as oneDNN wants it."""

    weight: Tensor
    bias: Tensor

    def __call__(self, inputs_SD: Tensor, activation: str = "") -> Tensor:
        name, algorithm = _ACTIVATIONS.get(activation, ("none", ""))
        return torch.ops.mkldnn._linear_pointwise(inputs_SD, self.weight, self.bias, name, [], algorithm)

    def plus(self, inputs_SD: Tensor, residual_SD: Tensor) -> Tensor:
        """The layer's output and a residual, summed: both [S, D]."""
        return torch.ops.mkldnn._linear_pointwise.binary(
            inputs_SD, residual_SD, self.weight, self.bias, "add"
        )


class _Layer(NamedTuple):
    """The products of a decoder layer, and the norms behind its two halves."""

    query: _Product  # of the last layer: query alone and key_value; of the others the three in one
    key_value: _Product | None
    output: _Product
    widen: _Product
    narrow: _Product
    attention_norm: nn.LayerNorm
    final_norm: nn.LayerNorm


class _Group(NamedTuple):
    """Texts of one length that attend together."""

    first: int  # number of the first text
    start: int  # its first token among S
    texts: int
    length: int  # memory tokens included


class PackedModel(MemoryModel):
    """A `MemoryModel` that computes the same states faster, for inference on a processor only.

    Linear layers have their weights as they were at load: a later change of them, of the temperature or of the
    dtype has no effect, and no gradient reaches them. A copy, and one out of a pickle, is packed anew.

    Args:
        model: the plain model, float32; shared, not copied.
        dtype: of the products.

    Raises:
        AttributeError: the backbone is of another architecture, or torch lacks the operators.
        RuntimeError: this processor cannot compute so.
    """

    def __init__(self, model: MemoryModel, dtype: torch.dtype) -> None:
        super().__init__(model.backbone, model.memory)
        decoder: Any = model.backbone.decoder
        self._dtype = dtype
        self._heads = int(decoder.config.num_attention_heads)
        self._activation = str(decoder.config.activation_function)
        self._table = decoder.embed_tokens.weight.detach()
        self._positions = decoder.embed_positions.weight.detach()[decoder.embed_positions.offset :]
        *inner, last = decoder.layers
        self._layers = [_lay_out(layer, dtype) for layer in inner] + [_lay_out(last, dtype, is_last=True)]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Last states of the memory tokens: [B, M, D] for ids [B, T], as `MemoryModel.forward`.

        Raises:
            RuntimeError: gradients are on, which would not reach the linear layers.
        """
        if torch.is_grad_enabled():
            raise RuntimeError(
                "PackedModel is for inference: call it under torch.inference_mode(), and train a MemoryModel"
            )
        real_BT = attention_mask.bool()
        length_B = real_BT.sum(dim=1)
        states_SD, slot_R = self._sequence_of(input_ids[real_BT], length_B)
        groups = _group(length_B + self.n_memory, self._heads * self._dtype.itemsize)
        # Autocast would cast every weight again at each call.
        with torch.autocast("cpu", enabled=False):
            states_SD = states_SD.to(self._dtype)
            for layer in self._layers:
                states_SD = self._pass(layer, states_SD, groups, slot_R)
        return states_SD.view(len(input_ids), self.n_memory, self.dimension)

    def __reduce__(self) -> tuple[Any, ...]:
        # What oneDNN laid out can be neither copied nor stored.
        return _packed_anew, (self.backbone, self.memory, self._dtype)

    def _sequence_of(self, ids_R: Tensor, length_B: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs [S, D] of the first layer for the ids of all texts, and where the memory tokens stand, [B * M]."""
        size_B = length_B + self.n_memory
        start_B = size_B.cumsum(0) - size_B
        slot_BM = (start_B + length_B)[:, None] + torch.arange(self.n_memory)
        slot_R = slot_BM.flatten()
        total = int(size_B.sum())
        position_S = torch.arange(total) - start_B.repeat_interleave(size_B)
        is_text_S = torch.ones(total, dtype=torch.bool)
        is_text_S[slot_R] = False
        inputs_SD = self._positions[position_S]
        inputs_SD[is_text_S] += self._table[ids_R]
        inputs_SD[slot_R] += self.memory.repeat(len(length_B), 1)
        return inputs_SD, slot_R

    def _pass(self, layer: _Layer, states_SD: Tensor, groups: list[_Group], slot_R: Tensor) -> Tensor:
        """States [S, D] after a layer; after the last one those of the memory tokens alone, [B * M, D]."""
        mixed_SD = torch.empty_like(states_SD)
        if layer.key_value is None:
            query_SD, key_SD, value_SD = layer.query(states_SD).chunk(3, dim=1)
        else:
            key_SD, value_SD = layer.key_value(states_SD).chunk(2, dim=1)
            states_SD = states_SD[slot_R]
            query_SD, mixed_SD = layer.query(states_SD), torch.empty_like(states_SD)
        for group in groups:
            rows = slice(group.start, group.start + group.texts * group.length)
            asked = rows
            if layer.key_value is not None:
                asked = slice(group.first * self.n_memory, (group.first + group.texts) * self.n_memory)
            query, key, value, out = (
                part.view(group.texts, -1, self._heads, self.dimension // self._heads).transpose(1, 2)
                for part in (query_SD[asked], key_SD[rows], value_SD[rows], mixed_SD[asked])
            )
            out.copy_(_attend(query, key, value))
        states_SD = layer.attention_norm(layer.output.plus(mixed_SD, states_SD))
        wide_SF = layer.widen(states_SD, self._activation)
        return layer.final_norm(layer.narrow.plus(wide_SF, states_SD))


def pack(model: MemoryModel, dtype: torch.dtype) -> MemoryModel:
    """A model that gives the same states faster on a processor, or the one given where there is none.

    Args:
        model: float32 on a processor, checked, in `eval` mode.
        dtype: of the products, float32 or bfloat16.
    """
    config: Any = getattr(model.backbone, "config", None)
    is_known = getattr(config, "model_type", "") == "opt" and type(model.backbone).__name__ == "OPTModel"
    if not is_known or config.do_layer_norm_before or config.activation_function not in _ACTIVATIONS:
        return model
    if config.word_embed_proj_dim != config.hidden_size:
        return model
    try:
        with torch.inference_mode():
            packed = PackedModel(model, dtype).eval()
            return packed if _agrees(packed, model, dtype) else model
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):  # operators of torch's own
        return model


def _packed_anew(backbone: nn.Module, memory: Tensor, dtype: torch.dtype) -> MemoryModel:
    """The packed model of a backbone and its memory tokens [M, D]."""
    return pack(MemoryModel(backbone, memory).eval(), dtype)


def _agrees(packed: PackedModel, model: MemoryModel, dtype: torch.dtype) -> bool:
    """True where both give the same states: for texts of several lengths, an empty one among them, and a long one."""
    random = torch.Generator().manual_seed(0)
    rows = model.backbone.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
    room = (longest_sequence(model.backbone.config) or _LAYOUT_TOKENS) - model.n_memory
    for lengths in _PROBE_BATCHES:
        length_B = torch.tensor(lengths).clamp(max=room)
        ids_BT = torch.randint(0, rows, (len(lengths), int(length_B.max())), generator=random)
        real_BT = torch.arange(ids_BT.shape[1]) < length_B[:, None]
        if not _is_same(packed(ids_BT, real_BT), model(ids_BT, real_BT), dtype):
            return False
    return True


def _is_same(found_BMD: Tensor, expected_BMD: Tensor, dtype: torch.dtype) -> bool:
    """True where two computations of the same states [B, M, D] differ by rounding alone; a NaN is never the same."""
    if dtype == torch.float32:
        most = _MOST_DIFFERENCE * float(expected_BMD.square().mean().sqrt())
        return bool((found_BMD - expected_BMD).abs().max() <= most)
    cosine_B = functional.cosine_similarity(pool_memory(found_BMD), pool_memory(expected_BMD))
    return bool((cosine_B >= _LEAST_COSINE).all())


def _lay_out(layer: Any, dtype: torch.dtype, *, is_last: bool = False) -> _Layer:
    attention = layer.self_attn
    query, key, value = attention.q_proj, attention.k_proj, attention.v_proj
    scale = float(attention.scaling)
    scaled = (query.weight * scale, query.bias * scale)
    others = [(each.weight, each.bias) for each in (key, value)]
    return _Layer(
        query=_product([scaled] if is_last else [scaled, *others], dtype),
        key_value=_product(others, dtype) if is_last else None,
        output=_product([(attention.out_proj.weight, attention.out_proj.bias)], dtype),
        widen=_product([(layer.fc1.weight, layer.fc1.bias)], dtype),
        narrow=_product([(layer.fc2.weight, layer.fc2.bias)], dtype),
        attention_norm=layer.self_attn_layer_norm,
        final_norm=layer.final_layer_norm,
    )


def _product(parts: list[tuple[Tensor, Tensor]], dtype: torch.dtype) -> _Product:
    """One product for several layers of the same inputs: weights [out, in] and biases [out] below each other."""
    weight = torch.cat([weight.detach() for weight, _ in parts]).to(dtype)
    bias = torch.cat([bias.detach() for _, bias in parts]).to(dtype)
    return _Product(torch.ops.mkldnn._reorder_linear_weight(weight, _LAYOUT_TOKENS), bias)


def _group(size_B: Tensor, score_bytes: int) -> list[_Group]:
    """Neighbours of equal size [B] in one group, as long as their scores fit the cache."""
    groups: list[_Group] = []
    start = 0
    for number, size in enumerate(size_B.tolist()):
        most = _BLOCK_BYTES // (score_bytes * size * size)
        last = groups[-1] if groups else None
        if last is not None and last.length == size and last.texts < most:
            groups[-1] = last._replace(texts=last.texts + 1)
        else:
            groups.append(_Group(number, start, 1, size))
        start += size
    return groups


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of scaled queries [G, H, Q, d] to all keys and values [G, H, T, d]; [G, H, Q, d]."""
    scores = query.shape[:3].numel() * key.shape[2] * query.dtype.itemsize
    # In bfloat16 two products and a softmax beat the fused kernel: 1.12 times the tokens a second as a whole.
    if query.dtype == torch.float32 or scores > _MOST_SCORE_BYTES:
        return functional.scaled_dot_product_attention(query, key, value, scale=1.0)
    return (query @ key.transpose(-1, -2)).softmax(dim=-1) @ value
