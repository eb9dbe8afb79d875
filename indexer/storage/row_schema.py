"""What a row of the store consists of: one passage, with its document, vector and metadata."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from encoder.errors import CollectionError

WORD_COLUMN = "content"
# What `indexer.ingest.rows.rebuild_text` makes the text of a document from.
TEXT_COLUMNS = (WORD_COLUMN, "text_at", "char_start", "char_end", "gap_before", "gap_after")

_ARROW_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "list<string>": pa.list_(pa.string()),
}


def row_schema(dimension: int, columns: dict[str, str], column_fields: dict[str, str]) -> pa.Schema:
    """Schema of the rows: one a passage.

    Args:
        dimension: numbers per vector.
        columns: metadata column to its type.
        column_fields: metadata column to the stored field.
    """
    key = {"lance-schema:unenforced-primary-key": "true"}  # two equal inserts then land once
    base = [
        pa.field("id", pa.string(), nullable=False, metadata=key),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("doc_hash", pa.binary(16), nullable=False),
        pa.field("meta_hash", pa.binary(16), nullable=False),
        pa.field("content_hash", pa.binary(16), nullable=False),
        pa.field("chunk_no", pa.int32(), nullable=False),
        pa.field("char_start", pa.int64(), nullable=False),
        pa.field("char_end", pa.int64(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field(WORD_COLUMN, pa.string(), nullable=False),
        pa.field("text_at", pa.int32(), nullable=False),  # where the passage starts in `content`
        pa.field("gap_before", pa.string(), nullable=False),  # white space that no passage covers
        pa.field("gap_after", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("ingest_id", pa.string(), nullable=False),
        pa.field("extra", pa.string()),
        pa.field("vec", pa.list_(pa.float16(), dimension)),
    ]
    return pa.schema(
        base + [pa.field(column_fields[name], _ARROW_TYPES[kind]) for name, kind in columns.items()]
    )


def vectors_of(batch: pa.RecordBatch, dimension: int) -> NDArray[np.float16]:
    """The column `vec` of a scanned batch, float16 [rows, D].

    Raises:
        CollectionError: a row has no vector, or one of another length.
    """
    numbers = (
        batch["vec"].flatten().to_numpy(zero_copy_only=False)
    )  # unlike `values` it minds where a slice starts
    if numbers.size != batch.num_rows * dimension:
        raise CollectionError(
            f"the vectors of {batch.num_rows} rows have {numbers.size} numbers instead of {dimension} each",
            "rows.lance",
            "the row store is damaged or foreign; index the sources again into a new collection",
        )
    return numbers.reshape(-1, dimension)
