"""A byte-level BPE tokenizer learnt from texts: any characters in, no unknown token."""

from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

BEGIN = "<s>"


def learn_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A fast tokenizer of transformers whose one special token begins a text, and so ends the one before.

    Args:
        texts: what it is learnt from.
        vocabulary: most tokens, the 256 bytes and the special token included.
    """
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BEGIN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=BEGIN,
        eos_token=BEGIN,
        pad_token=BEGIN,
        clean_up_tokenization_spaces=False,
    )
