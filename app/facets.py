"""What hits or passages have in common, column by column, each value with the condition that keeps only it.

Pure. Counts are of hits, where a document found by one passage counts one, or of all passages of a selection.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from app.filter_builder import bool_clause, days_clause, values_clause
from app.rows import value_text
from indexer.query.filters.tree import print_name, print_value

MOST_COLUMNS, MOST_VALUES = 5, 8
_RANGES = 5
_ORDERED = ("int64", "float64", "date", "timestamp")
MOST_DISTINCT = 100_000  # values that are cut into ranges; a column with more is left out
_LEAST_SHARE = 0.01  # of all passages, for the commonest text: below, a click would find next to nothing


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value, or range of values, of a column.

    Attributes:
        label: for people; hostile.
        count: hits that have it.
        clause: condition in the filter language that keeps them.
    """

    label: str
    count: int
    clause: str


@dataclass(frozen=True, slots=True)
class Facet:
    """A column with its most frequent values, or with its ranges in their order.

    Attributes:
        name: of the column, as filters name it; hostile.
        values: at most eight, each of at least one hit.
    """

    name: str
    values: tuple[FacetValue, ...]


def facets(kinds: Mapping[str, str], columns: Mapping[str, Sequence[Any]]) -> list[Facet]:
    """The columns that tell hits apart, at most five: those whose commonest value is shared by most hits first.

    A column is left out where it has one value for all hits, and where every hit has another text.

    Args:
        kinds: column name to type; its order decides among equals.
        columns: column name to the value of each hit, None where it has none.
    """
    return sorted_facets([facet_of(name, kinds[name], columns[name]) for name in kinds if name in columns])


def facet_of(name: str, kind: str, values: Sequence[Any]) -> Facet | None:
    """One column; None where it does not tell hits apart.

    Args:
        name: of the column.
        kind: its type.
        values: of each hit, None where it has none; lists count by element.
    """
    present = [value for value in values if value is not None]
    if kind.startswith("list"):
        present = [each for value in present for each in dict.fromkeys(value)]
    return _facet(name, kind, Counter(present), len(values))


def asked_values(kind: str) -> int:
    """How many of a column's most frequent values `facet_of_counts` needs."""
    return MOST_DISTINCT + 1 if kind in _ORDERED else MOST_VALUES + 1


def facet_of_counts(name: str, kind: str, counts: Sequence[tuple[Any, int]], total: int) -> Facet | None:
    """One column of a whole selection; None where it tells passages not apart, or hardly.

    Args:
        name: of the column.
        kind: its type.
        counts: its most frequent values with their passages, `asked_values` of them or all.
        total: passages of the selection.
    """
    if kind in _ORDERED and len(counts) > MOST_DISTINCT:
        return None
    is_text = kind not in (*_ORDERED, "bool")
    if is_text and max((number for _, number in counts), default=0) < _LEAST_SHARE * total:
        return None
    return _facet(name, kind, Counter(dict(counts)), total)


def sorted_facets(found: Sequence[Facet | None]) -> list[Facet]:
    """Those that there are, at most five: whose commonest value is shared by most first, equals in their order."""
    return sorted((facet for facet in found if facet), key=lambda facet: -_shared(facet))[:MOST_COLUMNS]


def _facet(name: str, kind: str, counts: Counter[Any], total: int) -> Facet | None:
    if kind in _ORDERED:
        finite = [(v, n) for v, n in counts.items() if not isinstance(v, float) or math.isfinite(v)]
        found = _ranges(name, kind, sorted(finite))
    else:
        found = _frequent(name, kind, counts)
    is_one_for_all = len(found) == 1 and found[0].count == total
    return None if not found or is_one_for_all else Facet(name, tuple(found))


def _shared(facet: Facet) -> int:
    return max(value.count for value in facet.values)


def _frequent(name: str, kind: str, counts: Counter[Any]) -> list[FacetValue]:
    if (
        kind != "bool" and max(counts.values(), default=0) < 2
    ):  # every hit another: an identifier, or a remark
        return []
    frequent = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:MOST_VALUES]
    if len(counts) > MOST_VALUES:  # of the many that one hit has, none is worth more than another
        frequent = [item for item in frequent if item[1] > 1]
    return [
        FacetValue(value_text(value) or "(empty)", number, _clause(name, kind, value))
        for value, number in frequent
    ]


def _clause(name: str, kind: str, value: Any) -> str:
    if kind == "bool":
        return bool_clause(name, value=value)
    return values_clause(name, kind, [str(value)])


def _ranges(name: str, kind: str, counts: Sequence[tuple[Any, int]]) -> list[FacetValue]:
    """Of rising values: single numbers while there are few, else ranges of about as many hits that leave nothing out."""
    if kind == "int64" and len(counts) <= MOST_VALUES:
        return [FacetValue(str(value), number, f"{print_name(name)} = {value}") for value, number in counts]
    if kind in ("date", "timestamp"):
        days: Counter[Any] = Counter()
        for value, number in counts:
            days[value.date() if isinstance(value, datetime) else value] += number
        counts = list(days.items())  # still rising
    if len(counts) < 2:
        return []
    starts, numbers = _cuts(counts)
    found = []
    for place, (start, number) in enumerate(zip(starts, numbers, strict=True)):
        low = start if place else None
        high = starts[place + 1] if place + 1 < len(starts) else None
        label, clause = _range(name, kind, low, high)
        found.append(FacetValue(label, number, clause))
    return found


def _cuts(counts: Sequence[tuple[Any, int]]) -> tuple[list[Any], list[int]]:
    """First value and hits of each range, from distinct values in their order with their hits."""
    total = sum(number for _, number in counts)
    starts, numbers, before = [counts[0][0]], [0], 0
    for value, number in counts:
        if numbers[-1] and before >= total * len(starts) / _RANGES:
            starts.append(value)
            numbers.append(0)
        numbers[-1] += number
        before += number
    return starts, numbers


def _range(name: str, kind: str, low: Any, high: Any) -> tuple[str, str]:
    """Label and condition of the values from `low` to before `high`; None leaves that end open."""
    if kind in ("date", "timestamp"):
        last = None if high is None else high - timedelta(days=1)
        return _range_label(low, last), days_clause(name, kind, low, last)
    if kind == "int64":
        last = None if high is None else high - 1
        return _range_label(low, last), _number_clause(name, low, high)
    label = (
        f"from {low:g}" if high is None else f"{low:g} to {high:g}" if low is not None else f"below {high:g}"
    )
    return label, _number_clause(name, low, high)


def _range_label(low: int | date | None, last: int | date | None) -> str:
    if low is None:
        return f"up to {last}"
    if last is None:
        return f"from {low}"
    return str(low) if low == last else f"{low} to {last}"


def _number_clause(name: str, low: float | None, high: float | None) -> str:
    column = print_name(name)
    parts = [f"{column} >= {print_value(low)}"] if low is not None else []
    return " and ".join([*parts, *([f"{column} < {print_value(high)}"] if high is not None else [])])
