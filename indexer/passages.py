"""Documents to passages: cut by the encoder's own tokens, at sentence ends, only where a text is too long for it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.embedder import Embedder
from encoder.errors import UsageError
from indexer.documents import Document, Passage
from indexer.sentences import sentence_starts

# One tokenizer call takes about so many characters: its result needs some 50 times the memory of the text.
_CALL_CHARS = 1_000_000
_SLICE_CHARS = 200_000
# A token (or the blanks behind it) longer than this counts as several: a word of a megabyte is cut too.
_TOKEN_CHARS = 64
_SMALLEST_WINDOW = 8
_NO_BLANK = re.compile(r"\S")
_BLANKS = " \n\t\r\u00a0\u2028\u3000"

Offsets = NDArray[np.int64]


def cut_passages(
    documents: Sequence[Document],
    embedder: Embedder,
    *,
    window: int | None = None,
    overlap: int | None = None,
) -> list[list[Passage]]:
    """The passages of each document, in order; a document that fits the window is one passage.

    Together the passages of a document hold all of its text but blanks. The title is put before each of them and
    counts; where the two are too long together it is cut to a quarter of the window. Cuts fall on sentence ends,
    else line ends, else word ends, else between two tokens.

    Args:
        documents: may be empty.
        embedder: whose tokens count.
        window: most tokens of a passage with its title; default and upper limit: what the encoder takes in.
        overlap: tokens that a passage repeats of the one before, about (whole sentences); default an eighth.

    Raises:
        UsageError: the window or the overlap is out of bounds.
    """
    sizes = _check_sizes(embedder, window, overlap)
    passages: list[list[Passage]] = [[] for _ in documents]
    for group in _groups(documents, sizes.window):
        long: dict[int, _Tokens] = {}
        for position, tokens in zip(
            group, _tokenize([_content(documents[i]) for i in group], embedder), strict=True
        ):
            if tokens.n > sizes.window:
                long[position] = tokens
        for position, cut in _cut_all(
            {i: (documents[i], t) for i, t in long.items()}, embedder, sizes
        ).items():
            passages[position] = cut
    for document, cut in zip(documents, passages, strict=True):
        if not cut:
            cut.append(Passage(0, 0, len(document.text), _content(document)))
    return passages


@dataclass(frozen=True, slots=True)
class _Sizes:
    window: int
    overlap: int


def _check_sizes(embedder: Embedder, window: int | None, overlap: int | None) -> _Sizes:
    limit = embedder.max_tokens
    if window is None:
        window = limit
    elif not _SMALLEST_WINDOW <= window <= limit:
        raise UsageError(
            what=f"a window of {window} tokens is not possible with encoder {embedder.name}",
            where="--window",
            fix=f"give {_SMALLEST_WINDOW} to {limit}; what is beyond {limit} the encoder would not see",
        )
    if overlap is None:
        overlap = window // 8
    elif not 0 <= overlap <= window // 2:
        raise UsageError(
            what=f"an overlap of {overlap} tokens does not go with a window of {window}",
            where="--overlap",
            fix=f"give 0 to {window // 2}",
        )
    return _Sizes(window, overlap)


def _content(document: Document) -> str:
    return f"{document.title}\n{document.text}" if document.title else document.text


def _groups(documents: Sequence[Document], window: int) -> Iterator[list[int]]:
    """Positions of the documents that may be too long, in groups for one call of the tokenizer."""
    group: list[int] = []
    chars = 0
    for position, document in enumerate(documents):
        size = len(document.title) + 1 + len(document.text)
        # A character of plain ASCII is at most one token, and one more is added by some tokenizers in front.
        if size < window and document.text.isascii() and document.title.isascii():
            continue
        group.append(position)
        chars += size
        if chars >= _CALL_CHARS:
            yield group
            group, chars = [], 0
    if group:
        yield group


class _Tokens:
    """Where the tokens of a text begin and end.

    Attributes:
        starts: int64 [T], not falling.
        ends: int64 [T], not falling.
    """

    __slots__ = ("ends", "n", "starts")

    def __init__(self, offsets: Offsets) -> None:
        starts, ends = np.maximum.accumulate(offsets[:, 0]), np.maximum.accumulate(offsets[:, 1])
        spans = np.diff(starts, append=ends[-1:])
        if spans.size and spans.max() > _TOKEN_CHARS:
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
    pieces = np.maximum(1, -(-spans // _TOKEN_CHARS))
    token = np.repeat(np.arange(len(starts)), pieces)
    number = np.arange(len(token)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    new_starts = starts[token] + number * _TOKEN_CHARS
    is_last = number == pieces[token] - 1
    new_ends = np.where(is_last, np.maximum(ends[token], new_starts), new_starts + _TOKEN_CHARS)
    return new_starts, np.maximum.accumulate(new_ends)


def _tokenize(texts: Sequence[str], embedder: Embedder) -> list[_Tokens]:
    """Tokens of each text; texts of more than 200,000 characters go through the tokenizer in slices."""
    if all(len(text) <= _SLICE_CHARS for text in texts):
        return [_Tokens(offsets) for offsets in embedder.tokenize(texts)]
    tokens = []
    for text in texts:
        parts = [np.empty((0, 2), np.int64)]
        for start, end in _slices(text):
            parts.append(embedder.tokenize([text[start:end]])[0] + start)
        tokens.append(_Tokens(np.concatenate(parts)))
    return tokens


def _slices(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = min(len(text), start + _SLICE_CHARS)
        if end < len(text):
            end = max(_last_blank(text, start + _SLICE_CHARS // 2, end), start + _SLICE_CHARS // 2)
        yield start, end
        start = end


def _last_blank(text: str, start: int, end: int) -> int:
    """One past the last blank of text[start:end]; -1 without one."""
    at = max(text.rfind(blank, start, end) for blank in _BLANKS)
    return at + 1 if at >= 0 else -1


def _cut_all(
    long: dict[int, tuple[Document, _Tokens]], embedder: Embedder, sizes: _Sizes
) -> dict[int, list[Passage]]:
    """Cut, and count again where it is close: a piece alone may have other tokens than within its text.

    ("Tokyo" at the start of a piece may be two tokens where " Tokyo" in a sentence was one.)
    """
    result: dict[int, list[Passage]] = {}
    budgets = dict.fromkeys(long, sizes.window)
    while budgets:
        doubtful: list[tuple[int, str]] = []
        for i, budget in budgets.items():
            result[i], counts = _cut(*long[i], budget, sizes)
            doubtful += [
                (i, passage.content)
                for passage, count in zip(result[i], counts, strict=True)
                if count + len(passage.content[:_TOKEN_CHARS].partition(" ")[0].encode("utf-8", "replace"))
                > sizes.window - 2
            ]
        excess: dict[int, int] = {}
        for chunk in range(0, len(doubtful), 4096):
            some = doubtful[chunk : chunk + 4096]
            for (i, _), offsets in zip(
                some, embedder.tokenize([content for _, content in some]), strict=True
            ):
                if len(offsets) > sizes.window:
                    excess[i] = max(excess.get(i, 1), len(offsets) - sizes.window)
        budgets = {
            i: budgets[i] - more for i, more in excess.items() if budgets[i] - more >= sizes.window // 2
        }
    return result


def _cut(document: Document, tokens: _Tokens, window: int, sizes: _Sizes) -> tuple[list[Passage], list[int]]:
    """The passages of one document for this window, and how many tokens each has as part of it."""
    text, title = document.text, document.title
    shift = len(title) + 1 if title else 0
    if tokens.count(0, len(title)) > sizes.window // 4:
        title = _shorten(title, tokens, sizes.window // 4)
    head, n_head = "", 0
    if title:
        head = f"{title}\n"
        # The line end between title and text is at least reckoned as one token: apart from the text it may be.
        n_head = tokens.count(0, len(title)) + max(1, tokens.count(shift - 1, shift))
    budget = max(1, window - n_head)
    passages: list[Passage] = []
    counts: list[int] = []
    for start, end in _Cutter(text, tokens, shift, budget, min(sizes.overlap, budget // 2)).spans():
        passages.append(Passage(len(passages), start, end, head + text[start:end]))
        counts.append(n_head + tokens.count(start + shift, end + shift))
    return passages, counts


def _shorten(title: str, tokens: _Tokens, limit: int) -> str:
    """The title cut after at most `limit` tokens, at a word end where there is one; "" where nothing fits."""
    end = tokens.reach(0, limit, len(title))
    blank = _last_blank(title, 0, min(len(title), end + 1))
    title = title[: blank if blank > end // 2 else end].strip()
    return title if tokens.count(0, len(title)) <= limit else ""


class _Cutter:
    """Finds the spans of the passages of one text.

    Args:
        text: of the document, without its title.
        tokens: of title and text; `shift` is where the text begins among their characters.
        shift: characters before the text.
        budget: most tokens of a span.
        overlap: tokens that a span repeats, about.
    """

    def __init__(self, text: str, tokens: _Tokens, shift: int, budget: int, overlap: int) -> None:
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
        word = _last_blank(self._text, new + 1, limit + 1)
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
        blank = min((at for b in _BLANKS if (at := self._text.find(b, target, end)) >= 0), default=-1)
        return blank + 1 if blank >= 0 else end
