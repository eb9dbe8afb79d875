"""Column names made distinct."""

from collections.abc import Sequence

import pyarrow as pa


def distinct_names(schema: pa.Schema) -> pa.Schema:
    """The schema with a number after each name that was there before: a, a_2."""
    return pa.schema(
        [field.with_name(name) for field, name in zip(schema, distinct(schema.names), strict=True)],
        schema.metadata,
    )


def distinct(names: Sequence[str]) -> list[str]:
    """The names, stripped, each once: an empty one becomes column_3, a second `a` becomes a_2."""
    taken = {name.strip() for name in names}
    seen: set[str] = set()
    result = []
    for position, raw in enumerate(names, start=1):
        name = raw.strip() or f"column_{position}"
        candidate, number = name, 2
        while candidate in seen or (number > 2 and candidate in taken):
            candidate, number = f"{name}_{number}", number + 1
        seen.add(candidate)
        result.append(candidate)
    return result
