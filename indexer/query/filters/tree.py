"""The tree of a filter and its canonical text; no parsing, no engine."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from indexer.sources.source import MetadataType

Operator = Literal["=", "!=", "<", "<=", ">", ">="]
Value = bool | int | float | str | date | datetime

KEYWORDS = frozenset(
    ["and", "or", "not", "in", "is", "null", "between", "contains", "starts", "with", "true", "false"]
)
_BARE_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class Column:
    """A metadata column as a collection announces it."""

    name: str
    type: MetadataType


@dataclass(frozen=True, slots=True)
class Compare:
    """`column operator value`; the value has the column's type, or is a fraction beside a whole-number column."""

    column: Column
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class OneOf:
    """The column equals one of the values; at least one."""

    column: Column
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class IsNull:
    """The column has no value; for numbers also NaN."""

    column: Column


@dataclass(frozen=True, slots=True)
class Contains:
    """The text holds `part`, or the list has the element `part`."""

    column: Column
    part: str


@dataclass(frozen=True, slots=True)
class StartsWith:
    """The text begins with `part`."""

    column: Column
    part: str


@dataclass(frozen=True, slots=True)
class And:
    """Every part holds; at least two parts, none of them an `And`."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Some part holds; at least two parts, none of them an `Or`."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part is known not to hold; the part is never a `Not`."""

    part: "Filter"


Leaf = Compare | OneOf | IsNull | Contains | StartsWith
Filter = Leaf | And | Or | Not


def join(kind: type[And] | type[Or], parts: list[Filter]) -> Filter:
    """One filter from several, nested ones of the same kind opened up."""
    flat: list[Filter] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, kind) else [part])
    return flat[0] if len(flat) == 1 else kind(tuple(flat))


def negate(part: Filter) -> Filter:
    """The opposite; twice is the filter itself, in three-valued logic too."""
    return part.part if isinstance(part, Not) else Not(part)


def depth_of(tree: Filter) -> int:
    """How many `and`, `or` and `not` stand one inside another; 0 for a single condition."""
    parts = tree.parts if isinstance(tree, And | Or) else (tree.part,) if isinstance(tree, Not) else ()
    return 1 + max(map(depth_of, parts)) if parts else 0


def print_filter(tree: Filter) -> str:
    """The canonical text: `parse_filter` of it gives the same tree, so it can be a cache key or part of an address."""
    if isinstance(tree, And):
        return " and ".join(_wrapped(part, Or) for part in tree.parts)
    if isinstance(tree, Or):
        return " or ".join(_wrapped(part, And) for part in tree.parts)
    if isinstance(tree, Not):
        return _print_negated(tree.part)
    return _print_leaf(tree, "")


def print_name(name: str) -> str:
    """A column name as the language reads it back."""
    if _BARE_NAME.fullmatch(name) and name.casefold() not in KEYWORDS:
        return name
    return "`" + name.replace("`", "``") + "`"


def print_value(value: Value) -> str:
    """A value as the language reads it back."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return value.isoformat() if isinstance(value, date) else repr(value)


def _wrapped(part: Filter, kind: type[And] | type[Or]) -> str:
    return f"({print_filter(part)})" if isinstance(part, kind) else print_filter(part)


def _print_negated(part: Filter) -> str:
    if isinstance(part, OneOf | IsNull):
        return _print_leaf(part, "not ")
    text = print_filter(part)
    return f"not ({text})" if isinstance(part, And | Or) else f"not {text}"


def _print_leaf(leaf: Leaf, negation: str) -> str:
    name = print_name(leaf.column.name)
    if isinstance(leaf, IsNull):
        return f"{name} is {negation}null"
    if isinstance(leaf, OneOf):
        return f"{name} {negation}in ({', '.join(map(print_value, leaf.values))})"
    if isinstance(leaf, Contains):
        return f"{name} contains {print_value(leaf.part)}"
    if isinstance(leaf, StartsWith):
        return f"{name} starts with {print_value(leaf.part)}"
    return f"{name} {leaf.operator} {print_value(leaf.value)}"
