"""The answer of a filter for one row, in plain Python: the oracle of what Lance answers."""

import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from indexer.query.filters.tree import And, Compare, Contains, Filter, IsNull, Leaf, Not, OneOf, Or

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matches(tree: Filter, row: Mapping[str, Any]) -> bool:
    """Whether the row is found: the filter is true of it, not merely unknown.

    Args:
        tree: from `parse_filter`.
        row: column name to value; None, NaN or no entry where it is missing.
    """
    return truth(tree, row) is True


def truth(tree: Filter, row: Mapping[str, Any]) -> bool | None:
    """True, False, or None where a missing value leaves it open."""
    if isinstance(tree, Not):
        inner = truth(tree.part, row)
        return None if inner is None else not inner
    if isinstance(tree, And | Or):
        answers = [truth(part, row) for part in tree.parts]
        decisive = isinstance(tree, Or)
        if decisive in answers:
            return decisive
        return None if None in answers else not decisive
    return _truth_of_leaf(tree, _value(row.get(tree.column.name)))


def _truth_of_leaf(leaf: Leaf, value: Any) -> bool | None:
    if isinstance(leaf, IsNull):
        return value is None
    if value is None:
        return None
    if isinstance(leaf, Compare):
        return bool(_COMPARE[leaf.operator](value, leaf.value))
    if isinstance(leaf, OneOf):
        return value in leaf.values
    if isinstance(leaf, Contains):
        return leaf.part in value
    return str(value).startswith(leaf.part)


def _value(value: Any) -> Any:
    if isinstance(value, float) and value != value:  # NaN
        return None
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value
