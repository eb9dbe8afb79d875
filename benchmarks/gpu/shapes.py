"""Decoders of known shapes with random weights, made on the device, and texts of so many tokens for them.

Shapes of arrays: N texts, M memory tokens, D embedding dimension.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from accelerator import Accelerator
from numpy.typing import NDArray

N_MEMORY = 8
_WORDS = 20_000
_SMALL_WORDS = 400
_SEED = 20
# Random weights as decoders start with; a tiny decoder says the same of every token unless its weights are wide.
_SPREAD, _SMALL_SPREAD = 0.02, 0.2

# As the makers publish them: Qwen3-0.6B, and Llama-2-7b, which the paper's encoder is made of.
_QWEN = {
    "hidden_size": 1024,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 3072,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
}
_LLAMA = {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "intermediate_size": 11008,
    "vocab_size": 32000,
    "tie_word_embeddings": False,
}
_SMALL = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 96,
    "vocab_size": 512,
}


@dataclass(frozen=True)
class Shape:
    """A decoder to be made.

    Attributes:
        name: for people.
        kind: of transformers.
        settings: of its configuration.
        tokens: of all texts of a repetition together.
    """

    name: str
    kind: str
    settings: dict[str, Any]
    tokens: int


def shape(name: str, *, is_small: bool) -> Shape:
    """The shape "Qwen3-0.6B" or "7B", or a tiny one of the same architecture."""
    kind, settings, tokens = {"Qwen3-0.6B": ("qwen3", _QWEN, 1 << 20), "7B": ("llama", _LLAMA, 1 << 17)}[name]
    if not is_small:
        return Shape(name, kind, settings, tokens)
    tied = {"tie_word_embeddings": settings["tie_word_embeddings"]}
    return Shape(f"tiny {kind}", kind, _SMALL | tied, 1 << 10)


def make_decoder(wanted: Shape, accelerator: Accelerator, *, has_head: bool) -> Any:
    """A decoder on the device with random weights, bfloat16 on a GPU and float32 on a processor, not in training.

    Args:
        wanted: its shape.
        accelerator: where it goes.
        has_head: a causal language model instead of a decoder without head.
    """
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    fixed = {"max_position_embeddings": 4096, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = AutoConfig.for_model(wanted.kind, **wanted.settings, **fixed)
    dtype = torch.bfloat16 if accelerator.is_cuda else torch.float32
    torch.manual_seed(_SEED)
    with torch.device(accelerator.name):
        made = (AutoModelForCausalLM if has_head else AutoModel).from_config(config, dtype=dtype)
    with torch.no_grad():
        for weight in made.parameters():
            if weight.ndim > 1:
                weight.normal_(0, _SMALL_SPREAD if accelerator.is_small else _SPREAD)
    return made.to(accelerator.name).eval()


def word_tokenizer(*, is_small: bool) -> Any:
    """A tokenizer of transformers for which every word of `made_texts` is a token."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<s>", "</s>", "<unk>"]
    known = special + [f"w{number}" for number in range(_SMALL_WORDS if is_small else _WORDS)]
    vocabulary = {word: number for number, word in enumerate(known)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def whole_words(tokenizer: Any) -> list[str]:
    """Words that the tokenizer reads as one token each."""
    words = sorted(
        word for word in tokenizer.get_vocab() if word.isascii() and word.isalnum() and len(word) > 1
    )
    found = tokenizer(words, add_special_tokens=False)["input_ids"]
    return [word for word, ids in zip(words, found, strict=True) if len(ids) == 1]


def made_texts(words: Sequence[str], lengths: NDArray[np.int64]) -> list[str]:
    """Texts of random words, as many in each as `lengths` [N] says."""
    random = np.random.default_rng(_SEED)
    ends = np.cumsum(lengths)
    chosen = np.array(words)[random.integers(len(words), size=int(ends[-1]))]
    return [" ".join(chosen[end - length : end]) for end, length in zip(ends, lengths, strict=True)]


def fixed_lengths(tokens: int, longest: int) -> NDArray[np.int64]:
    """Lengths [N] that are all `longest`, together about so many tokens."""
    return np.full(max(1, tokens // longest), longest, dtype=np.int64)


def mixed_lengths(tokens: int, longest: int) -> NDArray[np.int64]:
    """Lengths [N] from an eighth of `longest` to all of it, each as likely, together about so many tokens."""
    random = np.random.default_rng(_SEED)
    least = max(1, longest // 8)
    return random.integers(least, longest + 1, size=max(1, 2 * tokens // (least + longest)))
