"""Hits as rows of a table, as snippets and as marked pieces of a document; pure, no widgets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.display import clean_for_display, one_line
from indexer.hits import Hit
from indexer.query import keywords
from indexer.query.snippets import best_window, mark_words

SNIPPET_CHARS, TITLE_CHARS = 120, 68  # three lines of the table
ROWS_A_PAGE = 25
# Too common to tell why a hit was found; the keyword index leaves them out as well.
_COMMON = frozenset("a an and are as at be by for from in is it of on or that the this to with".split())  # noqa: SIM905


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


def query_words(query: str) -> list[str]:
    """The words of a query that are marked in what it found."""
    return [word for word in keywords.query_words(query) if word.casefold() not in _COMMON]


def snippet(text: str, words: Sequence[str], width: int = SNIPPET_CHARS) -> str:
    """One line of at most about `width` characters, from the place where most query words stand together."""
    start, end = best_window(text, mark_words(text, words), width)
    if start > 0 and text[start - 1].isalnum():  # the last window of a text may begin within a word
        start = text.find(" ", start, end) + 1 or start
    return f"{'… ' if start > 0 else ''}{one_line(text[start:end])}{'…' if end < len(text) else ''}"


def shorten(line: str, width: int) -> str:
    """The line, cut at a word and marked with "…" where it is longer than `width`."""
    if len(line) <= width:
        return line
    cut = line[:width]
    return f"{cut[: cut.rfind(' ')] if ' ' in cut[width // 2 :] else cut}…"


def table_row(hit: Hit, words: Sequence[str]) -> dict[str, Any]:
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


def pieces(text: str, span: tuple[int, int], words: Sequence[str], limit: int | None = None) -> list[Piece]:
    """The document cut where its look changes: at the found passage's ends and at query words within it.

    With a limit, only about that many characters around the passage's start are kept, with "…" where text is left out.
    """
    first, last = _window(len(text), span, limit)
    start, end = max(span[0], first), min(span[1], last)
    result = [Piece("… ", False, False)] if first > 0 else []
    result.append(_piece(text[first:start]))
    position = start
    for begin, finish in mark_words(text[start:end], words):
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
