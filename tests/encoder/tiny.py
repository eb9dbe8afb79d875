"""Tiny random decoders, tokenizers and texts; nothing is downloaded."""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from encoder.config import EncoderConfig

_WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "while",
    "seven",
    "wizards",
    "read",
    "old",
    "books",
    "in",
    "quiet",
    "rooms",
]
TEXTS = [
    "the quick brown fox",
    "",
    "wizards read old books in quiet rooms while a lazy dog jumps",
    "fox",
    "naïve café 😀 über",
    " ".join(_WORDS * 3),
]

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
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128},
    "gpt_neox": {"num_key_value_heads": 4},
    "bloom": {"n_layer": 2, "n_head": 4},
    "mamba": {"state_size": 4},
    "qwen3": {"use_sliding_window": False},
    "mistral": {"sliding_window": None},
    "gemma2": {"sliding_window": 64},
    "gemma3_text": {"sliding_window": 64},
    "phi3": {"sliding_window": None},
}
_FIXED = {"falcon": ("head_dim",)}  # what the architecture works out itself
ARCHITECTURES = (
    "llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "phi3", "olmo2", "gpt_neox", "gpt2",
)  # fmt: skip


def tiny_backbone(kind="llama", seed=0, **changes):
    """A random decoder without head, wide enough in its weights that states differ clearly."""
    torch.manual_seed(seed)
    shape = {name: value for name, value in _SHAPE.items() if name not in _FIXED.get(kind, ())}
    config = AutoConfig.for_model(kind, **{**shape, **_EXTRA.get(kind, {}), **changes})
    backbone = AutoModel.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.2)
    return backbone.eval()


def tiny_tokenizer(bos="<s>"):
    """A byte-level BPE of at most 300 tokens, trained on a few words; no unknown token, so all text fits."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    specials = ["<pad>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    backend.train_from_iterator([" ".join(_WORDS)] * 3, trainer)
    if bos:
        backend.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=bos, eos_token="</s>", pad_token="<pad>", model_max_length=128
    )


def tiny_config(**changes):
    return EncoderConfig(**{"n_memory": 4, "dimension": 32, "max_tokens": 40, **changes})
