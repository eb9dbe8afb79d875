"""The documents of a collection as a source, so that they can be encoded again."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from indexer.collection import Collection
from indexer.documents import Document
from indexer.ingest.rows import rebuild_text
from indexer.sources.source import MetadataType, Source
from indexer.storage.row_schema import TEXT_COLUMNS
from indexer.storage.store import RowStore

_DOCUMENTS = 512


class RowsSource(Source):
    """The documents of a collection as a source, put together from their passages.

    Args:
        collection: to read, at its newest rows.
    """

    def __init__(self, collection: Collection) -> None:
        self.name = collection.settings.name
        self.columns: dict[str, MetadataType] = dict(collection.settings.columns)  # type: ignore[arg-type]
        self.guessed: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self.misfits: Counter[str] = Counter()
        self.bad_rows: list[str] = []
        self.skips_bad_rows = False
        self.notes: list[str] = []
        self._fields = collection.settings.column_fields
        self._store: RowStore = collection.open_rows()
        self._read = 0
        self._total = max(1, self._store.count())

    def batches(self, rows: int = _DOCUMENTS) -> Iterator[list[Document]]:
        """Documents, each whole, in the order of their ids.

        Raises:
            CollectionError: a row cannot be read.
        """
        names = sorted(
            {name for batch in self._store.scan(["doc_id"]) for name in batch["doc_id"].to_pylist()}
        )
        wanted = [
            "doc_id",
            "source",
            "title",
            "extra",
            *TEXT_COLUMNS,
            *self._fields.values(),
        ]
        for at in range(0, len(names), rows):
            some = names[at : at + rows]
            found = list(self._store.scan(wanted, condition=pc.field("doc_id").isin(some)))
            table = pa.Table.from_batches(found)
            self._read += table.num_rows
            yield list(self._documents(table))

    def _documents(self, table: pa.Table) -> Iterator[Document]:
        table = table.sort_by([("doc_id", "ascending"), ("char_start", "ascending")])
        names = table["doc_id"].to_pylist()
        start = 0
        for end in range(1, len(names) + 1):
            if end < len(names) and names[end] == names[start]:
                continue
            rows = table.slice(start, end - start)
            first = rows.slice(0, 1).to_pylist()[0]
            metadata: dict[str, Any] = {name: first[stored] for name, stored in self._fields.items()}
            yield Document(
                id=names[start],
                title=first["title"],
                text=rebuild_text(rows),
                metadata={**json.loads(first["extra"] or "{}"), **metadata},
                row=f"document {names[start]}",
                origin=first["source"],
            )
            start = end

    def fraction_read(self) -> float:
        """Share of the passages read, 0 to 1."""
        return self._read / self._total
