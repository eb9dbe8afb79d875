"""The LoRA adapter that training puts on a backbone."""

from typing import TYPE_CHECKING

from encoder.errors import ConfigError
from train.settings import Adapter

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn

# All linear layers but the keys, as in the paper, under the names that architectures give them. The first line
# whose names a backbone all has is taken; keys that share a layer with queries and values are trained with them.
_PAPER_TARGETS = (
    ("q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),  # llama and most others
    ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"),  # phi3
    ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"),  # gpt_neox, falcon
    ("c_attn", "c_proj", "c_fc"),  # gpt2
    ("q_proj", "v_proj", "o_proj", "c_fc", "c_proj"),  # starcoder2
)


def attach_adapter(backbone: "nn.Module", settings: Adapter) -> "PeftModel":
    """The backbone with a fresh LoRA adapter, which alone is trainable.

    Args:
        backbone: a decoder without head; it is changed in place and shared. Its own weights are frozen.
        settings: rank, alpha, dropout and target layers; without targets the paper's, and all linear layers of
            an architecture that names its layers in no known way.

    Raises:
        ConfigError: the backbone has no linear layer of a name in `settings.targets`.
    """
    from peft import LoraConfig, get_peft_model
    from transformers.pytorch_utils import Conv1D

    layers = _linear_layers(backbone)
    targets = _checked(settings.targets, layers) if settings.targets else _default_targets(layers)
    is_chosen = [kind is Conv1D for name, kind in layers.items() if _is_one_of(name, targets)]
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(targets),
        bias="none",
        fan_in_fan_out=any(is_chosen),  # gpt2 keeps its weights the other way round
    )
    return get_peft_model(backbone, config)


def halve_frozen(model: "nn.Module") -> None:
    """Casts all floating weights but an adapter's to bfloat16, in place.

    Buffers stay as they are: in bfloat16 the frequencies of rotary positions give wrong angles.
    """
    import torch

    for name, weight in model.named_parameters():
        if weight.is_floating_point() and "lora_" not in name:
            weight.data = weight.data.to(torch.bfloat16)


def _linear_layers(backbone: "nn.Module") -> "dict[str, type[nn.Module]]":
    """Full name and class of each layer that can take an adapter."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    return {
        name: type(module)
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
    }


def _default_targets(layers: "dict[str, type[nn.Module]]") -> tuple[str, ...]:
    present = {name.rpartition(".")[2] for name in layers}
    return next((names for names in _PAPER_TARGETS if present.issuperset(names)), tuple(sorted(present)))


def _checked(targets: tuple[str, ...], layers: "dict[str, type[nn.Module]]") -> tuple[str, ...]:
    for target in targets:
        if not any(_is_one_of(name, (target,)) for name in layers):
            known = sorted({name.rpartition(".")[2] for name in layers})
            raise ConfigError(
                f"The backbone has no linear layer called {target!r}.",
                "adapter.targets",
                f"name some of {', '.join(known)}; or leave targets out",
            )
    return targets


def _is_one_of(name: str, targets: tuple[str, ...]) -> bool:
    """Whether PEFT finds the layer under one of the target names."""
    return any(name == target or name.endswith(f".{target}") for target in targets)
