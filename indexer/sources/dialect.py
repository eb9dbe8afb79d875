"""Delimiter, quoting and header of a delimited file, found from its first rows."""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass

from indexer.sources.cells import CellTypes

_DELIMITERS = (",", "\t", ";", "|")
_NO_DELIMITER = "\x1f"
_ROWS = 400
_LONGEST_NAME = 200
# Numbers that do serve as names: a table with a column a year.
_YEAR = re.compile(r"(19|20)\d\d")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the rows of a file are written.

    Attributes:
        delimiter: between cells.
        escape: what stands before a quote inside of quotes; None where quotes are doubled.
        strict: whether a character after a closing quote makes a row bad.
        width: cells a row.
        fit: share of the sampled rows that have that many cells.
    """

    delimiter: str
    escape: str | None
    strict: bool
    width: int
    fit: float

    def arguments(self) -> dict[str, object]:
        """Keyword arguments of `csv.reader`."""
        return {
            "delimiter": self.delimiter,
            "escapechar": self.escape,
            "doublequote": True,
            "strict": self.strict,
        }


def detect_dialect(sample: str, is_whole: bool, delimiter: str | None = None) -> Dialect:
    """The dialect by which most rows of the sample have the same number of cells, more than one if possible.

    Args:
        sample: the first characters of the file.
        is_whole: whether they are all; else the last row is not judged.
        delimiter: None to find it.
    """
    escapes: list[str | None] = [None, "\\"] if '\\"' in sample else [None]
    options = [
        _judge(sample, is_whole, mark, escape, strict)
        for mark in ([delimiter] if delimiter else _DELIMITERS)
        for escape in escapes
        for strict in (True, False)
    ]
    several = [option for option in options if option.width > 1 and option.fit > 0.5]
    if not several and not delimiter:
        # One column: commas are part of the text, and no delimiter is the right one.
        return _judge(sample, is_whole, _NO_DELIMITER, None, False)
    # The first of equals wins: comma before tab, doubled quotes before escapes, strict before lenient.
    return max(several or options[:1], key=lambda o: (round(o.fit, 2), o.width if o.fit > 0.9 else 0))


def first_rows(sample: str, dialect: Dialect, limit: int = 50) -> list[list[str]]:
    """The first rows that are not blank and can be parsed."""
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(sample, newline=""), **dialect.arguments())  # type: ignore[arg-type]
    while len(rows) < limit:
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:
            continue
        if any(map(str.strip, row)):
            rows.append(row)
    return rows


def _judge(sample: str, is_whole: bool, delimiter: str, escape: str | None, strict: bool) -> Dialect:
    widths: list[int] = []
    n_bad = 0
    reader = csv.reader(
        io.StringIO(sample, newline=""),
        delimiter=delimiter,
        escapechar=escape,
        doublequote=True,
        strict=strict,
    )
    while len(widths) < _ROWS:
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:
            n_bad += 1
            continue
        if row:
            widths.append(len(row))
    if not is_whole and len(widths) > 1 and len(widths) < _ROWS:
        widths.pop()
        n_bad = max(0, n_bad - 1)  # an open quote at the end of the sample is no damage
    if not widths:
        return Dialect(delimiter, escape, strict, 1, 0.0)
    width, count = Counter(widths).most_common(1)[0]
    # The header has the last word about the width if enough rows agree with it.
    if widths.count(widths[0]) >= 0.5 * len(widths):
        width, count = widths[0], widths.count(widths[0])
    return Dialect(delimiter, escape, strict, width, count / (len(widths) + n_bad))


def has_header(rows: list[list[str]]) -> bool:
    """Whether the first row holds names: no long text, and not numbers or dates over columns of the same."""
    if len(rows) < 2:
        return True
    head = rows[0]
    if any(len(cell) > _LONGEST_NAME for cell in head):
        return False
    typed = same = 0
    for position, name in enumerate(head):
        below, alone = CellTypes(), CellTypes()
        below.add(row[position] for row in rows[1:] if position < len(row))
        alone.add([name])
        form = below.result()[1]
        typed += form != ""
        same += form != "" and alone.result()[1] == form and not _YEAR.fullmatch(name.strip())
    return typed == 0 or same < typed
