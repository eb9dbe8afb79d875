"""A decoder cut to its first layers, for encoders whose inner layers were trained to stand alone."""

from typing import TYPE_CHECKING, Any

from encoder.errors import UnsupportedBackboneError, UsageError

if TYPE_CHECKING:
    from torch import nn


def keep_layers(backbone: "nn.Module", layers: int, *, where: str) -> None:
    """Removes all but the first layers of a decoder, in place; its final norm then follows the last one left.

    The stored numbers of a layer do not change, an adapter's included: whoever cuts first and merges afterwards
    gets the states of whoever merges first, and a fingerprint that no matrix product has a part in.

    Args:
        backbone: an `AutoModel` decoder, or a PeftModel over one.
        layers: how many stay.
        where: what people call it, for the error.

    Raises:
        UnsupportedBackboneError: the decoder keeps its layers where they cannot be found.
        UsageError: there are fewer layers, or none would stay.
    """
    config: Any = backbone.config
    total = int(getattr(config, "num_hidden_layers", 0))
    found = _layer_lists(backbone, total)
    if len(found) != 1:
        kind = getattr(config, "model_type", type(backbone).__name__)
        raise UnsupportedBackboneError(
            f"{kind} cannot be cut to {layers} layers: {len(found)} lists of {total} layers were found in it",
            where,
            "leave out layers=",
        )
    if not 1 <= layers <= total:
        raise UsageError(f"layers is {layers}, the backbone has {total}", where, f"give 1 to {total}")
    del found[0][layers:]
    for name, value in list(vars(config).items()):
        # layer_types and its like say something of each layer.
        if "layer" in name and isinstance(value, list) and len(value) == total:
            setattr(config, name, value[:layers])
    config.num_hidden_layers = layers


def _layer_lists(backbone: "nn.Module", total: int) -> list[Any]:
    """The lists of `total` modules that lie in no other such list: experts of a layer are no layers."""
    from torch.nn import ModuleList

    found: dict[str, ModuleList] = {}
    for name, module in backbone.named_modules():  # outer modules come before their inner ones
        is_inner = any(name.startswith(f"{outer}.") for outer in found)
        if isinstance(module, ModuleList) and len(module) == total and not is_inner:
            found[name] = module
    return list(found.values())
