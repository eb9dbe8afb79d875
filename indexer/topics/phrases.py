"""Texts to phrases of one to three words, as numbers: what key phrases are counted from.

A phrase lies between stop words, punctuation and line ends; runs of a script without spaces (Chinese, Japanese, Thai
...) give pieces of two to four characters. "network" and "networks" are one word. It knows nothing of topics.
Letters: T tokens, P phrases.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

MOST_WORDS = 1 << 20  # three word numbers fit into one 63-bit key
MOST_TEXT = 20_000  # characters of a passage that are looked at
LONGEST = 3
_LONGEST_WORD = 40
_SINGULAR = ("ss", "us", "is", "as", "ics", "news")
_PIECES = (2, 3, 4)
_BREAK = -1
_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
# Addresses and LaTeX commands are breaks: of neither does a part name anything.
_TOKEN = re.compile(
    rf"https?://\S+|www\.\S+|\\[a-z]+|[{_SPACELESS}]+|[^\W_{_SPACELESS}]+(?:[-'’][^\W_{_SPACELESS}]+)*|[^\s\w]|\n"
)
_IS_SPACELESS = re.compile(f"[{_SPACELESS}]")
# Words that carry no matter. Written here, since the library that has such a list takes seconds to load.
# fmt: off
_ENGLISH = frozenset({
    "a", "about", "above", "across", "after", "again", "against", "ahead", "al", "all", "almost", "alone",
    "along", "already", "also", "although", "always", "am", "amid", "among", "an", "and", "another", "any",
    "anybody", "anyone", "anything", "anyway", "anywhere", "apart", "are", "aren't", "around", "as",
    "aside", "at", "away", "back", "based", "be", "became", "because", "become", "becomes", "been",
    "before", "beforehand", "behind", "being", "below", "beside", "besides", "between", "beyond", "both",
    "but", "by", "can", "can't", "cannot", "could", "couldn't", "did", "didn't", "do", "does", "doesn't",
    "doing", "don't", "done", "down", "due", "during", "e.g", "each", "eg", "either", "else", "elsewhere",
    "enough", "especially", "et", "etc", "even", "ever", "every", "everybody", "everyone", "everything",
    "everywhere", "except", "few", "fig", "figure", "first", "for", "former", "from", "further",
    "furthermore", "had", "hadn't", "has", "hasn't", "have", "haven't", "having", "he", "hence", "her",
    "here", "hers", "herself", "him", "himself", "his", "how", "however", "i", "i'm", "i've", "i.e", "ie",
    "if", "in", "indeed", "instead", "into", "is", "isn't", "it", "it's", "its", "itself", "just", "last",
    "latter", "least", "less", "let", "let's", "like", "likely", "many", "may", "maybe", "me", "might",
    "mine", "more", "moreover", "most", "mostly", "much", "must", "my", "myself", "namely", "near",
    "nearly", "neither", "never", "nevertheless", "next", "no", "nobody", "none", "nor", "not", "nothing",
    "now", "nowhere", "of", "off", "often", "on", "once", "one", "one's", "ones", "only", "onto", "or",
    "other", "others", "otherwise", "our", "ours", "ourselves", "out", "over", "own", "per", "perhaps",
    "quite", "rather", "really", "same", "section", "several", "shall", "she", "should", "shouldn't",
    "since", "so", "some", "somebody", "someone", "something", "sometimes", "somewhere", "still", "such",
    "table", "than", "that", "that's", "the", "their", "theirs", "them", "themselves", "then", "there",
    "thereby", "therefore", "therein", "these", "they", "they're", "this", "those", "though", "three",
    "through", "throughout", "thus", "to", "together", "too", "toward", "towards", "two", "under", "unless",
    "unlike", "until", "up", "upon", "us", "use", "used", "uses", "using", "very", "via", "was", "wasn't",
    "we", "we'll", "we're", "we've", "well", "were", "weren't", "what", "whatever", "when", "whenever",
    "where", "whereas", "whereby", "wherein", "wherever", "whether", "which", "while", "who", "whoever",
    "whole", "whom", "whose", "why", "will", "with", "within", "without", "won't", "would", "wouldn't",
    "yet", "you", "you're", "your", "yours", "yourself", "yourselves",
})
# fmt: on


def stop_words(rule: str) -> frozenset[str]:
    """Words that carry no matter.

    Args:
        rule: of the collection; only "english" has any, since "plain" may be any language.
    """
    return _ENGLISH if rule == "english" else frozenset()


def tokens(text: str) -> list[str]:
    """Words in small letters; punctuation and line ends as they are."""
    return _TOKEN.findall(text[:MOST_TEXT].lower())


def fold(word: str, rule: str) -> str:
    """The form under which a word is counted: English plurals as singulars, others as they are."""
    if rule != "english" or len(word) < 4 or not word.endswith("s") or word.endswith(_SINGULAR):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    return word[:-1]


class Words:
    """Numbers of words as they are written, in the order of their first use, and of the forms they are counted in.

    Args:
        rule: how the collection cuts words, "english", "plain" or "ngram2".
        known: folded words; then no others are found, and the number of a word is its place here.
    """

    def __init__(self, rule: str, known: Sequence[str] | None = None) -> None:
        self.rule = rule
        self._stop = stop_words(rule)
        self._known = None if known is None else {word: number for number, word in enumerate(known)}
        self._number: dict[str, int] = {}
        self.names: list[str] = list(known or ())

    def number(self, texts: Iterable[str]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The tokens of texts.

        Returns:
            int32 [T] word numbers, -1 at breaks (one at each text's end), and int32 [T] number of the text.
        """
        found: list[int] = []
        lengths: list[int] = []
        known = self._number
        for text in texts:
            start = len(found)
            for token in tokens(text):
                number = known.get(token)
                if number is None:
                    number = self._learn(token)
                if number == _PIECED:
                    found += self._pieces(token)
                else:
                    found.append(number)
            found.append(_BREAK)
            lengths.append(len(found) - start)
        at = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        return np.array(found, np.int32), at

    def _learn(self, token: str) -> int:
        if _IS_SPACELESS.match(token):
            return _PIECED  # not kept: hardly any run comes twice
        if token in self._stop or not token[0].isalnum() or len(token) > _LONGEST_WORD or "://" in token:
            number = _BREAK
        else:
            number = self._number_of(_without_possessive(token))
        if len(self._number) < 2 * MOST_WORDS:
            self._number[token] = number
        return number

    def _number_of(self, word: str) -> int:
        if self._known is not None:
            return self._known.get(fold(word, self.rule), _BREAK)
        number = self._number.get(word)
        if number is None:
            if len(self.names) >= MOST_WORDS - 2:
                return _BREAK
            number = self._number[word] = len(self.names)
            self.names.append(word)
        return number

    def _pieces(self, run: str) -> list[int]:
        pieces: list[int] = []
        for length in _PIECES:
            for at in range(len(run) - length + 1):
                pieces += (self._number_of(run[at : at + length]), _BREAK)
        return [_BREAK, *pieces]

    def folded(self) -> tuple[list[str], NDArray[np.int32]]:
        """The forms in which words are counted, and for each word the number of its form, int32 [words]."""
        forms: dict[str, int] = {}
        of_word = [forms.setdefault(fold(name, self.rule), len(forms)) for name in self.names]
        return list(forms), np.array(of_word, np.int32)


_PIECED = -2


def _without_possessive(word: str) -> str:
    return word[:-2] if word.endswith(("'s", "’s")) else word


def starts_no_phrase(word: str) -> bool:
    """Whether a word names nothing by itself: numbers and single Latin letters ("19" of "covid 19")."""
    return word.isdigit() or (len(word) == 1 and word.isascii())


def phrase_keys(
    numbers: NDArray[np.int32], texts: NDArray[np.int32], weak: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Every phrase of one to three words with the text it stands in, repeats included.

    Args:
        numbers: int32 [T], word numbers, -1 at breaks.
        texts: int32 [T], number of the text of each token.
        weak: bool [words], those that start no phrase.

    Returns:
        Keys int64 [P] (see `words_of_key`) and texts int32 [P].
    """
    if not numbers.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int32)
    padded = np.concatenate([numbers, np.full(LONGEST, _BREAK, np.int32)]).astype(np.int64) + 1
    starts = np.flatnonzero((numbers >= 0) & ~np.append(weak, False)[numbers])
    key = np.zeros(starts.size, np.int64)
    keys, places = [], []
    for offset in range(LONGEST):
        words = padded[starts + offset]
        starts, key, words = starts[words > 0], key[words > 0], words[words > 0]
        key = key + (words << (20 * offset))
        keys.append(key)
        places.append(texts[starts])
    return np.concatenate(keys), np.concatenate(places)


def words_of_key(key: int) -> list[int]:
    """Word numbers of a phrase's key."""
    words = [(key >> (20 * offset)) & (MOST_WORDS - 1) for offset in range(LONGEST)]
    return [word - 1 for word in words if word]


def keys_of_words(words: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The keys of phrases, int64 [P], the other way round than `words_of_key`.

    Args:
        words: int64 [W], word numbers of all phrases, one phrase after the other.
        lengths: int64 [P], words of each phrase, one to three.
    """
    starts = np.cumsum(lengths) - lengths
    keys = np.zeros(lengths.size, np.int64)
    for offset in range(LONGEST):
        has = lengths > offset
        keys[has] += (words[starts[has] + offset] + 1) << (20 * offset)
    return keys
