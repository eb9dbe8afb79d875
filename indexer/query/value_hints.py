"""What a filter that leaves nothing may have meant: values of its columns that are near to those it names."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from indexer.query.facets import column_values
from indexer.query.filters.tree import And, Compare, Contains, Filter, Not, OneOf, Or
from indexer.query.snapshot import Snapshot

_MOST_VALUES = 2000
_LEAST_RATIO = 0.75


@dataclass(frozen=True, slots=True)
class ValueHint:
    """A value that a filter names, that no passage has, and one that some have.

    Attributes:
        column: as the filter names it.
        asked: the value in the filter.
        near: a value of the column.
    """

    column: str
    asked: str
    near: str


def value_hints(snapshot: Snapshot, tree: Filter) -> list[ValueHint]:
    """Near values for the texts in a filter that no passage has, in the filter's order; stored columns alone.

    Args:
        snapshot: whose values count; of a column with very many the most frequent 2,000.
        tree: of the filter.
    """
    stored = snapshot.collection.settings.column_fields
    found = []
    for column, asked in dict.fromkeys(_named_texts(tree)):
        if column in stored:
            values = [
                value for value, _ in column_values(snapshot, column, _MOST_VALUES) if isinstance(value, str)
            ]
            near = _nearest(asked, values)
            if near is not None:
                found.append(ValueHint(column, asked, near))
    return found


def _named_texts(tree: Filter) -> Iterator[tuple[str, str]]:
    """Column and text of every condition that a value must equal, or an element of a list."""
    match tree:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _named_texts(part)
        case Not(part):
            yield from _named_texts(part)
        case Compare(column, "=", str(value)):
            yield column.name, value
        case Contains(column, part) if column.type.startswith("list"):
            yield column.name, part
        case OneOf(column, values):
            yield from ((column.name, value) for value in values if isinstance(value, str))


def _nearest(asked: str, values: list[str]) -> str | None:
    """The value that differs least, in case alone if there is one; None where the very value is there or none is near."""
    if asked in values:
        return None
    by_case = {value.casefold(): value for value in reversed(values)}
    near = difflib.get_close_matches(asked.casefold(), by_case, n=1, cutoff=_LEAST_RATIO)
    return by_case[near[0]] if near else None
