"""Arrow types and values as metadata types and Python values."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from indexer.sources.source import MetadataType

BEYOND = "out of range"


def metadata_type(arrow: pa.DataType) -> MetadataType | None:
    """The type that such a column has in a collection; None where nothing is known because all is null."""
    if pa.types.is_dictionary(arrow):
        return metadata_type(arrow.value_type)
    for test, type_ in _TYPES:
        if test(arrow):
            return type_
    if _is_list(arrow) and _is_string(arrow.value_type):
        return "list<string>"
    return None if pa.types.is_null(arrow) else "string"


def _is_string(arrow: pa.DataType) -> bool:
    return pa.types.is_string(arrow) or pa.types.is_large_string(arrow) or pa.types.is_string_view(arrow)


def _is_list(arrow: pa.DataType) -> bool:
    return pa.types.is_list(arrow) or pa.types.is_large_list(arrow) or pa.types.is_fixed_size_list(arrow)


_TYPES: tuple[tuple[Any, MetadataType], ...] = (
    (_is_string, "string"),
    (pa.types.is_boolean, "bool"),
    (pa.types.is_integer, "int64"),
    (pa.types.is_floating, "float64"),
    (pa.types.is_decimal, "float64"),
    (pa.types.is_date, "date"),
    (pa.types.is_timestamp, "timestamp"),
)


def is_left_out(arrow: pa.DataType) -> bool:
    """Whether a column is no use as metadata: bytes, pictures, and vectors of numbers."""
    if pa.types.is_binary(arrow) or pa.types.is_large_binary(arrow) or pa.types.is_fixed_size_binary(arrow):
        return True
    if _is_list(arrow):
        inner = arrow.value_type
        return (
            pa.types.is_integer(inner) or pa.types.is_floating(inner) or _is_list(inner) or is_left_out(inner)
        )
    return pa.types.is_struct(arrow) and any(
        is_left_out(arrow.field(i).type) for i in range(arrow.num_fields)
    )


def python_values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values as Python objects of the column's metadata type; structs, maps and odd lists as JSON text.

    What Python cannot hold (a date beyond the year 9999) becomes the text `BEYOND`, which fits no column but one of texts.
    """
    try:
        return _python_values(column)
    except UnicodeDecodeError:
        raise
    except (ValueError, OverflowError):  # ArrowInvalid is a ValueError too
        if len(column) == 1:
            return [BEYOND]
        return [value for i in range(len(column)) for value in python_values(column.slice(i, 1))]


def _python_values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    arrow = column.type
    if pa.types.is_dictionary(arrow):
        return python_values(pc.cast(column, arrow.value_type))
    if pa.types.is_timestamp(arrow):
        # Nanoseconds are cut off; of coarser units nothing is lost, unless the number is too large.
        return pc.cast(column, pa.timestamp("us"), safe=arrow.unit != "ns").to_pylist()
    if pa.types.is_decimal(arrow):
        return pc.cast(column, pa.float64(), safe=False).to_pylist()
    values: list[Any] = column.to_pylist()
    if pa.types.is_nested(arrow) and metadata_type(arrow) == "string":
        return [None if v is None else json.dumps(v, ensure_ascii=False, default=str) for v in values]
    return values
