"""The frozen decoder beside the encoder: on the same weights where these stay as they are, else a copy of them."""

import copy
from itertools import chain
from typing import TypeVar

from torch import nn

_Model = TypeVar("_Model", bound=nn.Module)


def share_decoder(causal_lm: _Model) -> _Model:
    """A second model over the same weights, to decode and to teach while the first is trained by an adapter.

    Parameters and buffers are the same objects, so they cost no memory and move together. Modules are the
    twin's own: an adapter put on the first model afterwards is not in the twin, and neither is a mode, a hook
    or a change of the configuration. All shared weights are frozen; nobody may train or merge into them while
    the twin lives.

    Args:
        causal_lm: a causal language model before any adapter is put on it.

    Returns:
        The twin, in evaluation mode.
    """
    known = {id(tensor): tensor for tensor in chain(causal_lm.parameters(), causal_lm.buffers())}
    # What deepcopy finds in its memo it does not copy.
    return copy.deepcopy(causal_lm, known).requires_grad_(False).eval()


def copy_decoder(causal_lm: _Model) -> _Model:
    """A frozen copy of the model with weights of its own, for training that changes the first model's weights.

    Args:
        causal_lm: a causal language model.

    Returns:
        The copy, in evaluation mode.
    """
    return copy.deepcopy(causal_lm).requires_grad_(False).eval()
