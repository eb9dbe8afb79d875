"""The one way to make a causal decoder attend in both directions, and the check that it does.

Every backbone is called with an additive float mask of shape [B, 1, 1, T] and explicit positions. The flags
that transformers offers for this (`is_causal=False` and others) are ignored by some architectures, and by
some only when nothing is padded, so a single text would differ from the same text in a batch.

Shapes: B batch, T tokens, M memory tokens, D embedding dimension.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from encoder.errors import UnsupportedBackboneError

_PROBE_TOKENS = 12
_SCORE_BYTES = 6  # a score in bfloat16 and its softmax in float32
_MOST_SCORE_BYTES = 256 << 20
_FINAL_NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm")


def additive_mask(real_BT: Tensor, dtype: torch.dtype) -> Tensor:
    """The mask that lets every token see every real token.

    Args:
        real_BT: [B, T] bool, False on padding.
        dtype: of the embeddings. A bool mask would be *added* to the scores by eager attention.

    Returns:
        [B, 1, 1, T] of `dtype`: 0 on real tokens, the lowest finite number on padding.
    """
    mask_BT = torch.zeros(real_BT.shape, dtype=dtype, device=real_BT.device)
    return mask_BT.masked_fill(~real_BT, torch.finfo(dtype).min)[:, None, None, :]


def bidirectional_states(backbone: nn.Module, embeddings_BTD: Tensor, real_BT: Tensor) -> Tensor:
    """Last hidden states under full attention.

    Args:
        backbone: a decoder without head that takes `inputs_embeds`.
        embeddings_BTD: [B, T, D] floating, right padded.
        real_BT: [B, T] bool, True on the first tokens of each row.

    Returns:
        [B, T, D] states after the final norm; those of padding mean nothing.
    """
    return _call(backbone, embeddings_BTD, real_BT).last_hidden_state


def layer_states(
    backbone: nn.Module, embeddings_BTD: Tensor, real_BT: Tensor, layers: Sequence[int]
) -> list[Tensor]:
    """States under full attention after some of the layers, as a backbone cut to so many layers has them.

    Args:
        backbone: a decoder without head that takes `inputs_embeds`.
        embeddings_BTD: [B, T, D] floating, right padded.
        real_BT: [B, T] bool, True on the first tokens of each row.
        layers: how many layers were passed, each from 1 to all.

    Returns:
        A [B, T, D] tensor for each of `layers`, after the final norm; those of padding mean nothing.

    Raises:
        UnsupportedBackboneError: the final norm stands where it cannot be found.
    """
    found = _call(backbone, embeddings_BTD, real_BT, output_hidden_states=True)
    total = len(found.hidden_states) - 1
    norm = _final_norm(backbone) if any(layer < total for layer in layers) else None
    return [
        found.last_hidden_state if layer == total or norm is None else norm(found.hidden_states[layer])
        for layer in layers
    ]


def _call(backbone: nn.Module, embeddings_BTD: Tensor, real_BT: Tensor, **options: bool) -> Any:
    """What the backbone returns for [B, T, D] embeddings under full attention; `real_BT` is [B, T] bool."""
    position_BT = torch.arange(real_BT.shape[1], device=real_BT.device).expand(real_BT.shape)
    return backbone(
        inputs_embeds=embeddings_BTD,
        attention_mask=additive_mask(real_BT, embeddings_BTD.dtype),
        position_ids=position_BT,
        use_cache=False,
        **options,
    )


def _final_norm(backbone: nn.Module) -> nn.Module:
    """The norm after the last layer.

    Raises:
        UnsupportedBackboneError: it has no name that we know.
    """
    base = backbone.get_base_model() if hasattr(backbone, "peft_config") else backbone  # type: ignore[operator]
    for name in _FINAL_NORMS:
        norm = getattr(base, name, None)
        if isinstance(norm, nn.Module):
            return norm
    raise UnsupportedBackboneError(
        f"{getattr(base.config, 'model_type', type(base).__name__)} has no final norm under a known name",
        f"looked for {', '.join(_FINAL_NORMS)}",
        'train without inner layers: layers = "none"',
    )


def longest_sequence(config: Any) -> int | None:
    """Most tokens that one pass may hold, or None when the configuration names no bound.

    Full attention removes sliding windows; inside the smallest window that changes nothing, so it is a bound.
    """
    bounds = [getattr(config, "max_position_embeddings", None), getattr(config, "n_positions", None)]
    if getattr(config, "use_sliding_window", True):
        bounds.append(getattr(config, "sliding_window", None))
    found = [int(bound) for bound in bounds if bound]
    return min(found) if found else None


def choose_attention(backbone: nn.Module, longest: int, *, is_cpu_bfloat16: bool) -> None:
    """Sets the attention implementation that is fastest on this device, in place.

    On a processor in bfloat16 two plain matrix products beat the fused kernel, which takes as long as in
    float32 there: 1.2 times the tokens per second on abstracts, 1.1 on short texts.

    Args:
        backbone: a decoder without head.
        longest: most tokens of one sequence; plain attention holds their square.
        is_cpu_bfloat16: where it will compute.
    """
    heads = getattr(getattr(backbone, "config", None), "num_attention_heads", None)
    if is_cpu_bfloat16 and heads and heads * longest**2 * _SCORE_BYTES <= _MOST_SCORE_BYTES:
        backbone.set_attn_implementation("eager")  # type: ignore[operator]


def scale_attention(backbone: nn.Module, temperature: float) -> None:
    """Divides the scores of every attention by `temperature` (TempScale), in place.

    Raises:
        UnsupportedBackboneError: some attention keeps its scale where it cannot be set.
    """
    if temperature == 1.0:
        return
    layers = [module for module in backbone.modules() if isinstance(getattr(module, "scaling", None), float)]
    if len(layers) < int(getattr(getattr(backbone, "config", None), "num_hidden_layers", 1)):
        kind = _architecture(backbone)
        raise UnsupportedBackboneError(
            f"{kind} takes no attention temperature: its attention has no scale that could be set",
            f"architecture {kind}, attention_temperature {temperature:g}",
            "leave out temperature=, or set attention_temperature to 1.0",
        )
    for module in layers:
        module.scaling = float(module.scaling) / temperature  # type: ignore[arg-type, assignment]


def check_bidirectional(backbone: nn.Module, memory_MD: Tensor) -> None:
    """Refuses a backbone that does not attend in both directions, or mixes padding into a text.

    Args:
        backbone: a decoder without head, on any device; its mode is restored.
        memory_MD: [M, D] memory tokens; with M = 0 random ones stand in.

    Raises:
        UnsupportedBackboneError: a test failed or the backbone raised; the message says which.
    """
    was_training = backbone.training
    backbone.eval()
    try:
        with torch.no_grad():
            failed = _failed_test(backbone, memory_MD)
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise UnsupportedBackboneError(
            *_refusal(backbone, f"it raised {type(error).__name__}: {error}")
        ) from error
    finally:
        backbone.train(was_training)
    if failed:
        raise UnsupportedBackboneError(*_refusal(backbone, failed))


def _failed_test(backbone: nn.Module, memory_MD: Tensor) -> str | None:
    """Name of the first test that fails, in words."""
    embed = backbone.get_input_embeddings()  # type: ignore[operator]
    table = embed.weight
    n_memory = max(1, memory_MD.shape[0])
    random = torch.Generator().manual_seed(0)
    ids_T = torch.randint(0, table.shape[0], (_PROBE_TOKENS + 1,), generator=random).to(table.device)
    text_TD = embed(ids_T)
    noise_TD = torch.randn((2 * (_PROBE_TOKENS + n_memory), text_TD.shape[1]), generator=random)
    noise_TD = (noise_TD * text_TD.float().std().item()).to(text_TD)
    slots_MD = memory_MD.to(text_TD) if len(memory_MD) else noise_TD[:1]
    plain_TD = torch.cat([text_TD[:_PROBE_TOKENS], slots_MD])
    other_text_TD = torch.cat([text_TD[: _PROBE_TOKENS - 1], text_TD[-1:], slots_MD])
    other_slot_TD = torch.cat([plain_TD[:-1], noise_TD[-1:]])

    first = _states(backbone, plain_TD)
    size = first.abs().max().item()
    floor = max(10 * (first - _states(backbone, plain_TD)).abs().max().item(), 1e-6 * size)

    def moved(states: Tensor, reference: Tensor) -> bool:
        change_T = (states - reference).abs().amax(dim=-1)
        return bool(change_T[0] > floor) and bool((change_T[_PROBE_TOKENS:] > floor).all())

    if not moved(_states(backbone, other_text_TD), first):
        return "replacing the last text token left an earlier state as it was (test 1)"
    if not (_states(backbone, other_slot_TD)[0] - first[0]).abs().max().item() > floor:
        return "replacing the last memory token left the first state as it was (test 2)"
    padded = _states(backbone, plain_TD, beside=noise_TD)
    allowed = (1e-4 if text_TD.dtype == torch.float32 else 5e-2) * size
    if not (padded - first).abs().max().item() < allowed:
        return "a text alone and in a padded batch gave different states (test 3)"
    if not moved(_states(backbone, other_text_TD, beside=noise_TD), padded):
        return "in a padded batch an earlier state ignored a later token (test 4)"
    return None


def _states(backbone: nn.Module, row_TD: Tensor, beside: Tensor | None = None) -> Tensor:
    """States [T, D] of one row, alone or padded to the length of `beside` in a batch of two."""
    length = row_TD.shape[0]
    if beside is None:
        batch, real = row_TD[None], torch.ones(1, length, dtype=torch.bool, device=row_TD.device)
    else:
        batch = torch.stack([torch.cat([row_TD, torch.zeros_like(beside[length:])]), beside])
        real = torch.ones(batch.shape[:2], dtype=torch.bool, device=row_TD.device)
        real[0, length:] = False
    return bidirectional_states(backbone, batch, real)[0, :length].float()


def _architecture(backbone: nn.Module) -> str:
    return str(getattr(getattr(backbone, "config", None), "model_type", type(backbone).__name__))


def _refusal(backbone: nn.Module, what: str) -> tuple[str, str, str]:
    """What, where and fix of a refusal."""
    config = getattr(backbone, "config", None)
    kind = _architecture(backbone)
    attention = getattr(config, "_attn_implementation", None)
    layers = getattr(config, "layer_types", None)
    return (
        f"{kind} cannot be made to attend in both directions: {what}",
        f"architecture {kind}, attention implementation {attention}, layer types {layers}",
        "choose another backbone (llama, mistral, qwen2, qwen3, gemma, phi3, olmo2, gpt_neox, gpt2 work)",
    )
