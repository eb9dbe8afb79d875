"""Documents and their passages to rows of the store, and back."""

import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoder.errors import InputError
from indexer.documents import Document, Passage
from indexer.ingest.known import document_hash
from indexer.storage.manifest import CollectionSettings

_SURROGATE = re.compile("[\ud800-\udfff]")
# fp16 keeps about three digits, so a unit vector comes back with a length this near to 1.
_UNIT_TOLERANCE = 2e-3


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document ready to be stored.

    Attributes:
        document: with its final id and clean texts.
        content_hash: 16 bytes over title, text, how they are cut, and the encoder.
        meta_hash: 16 bytes over the metadata.
        metadata: values of the collection's columns.
        extra: JSON of the columns that the collection does not have; None without any.
    """

    document: Document
    content_hash: bytes
    meta_hash: bytes
    metadata: dict[str, Any]
    extra: str | None


def clean_text(text: str) -> str:
    """The text with lone surrogates replaced, one character for one, since no file can hold them."""
    return _SURROGATE.sub("\ufffd", text) if not text.isascii() else text


def prepare(document: Document, settings: CollectionSettings, source_id: str | None) -> Prepared:
    """Cleans and hashes one document.

    Args:
        document: as read.
        settings: of the collection.
        source_id: the id to use; None to use the document's own.
    """
    title, text = clean_text(document.title), clean_text(document.text)
    metadata, rest = {}, {}
    for name, value in document.metadata.items():
        kind = settings.columns.get(name)
        if kind is not None:
            metadata[name] = _as_kind(value, kind, document, name)
        elif value is not None:
            rest[name] = value
    extra = json.dumps(rest, sort_keys=True, default=str, ensure_ascii=False) if rest else None
    cut = f"{settings.window}/{settings.overlap}/{settings.text_fingerprint}"
    known = {
        name: value for name, value in metadata.items() if value is not None
    }  # no value, or no such column
    described = json.dumps(known, sort_keys=True, default=str, ensure_ascii=False)
    return Prepared(
        Document(
            clean_text(source_id or document.id or ""), title, text, metadata, document.row, document.origin
        ),
        document_hash(title, text, cut),
        document_hash(described, clean_text(extra or "")),
        metadata,
        None if extra is None else clean_text(extra),
    )


def _as_kind(value: Any, kind: str, document: Document, name: str) -> Any:
    if value is None:
        return None
    if kind == "string":
        return clean_text(value if isinstance(value, str) else str(value))
    if kind == "list<string>" and isinstance(value, list | tuple):
        return [clean_text(str(item)) for item in value if item is not None]
    fits = {
        "int64": lambda: isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63,
        "float64": lambda: isinstance(value, int | float) and not isinstance(value, bool),
        "bool": lambda: isinstance(value, bool),
        "date": lambda: isinstance(value, date) and not isinstance(value, datetime),
        "timestamp": lambda: isinstance(value, datetime),
    }
    if kind in fits and fits[kind]():
        return float(value) if kind == "float64" else value
    raise InputError(
        f"{value!r} does not fit the column {name!r}, which holds {kind} in this collection",
        document.row or f"document {document.id}",
        "correct the value, leave the column out with --metadata, or index into a new collection",
    )


def passage_id(prepared: Prepared, number: int) -> str:
    """Id of a passage: document, position, and eight hex digits of content and metadata.

    A changed document gets new ids, so its new rows can be inserted before the old ones are deleted.
    """
    return passage_id_of(prepared.document.id or "", number, prepared.content_hash, prepared.meta_hash)


def passage_id_of(document_id: str, number: int, content: bytes, meta: bytes) -> str:
    """Id of passage `number` of a document with these hashes."""
    return f"{document_id}#{number}-{document_hash(content.hex(), meta.hex()).hex()[:8]}"


def document_of_passage(passage_id: str) -> str:
    """Id of the document that a passage belongs to."""
    return passage_id.rpartition("#")[0]


def new_rows(
    schema: pa.Schema,
    settings: CollectionSettings,
    batch: Sequence[tuple[Prepared, Sequence[Passage]]],
    vectors: NDArray[np.float32],
    source: str,
) -> pa.Table:
    """Rows of new or changed documents.

    Args:
        schema: of the store.
        settings: of the collection.
        batch: documents with their passages.
        vectors: float32 [passages in all, D], unit rows, in order.
        source: label of the source.

    Raises:
        InputError: a vector is not finite or not of unit length.
    """
    flat = [(prepared, passage) for prepared, passages in batch for passage in passages]
    _check_vectors(vectors, flat)
    gaps = [pair for prepared, passages in batch for pair in _gaps(prepared.document.text, passages)]
    halves = pa.array(vectors.astype(np.float16).reshape(-1))
    values: dict[str, Any] = {
        "id": [passage_id(prepared, passage.number) for prepared, passage in flat],
        "doc_id": [prepared.document.id for prepared, _ in flat],
        "doc_hash": [prepared.content_hash for prepared, _ in flat],
        "meta_hash": [prepared.meta_hash for prepared, _ in flat],
        "content_hash": [document_hash(passage.content) for _, passage in flat],
        "chunk_no": [passage.number for _, passage in flat],
        "char_start": [passage.start for _, passage in flat],
        "char_end": [passage.end for _, passage in flat],
        "title": [prepared.document.title for prepared, _ in flat],
        "content": [passage.content for _, passage in flat],
        "text_at": [len(passage.content) - (passage.end - passage.start) for _, passage in flat],
        "gap_before": [before for before, _ in gaps],
        "gap_after": [after for _, after in gaps],
        "source": [prepared.document.origin or source for prepared, _ in flat],
        "ingest_id": [uuid.uuid4().hex[:12]] * len(flat),
        "extra": [prepared.extra for prepared, _ in flat],
        "vec": pa.FixedSizeListArray.from_arrays(halves, settings.dimension),
    }
    for name, stored in settings.column_fields.items():
        values[stored] = [prepared.metadata.get(name) for prepared, _ in flat]
    return _table(schema, values)


def _gaps(text: str, passages: Sequence[Passage]) -> Iterator[tuple[str, str]]:
    """For each passage the text between the end of those before it and its start, and after the last the rest."""
    end = 0
    for passage in passages:
        before = text[end : passage.start]
        end = max(end, passage.end)
        yield before, text[end:] if passage is passages[-1] else ""


def _check_vectors(vectors: NDArray[np.float32], flat: Sequence[tuple[Prepared, Passage]]) -> None:
    lengths = np.linalg.norm(vectors, axis=1)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < _UNIT_TOLERANCE))  # NaN is wrong as well
    if wrong.size:
        prepared, passage = flat[int(wrong[0])]
        raise InputError(
            f"the encoder made a vector of length {lengths[wrong[0]]:.4g} instead of 1",
            f"{prepared.document.row or prepared.document.id}, passage {passage.number}",
            "the encoder is broken: try `llm2comp encode` on this text, or another --encoder",
        )


def _table(schema: pa.Schema, values: Mapping[str, Any]) -> pa.Table:
    arrays = [
        values[field.name]
        if isinstance(values[field.name], pa.Array | pa.ChunkedArray)
        else pa.array(values[field.name], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def rows_with_metadata(
    schema: pa.Schema, settings: CollectionSettings, old: pa.Table, changed: Iterable[Prepared]
) -> pa.Table:
    """The rows of documents of which only the metadata changed: old vectors, new values, new ids.

    Args:
        schema: of the store.
        settings: of the collection.
        old: their rows, all columns.
        changed: the documents.
    """
    prepared = {entry.document.id: entry for entry in changed}
    old = old.select(schema.names)
    owners = [prepared[name] for name in old["doc_id"].to_pylist()]
    values = {name: old[name] for name in schema.names}
    values["meta_hash"] = [owner.meta_hash for owner in owners]
    values["id"] = [
        passage_id(owner, number) for owner, number in zip(owners, old["chunk_no"].to_pylist(), strict=True)
    ]
    values["extra"] = [owner.extra for owner in owners]
    for name, stored in settings.column_fields.items():
        values[stored] = [owner.metadata.get(name) for owner in owners]
    return _table(schema, values)


def rebuild_text(passages: pa.Table) -> str:
    """The document's text from its passages, to the character.

    Args:
        passages: rows of one document with the columns `TEXT_COLUMNS`.
    """
    order = pc.sort_indices(passages, sort_keys=[("char_start", "ascending")])
    text, end, after = [], 0, ""
    for row in passages.take(order).to_pylist():
        piece = row["content"][row["text_at"] :]
        start = row["char_start"]
        if start > end:
            text.append(row["gap_before"])
            end = start
        if row["char_end"] > end:
            text.append(piece[end - start :])
            end = row["char_end"]
        after = row["gap_after"]
    return "".join([*text, after])
