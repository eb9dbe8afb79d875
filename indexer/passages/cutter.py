"""Cutter: where the passages of one text begin and end, by tokens, sentences, lines and words."""

import re
from collections.abc import Iterator

import numpy as np

from indexer.passages.sentences import sentence_starts
from indexer.passages.token_offsets import TokenOffsets, first_blank, last_blank

_NO_BLANK = re.compile(r"\S")


class Cutter:
    """Finds the spans of the passages of one text.

    Args:
        text: of the document, without its title.
        tokens: of title and text; `shift` is where the text begins among their characters.
        shift: characters before the text.
        budget: most tokens of a span.
        overlap: tokens that a span repeats, about.
    """

    def __init__(self, text: str, tokens: TokenOffsets, shift: int, budget: int, overlap: int) -> None:
        self._text = text
        self._tokens = tokens
        self._shift = shift
        self._overlap = overlap
        self._sentences = sentence_starts(text)
        n = tokens.count(shift, shift + len(text))
        n_pieces = max(1, -(-(n - overlap) // max(1, budget - overlap)))
        # Pieces of about equal length: a text a little longer than the window is halved, not cut into a long and a tiny one.
        even = -(-(n + (n_pieces - 1) * overlap) // n_pieces)
        self._budget = min(budget, even + budget // 8)

    def spans(self) -> Iterator[tuple[int, int]]:
        """Start and end of each passage, stripped of blanks, none empty, each with text that is new."""
        text, start, end = self._text, 0, 0
        while new := _NO_BLANK.search(text, end):
            if self._reach(start, self._budget) <= new.start():
                start = new.start()  # what would be repeated leaves no room for more
            end = self._end(start, new.start())
            piece = text[start:end]
            stripped = piece.strip()
            start += len(piece) - len(piece.lstrip())
            yield start, start + len(stripped)
            start = self._next_start(start, end)

    def _reach(self, start: int, n_tokens: int) -> int:
        shift = self._shift
        return self._tokens.reach(start + shift, n_tokens, len(self._text) + shift) - shift

    def _end(self, start: int, new: int) -> int:
        """Where the passage from `start` ends: behind `new`, within the budget, at the best place there is."""
        limit = self._reach(start, self._budget)
        if limit >= len(self._text):
            return limit
        least = max(self._reach(start, self._budget // 2), new + 1)
        if limit <= least:
            return max(limit, new + 1)
        position = int(self._sentences.searchsorted(limit, "right")) - 1
        if position >= 0 and (sentence := int(self._sentences[position])) >= least:
            return sentence
        if (line := self._text.rfind("\n", least, limit)) >= 0:
            return line + 1
        # A blank at `limit` itself ends a word too.
        word = last_blank(self._text, new + 1, limit + 1)
        return min(word, limit) if word > 0 else limit

    def _next_start(self, start: int, end: int) -> int:
        """Where the next passage begins: a sentence start about `overlap` tokens before `end`.

        Where the last sentence is too long to repeat, a passage that ended with a sentence is not repeated at all:
        nothing was torn apart. One that ended within a sentence is repeated from a word on.
        """
        if not self._overlap or end >= len(self._text):
            return end
        shift = self._shift
        target = self._tokens.back(end + shift, self._overlap) - shift
        furthest = max(self._tokens.back(end + shift, 2 * self._overlap) - shift, start + 1)
        low, high = self._sentences.searchsorted([furthest, end])
        near = self._sentences[low:high]
        if near.size:
            return int(near[np.abs(near - target).argmin()])
        if high < len(self._sentences) and self._sentences[high] == end:
            return end
        target = max(target, start + 1)
        blank = first_blank(self._text, target, end)
        return blank + 1 if blank >= 0 else end
