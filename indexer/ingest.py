"""The indexing job: read, skip what is known, cut, encode, append in atomic commits, publish.

It holds one block of passages in memory at a time. Every commit is final, so a killed job started again with
the same source goes on where it was: what is stored with equal hashes is skipped.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoder.embedder import Embedder
from encoder.errors import InputError
from indexer.collection import Collection
from indexer.documents import Document, Passage
from indexer.known import KnownDocuments, document_hash
from indexer.lock import writer_lock
from indexer.passages import cut_passages
from indexer.progress import JobProgress, Report, silent
from indexer.publish import publish
from indexer.rows import Prepared, clean_text, new_rows, prepare, rows_with_metadata
from indexer.sources.source import OnBadRow, Source
from indexer.store import RowStore

# Passages encoded together: enough to sort by length, few enough to be lost by a kill.
_BLOCK_PASSAGES = 2048
_COMMIT_PASSAGES = 8192
_COMMIT_EVERY_S = 10.0

_Cut = tuple[Prepared, list[Passage]]


@dataclass(slots=True)
class AddReport:
    """What an indexing job did, in documents unless said otherwise.

    Attributes:
        read: read from the source, kept or not.
        added: new ones.
        changed: replaced because title or text changed.
        metadata_changed: given new metadata, without encoding again.
        unchanged: already there.
        removed: deleted because the source no longer has them (`mirror` only).
        passages: encoded.
        tokens: encoded.
        encode_s: seconds inside the encoder.
        total_s: seconds in all.
        counts: rows left out by the source: "empty", "bad" ...
        version: the published version.
    """

    read: int = 0
    added: int = 0
    changed: int = 0
    metadata_changed: int = 0
    unchanged: int = 0
    removed: int = 0
    passages: int = 0
    tokens: int = 0
    encode_s: float = 0.0
    total_s: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    version: int = 0


def add_source(
    collection: Collection,
    source: Source,
    encoder: Embedder,
    *,
    mirror: bool = False,
    on_bad_row: OnBadRow = "stop",
    index: str | None = None,
    report: Report = silent,
) -> AddReport:
    """Adds what is new or changed in `source` and publishes the result.

    Args:
        collection: to add to.
        source: of documents. Without an id column a document's id is a hash of its content and occurrence, so
            a changed row is a new one.
        encoder: the one that made the collection.
        mirror: delete documents that an earlier job took from this source and that it no longer has.
        on_bad_row: "stop" at a doubled id, or "skip" it and keep the first.
        index: index kind to build; None keeps the kind asked for last.
        report: called as the job goes on.

    Returns:
        What was done.

    Raises:
        IndexMismatchError: the collection was made with another encoder.
        LockedError: another process writes the collection.
        InputError: the source has a bad row or a doubled id; all before it is stored.
        CollectionError: the disk is full or the folder cannot be written; all committed rows are kept.
    """
    collection.check_encoder(encoder)
    with writer_lock(collection.path):
        job = _Job(collection, source, encoder, on_bad_row, report)
        job.run()
        if mirror:
            job.remove_vanished()
        job.done.version = publish(collection, job.store, index=index, report=report).number
        job.done.total_s = time.monotonic() - job.started
        job.done.counts = dict(source.counts)
    return job.done


class _Job:
    """One run over one source."""

    def __init__(
        self, collection: Collection, source: Source, encoder: Embedder, on_bad_row: OnBadRow, report: Report
    ) -> None:
        self.collection, self.source, self.encoder, self.report = collection, source, encoder, report
        self._on_bad_row = on_bad_row
        self.started = time.monotonic()
        self.done = AddReport()
        self.store: RowStore = collection.open_rows()
        self.known, superseded = KnownDocuments.from_rows(
            self.store.scan(["doc_id", "doc_hash", "meta_hash"])
        )
        self.store.delete(superseded)
        self._occurrences: Counter[str] = Counter()
        self._waiting: list[pa.Table] = []  # encoded rows, not yet committed
        self._replaced: list[NDArray[np.uint64]] = []  # row ids that they replace
        self._last_commit = time.monotonic()

    def run(self) -> None:
        """Reads the source to its end; what was committed stays when it fails on the way."""
        block: list[_Cut] = []
        passages = 0
        try:
            for documents in self.source.batches():
                fresh = self._sort_out(documents)
                for prepared, cut in self._cut(fresh):
                    block.append((prepared, cut))
                    passages += len(cut)
                    if passages >= _BLOCK_PASSAGES:
                        self._encode(block)
                        block, passages = [], 0
                self._tell()
        except InputError:
            self._finish(block)
            raise
        self._finish(block)

    def _finish(self, block: list[_Cut]) -> None:
        if block:
            self._encode(block)
        self._commit()

    def _sort_out(self, documents: Sequence[Document]) -> list[tuple[Prepared, bool]]:
        """The documents that must be encoded, each with whether it replaces an older state."""
        fresh: list[tuple[Prepared, bool]] = []
        metadata_only: list[Prepared] = []
        for document in documents:
            self.done.read += 1
            prepared = prepare(document, self.collection.settings, self._own_id(document))
            name = prepared.document.id or ""
            match self.known.meet(name, prepared.content_hash, prepared.meta_hash):
                case "new":
                    self.done.added += 1
                    fresh.append((prepared, False))
                case "changed":
                    self.done.changed += 1
                    fresh.append((prepared, True))
                case "metadata":
                    self.done.metadata_changed += 1
                    metadata_only.append(prepared)
                case "same":
                    self.done.unchanged += 1
                case _:
                    self._refuse_doubled(name, document)
        if metadata_only:
            self._renew_metadata(metadata_only)
        return fresh

    def _own_id(self, document: Document) -> str | None:
        if document.id is not None:
            return None
        base = document_hash(clean_text(document.title), clean_text(document.text)).hex()[:16]
        self._occurrences[base] += 1
        count = self._occurrences[base]
        return base if count == 1 else f"{base}-{count}"

    def _refuse_doubled(self, name: str, document: Document) -> None:
        if self._on_bad_row == "skip":
            self.source.counts["doubled id"] += 1
            return
        raise InputError(
            f"the id {name!r} occurs twice in the source",
            document.row or self.source.name,
            "name a column whose values are unique with --id, or keep the first of each with --on-bad-row skip",
        )

    def _cut(self, fresh: list[tuple[Prepared, bool]]) -> Iterator[_Cut]:
        settings = self.collection.settings
        pieces = cut_passages(
            [prepared.document for prepared, _ in fresh],
            self.encoder,
            window=settings.window,
            overlap=settings.overlap,
        )
        replaced = [prepared.document.id for prepared, is_replacing in fresh if is_replacing]
        if replaced:
            self._replaced.append(self._row_ids(replaced))
        for (prepared, _), cut in zip(fresh, pieces, strict=True):
            yield prepared, cut

    def _row_ids(self, names: Sequence[str | None]) -> NDArray[np.uint64]:
        return self.store.matching(pc.field("doc_id").isin(list(names)))

    def _encode(self, block: list[_Cut]) -> None:
        texts = [passage.content for _, passages in block for passage in passages]
        began, before = time.monotonic(), self.done.tokens

        def count(_done: int, _total: int, tokens: int) -> None:
            self.done.tokens = before + tokens
            self._tell()

        vectors = self.encoder.encode_document(texts, progress=count)
        self.done.encode_s += time.monotonic() - began
        self.done.passages += len(texts)
        self._waiting.append(
            new_rows(self.store.schema, self.collection.settings, block, vectors, self.source.name)
        )
        rows = sum(table.num_rows for table in self._waiting)
        if rows >= _COMMIT_PASSAGES or time.monotonic() - self._last_commit >= _COMMIT_EVERY_S:
            self._commit()

    def _commit(self) -> None:
        """First the new rows, then away with the old: a kill in between leaves both, never neither."""
        if self._waiting:
            self.store.insert(pa.concat_tables(self._waiting))
        for row_ids in self._replaced:
            self.store.delete(row_ids)
        self._waiting, self._replaced = [], []
        self._last_commit = time.monotonic()

    def _renew_metadata(self, changed: list[Prepared]) -> None:
        names = [prepared.document.id for prepared in changed]
        batches = list(
            self.store.scan(self.store.schema.names, condition=pc.field("doc_id").isin(list(names)))
        )
        old = pa.Table.from_batches(batches)
        self._waiting.append(rows_with_metadata(self.store.schema, self.collection.settings, old, changed))
        self._replaced.append(old["_rowid"].to_numpy().astype(np.uint64))

    def remove_vanished(self) -> None:
        """Deletes documents that came from this source and were not met in this run."""
        gone: list[NDArray[np.uint64]] = []
        names: set[str] = set()
        own = pc.field("source") == self.source.name
        for batch in self.store.scan(["doc_id"], condition=own):
            vanished = [not self.known.was_met(name) for name in batch["doc_id"].to_pylist()]
            names.update(batch["doc_id"].filter(pa.array(vanished)).to_pylist())
            gone.append(batch["_rowid"].to_numpy()[np.array(vanished, np.bool_)].astype(np.uint64))
        if names:
            self.store.delete(np.concatenate(gone))
        self.done.removed = len(names)

    def _tell(self) -> None:
        self.report(
            JobProgress(
                "indexing", self.done.read, self.done.passages, self.done.tokens, self.source.fraction_read()
            )
        )
