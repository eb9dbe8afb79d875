"""What a metadata column holds: its frequent values and its range, to build filters from."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from encoder.errors import InputError
from indexer.query.snapshot import Snapshot

# Distinct values that are counted exactly; a column with more is an identifier, not a category.
_MOST_VALUES = 100_000


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
    stored = snapshot.collection.settings.column_fields.get(name)
    if stored is None:
        known = ", ".join(snapshot.collection.settings.columns) or "none"
        raise InputError(
            f"there is no column {name!r}", str(snapshot.collection.path), f"the columns are: {known}"
        )
    for batch in snapshot.store.scan([stored]):
        yield batch[stored]
