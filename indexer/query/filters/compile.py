"""A tree to the predicate that Lance evaluates: SQL made by us from typed values, never from the user's text.

SQL and not pyarrow expressions, because those cannot ask for an element of a list; one way for all operators.
"""

import math
from collections.abc import Callable
from datetime import date, datetime

from encoder.errors import InputError
from indexer.query.filters.tree import (
    And,
    Column,
    Compare,
    Contains,
    Filter,
    IsNull,
    Leaf,
    Not,
    OneOf,
    Or,
    StartsWith,
    Value,
)

_SMALLEST = -(2**63)


def to_lance(tree: Filter, rename: Callable[[str], str]) -> str:
    """The predicate for `scanner(filter=...)`.

    Args:
        tree: from `parse_filter`.
        rename: metadata column to the dataset's column.

    Raises:
        InputError: a dataset column has a name that Lance cannot address.
    """
    if isinstance(tree, And | Or):
        word = " and " if isinstance(tree, And) else " or "
        return word.join(_grouped(part, rename) for part in tree.parts)
    if isinstance(tree, Not):
        return f"not {_grouped(tree.part, rename)}"
    return _leaf(tree, _quote_name(rename(tree.column.name)))


def _grouped(part: Filter, rename: Callable[[str], str]) -> str:
    return f"({to_lance(part, rename)})"


def _quote_name(name: str) -> str:
    # Inside backticks all is literal but the backtick, which has no escape; a dot or NUL is no top-level column.
    if any(sign in name for sign in "`.\x00"):
        raise InputError(
            f"the column {name!r} cannot be filtered by",
            "the filter",
            "index the source again with the column renamed, without dots and backticks",
        )
    return f"`{name}`"


def _leaf(leaf: Leaf, name: str) -> str:
    is_float = leaf.column.type == "float64"
    if isinstance(leaf, IsNull):
        return f"{name} is null or isnan({name})" if is_float else f"{name} is null"
    if isinstance(leaf, Contains):
        function = "array_has" if leaf.column.type == "list<string>" else "contains"
        return f"{function}({name}, {_literal(leaf.part)})"
    if isinstance(leaf, StartsWith):
        return f"starts_with({name}, {_literal(leaf.part)})"
    condition = _one_of(leaf, name) if isinstance(leaf, OneOf) else _compare(leaf, name)
    # DataFusion puts NaN above all numbers and equal to itself. The right side is true for numbers and null for
    # NaN, so the whole is the condition for numbers and null for NaN, whatever the NaN's sign.
    return f"({condition}) = nullif(not isnan({name}), false)" if is_float else condition


def _compare(leaf: Compare, name: str) -> str:
    operator, value = leaf.operator, leaf.value
    if _is_fraction(leaf.column, value):  # DataFusion refuses 100.5 beside int64
        if operator in {"=", "!="}:
            return f"{name} {'!=' if operator == '=' else '='} {name}"
        # x < 100.5 is x <= 100, x > 100.5 is x >= 101
        value = math.floor(value) if operator in {"<", "<="} else math.ceil(value)  # type: ignore[arg-type]
        operator = "<=" if operator in {"<", "<="} else ">="
    return f"{name} {operator} {_literal(value)}"


def _one_of(leaf: OneOf, name: str) -> str:
    literals = [_literal(value) for value in leaf.values if not _is_fraction(leaf.column, value)]
    return f"{name} in ({', '.join(literals)})" if literals else f"{name} != {name}"


def _is_fraction(column: Column, value: Value) -> bool:
    return column.type == "int64" and isinstance(value, float)


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, datetime):
        return f"timestamp '{value.isoformat(sep=' ')}'"
    if isinstance(value, date):
        return f"date '{value.isoformat()}'"
    if value == _SMALLEST and isinstance(value, int):
        return f"cast('{value}' as bigint)"  # read as minus 2**63, whose digits alone overflow
    return repr(value)
