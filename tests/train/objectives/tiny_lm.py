"""Tiny random causal language models of many architectures."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM

_SHAPE = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_EXTRA = {
    "cohere": {"logit_scale": 0.25},
    "gemma2": {"sliding_window": 64, "attn_implementation": "eager"},  # its soft caps exclude sdpa
    "gemma3_text": {"sliding_window": 64, "final_logit_softcapping": 20.0},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128},
    "gpt_neox": {"num_key_value_heads": 4},
    "granite": {"logits_scaling": 8.0, "embedding_multiplier": 2.0, "attention_multiplier": 0.35},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
}
# How the hidden states become logits: with a bias (phi), a factor (granite, cohere), a soft cap (gemma).
LINEAR = (
    "llama", "mistral", "qwen2", "qwen3", "granite", "cohere", "gpt2", "gpt_neox", "phi", "phi3", "opt",
    "olmo2", "stablelm", "starcoder2", "qwen3_moe",
)  # fmt: skip
CAPPED = ("gemma2", "gemma3_text", "nanochat")


def tiny_lm(kind="llama", seed=0, **changes):
    """A random causal language model in evaluation mode, with logits that differ clearly."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(kind, **{**_SHAPE, **_EXTRA.get(kind, {}), **changes})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.2)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.5)
    return model.eval()
