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
from encoder.errors import CollectionError, InputError
from encoder.stats import EncodingStats
from indexer.collection import Collection
from indexer.documents import Document, Passage
from indexer.ingest.known import KNOWN_COLUMNS, KnownDocuments, document_hash
from indexer.ingest.rows import Prepared, clean_text, new_rows, prepare, rows_with_metadata
from indexer.passages.cut import cut_passages
from indexer.progress import JobProgress, Report, silent
from indexer.publish import publish
from indexer.sources.source import Source
from indexer.storage.lock import writer_lock
from indexer.storage.store import RowStore

# Passages encoded together: enough to sort by length, few enough to be lost by a kill. A slow encoder gets fewer,
# so that a commit is due about every ten seconds with it as well; a document is never divided.
_BLOCK_PASSAGES = 2048
_LEAST_BLOCK_PASSAGES = 32
_BLOCK_S = 5.0
_COMMIT_PASSAGES = 8192
_COMMIT_EVERY_S = 10.0
# Documents whose rows are held at once when only their metadata changed.
_RENEW_DOCUMENTS = 512


@dataclass(frozen=True, slots=True)
class _Cut:
    """A document on its way to the encoder.

    Attributes:
        prepared: with its hashes.
        passages: at least one.
        is_replacing: rows of an older state are stored.
    """

    prepared: Prepared
    passages: list[Passage]
    is_replacing: bool


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
        unknown: passages encoded whose writing the encoder hardly knows.
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
    unknown: int = 0
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
    take_over: bool = False,
    index: str | None = None,
    report: Report = silent,
) -> AddReport:
    """Adds what is new or changed in `source` and publishes the result.

    Args:
        collection: to add to.
        source: of documents; it says whether bad rows (a doubled id, a value that does not fit its column, the id
            of another source's document) stop the job or are left out and counted. Without an id column a
            document's id is a hash of its content and occurrence, so a changed row is a new one.
        encoder: the one that made the collection.
        mirror: delete documents that an earlier job took from this source and that it no longer has.
        take_over: let changed documents replace those of the same id that came from another source.
        index: index kind to build; None keeps the kind asked for last.
        report: called as the job goes on.

    Returns:
        What was done.

    Raises:
        IndexMismatchError: the collection was made with another encoder.
        LockedError: another process writes the collection.
        InputError: the source has a bad row; all before it is stored. Or it has no lasting name to mirror by.
        CollectionError: the disk is full or the folder cannot be written; all committed rows are kept.
    """
    collection.check_encoder(encoder)
    if mirror and not source.is_lasting:
        raise InputError(
            "a pipe or a table in memory has no lasting name, so nobody knows what an earlier run took from it",
            f"{source.name}, with --mirror",
            "write it to a file and index that, or run without --mirror",
        )
    with writer_lock(collection.path):
        job = _Job(collection, source, encoder, take_over, report)
        job.run()
        if mirror:
            job.remove_vanished()
        job.done.version = publish(collection, job.store, index=index, report=report).number
        job.done.total_s = time.monotonic() - job.started
        job.done.counts = {**source.counts, "bad": source.counts["bad"] + job.refused}
    return job.done


class _Job:
    """One run over one source."""

    def __init__(
        self, collection: Collection, source: Source, encoder: Embedder, take_over: bool, report: Report
    ) -> None:
        self.collection, self.source, self.encoder, self.report = collection, source, encoder, report
        self._take_over = take_over
        self.started = time.monotonic()
        self.done = AddReport()
        self.store: RowStore = collection.open_rows()
        self.known, superseded = KnownDocuments.from_rows(self.store.scan(KNOWN_COLUMNS))
        self.store.delete(superseded)
        self._occurrences: Counter[str] = Counter()
        self._waiting: list[pa.Table] = []  # encoded rows, not yet committed
        self._replaced: list[NDArray[np.uint64]] = []  # row ids that they replace
        self._last_commit = time.monotonic()
        self._block_passages = min(
            _LEAST_BLOCK_PASSAGES, _BLOCK_PASSAGES
        )  # until the encoder's speed is known
        self._unfinished = 0  # documents read, not yet encoded
        self.refused = 0  # rows that do not fit the collection

    def run(self) -> None:
        """Reads the source to its end; what came before a bad row is stored when it fails on the way."""
        block: list[_Cut] = []
        passages = 0
        try:
            for documents in self.source.batches():
                fresh, problem = self._sort_out(documents)
                self._unfinished += len(fresh)
                for cut in self._cut(fresh):
                    block.append(cut)
                    passages += len(cut.passages)
                    if passages >= self._block_passages:
                        self._encode(block)
                        block, passages = [], 0
                if problem:
                    raise problem
                self._tell()
        except InputError:
            self._commit()  # by itself, since the encoder may refuse the block again
            self._finish(block)
            raise
        self._finish(block)
        self._tell()

    def _finish(self, block: list[_Cut]) -> None:
        if block:
            self._encode(block)
        self._commit()

    def _sort_out(self, documents: Sequence[Document]) -> tuple[list[_Cut], InputError | None]:
        """The documents that must be encoded, not yet cut, up to the first that cannot be used, and why not."""
        fresh: list[_Cut] = []
        metadata_only: list[Prepared] = []
        problem = None
        for document in documents:
            self.done.read += 1
            try:
                prepared = prepare(document, self.collection.settings, self._own_id(document))
                state = self._meet(prepared, document)
            except InputError as error:
                if self.source.skips_bad_rows:
                    self.refused += 1
                    continue
                problem = error
                break
            if state in ("new", "changed"):
                fresh.append(_Cut(prepared, [], state == "changed"))
            elif state == "metadata":
                metadata_only.append(prepared)
        if metadata_only:
            self._renew_metadata(metadata_only)
        return fresh, problem

    def _meet(self, prepared: Prepared, document: Document) -> str:
        name = prepared.document.id or ""
        # With an origin it comes from a collection, where each id is one document already.
        label = None if document.origin or self._take_over else self.source.name
        state = self.known.meet(name, prepared.content_hash, prepared.meta_hash, label)
        match state:
            case "new":
                self.done.added += 1
            case "changed":
                self.done.changed += 1
            case "metadata":
                self.done.metadata_changed += 1
            case "same":
                self.done.unchanged += 1
            case "foreign":
                self._refuse_foreign(name, document)
            case _:
                self._refuse_doubled(name, document)
        return state

    def _own_id(self, document: Document) -> str | None:
        if document.id is not None:
            return None
        base = document_hash(clean_text(document.title), clean_text(document.text)).hex()[:16]
        if not self.known.was_met(base):  # so that only repeated texts are counted, in memory
            return base
        self._occurrences[base] += 1
        return f"{base}-{self._occurrences[base] + 1}"

    def _refuse_doubled(self, name: str, document: Document) -> None:
        if self.source.skips_bad_rows:
            self.source.counts["doubled id"] += 1
            return
        raise InputError(
            f"the id {name!r} occurs twice in the source",
            document.row or self.source.name,
            "name a column whose values are unique with --id, or keep the first of each with --on-bad-row skip",
        )

    def _refuse_foreign(self, name: str, document: Document) -> None:
        """Two sources may number their documents alike; one must not replace those of the other unseen."""
        if self.source.skips_bad_rows:
            self.source.counts["id of another source"] += 1
            return
        stored = self.store.scan(["source"], condition=pc.field("doc_id") == name, rows=1)
        raise InputError(
            f"the id {name!r} belongs to another document, which came from {next(stored)['source'][0]}",
            document.row or self.source.name,
            "name a column of ids that no other source has with --id; or leave such rows out with "
            "--on-bad-row skip; or, if these are new states of those documents, add --take-over",
        )

    def _cut(self, fresh: Sequence[_Cut]) -> Iterator[_Cut]:
        settings = self.collection.settings
        pieces = cut_passages(
            [cut.prepared.document for cut in fresh],
            self.encoder,
            window=settings.window,
            overlap=settings.overlap,
        )
        for cut, passages in zip(fresh, pieces, strict=True):
            yield _Cut(cut.prepared, passages, cut.is_replacing)

    def _encode(self, block: Sequence[_Cut]) -> None:
        texts = [passage.content for cut in block for passage in cut.passages]
        began, before = time.monotonic(), self.done.tokens

        def count(_done: int, _total: int, tokens: int) -> None:
            self.done.tokens = before + tokens
            self._tell()

        stats = EncodingStats()
        vectors = self.encoder.encode_document(texts, progress=count, stats=stats)
        self.done.unknown += len(stats.mostly_unknown)
        took = time.monotonic() - began
        self.done.encode_s += took
        affordable = int(len(texts) / max(took, 1e-9) * _BLOCK_S)
        self._block_passages = min(max(affordable, _LEAST_BLOCK_PASSAGES), _BLOCK_PASSAGES)
        self.done.passages += len(texts)
        self._unfinished -= len(block)
        pairs = [(cut.prepared, cut.passages) for cut in block]
        rows = new_rows(self.store.schema, self.collection.settings, pairs, vectors, self.source.name)
        replaced = [cut.prepared.document.id for cut in block if cut.is_replacing]
        old = self.store.matching(pc.field("doc_id").isin(replaced)) if replaced else np.zeros(0, np.uint64)
        self._keep(rows, old)

    def _keep(self, rows: pa.Table, replaced: NDArray[np.uint64]) -> None:
        """Rows for the next commit, with the rows uint64 [N] that go when they are in: never one without the other."""
        self._waiting.append(rows)
        self._replaced.append(replaced)
        waiting = sum(table.num_rows for table in self._waiting)
        if waiting >= _COMMIT_PASSAGES or time.monotonic() - self._last_commit >= _COMMIT_EVERY_S:
            self._commit()

    def _commit(self) -> None:
        """First the new rows, then away with the old: a kill in between leaves both, never neither."""
        if self._waiting:
            rows = pa.concat_tables(self._waiting)
            inserted = self.store.insert(rows)
            if inserted != rows.num_rows:
                raise CollectionError(
                    f"{rows.num_rows - inserted} of {rows.num_rows} new passages have the id of a stored one",
                    str(self.store.path),
                    "nothing was deleted; please report this, and index into a new collection meanwhile",
                )
            self.store.delete(np.concatenate(self._replaced))
        self._waiting, self._replaced = [], []
        self._last_commit = time.monotonic()

    def _renew_metadata(self, changed: Sequence[Prepared]) -> None:
        schema = self.store.schema
        for at in range(0, len(changed), _RENEW_DOCUMENTS):
            some = changed[at : at + _RENEW_DOCUMENTS]
            condition = pc.field("doc_id").isin([prepared.document.id for prepared in some])
            old = pa.Table.from_batches(list(self.store.scan(schema.names, condition=condition)))
            rows = rows_with_metadata(schema, self.collection.settings, old, some)
            self._keep(rows, old["_rowid"].to_numpy().astype(np.uint64))

    def remove_vanished(self) -> None:
        """Deletes documents that came from this source and were not met in this run.

        Raises:
            InputError: rows could not be read, so that it is not known what has vanished.
        """
        if unread := self.source.counts["bad"] + self.refused:
            raise InputError(
                f"{unread} rows could not be read, so it is not known which documents have vanished",
                self.source.name,
                "mend the rows, or run without --mirror; what could be read is stored",
            )
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
        """Counts a document when it is encoded, not when it is read, so that the time left is honest."""
        fraction = self.source.fraction_read()
        finished = self.done.read - self._unfinished
        if fraction is not None and self.done.read:
            fraction *= finished / self.done.read
        self.report(JobProgress("indexing", finished, self.done.passages, self.done.tokens, fraction))
