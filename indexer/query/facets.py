"""What a metadata column holds: its frequent values and its range, to build filters from."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoder.errors import InputError
from indexer.query.row_columns import ColumnProvider, RowColumn, filter_names
from indexer.query.snapshot import Snapshot

# Distinct values that are counted exactly; a column with more is an identifier, not a category.
_MOST_VALUES = 100_000
_MOST_TAKEN = 1_000  # rows above which reading the whole column is faster than reading single rows


def column_values(snapshot: Snapshot, name: str, limit: int = 50) -> list[tuple[Any, int]]:
    """The most frequent values with the number of passages that have them, most frequent first.

    Of a list column each element counts. Nulls are left out.

    Args:
        snapshot: to look into.
        name: of the column.
        limit: most values.

    Raises:
        InputError: there is no such column.
    """
    counts: Counter[Any] = Counter()
    for column in _scan(snapshot, name):
        flat = pc.list_flatten(column) if pa.types.is_list(column.type) else column
        for entry in pc.value_counts(flat.drop_null()).to_pylist():
            counts[entry["values"]] += entry["counts"]
        if len(counts) > _MOST_VALUES:
            break
    return sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:limit]


def facet_counts(
    snapshot: Snapshot,
    name: str,
    row_ids: NDArray[np.uint64] | None,
    *,
    columns: ColumnProvider,
    limit: int = 20,
) -> list[tuple[Any, int]]:
    """The most frequent values among some rows with the number of them that have it, most frequent first.

    Of a list column each element counts. Rows without a value are left out. Ties by the value's text.

    Args:
        snapshot: of the rows.
        name: of a stored or computed column, as filters name it.
        row_ids: uint64 [N], live; None for all.
        columns: of the computed columns.
        limit: most values.

    Raises:
        InputError: there is no such column.
    """
    computed = filter_names(snapshot.collection.settings.filter_fields, columns.kinds)
    if name in computed:
        counts = Counter(_computed_values(columns.column(computed[name], snapshot), row_ids))
        return sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:limit]
    stored = _stored_name(snapshot, name)
    if row_ids is None or row_ids.size > _MOST_TAKEN:
        found = [_flat(column) for column in _scanned(snapshot, stored, row_ids)]
    else:
        found = [_flat(column) for column in snapshot.store.take(row_ids, [stored]).column(0).chunks]
    return _most_frequent(found, limit)


def _most_frequent(columns: list[pa.Array], limit: int) -> list[tuple[Any, int]]:
    """Only those that may be among the first become Python values: a column of names has tens of thousands."""
    if not columns or not limit:
        return []
    counted = pc.value_counts(pa.chunked_array(columns))
    counts = counted.field("counts").to_numpy()
    if counts.size > limit:
        counted = counted.filter(pa.array(counts >= np.partition(counts, -limit)[-limit]))
    found = [(entry["values"], entry["counts"]) for entry in counted.to_pylist()]
    return sorted(found, key=lambda item: (-item[1], str(item[0])))[:limit]


def _computed_values(column: RowColumn, row_ids: NDArray[np.uint64] | None) -> list[Any]:
    wanted = np.ones(len(column.row_ids), np.bool_) if row_ids is None else np.isin(column.row_ids, row_ids)
    if isinstance(column.values, np.ndarray):
        found = column.values[wanted].tolist()
    else:
        found = [column.values[at] for at in np.flatnonzero(wanted).tolist()]
    if column.kind == "list<string>":
        return [element for value in found for element in value]
    return [value for value in found if value is not None and value == value]


def _scanned(snapshot: Snapshot, stored: str, row_ids: NDArray[np.uint64] | None) -> Iterator[pa.Array]:
    for batch in snapshot.store.scan([stored], rows=65_536):
        if row_ids is None:
            yield batch[stored]
        else:
            yield batch[stored].filter(pa.array(np.isin(batch["_rowid"].to_numpy(), row_ids)))


def _flat(column: pa.Array) -> pa.Array:
    flat = pc.list_flatten(column) if pa.types.is_list(column.type) else column
    if pa.types.is_floating(flat.type):  # NaN counts as missing, as in filters
        flat = flat.filter(pc.invert(pc.is_nan(flat)))
    return flat.drop_null()


def column_range(snapshot: Snapshot, name: str) -> tuple[Any, Any]:
    """Least and greatest value, (None, None) when all are null.

    Args:
        snapshot: to look into.
        name: of a column of numbers or dates.

    Raises:
        InputError: there is no such column, or it holds lists.
    """
    low, high = None, None
    for column in _scan(snapshot, name):
        if pa.types.is_list(column.type):
            raise InputError(f"lists have no range: {name!r}", "the column", "ask for its values")
        if pa.types.is_floating(column.type):  # NaN counts as missing, as in filters
            column = column.filter(pc.invert(pc.is_nan(column)))
        found = pc.min_max(column).as_py()
        if found["min"] is not None:
            low = found["min"] if low is None else min(low, found["min"])
            high = found["max"] if high is None else max(high, found["max"])
    return low, high


def _scan(snapshot: Snapshot, name: str) -> Any:
    stored = _stored_name(snapshot, name)
    for batch in snapshot.store.scan([stored]):
        yield batch[stored]


def _stored_name(snapshot: Snapshot, name: str) -> str:
    stored = snapshot.collection.settings.column_fields.get(name)
    if stored is None:
        known = ", ".join(snapshot.collection.settings.columns) or "none"
        raise InputError(
            f"there is no column {name!r}", str(snapshot.collection.path), f"the columns are: {known}"
        )
    return stored
