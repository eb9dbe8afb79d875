"""Hits as rows of a table, as snippets and as marked pieces of a document; pure, no widgets."""

import re
from dataclasses import dataclass
from typing import Any

from app.display import clean_for_display, one_line
from indexer.hits import Hit

SNIPPET_CHARS, TITLE_CHARS = 120, 68  # three lines of the table
ROWS_A_PAGE = 25
_WORD = re.compile(r"\w+")
# Words that the keyword index leaves out; marking them would only make noise.
_UNMARKED = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "for",
        "from",
        "in",
        "is",
        "it",
        "of",
        "on",
        "or",
        "that",
        "the",
        "this",
        "to",
        "with",
    ]
)
_SHORTEST_STEM = 4
_ENDINGS = ("ing", "ed", "es", "s")


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of characters that are shown alike.

    Attributes:
        text: cleaned for display.
        in_passage: whether it belongs to the passage that was found.
        is_match: whether it is a word of the query.
    """

    text: str
    in_passage: bool
    is_match: bool


def query_words(query: str) -> frozenset[str]:
    """The stems of the words asked for: without excluded ones (-word), OR, and words too common to matter."""
    wanted = re.sub(r'(?:^|\s)-(?:"[^"]*"|\S+)', " ", query)
    words = (word for word in _WORD.findall(wanted) if word not in {"OR", "AND"})
    return frozenset(_stem(word) for word in words if word.casefold() not in _UNMARKED)


def match_spans(text: str, words: frozenset[str]) -> list[tuple[int, int]]:
    """Start and end of every word of `text` that was asked for, in order, never overlapping."""
    if not words:
        return []
    return [found.span() for found in _WORD.finditer(text) if _stem(found[0]) in words]


def snippet(text: str, words: frozenset[str], width: int = SNIPPET_CHARS) -> str:
    """One line of at most about `width` characters, from the place where most query words stand together."""
    spans = match_spans(text, words)
    start = _best_start(spans, width) if spans else 0
    if start + width >= len(text):
        start = max(0, len(text) - width)
    if start > 0:  # begin at a word, with a little of what stands before
        space = text.find(" ", start)
        start = space + 1 if 0 <= space < start + width // 4 else start
    piece = shorten(one_line(text[start : start + 2 * width]), width)
    return f"… {piece}" if start > 0 else piece


def shorten(line: str, width: int) -> str:
    """The line, cut at a word and marked with "…" where it is longer than `width`."""
    if len(line) <= width:
        return line
    cut = line[:width]
    return f"{cut[: cut.rfind(' ')] if ' ' in cut[width // 2 :] else cut}…"


def table_row(hit: Hit, words: frozenset[str]) -> dict[str, Any]:
    """The hit as one line of the table of hits."""
    return {
        "rank": hit.rank,
        "score": hit.score,
        "title": shorten(one_line(hit.title), TITLE_CHARS) or "(no title)",
        "passage": snippet(hit.text, words),
    }


def metadata_rows(metadata: dict[str, Any]) -> list[dict[str, str]]:
    """Column and value of each metadata field that has one, as text."""
    return [
        {"field": clean_for_display(name), "value": value_text(value)}
        for name, value in metadata.items()
        if value is not None
    ]


def value_text(value: Any) -> str:
    """A metadata value on one line: lists by commas, moments without needless zeros."""
    if isinstance(value, (list, tuple)):
        return ", ".join(value_text(each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return one_line(str(value)).removesuffix(" 00:00:00")


def pieces(text: str, span: tuple[int, int], words: frozenset[str], limit: int | None = None) -> list[Piece]:
    """The document cut where its look changes: at the found passage's ends and at query words within it.

    With a limit, only about that many characters around the passage's start are kept, with "…" where text is left out.
    """
    first, last = _window(len(text), span, limit)
    start, end = max(span[0], first), min(span[1], last)
    result = [Piece("… ", False, False)] if first > 0 else []
    result.append(_piece(text[first:start]))
    position = start
    for begin, finish in match_spans(text[start:end], words):
        result.append(_piece(text[position : start + begin], in_passage=True))
        result.append(_piece(text[start + begin : start + finish], in_passage=True, is_match=True))
        position = start + finish
    result += [_piece(text[position:end], in_passage=True), _piece(text[end:last])]
    if last < len(text):
        result.append(Piece(" …", False, False))
    return [each for each in result if each.text]


def _piece(text: str, *, in_passage: bool = False, is_match: bool = False) -> Piece:
    return Piece(clean_for_display(text), in_passage, is_match)


def _window(length: int, span: tuple[int, int], limit: int | None) -> tuple[int, int]:
    if limit is None or length <= limit:
        return 0, length
    spare = max(0, limit - (span[1] - span[0]))
    first = max(0, min(span[0] - spare // 2, length - limit))
    return first, min(length, first + limit)


def _best_start(spans: list[tuple[int, int]], width: int) -> int:
    """Where a window of `width` holds most matches; the earliest of equals."""
    best, most, last = spans[0][0], 0, 0
    for number, (start, _) in enumerate(spans):
        last = max(last, number)
        while last < len(spans) and spans[last][1] <= start + width:
            last += 1
        if last - number > most:
            best, most = start, last - number
    return max(0, best - width // 6)


def _stem(word: str) -> str:
    """A rough stem: enough to mark "maps" for "map", not meant to rank anything."""
    folded = word.casefold()
    for ending in _ENDINGS:
        if folded.endswith(ending) and len(folded) - len(ending) >= _SHORTEST_STEM:
            return folded.removesuffix(ending)
    return folded.removesuffix("s") if len(folded) > 3 else folded
