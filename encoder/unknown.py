"""Which tokens tell an encoder nothing: characters that it does not have, and words that it can only spell.

A vocabulary of word pieces made from English has a few letters of other alphabets. A Russian word is then `[UNK]`, or
so many single letters; either way its meaning is lost. Byte-level vocabularies have no unknown token: nothing is said.
Shapes: V size of the vocabulary.
"""

import unicodedata

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

# A vocabulary made from text with ideographs has thousands of them, each a word; one from English a few hundred.
_LEAST_IDEOGRAPHS = 2000


def unknown_tokens(backend: Tokenizer) -> NDArray[np.bool_] | None:
    """Which tokens tell nothing, bool [V]: the unknown token, and single letters of alphabets other than Latin.

    Args:
        backend: of any kind.

    Returns:
        None for a vocabulary in which nothing is unknown.
    """
    model = backend.model
    name = getattr(model, "unk_token", None)
    vocabulary = backend.get_vocab(with_added_tokens=True)
    if name not in vocabulary or getattr(model, "byte_fallback", False):
        return None
    mark = getattr(model, "continuing_subword_prefix", None) or ""
    letters = {token_id: _script(token.removeprefix(mark)) for token, token_id in vocabulary.items()}
    ideographs = sum(script == "CJK" for script in letters.values())
    known = {"", "LATIN", "MODIFIER"} | ({"CJK"} if ideographs >= _LEAST_IDEOGRAPHS else set())
    is_unknown_V = np.zeros(max(letters) + 1, np.bool_)
    is_unknown_V[[token_id for token_id, script in letters.items() if script not in known]] = True
    is_unknown_V[vocabulary[name]] = True
    return is_unknown_V


def _script(token: str) -> str:
    """The first word of the name of a single letter ("CYRILLIC", "CJK"); empty for any other token."""
    if len(token) != 1 or token.isascii() or not unicodedata.category(token).startswith("L"):
        return ""
    return unicodedata.name(token, "LETTER").split()[0]
