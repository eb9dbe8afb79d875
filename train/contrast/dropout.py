"""Dropout in a decoder's attention: the only noise that tells two views of a text apart.

Shapes: B batch, T tokens, D embedding dimension.
"""

from typing import Any

import torch
from torch import Tensor, nn

from encoder.attention import bidirectional_states
from encoder.errors import ConfigError, UnsupportedBackboneError

_ATTRIBUTES = ("attention_dropout", "attn_dropout")
_PROBE_TOKENS = 32


def set_dropout(backbone: nn.Module, attention: float) -> None:
    """Sets the dropout of every attention in place; the configuration, which is stored and hashed, stays.

    Args:
        backbone: a decoder, or a PeftModel over one.
        attention: share of attention weights that are dropped in training.

    Raises:
        UnsupportedBackboneError: some attention keeps its dropout where it cannot be set.
    """
    changed = sum(_set(module, attention) for module in backbone.modules())
    config: Any = backbone.config
    layers = int(getattr(config, "num_hidden_layers", 1))
    if attention > 0 and changed < layers:
        kind = getattr(config, "model_type", type(backbone).__name__)
        raise UnsupportedBackboneError(
            f"the attention dropout of {kind} was found in {changed} of {layers} layers",
            f"looked for {', '.join(_ATTRIBUTES)}",
            "set attention_dropout = 0 and rely on the adapter's dropout, or choose another backbone",
        )


def _set(module: nn.Module, share: float) -> bool:
    """Whether the module is an attention whose dropout is now `share`."""
    for name in _ATTRIBUTES:
        found = getattr(module, name, None)
        if isinstance(found, nn.Dropout):
            found.p = share
            return True
        if isinstance(found, float | int):
            setattr(module, name, float(share))
            return True
    # opt calls it `dropout`, and so it calls other things in other modules.
    if type(module).__name__.endswith("Attention") and isinstance(getattr(module, "dropout", None), float):
        module.dropout = float(share)  # type: ignore[assignment]
        return True
    return False


def has_dropout(backbone: nn.Module) -> bool:
    """Whether two passes over one text in training mode differ; mode and random state are restored.

    Args:
        backbone: a decoder without head, or a PeftModel over one, on any device.
    """
    was_training = backbone.training
    table_VD: Tensor = backbone.get_input_embeddings().weight  # type: ignore[operator]
    ids_T = torch.arange(_PROBE_TOKENS, device=table_VD.device) % table_VD.shape[0]
    real_BT = torch.ones(1, _PROBE_TOKENS, dtype=torch.bool, device=table_VD.device)
    devices = [table_VD.device] if table_VD.is_cuda else []
    backbone.train()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices):
            embeddings_BTD = backbone.get_input_embeddings()(ids_T)[None]  # type: ignore[operator]
            first, second = (bidirectional_states(backbone, embeddings_BTD, real_BT) for _ in range(2))
    finally:
        backbone.train(was_training)
    return not torch.equal(first, second)


def require_dropout(backbone: nn.Module) -> None:
    """Refuses a backbone whose two views of a text would be one and the same.

    Raises:
        ConfigError: no dropout acts.
    """
    if not has_dropout(backbone):
        raise ConfigError(
            "dropout is zero, so two views of a text would be identical and there would be nothing to learn.",
            "views.attention_dropout, adapter.dropout",
            "set views.attention_dropout or adapter.dropout above 0 (the paper: 0.2 and 0.05)",
        )
