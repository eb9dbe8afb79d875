"""Hits as a file: csv for spreadsheets, jsonl and parquet for programs; each row says where it came from."""

import csv
import io
import json
from typing import Any

from indexer.export import safe_cell
from indexer.hits import Hit, SearchResult

_FIELDS = ("rank", "id", "document_id", "score", "dense", "keyword", "title", "text", "start", "end")
_ORIGIN = ("query", "corpus", "version", "encoder")


def to_csv(result: SearchResult, corpus: str) -> bytes:
    """The hits as comma-separated UTF-8 with a byte order mark, which spreadsheets need to see UTF-8.

    Texts that a spreadsheet would run as a formula get a leading apostrophe; jsonl and parquet keep them as they are.
    """
    columns = _metadata_columns(result)
    sheet = io.StringIO()
    writer = csv.writer(sheet)
    writer.writerow([safe_cell(name) for name in (*_FIELDS, *columns.values(), *_ORIGIN)])
    for hit in result.hits:
        cells = [
            *_values(hit),
            *(hit.metadata.get(name) for name in columns),
            *_origin(result, corpus),
        ]
        writer.writerow([safe_cell(cell) for cell in cells])
    return sheet.getvalue().encode("utf-8-sig")


def to_jsonl(result: SearchResult, corpus: str) -> bytes:
    """One JSON object a line for each hit, metadata with its types, and its origin."""
    origin = dict(zip(_ORIGIN, _origin(result, corpus), strict=True))
    lines = []
    for hit in result.hits:
        record = {**_record(hit), "metadata": hit.metadata, **origin}
        lines.append(json.dumps(record, ensure_ascii=False, default=str) + "\n")
    return "".join(lines).encode()


def to_parquet(result: SearchResult, corpus: str) -> bytes:
    """The hits as one parquet table with typed metadata columns; the schema carries the origin."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(_parquet_columns(result))
    origin = dict(zip(_ORIGIN, _origin(result, corpus), strict=True))
    table = table.replace_schema_metadata(
        {"llm2comp": json.dumps({"format": 1, **origin}, ensure_ascii=False)}
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _parquet_columns(result: SearchResult) -> dict[str, Any]:
    import pyarrow as pa

    types = {"rank": pa.int64(), "score": pa.float64(), "dense": pa.float64(), "keyword": pa.float64()}
    types |= {"start": pa.int64(), "end": pa.int64()}
    records = [_record(hit) for hit in result.hits]
    columns: dict[str, Any] = {
        name: pa.array([record[name] for record in records], types.get(name, pa.string())) for name in _FIELDS
    }
    for name, shown in _metadata_columns(result).items():
        columns[shown] = pa.array([hit.metadata.get(name) for hit in result.hits])
    return columns


def _values(hit: Hit) -> tuple[Any, ...]:
    return (
        hit.rank,
        hit.id,
        hit.document_id,
        hit.score,
        hit.dense,
        hit.keyword,
        hit.title,
        hit.text,
        *hit.span,
    )


def _record(hit: Hit) -> dict[str, Any]:
    return dict(zip(_FIELDS, _values(hit), strict=True))


def _origin(result: SearchResult, corpus: str) -> tuple[Any, ...]:
    return result.query, corpus, result.provenance.version, result.provenance.encoder


def _metadata_columns(result: SearchResult) -> dict[str, str]:
    """Metadata column to its name in a file, where one of ours may be called the same."""
    chosen: dict[str, str] = {}
    for name in dict.fromkeys(name for hit in result.hits for name in hit.metadata):
        shown = name
        while shown in {*_FIELDS, *_ORIGIN, *chosen.values()}:
            shown = f"metadata.{shown}"
        chosen[name] = shown
    return chosen
