"""Where the tokens of texts begin and end, as arrays; texts of any length, tokenized in slices."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from encoder.embedder import Embedder

_SLICE_CHARS = 200_000
# A token (or the blanks behind it) longer than this counts as several: a word of a megabyte is cut too.
LONGEST_TOKEN = 64
_BLANKS = " \n\t\r\u00a0\u2028\u3000"

Offsets = NDArray[np.int64]


class TokenOffsets:
    """Where the tokens of a text begin and end.

    Attributes:
        starts: int64 [T], not falling.
        ends: int64 [T], not falling.
    """

    __slots__ = ("ends", "n", "starts")

    def __init__(self, offsets: Offsets) -> None:
        starts, ends = np.maximum.accumulate(offsets[:, 0]), np.maximum.accumulate(offsets[:, 1])
        spans = np.diff(starts, append=ends[-1:])
        if spans.size and spans.max() > LONGEST_TOKEN:
            starts, ends = _split_long(starts, ends, spans)
        self.starts, self.ends = starts, ends
        self.n = len(starts)

    def count(self, start: int, end: int) -> int:
        """Tokens that lie in the characters from start to end, in part too."""
        return int(self.starts.searchsorted(end) - self.ends.searchsorted(start, "right"))

    def reach(self, start: int, n_tokens: int, length: int) -> int:
        """The furthest end of a stretch from `start` that holds no more than `n_tokens`, but one character at least."""
        last = int(self.ends.searchsorted(start, "right")) + n_tokens
        if last >= self.n:
            return length
        if (end := int(self.starts[last])) > start:
            return end
        later = int(self.starts.searchsorted(start, "right"))  # one character of more tokens than are allowed
        return int(self.starts[later]) if later < self.n else length

    def back(self, end: int, n_tokens: int) -> int:
        """The first character of the last `n_tokens` tokens before `end`."""
        return int(self.starts[max(0, int(self.starts.searchsorted(end)) - n_tokens)])


def _split_long(starts: Offsets, ends: Offsets, spans: Offsets) -> tuple[Offsets, Offsets]:
    pieces = np.maximum(1, -(-spans // LONGEST_TOKEN))
    token = np.repeat(np.arange(len(starts)), pieces)
    number = np.arange(len(token)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    new_starts = starts[token] + number * LONGEST_TOKEN
    is_last = number == pieces[token] - 1
    new_ends = np.where(is_last, np.maximum(ends[token], new_starts), new_starts + LONGEST_TOKEN)
    return new_starts, np.maximum.accumulate(new_ends)


def tokenize(texts: Sequence[str], embedder: Embedder) -> list[TokenOffsets]:
    """Tokens of each text; texts of more than 200,000 characters go through the tokenizer in slices."""
    if all(len(text) <= _SLICE_CHARS for text in texts):
        return [TokenOffsets(offsets) for offsets in embedder.tokenize(texts)]
    tokens = []
    for text in texts:
        parts = [np.empty((0, 2), np.int64)]
        for start, end in _slices(text):
            parts.append(embedder.tokenize([text[start:end]])[0] + start)
        tokens.append(TokenOffsets(np.concatenate(parts)))
    return tokens


def _slices(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = min(len(text), start + _SLICE_CHARS)
        if end < len(text):
            end = max(last_blank(text, start + _SLICE_CHARS // 2, end), start + _SLICE_CHARS // 2)
        yield start, end
        start = end


def first_blank(text: str, start: int, end: int) -> int:
    """The first blank of text[start:end]; -1 without one."""
    return min((at for blank in _BLANKS if (at := text.find(blank, start, end)) >= 0), default=-1)


def last_blank(text: str, start: int, end: int) -> int:
    """One past the last blank of text[start:end]; -1 without one."""
    at = max(text.rfind(blank, start, end) for blank in _BLANKS)
    return at + 1 if at >= 0 else -1
