"""Which tokens tell an encoder nothing: characters that it does not have, and words that it can only spell.

A vocabulary of word pieces made from English has a few letters of other alphabets. A Russian word is then `[UNK]`, or
so many single letters; either way its meaning is lost. A letter that is a word by itself is a symbol ("α-decay") and
not a word spelt. Byte-level vocabularies have no unknown token: nothing is said.
Shapes: V size of the vocabulary, T tokens.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

# A vocabulary made from text with ideographs has thousands of them, each a word; one from English a few hundred.
_LEAST_IDEOGRAPHS = 2000
# So many tokens of one letter are syllables: no alphabet has as many letters.
_LEAST_SYLLABLES = 1000
# A vocabulary made from text in a script has its words and endings by the hundred; one from English next to none.
_LEAST_PIECES = 200


@dataclass(frozen=True)
class UnknownTokens:
    """Which tokens of a vocabulary tell nothing, each bool [V]."""

    is_unknown_V: NDArray[np.bool_]  # the unknown token, and single letters of scripts that are not known
    is_symbol_V: NDArray[np.bool_]  # of these, letters that are symbols where no piece of a word follows
    continues_V: NDArray[np.bool_]  # pieces that go on with a word

    def count(self, row_T: NDArray[np.int64], first: int, last: int) -> int:
        """How many tokens of a row tell nothing.

        Args:
            row_T: the ids [T] of a text, with one more than are counted where there is one.
            first: number of the first token that is counted.
            last: number after the last one, may be below `first`.
        """
        is_unknown_T = self.is_unknown_V[row_T]
        goes_on_T = np.append(self.continues_V[row_T[1:]], False)[: len(row_T)]
        is_unknown_T &= ~self.is_symbol_V[row_T] | goes_on_T
        return int(np.count_nonzero(is_unknown_T[first:last]))


def unknown_tokens(backend: Tokenizer) -> UnknownTokens | None:
    """Which tokens tell nothing: the unknown token, and single letters of scripts that the vocabulary hardly has.

    Args:
        backend: of any kind.

    Returns:
        None for a vocabulary in which nothing is unknown, and for Unigram models, which are not looked into.
    """
    model = backend.model
    name = getattr(model, "unk_token", None)
    vocabulary = backend.get_vocab(with_added_tokens=True)
    if name not in vocabulary or getattr(model, "byte_fallback", False):
        return None
    mark = getattr(model, "continuing_subword_prefix", None) or ""
    pieces = {token_id: token.removeprefix(mark) for token, token_id in vocabulary.items()}
    known = _known_scripts(pieces.values())
    is_unknown_V, is_symbol_V, continues_V = np.zeros((3, max(pieces) + 1), np.bool_)
    for token, token_id in vocabulary.items():
        continues_V[token_id] = bool(mark) and token.startswith(mark)
        script = _script(pieces[token_id]) if len(pieces[token_id]) == 1 else ""
        is_unknown_V[token_id] = script not in known
        # Every ideograph is a word by itself; and without a mark on pieces nobody knows where a word ends.
        is_symbol_V[token_id] = script not in known | {"CJK"} and bool(mark) and not continues_V[token_id]
    is_unknown_V[vocabulary[name]], is_symbol_V[vocabulary[name]] = True, False
    return UnknownTokens(is_unknown_V, is_symbol_V, continues_V)


def _known_scripts(pieces: Iterable[str]) -> set[str]:
    """Latin, and the scripts of which a vocabulary has syllables, ideographs or pieces of words in number."""
    letters: Counter[str] = Counter()
    longer: Counter[str] = Counter()
    for piece in pieces:
        if not piece.isascii():
            scripts = [script for script in map(_script, piece) if script]
            (letters if len(scripts) == 1 else longer).update(scripts[:1])
    known = {"", "LATIN", "MODIFIER"} | {script for script, found in longer.items() if found >= _LEAST_PIECES}
    known |= {script for script, found in letters.items() if found >= _LEAST_SYLLABLES and script != "CJK"}
    if letters["CJK"] >= _LEAST_IDEOGRAPHS:
        known |= {"CJK", "KANA"}  # of kana there are too few to tell by number; they come with ideographs
    return known


def _script(character: str) -> str:
    """The first word of the name of a letter ("CYRILLIC", "CJK", "KANA" for both kinds); empty for all else."""
    if character.isascii():
        return ""
    letter = unicodedata.normalize("NFKC", character)[0]
    if not unicodedata.category(letter).startswith("L"):
        return ""
    script = unicodedata.name(letter, "LETTER").split()[0]
    return "KANA" if script in ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA") else script
