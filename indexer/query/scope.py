"""Which rows a search may return: a filter over stored and computed columns, within rows chosen by other means.

Parts of a filter that only name stored columns are asked of Lance; the rest is put together here, over row ids.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.errors import InputError
from indexer.query.filters import Filter, parse_filter, print_filter, to_lance
from indexer.query.filters.tree import And, Not, Or, join, negate
from indexer.query.row_columns import ColumnProvider, RowColumn, filter_names, rows_of_leaf
from indexer.query.snapshot import Allowed, Snapshot


@dataclass(frozen=True, slots=True)
class Scope:
    """What a search may return.

    Attributes:
        allowed: the rows, as masks.
        condition: a predicate for Lance that all of them satisfy; None for none.
        rows: uint64 [N], ascending: exactly the allowed rows, where `condition` alone would let more through.
    """

    allowed: Allowed
    condition: str | None
    rows: NDArray[np.uint64] | None

    def cut(self, row_ids: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of these rows, that satisfy the condition, are allowed: uint64 [N] to bool [N]."""
        if self.rows is None:
            return np.ones(row_ids.size, np.bool_)
        return np.isin(row_ids, self.rows)


def filter_columns(snapshot: Snapshot, provider: ColumnProvider) -> dict[str, str]:
    """What a filter may name, with its type: stored columns first, then the computed ones."""
    stored = snapshot.collection.settings.filter_columns
    computed = filter_names(stored, provider.kinds)
    return {**stored, **{name: provider.kinds[column] for name, column in computed.items()}}


def make_scope(
    snapshot: Snapshot, where: str | None, within: NDArray[np.uint64] | None, provider: ColumnProvider
) -> Scope:
    """The rows that pass a filter and are among those given.

    Args:
        snapshot: to choose from.
        where: filter; None or blank for all rows.
        within: uint64 [N] row ids in any order, those not live are passed over; None for all rows.
        provider: of the computed columns.

    Raises:
        InputError: the filter cannot be used, or `within` holds no row ids.
    """
    scope = Scope(snapshot.everything(), None, None)
    if where is not None and where.strip():
        tree = parse_filter(where, filter_columns(snapshot, provider))
        scope = _Evaluation(snapshot, provider).scope(tree)
    if within is None:
        return scope
    rows = np.intersect1d(snapshot.row_ids(scope.allowed), _checked(within))
    return Scope(snapshot.allow_rows(rows), scope.condition, rows)


def _checked(within: NDArray[np.uint64]) -> NDArray[np.uint64]:
    rows = np.asarray(within)
    is_right = rows.ndim == 1 and (not rows.size or np.issubdtype(rows.dtype, np.integer))
    if not is_right or (rows.size and np.issubdtype(rows.dtype, np.signedinteger) and int(rows.min()) < 0):
        raise InputError(
            f"an array of shape {rows.shape} and type {rows.dtype} holds no row ids",
            "the rows to search within",
            "give whole numbers, as a search, a map or a set names them",
        )
    return rows.astype(np.uint64)


class _Evaluation:
    """The rows of one filter over one snapshot."""

    def __init__(self, snapshot: Snapshot, provider: ColumnProvider) -> None:
        self.snapshot = snapshot
        settings = snapshot.collection.settings
        self.fields: Mapping[str, str] = settings.filter_fields
        self.names = filter_names(settings.filter_columns, provider.kinds)
        self.provider = provider
        self.columns: dict[str, RowColumn] = {}

    def scope(self, tree: Filter) -> Scope:
        """The rows of which the filter is true."""
        name = print_filter(tree)
        if self.is_stored(tree):
            whole = self.compiled(tree)
            return Scope(self.snapshot.allow(name, whole), whole, None)
        for leaf in set(_names_in(tree)) & set(self.names):
            self.columns[leaf] = self.provider.column(self.names[leaf], self.snapshot)
        states = [f"{leaf}={self.columns[leaf].state}" for leaf in sorted(self.columns)]
        allowed = self.snapshot.allow_kept("\0".join([name, *states]), lambda: self.true_rows(tree))
        stored = [part for part in _conjuncts(tree) if self.is_stored(part)]
        condition = self.compiled(join(And, stored)) if stored else None
        return Scope(allowed, condition, self.snapshot.row_ids(allowed))

    def is_stored(self, tree: Filter) -> bool:
        """Whether Lance can answer all of it."""
        return not any(name in self.names for name in _names_in(tree))

    def compiled(self, tree: Filter) -> str:
        """The predicate of a part that names stored columns only."""
        return to_lance(tree, lambda name: self.fields[name])

    def true_rows(self, tree: Filter) -> NDArray[np.uint64]:
        """Live rows of which the filter is true, uint64 [N], ascending."""
        live = self.snapshot.row_ids()
        return live[self.mask(tree, live, True)]

    def mask(self, tree: Filter, live: NDArray[np.uint64], wanted: bool) -> NDArray[np.bool_]:
        """Rows of which it is true, or false; in three-valued logic neither need be the other's complement.

        bool [N] over `live`, uint64 [N]. A conjunction is false where one part is, a disjunction where all are.
        """
        if self.is_stored(tree):
            asked = tree if wanted else negate(tree)
            return np.isin(live, self.snapshot.store.matching(self.compiled(asked)), assume_unique=True)
        if isinstance(tree, Not):
            return self.mask(tree.part, live, not wanted)
        if isinstance(tree, And | Or):
            masks = [self.mask(part, live, wanted) for part in self.grouped(tree)]
            combine: Callable[..., NDArray[np.bool_]] = (
                np.logical_and if isinstance(tree, And) == wanted else np.logical_or
            )
            return combine.reduce(masks)  # type: ignore[attr-defined]
        return rows_of_leaf(tree, self.columns[tree.column.name], live, wanted)

    def grouped(self, tree: And | Or) -> list[Filter]:
        """The parts, those that Lance can answer as one."""
        stored = [part for part in tree.parts if self.is_stored(part)]
        others = [part for part in tree.parts if not self.is_stored(part)]
        return [join(type(tree), stored), *others] if stored else others


def _conjuncts(tree: Filter) -> tuple[Filter, ...]:
    return tree.parts if isinstance(tree, And) else (tree,)


def _names_in(tree: Filter) -> list[str]:
    if isinstance(tree, And | Or):
        return [name for part in tree.parts for name in _names_in(part)]
    return _names_in(tree.part) if isinstance(tree, Not) else [tree.column.name]
