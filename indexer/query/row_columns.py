"""Columns that are computed, not stored with the rows: which rows a condition on one of them is true or false of."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.query.filters.tree import Compare, Contains, IsNull, Leaf, OneOf
from indexer.query.snapshot import Snapshot

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# Names that always reach a computed column, even where a metadata column has the plain name.
PREFIX = "derived."


@dataclass(frozen=True, slots=True)
class RowColumn:
    """A value for some of the live rows; the others have none.

    A list column is never unknown: a row that is not named here has the empty list, and `is null` finds the empty.

    Attributes:
        name: as filters name it.
        kind: a `MetadataType`.
        row_ids: uint64 [N], ascending.
        values: N of them; int64 or float64 arrays, or a list of texts, of booleans, of tuples of texts.
        state: differs whenever the column does; part of what answers are kept under.
    """

    name: str
    kind: str
    row_ids: NDArray[np.uint64]
    values: Sequence[Any] | NDArray[Any]
    state: str = ""


class ColumnProvider(Protocol):
    """Where computed columns come from."""

    @property
    def kinds(self) -> Mapping[str, str]:
        """Names that filters may use, with their `MetadataType`; the column itself may turn out not to exist."""

    def column(self, name: str, snapshot: Snapshot) -> RowColumn:
        """The column as of now, over the rows of a snapshot.

        Raises:
            InputError: it does not exist yet; the message says how it is made.
        """


def filter_names(stored: Iterable[str], kinds: Mapping[str, str]) -> dict[str, str]:
    """What filters may call the computed columns: name to column; a stored column of the same name wins.

    Args:
        stored: names that filters know already; case makes no difference.
        kinds: the computed columns.
    """
    taken = {name.casefold() for name in stored}
    plain = {name: name for name in kinds if name.casefold() not in taken}
    return plain | {f"{PREFIX}{name}": name for name in kinds}


def rows_of_leaf(leaf: Leaf, column: RowColumn, live: NDArray[np.uint64], wanted: bool) -> NDArray[np.bool_]:
    """Which live rows a condition on a computed column is true of, or false of; the rest is unknown.

    Args:
        leaf: the condition.
        column: what it is about.
        live: uint64 [N], ascending.
        wanted: True for the rows of which it is true, False for those of which it is false.

    Returns:
        bool [N].
    """
    codes, distinct = _coded(column.values)
    answers = [_answer(leaf, value) for value in distinct]
    at, here = _places(column.row_ids, live)
    chosen = np.array(
        [answer is wanted for answer in [*answers, _without_value(leaf, column.kind)]], np.bool_
    )
    where = np.full(live.size, len(distinct), np.int64)  # the last answer is that of rows without a value
    where[here] = codes[at]
    return chosen[where]


def _places(
    row_ids: NDArray[np.uint64], live: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions in `row_ids`, and those of the same rows in `live`."""
    if not row_ids.size or not live.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    found = np.minimum(np.searchsorted(row_ids, live), row_ids.size - 1)
    here = np.flatnonzero(row_ids[found] == live)
    return found[here], here


def _coded(values: Sequence[Any] | NDArray[Any]) -> tuple[NDArray[np.int64], list[Any]]:
    """Each value as a position [N] in a list of the different ones."""
    if isinstance(values, np.ndarray):
        distinct, codes = np.unique(values, return_inverse=True)
        return codes.astype(np.int64), distinct.tolist()
    known: dict[Any, int] = {}
    codes = np.fromiter((known.setdefault(value, len(known)) for value in values), np.int64, len(values))
    return codes, list(known)


def _without_value(leaf: Leaf, kind: str) -> bool | None:
    if kind == "list<string>":
        return isinstance(leaf, IsNull)
    return True if isinstance(leaf, IsNull) else None


def _answer(leaf: Leaf, value: Any) -> bool | None:
    if value is None or value != value:  # NaN counts as missing, as in stored columns
        return _without_value(leaf, "")
    if isinstance(leaf, IsNull):
        return isinstance(value, tuple) and not value
    if isinstance(leaf, Compare):
        return _COMPARE[leaf.operator](value, leaf.value)
    if isinstance(leaf, OneOf):
        return value in leaf.values
    if isinstance(leaf, Contains):
        return leaf.part in value
    return bool(value.startswith(leaf.part))
