"""Text to vector: the LLM2Comp model, its checkpoint directory, and what the other packages need of it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from encoder.checkpoint import load_encoder
    from encoder.config import EncoderConfig
    from encoder.model import Encoder

__all__ = ["Encoder", "EncoderConfig", "load_encoder"]

_HOME = {"Encoder": "encoder.model", "EncoderConfig": "encoder.config", "load_encoder": "encoder.checkpoint"}


def __getattr__(name: str) -> Any:
    """The public name, imported when first touched, so that `import encoder` leaves torch unloaded.

    Raises:
        AttributeError: there is no such name.
    """
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'encoder' has no attribute {name!r}")
