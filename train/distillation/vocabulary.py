"""A WordPiece tokenizer without the tokens that the material hardly uses: the table is most of a small encoder.

Shapes: V tokens of the teacher, W <= V tokens kept.
"""

import json

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from encoder.errors import ConfigError

_CONTINUES = "##"


def frequent_tokens(backend: Tokenizer, count_V: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The special tokens, all single characters that occur, and the most frequent other tokens.

    ASCII letters and digits are always there, at the beginning of a word and inside.

    Args:
        backend: a WordPiece tokenizer.
        count_V: [V] int64, how often each token occurs in the material.
        size: tokens to keep, W.

    Returns:
        [W] int64 ids, ascending.

    Raises:
        ConfigError: `size` leaves no room for special tokens and characters, or exceeds the vocabulary.
    """
    number_of = backend.get_vocab()
    special = {added.content for added in backend.get_added_tokens_decoder().values()}
    is_needed_V = np.zeros(len(number_of), bool)
    for token, number in number_of.items():
        is_needed_V[number] = token in special or _is_needed(token, count_V[number])
    least, most = int(is_needed_V.sum()), len(number_of)
    if not least <= size <= most:
        raise ConfigError(
            f"A vocabulary of {size} tokens cannot be made of this one.",
            "student.vocabulary",
            f"set it from {least} to {most}, or to 0 for all",
        )
    order = np.lexsort((np.arange(most), -count_V, ~is_needed_V))
    return np.sort(order[:size])


def keep_tokens(backend: Tokenizer, kept_W: NDArray[np.int64]) -> Tokenizer:
    """A tokenizer with a part of the tokens, numbered anew in their order.

    Words whose token is gone are spelt with shorter ones, down to single characters.

    Args:
        backend: a WordPiece tokenizer; not changed.
        kept_W: [W] int64 ids, ascending, the special tokens among them.
    """
    description = json.loads(backend.to_str())
    new_of = {int(old): new for new, old in enumerate(kept_W)}
    vocabulary = description["model"]["vocab"]
    description["model"]["vocab"] = {
        token: new_of[old]
        for token, old in sorted(vocabulary.items(), key=lambda item: item[1])
        if old in new_of
    }
    for added in description["added_tokens"]:
        added["id"] = new_of[added["id"]]
    description["post_processor"] = None  # names special tokens by their old ids
    return Tokenizer.from_str(json.dumps(description))


def _is_needed(token: str, count: np.int64) -> bool:
    """Whether a token is one character that the material or any English text may hold."""
    piece = token.removeprefix(_CONTINUES) or token
    return len(piece) == 1 and (bool(count > 0) or (piece.isascii() and piece.isalnum()))
