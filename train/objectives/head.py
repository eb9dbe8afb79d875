"""From the last hidden states of a language model to its own logits, for any rows of states.

What lies between differs: a bias (phi), a factor (granite, cohere), a soft cap (gemma2). Nothing is assumed: the
model's own forward runs over the given states, and a plain linear layer is only used where it gives the same.
Shapes: N rows, D width of the states, V vocabulary.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers.modeling_outputs import BaseModelOutputWithPast

from encoder.errors import UnsupportedBackboneError

Head = Callable[[Tensor], Tensor]

_PROBES = 6
_LARGE = 300.0  # logits of a probe: beyond any soft cap, so that one cannot look linear
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}  # of the largest logit
_COARSE = 3e-2  # the same in half precision


class LinearHead:
    """Logits as a linear layer, times a factor.

    Args:
        layer: the model's own, read at each call, so it may move or change its dtype.
        factor: of its outputs, bias included.
    """

    def __init__(self, layer: nn.Linear, factor: float = 1.0) -> None:
        self.layer = layer
        self.factor = factor

    def __call__(self, hidden_ND: Tensor) -> Tensor:
        """Logits [N, V] of hidden states [N, D], in the dtype of the layer (or of autocast)."""
        logits_NV = linear(hidden_ND.to(self.layer.weight.dtype), self.layer.weight, self.layer.bias)
        return logits_NV if self.factor == 1.0 else logits_NV * self.factor


class OwnHead:
    """Logits by the model's own forward, its decoder replaced by the states at hand.

    Args:
        causal_lm: a causal language model of transformers; its weights are shared.
    """

    def __init__(self, causal_lm: nn.Module) -> None:
        self._model = copy.copy(causal_lm)
        self._model._modules = {**causal_lm._modules, causal_lm.base_model_prefix: _Given()}  # type: ignore[dict-item]

    def __call__(self, hidden_ND: Tensor) -> Tensor:
        """Logits [N, V] of hidden states [N, D]."""
        return self._model(inputs_embeds=hidden_ND[None], use_cache=False).logits[0]


class _States(BaseModelOutputWithPast):
    """Last states, and nothing of what else an architecture hands on beside them."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class _Given(nn.Module):
    """Stands for a decoder whose last states are known."""

    def forward(self, *_inputs: Any, inputs_embeds: Tensor, **_options: Any) -> _States:
        return _States(last_hidden_state=inputs_embeds)

    @property
    def decoder(self) -> "_Given":
        """Where opt keeps its decoder."""
        return self


def language_head(causal_lm: nn.Module) -> Head:
    """The function from post-norm hidden rows [N, D] to the model's own logits [N, V].

    Args:
        causal_lm: a causal language model of transformers, in evaluation mode; shared, not copied.

    Returns:
        A `LinearHead` where the logits are linear in the states, which is faster to train through.

    Raises:
        UnsupportedBackboneError: no such function gives the logits that the model gives for a few tokens.
    """
    layer = causal_lm.get_output_embeddings()  # type: ignore[operator]
    kind = getattr(getattr(causal_lm, "config", None), "model_type", type(causal_lm).__name__)
    if layer is None:
        raise UnsupportedBackboneError(*_refusal(kind, "it has no language head"))
    own = OwnHead(causal_lm)
    try:
        with torch.no_grad():
            head: Head = _linear(causal_lm, layer, own) or own
            agrees = _agrees_with_model(causal_lm, head)
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise UnsupportedBackboneError(
            *_refusal(kind, f"it raised {type(error).__name__}: {error}")
        ) from error
    if not agrees:
        raise UnsupportedBackboneError(*_refusal(kind, "other logits than its own came out"))
    return head


def _linear(causal_lm: nn.Module, layer: nn.Module, own: Head) -> LinearHead | None:
    """The linear head that gives the same logits as `own`, small ones and large ones, if there is one."""
    if type(layer) is not nn.Linear:
        return None
    weight_VD = layer.weight
    random = torch.Generator().manual_seed(0)
    rows_ND = torch.randn((_PROBES, weight_VD.shape[1]), generator=random).to(weight_VD)
    large = _LARGE / float(linear(rows_ND, weight_VD).abs().max().clamp_min(1e-6))
    rows_ND = torch.cat([rows_ND * large, rows_ND, torch.zeros_like(rows_ND[:1])])
    config: Any = causal_lm.config
    factors = [
        1.0,
        1.0 / (getattr(config, "logits_scaling", None) or 1.0),
        getattr(config, "logit_scale", None),
    ]
    for factor in factors:
        head = LinearHead(layer, float(factor or 1.0))
        if _is_close(head(rows_ND), own(rows_ND)):
            return head
    return None


def _agrees_with_model(causal_lm: nn.Module, head: Head) -> bool:
    """Whether the head gives the model's logits for a few tokens."""
    table = causal_lm.get_input_embeddings().weight  # type: ignore[operator]
    random = torch.Generator().manual_seed(0)
    ids_BT = torch.randint(0, table.shape[0], (1, _PROBES), generator=random).to(table.device)
    hidden_BTD = causal_lm.base_model(input_ids=ids_BT, use_cache=False).last_hidden_state  # type: ignore[operator]
    return _is_close(head(hidden_BTD[0]), causal_lm(input_ids=ids_BT, use_cache=False).logits[0])


def _is_close(ours_NV: Tensor, theirs_NV: Tensor) -> bool:
    if ours_NV.shape != theirs_NV.shape:
        return False
    tolerance = _TOLERANCE.get(ours_NV.dtype, _COARSE)
    ours_NV, theirs_NV = ours_NV.double(), theirs_NV.double()
    # By row: a row of large logits must not excuse a row of small ones.
    size_N = theirs_NV.abs().amax(dim=-1).clamp_min(1e-6)
    return bool(((ours_NV - theirs_NV).abs().amax(dim=-1) <= tolerance * size_N).all())


def _refusal(kind: str, what: str) -> tuple[str, str, str]:
    """What, where and fix of a refusal."""
    return (
        f"the logits of {kind} cannot be computed from its hidden states: {what}",
        f"architecture {kind}",
        "choose another backbone for compression (llama, mistral, qwen2, qwen3, gemma2, phi3, gpt_neox, gpt2 work)",
    )
