"""Raw values of a reader to values of a column's type; what does not fit becomes null and is counted."""

import datetime as dt
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from indexer.sources.cells import (
    FORMS,
    NULL_CELLS,
    naive_utc,
    parse_bool,
    parse_date,
    parse_float,
    parse_int,
    parse_timestamp,
)
from indexer.sources.source import MetadataType

_INT64 = 2**63
_CACHED_CELLS = 50_000


def as_text(value: Any) -> str | None:
    """The value as people would write it; objects and lists as JSON; None for null and for the empty string."""
    if isinstance(value, str):
        return value or None
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _as_int(value: Any) -> int:
    if isinstance(value, str):
        return parse_int(value)
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(value)
    number = int(value)
    if not -_INT64 <= number < _INT64:
        raise ValueError(value)
    return number


def _as_float(value: Any) -> float | None:
    if isinstance(value, bool):
        raise ValueError(value)
    number = parse_float(value) if isinstance(value, str) else float(value)
    return None if math.isnan(number) else number


def _as_bool(value: Any) -> bool:
    if isinstance(value, str):
        return parse_bool(value)
    if not isinstance(value, bool):
        raise ValueError(value)
    return value


def _as_date(value: Any) -> dt.date:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    return parse_date(str(value))


def _as_timestamp(value: Any) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return naive_utc(value)
    if isinstance(value, dt.date):
        return dt.datetime.combine(value, dt.time())
    return parse_timestamp(value)


def _as_list(value: Any) -> list[str]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(value)
    return [as_text(item) or "" for item in value]


_FROM_ANY: dict[MetadataType, Callable[[Any], Any]] = {
    "string": as_text,
    "int64": _as_int,
    "float64": _as_float,
    "bool": _as_bool,
    "date": _as_date,
    "timestamp": _as_timestamp,
    "list<string>": _as_list,
}


class Converter:
    """Values of one column of one reader to one type.

    Args:
        to: the type of the column in the whole source.
        form: how the reader's cells spell it (`cells.py`), "" where they do not.
    """

    def __init__(self, to: MetadataType, form: str = "") -> None:
        parse = _FROM_ANY[to]
        if form and FORMS[form][0] != to:
            parse = self._through(FORMS[form][1], parse)
        elif form:
            parse = FORMS[form][1]
        self._parse = parse if to != "string" else as_text
        self._to = to
        self._cache: dict[str, Any] = {}
        self.misfits = 0

    @staticmethod
    def _through(first: Callable[[str], Any], then: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """By the form of this file, then to the type that all files share: dates here, timestamps there."""
        return lambda cell: then(first(cell))

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """One value of the column's type, or None, for each raw value."""
        if self._to == "string":
            return [(v or None) if type(v) is str else as_text(v) for v in values]
        return [self._one(value) for value in values]

    def _one(self, value: Any) -> Any:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        if isinstance(value, str):
            # Cells repeat (years, dates), and a dictionary is several times faster than a date.
            if value in self._cache:
                return self._cache[value]
            if value.strip() in NULL_CELLS:
                return None
        try:
            result = self._parse(value.strip() if isinstance(value, str) else value)
        except (ValueError, TypeError, OverflowError):
            self.misfits += 1
            return None
        if isinstance(value, str) and len(self._cache) < _CACHED_CELLS:
            self._cache[value] = result
        return result
