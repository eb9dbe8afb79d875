"""Cells of text files: which type a column of strings has, and the value of one cell; no files."""

import datetime as dt
import re
from collections.abc import Callable, Iterable
from typing import Any

from indexer.sources.source import MetadataType

# Only in columns of numbers and dates: in a column of words "None" and "NA" may be names.
NULL_CELLS = frozenset(
    {"", "NA", "N/A", "n/a", "NULL", "null", "None", "none", "NaN", "nan", "-", "\\N", "#N/A"}
)

_INT = re.compile(r"[+-]?(?:0|[1-9]\d{0,17}|[1-9]\d{0,2}(?:,\d{3}){1,5})", re.ASCII)
# At most 15 digits: more would not survive a float, so such numbers stay text. No leading zeros: they are codes.
_FLOAT = re.compile(
    r"[+-]?(?:(?:0|[1-9]\d{0,14}|[1-9]\d{0,2}(?:,\d{3}){1,4})(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII
)
_DATE_ISO = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})", re.ASCII)
_DATE_NUMBERS = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})", re.ASCII)
_MONTH_FIRST = re.compile(r"([A-Za-z]{3,9})\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})", re.ASCII)
_DAY_FIRST = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?[ -]([A-Za-z]{3,9})\.?,?[ -](\d{4})", re.ASCII)
_TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?(?:Z|UTC|[+-]\d\d(?::?\d\d)?))?", re.ASCII
)
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH_NUMBER = {name: i + 1 for i, name in enumerate(_MONTHS)} | {
    name[:3]: i + 1 for i, name in enumerate(_MONTHS)
}
_MONTH_NUMBER["sept"] = 9


def parse_int(cell: str) -> int:
    """The whole number of a cell, thousands commas allowed.

    Raises:
        ValueError: it is none.
    """
    if not _INT.fullmatch(cell):
        raise ValueError(cell)
    return int(cell.replace(",", ""))


def parse_float(cell: str) -> float:
    """The number of a cell, thousands commas allowed.

    Raises:
        ValueError: it is none.
    """
    if not _FLOAT.fullmatch(cell):
        raise ValueError(cell)
    return float(cell.replace(",", ""))


def parse_bool(cell: str) -> bool:
    """True or false as written by programs; yes, no, 1 and 0 are left to be words and numbers.

    Raises:
        ValueError: it is neither.
    """
    low = cell.lower()
    if low not in ("true", "false"):
        raise ValueError(cell)
    return low == "true"


def _date_from(pattern: re.Pattern[str], year: int, month: int, day: int) -> Callable[[str], dt.date]:
    """A parser whose arguments are the group numbers of the pattern."""

    def parse(cell: str) -> dt.date:
        found = pattern.fullmatch(cell)
        if not found:
            raise ValueError(cell)
        number = _MONTH_NUMBER.get(found[month].lower()) or int(found[month])
        return dt.date(int(found[year]), number, int(found[day]))

    return parse


parse_date = _date_from(_DATE_ISO, 1, 3, 4)


def parse_timestamp(cell: str) -> dt.datetime:
    """An ISO time, or an ISO date at midnight, as naive UTC.

    Raises:
        ValueError: it is neither.
    """
    if not _TIMESTAMP.fullmatch(cell):
        return dt.datetime.combine(parse_date(cell), dt.time())
    cell = cell.replace(" UTC", "Z").replace(" Z", "Z").replace(" +", "+").replace(" -", "-")
    return naive_utc(dt.datetime.fromisoformat(cell))


def naive_utc(value: dt.datetime) -> dt.datetime:
    """The same moment without time zone, in UTC; a time without zone is taken for UTC."""
    return value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)


# form -> (type, parser); in the order of preference, `date_mdy` and `date_dmy` only where one of them alone fits.
FORMS: dict[str, tuple[MetadataType, Callable[[str], Any]]] = {
    "bool": ("bool", parse_bool),
    "int": ("int64", parse_int),
    "float": ("float64", parse_float),
    "date": ("date", parse_date),
    "date_month_first": ("date", _date_from(_MONTH_FIRST, 3, 1, 2)),
    "date_day_first": ("date", _date_from(_DAY_FIRST, 3, 2, 1)),
    "date_mdy": ("date", _date_from(_DATE_NUMBERS, 4, 1, 3)),
    "date_dmy": ("date", _date_from(_DATE_NUMBERS, 4, 3, 1)),
    "timestamp": ("timestamp", parse_timestamp),
}


class CellTypes:
    """Narrows down the type of one column of cells, batch by batch.

    Args:
        forms: the forms that are possible at the start.
    """

    def __init__(self, forms: Iterable[str] = tuple(FORMS)) -> None:
        self._alive = list(forms)
        self._has_values = False

    def add(self, cells: Iterable[str]) -> None:
        """Drop the forms that one of these cells does not have."""
        if self._has_values and not self._alive:
            return
        distinct = {cell.strip() for cell in cells} - NULL_CELLS
        if distinct:
            self._has_values = True
            self._alive = [form for form in self._alive if _all_fit(form, distinct)]

    def result(self) -> tuple[MetadataType | None, str]:
        """Type and form; None where every cell was null, string where no form fits all."""
        if not self._has_values:
            return None, ""
        # 03/04/2021 with no day above 12 in the whole column can be read both ways: text is the honest answer.
        ambiguous = "date_mdy" in self._alive and "date_dmy" in self._alive
        forms = [f for f in self._alive if not (ambiguous and f in ("date_mdy", "date_dmy"))]
        return (FORMS[forms[0]][0], forms[0]) if forms else ("string", "")


def _all_fit(form: str, cells: set[str]) -> bool:
    parse = FORMS[form][1]
    try:
        for cell in cells:
            parse(cell)
    except (ValueError, OverflowError):
        return False
    return True
