"""Cells to the lines of a table that fits; hostile text is shown, never obeyed."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from app.display import clean_for_display

_NARROWEST = 6  # columns are cut to this before the table grows wider than asked for
_GAP = "  "
_MOST_LINES = 3  # of a wrapped cell
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class TableColumn:
    """How a column is shown.

    Attributes:
        title: of the column.
        align: numbers stand right.
        wraps: its cells take up to three lines; others are cut.
    """

    title: str
    align: Literal["left", "right"] = "left"
    wraps: bool = False


@dataclass(frozen=True, slots=True)
class Marked:
    """A text of which some parts stand out, as found by `indexer.query.snippets.mark_words`."""

    text: str
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _Glyph:
    """What a terminal shows for one character."""

    text: str
    width: int
    is_marked: bool = False


_Line = list[_Glyph]
_ELLIPSIS = _Glyph("…", 1)


def table_lines(
    columns: Sequence[TableColumn], rows: Iterable[Sequence[str | Marked]], *, width: int, bold: bool = False
) -> list[str]:
    """The lines of a table, the titles first.

    Args:
        columns: at least one.
        rows: as many cells each.
        width: in terminal columns; a table of many columns may need more.
        bold: marks marked parts and titles as terminals understand it.
    """
    cells = [[_glyphs(cell) for cell in row] for row in rows]
    head = [_glyphs(Marked(column.title, ((0, len(column.title)),))) for column in columns]
    widths = _fit(columns, [head, *cells], width)
    written: list[str] = []
    for row in [head, *cells]:
        wrapped = [
            _wrap(c, w) if k.wraps else [_cut(c, w)] for c, w, k in zip(row, widths, columns, strict=True)
        ]
        for number in range(max(map(len, wrapped))):
            parts = [
                _pad(lines[number] if number < len(lines) else [], space, column.align, bold=bold)
                for lines, space, column in zip(wrapped, widths, columns, strict=True)
            ]
            written.append(_GAP.join(parts).rstrip())
    return written


def _glyphs(cell: str | Marked) -> _Line:
    """The cell on one line: controls visible, white space as single spaces."""
    marked = cell if isinstance(cell, Marked) else Marked(cell)
    is_bold = bytearray(len(marked.text))
    for start, end in marked.spans:
        is_bold[start:end] = b"\x01" * (min(end, len(is_bold)) - start)
    line: _Line = []
    for character, bold in zip(marked.text, is_bold, strict=True):
        if character.isspace():
            if line and line[-1].text != " ":
                line.append(_Glyph(" ", 1))
            continue
        for shown in clean_for_display(character):
            line.append(_Glyph(shown, _width(shown), bool(bold)))
    return line[:-1] if line and line[-1].text == " " else line


def _width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _fit(columns: Sequence[TableColumn], rows: list[list[_Line]], width: int) -> list[int]:
    """The width of each column: as wide as its cells, the widest cut first until all fit."""
    widths = [max(1, *(_length(row[number]) for row in rows)) for number in range(len(columns))]
    spare = width - len(_GAP) * (len(columns) - 1)
    while sum(widths) > spare:
        # Columns that wrap lose nothing by it, so they give way until they are about half of the table.
        wrapping = [
            n for n, column in enumerate(columns) if column.wraps and widths[n] > max(_NARROWEST, spare // 2)
        ]
        number = max(wrapping or range(len(widths)), key=lambda n: widths[n])
        if widths[number] <= _NARROWEST:
            break
        widths[number] -= 1
    return widths


def _length(line: _Line) -> int:
    return sum(glyph.width for glyph in line)


def _cut(line: _Line, width: int) -> _Line:
    return line if _length(line) <= width else [*line[: _fitting(line, width - 1)], _ELLIPSIS]


def _fitting(line: _Line, width: int) -> int:
    """How many glyphs fit."""
    for number, glyph in enumerate(line):
        width -= glyph.width
        if width < 0:
            return number
    return len(line)


def _wrap(line: _Line, width: int) -> list[_Line]:
    """At most three lines, broken at spaces where that loses less than half a line."""
    lines: list[_Line] = []
    while _length(line) > width and len(lines) < _MOST_LINES - 1:
        end = max(1, _fitting(line, width))
        space = next((n for n in range(end, end // 2, -1) if line[n].text == " "), end)
        lines.append(line[:space])
        line = line[space:][1:] if line[space].text == " " else line[space:]
    return [*lines, _cut(line, width)]


def _pad(line: _Line, width: int, align: str, *, bold: bool) -> str:
    parts: Iterator[tuple[bool, Iterator[_Glyph]]] = groupby(line, key=lambda glyph: glyph.is_marked)
    texts = [(is_marked, "".join(glyph.text for glyph in run)) for is_marked, run in parts]
    text = "".join(f"{_BOLD}{text}{_PLAIN}" if is_marked and bold else text for is_marked, text in texts)
    padding = " " * (width - _length(line))
    return padding + text if align == "right" else text + padding
