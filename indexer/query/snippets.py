"""Where the words of a query stand in a text, and the stretch that shows most of them; no markup, no cutting of text."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache

_WORD = re.compile(r"\w+")
# Scripts written without spaces: a word is found inside a run of letters.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_ENDINGS = ("ings", "ing", "ies", "ied", "ed", "es", "s", "e")  # tried in this order
_VOWEL = re.compile("[aeiouy]")
_SHORTEST_STEM = 3
_LONGEST_STEMMED = 40
_KEPT_STEMS = 65_536  # texts share most of their words: a page of hits has 2,400, three of four seen before
_LEAD = 0.25  # of a window, before its first mark


def mark_words(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Start and end of each occurrence, in order and apart from each other.

    Case and accents make no difference; simple English endings neither (split, splits, splitting). Words of scripts
    without spaces are found inside longer runs. Time grows with the text, not with the number of words.

    Args:
        text: any text.
        words: single words, as from `query_words`.
    """
    stems = {_stem(word) for word in words if word}
    inner = sorted({word for word in words if _UNSPACED.search(word)}, key=len, reverse=True)
    if not stems:
        return []
    known: dict[str, bool] = {}
    spans = []
    for found in _WORD.finditer(text):
        word = found.group()
        if word not in known:
            known[word] = _stem(word) in stems
        if known[word]:
            spans.append(found.span())
    if inner:
        pattern = re.compile("|".join(map(re.escape, inner)), re.IGNORECASE)
        spans = _merged(sorted([*spans, *(found.span() for found in pattern.finditer(text))]))
    return spans


def best_window(text: str, spans: Sequence[tuple[int, int]], width: int) -> tuple[int, int]:
    """The stretch of at most `width` characters that shows most marks, the first of several such.

    It starts at the beginning of a word, with a little of what stands before the first mark.

    Args:
        text: the text of the spans.
        spans: from `mark_words`.
        width: in characters, at least 1.
    """
    if len(text) <= width:
        return 0, len(text)
    start = 0
    if spans:
        first = _fullest(spans, width)
        room = width - (min(first[1], first[0] + width) - first[0])
        start = max(0, first[0] - min(int(width * _LEAD), room // 2))
        start = _word_start(text, start, first[0])
    start = min(start, max(0, len(text) - width))
    return start, _word_end(text, start, min(len(text), start + width), _last_end(spans, start, width))


@lru_cache(_KEPT_STEMS)
def _stem(word: str) -> str:
    """What the forms of a word share; equal for words that are to be marked alike."""
    word = word.casefold()
    if not word.isascii():
        parts = unicodedata.normalize("NFKD", word)
        word = "".join(character for character in parts if not unicodedata.combining(character))
    if len(word) > _LONGEST_STEMMED or not word.isascii():
        return word
    if word.endswith("ss"):
        return _plain_end(word)
    for ending in _ENDINGS:
        stem = word[: -len(ending)]
        if word.endswith(ending) and len(stem) >= _SHORTEST_STEM and _VOWEL.search(stem):
            return _plain_end(stem)
    return _plain_end(word)


def _plain_end(stem: str) -> str:
    if len(stem) > _SHORTEST_STEM and stem[-1] == stem[-2]:  # splitt(ing), split
        return stem[:-1]
    return stem[:-1] if len(stem) > _SHORTEST_STEM and stem[-1] in "iye" else stem  # librar(ies), library


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _fullest(spans: Sequence[tuple[int, int]], width: int) -> tuple[int, int]:
    """From the start of the first to the end of the last mark of the fullest window."""
    best, last, most = (0, 0), 0, 0
    for first, (start, _) in enumerate(spans):
        last = max(last, first)
        while last + 1 < len(spans) and spans[last + 1][1] <= start + width:
            last += 1
        if last - first + 1 > most:
            best, most = (start, spans[last][1]), last - first + 1
    return best


def _word_start(text: str, start: int, limit: int) -> int:
    if start == 0 or text[start - 1].isspace():
        return start
    return next((at + 1 for at in _spaces(text, start, limit)), start)


def _word_end(text: str, start: int, end: int, needed: int) -> int:
    if end == len(text) or text[end].isspace():
        return end
    cut = max(text.rfind(" ", start, end), text.rfind("\n", start, end))
    return cut if cut >= max(needed, start + 1) else end


def _last_end(spans: Sequence[tuple[int, int]], start: int, width: int) -> int:
    """End of the last mark that the window shows whole."""
    number = bisect_right(spans, start + width, key=lambda span: span[1])
    return spans[number - 1][1] if number else 0


def _spaces(text: str, start: int, end: int) -> Iterator[int]:
    return (at for at in range(start, end) if text[at].isspace())
