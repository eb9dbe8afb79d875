"""The published shapes of the backbones in recipes/paper, and tiny ones of the same architectures."""

from pathlib import Path

from transformers import AutoConfig

from train.settings import CompressRecipe, ContrastiveRecipe, SimcseRecipe

PAPER = Path(__file__).parents[2] / "recipes" / "paper"
STAGES = {"compress": CompressRecipe, "simcse": SimcseRecipe, "contrastive": ContrastiveRecipe}

PUBLISHED = {
    "llama-2-7b-chat": {
        "model_type": "llama",
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
    },
    "mistral-7b": {
        "model_type": "mistral",
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 32768,
        "sliding_window": 4096,
        "tie_word_embeddings": False,
    },
    "qwen3-0.6b": {
        "model_type": "qwen3",
        "vocab_size": 151936,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 40960,
        "tie_word_embeddings": True,
    },
    "qwen3-4b": {
        "model_type": "qwen3",
        "vocab_size": 151936,
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 40960,
        "tie_word_embeddings": True,
    },
}
PUBLISHED_PARAMETERS = {
    "llama-2-7b-chat": 6_738_415_616,
    "mistral-7b": 7_241_732_096,
    "qwen3-0.6b": 596_049_920,
    "qwen3-4b": 4_022_468_096,
}

_TINY = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 2048,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
# What an architecture does differently stays different: grouped keys, wide heads, tied tables, windows.
_KEPT = {
    "llama": {"num_key_value_heads": 4},
    "mistral": {"num_key_value_heads": 1, "sliding_window": 2048},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 16},
}


def published_config(name):
    """The configuration that the backbone of a folder in recipes/paper was published with."""
    return AutoConfig.for_model(**PUBLISHED[name])


def tiny_kwargs(name):
    """Keywords for `AutoConfig.for_model`: a tiny decoder of the architecture of a folder in recipes/paper."""
    kind, tied = PUBLISHED[name]["model_type"], PUBLISHED[name]["tie_word_embeddings"]
    return {"model_type": kind, **_TINY, **_KEPT[kind], "tie_word_embeddings": tied}


def dry_runs():
    """(path of a recipe, its dataclass, keywords of a tiny configuration), stages of a backbone in order."""
    return [
        (PAPER / name / f"{stage}.toml", recipe, tiny_kwargs(name))
        for name in PUBLISHED
        for stage, recipe in STAGES.items()
    ]
