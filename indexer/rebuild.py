"""Making derived things new: the index of the same vectors, or every vector with another encoder."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from encoder.embedder import Embedder
from encoder.errors import CollectionError, InputError
from indexer.collection import DERIVED_FOLDER, Collection
from indexer.documents import Document
from indexer.ingest import AddReport, add_source
from indexer.lock import writer_lock
from indexer.manifest import Publication
from indexer.progress import Report, silent
from indexer.publish import publish
from indexer.rows import rebuild_text
from indexer.sources.source import MetadataType, Source
from indexer.store import WORD_COLUMN, RowStore

_DOCUMENTS = 512


def rebuild_index(
    collection: Collection, *, index: str | None = None, report: Report = silent
) -> Publication:
    """Builds all segments anew from the row store and publishes them.

    Args:
        collection: to rebuild.
        index: index kind; None keeps the one asked for last.
        report: called as it goes on.

    Raises:
        LockedError: another process writes the collection.
        CollectionError: the row store cannot be read, or the disk is full.
    """
    with writer_lock(collection.path):
        derived = collection.path / DERIVED_FOLDER
        derived.mkdir(exist_ok=True)
        for build in derived.iterdir():  # a reader falls back on the row store until the new ones are there
            if any(build.glob("seg-*")):
                shutil.rmtree(build)
        return publish(collection, collection.open_rows(), index=index, report=report)


def reembed(
    collection: Collection,
    encoder: Embedder,
    *,
    window: int | None = None,
    overlap: int | None = None,
    report: Report = silent,
) -> AddReport:
    """Cuts and encodes every document with another encoder, then puts the new collection in place of the old.

    The new one grows beside the old, which answers until the last moment. Killed and started again it goes on.

    Args:
        collection: to replace.
        encoder: the new one.
        window: tokens of a passage; the new encoder's limit when None.
        overlap: tokens shared by neighbours; an eighth of the window when None.
        report: called as it goes on.

    Raises:
        LockedError: another process writes the collection.
        CollectionError: the rows cannot be read, or the disk is full.
    """
    path = collection.path.resolve()
    beside = path.with_name(f"{path.name}.rebuild")
    with writer_lock(path):
        target = _continue_or_create(beside, collection, encoder, window, overlap)
        done = add_source(target, RowsSource(collection), encoder, report=report)
        retired = path.with_name(f"{path.name}.before-rebuild")
        if retired.exists():
            shutil.rmtree(retired)
        path.rename(retired)
        beside.rename(path)
    shutil.rmtree(retired, ignore_errors=True)
    return done


def _continue_or_create(
    beside: Path, collection: Collection, encoder: Embedder, window: int | None, overlap: int | None
) -> Collection:
    try:
        target = Collection.open(beside)
        target.check_encoder(encoder)
    except (CollectionError, InputError):
        shutil.rmtree(beside, ignore_errors=True)
    else:
        return target
    return Collection.create(
        beside,
        name=collection.settings.name,
        encoder=encoder,
        columns=collection.settings.columns,
        window=window,
        overlap=overlap,
        words=collection.settings.words,
    )


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
        wanted = ["doc_id", "source", "title", WORD_COLUMN, "text_at", "char_start", "char_end", *self._fields.values()]
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
            metadata = {name: first[stored] for name, stored in self._fields.items()}
            yield Document(
                names[start], first["title"], rebuild_text(rows), metadata, f"document {names[start]}"
            )
            start = end

    def fraction_read(self) -> float:
        """Share of the passages read, 0 to 1."""
        return self._read / self._total
