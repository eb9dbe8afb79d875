"""Searcher: the one way to search a collection, for the command, the pages and the tests."""

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoder.embedder import Embedder
from encoder.errors import CollectionError, IndexMismatchError, InputError
from indexer.collection import Collection
from indexer.documents import Document
from indexer.hits import MODES, Mode, SearchResult
from indexer.ingest.rows import clean_text, rebuild_text
from indexer.query.facets import column_range, column_values
from indexer.query.filters import parse_filter, print_filter, to_lance
from indexer.query.ranking import Clock, RowQuery, Search
from indexer.query.snapshot import Allowed, Snapshot
from indexer.storage.row_schema import TEXT_COLUMNS

__all__ = ["MOST_HITS", "RowQuery", "Searcher"]

MOST_HITS = 10_000
MOST_QUERY_CHARACTERS = 100_000
_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class _Ask:
    """What is asked of every query of a call."""

    k: int
    where: str | None
    mode: Mode
    exact: bool
    by: str


class Searcher:
    """Searches the newest publication of a collection; safe to use from many threads.

    Args:
        collection: to search.
        embedder: for queries; None loads the encoder that the collection names, at the first query that needs it.

    Raises:
        CollectionError: nothing was published yet, or the rows cannot be read.
        IndexMismatchError: `embedder` did not make the collection.
    """

    def __init__(self, collection: Collection, embedder: Embedder | None = None) -> None:
        if embedder is not None:
            collection.check_encoder(embedder)
        self.collection = collection
        self._embedder = embedder
        self._is_given = embedder is not None
        self._lock = threading.Lock()
        self._open_newest()

    def _open_newest(self) -> None:
        self._checked_at = time.monotonic()
        seen = self.collection.version()
        publication = self.collection.publication()
        if publication is None:
            raise CollectionError(
                "nothing was published yet in this collection",
                str(self.collection.path),
                f"finish the job: llm2comp index SOURCE --into {self.collection.path}",
            )
        self._snapshot = Snapshot(self.collection, publication)
        self._seen = seen

    @property
    def snapshot(self) -> Snapshot:
        """The newest published version, looked for at most once a second.

        Raises:
            IndexMismatchError: the collection was re-embedded with another encoder than the one given.
        """
        with self._lock:
            if time.monotonic() - self._checked_at >= _POLL_S:
                self._checked_at = time.monotonic()
                with contextlib.suppress(CollectionError):  # what is open still answers
                    self._renew()
            return self._snapshot

    def _renew(self) -> bool:
        """Opens what is newest on disk when that is not what is open; returns whether it was not."""
        now = Collection.open(self.collection.path)
        if now.settings.uuid == self.collection.settings.uuid:
            if now.version() == self._seen:
                return False
        else:  # re-embedded: another collection stands in the place of the old one
            if self._is_given and self._embedder is not None:
                now.check_encoder(self._embedder)
            elif self._embedder is not None:
                self._embedder = None
            self.collection = now
        self._open_newest()
        return True

    @property
    def embedder(self) -> Embedder:
        """The encoder of the collection, loaded when first asked for.

        Raises:
            CheckpointError: it is gone or damaged.
            IndexMismatchError: what the collection names is another encoder by now.
        """
        with self._lock:
            if self._embedder is None:
                from encoder.checkpoint import load_encoder

                loaded = load_encoder(self.collection.settings.encoder_spec, only_cached=True)
                self.collection.check_encoder(loaded)
                self._embedder = loaded
            return self._embedder

    def search(
        self,
        query: str | NDArray[np.float32] | RowQuery,
        k: int = 10,
        *,
        where: str | None = None,
        mode: Mode = "hybrid",
        exact: bool = False,
        by: str = "document",
    ) -> SearchResult:
        """Hits by falling score, at most k, ties by row id; empty when nothing passes the filter.

        As many hits as there are matching documents (or passages), up to k. In keyword mode a match must hold a
        word of the query; in hybrid mode "phrases", +words and -words of the query are conditions as well.

        Args:
            query: text; or a unit vector float32 [D]; or a passage ("similar to this"). The last two are always
                answered by vector alone.
            k: most hits, 1 to 10,000.
            where: filter, see `docs/reference/filters.md`; None for all rows.
            mode: "hybrid", "semantic" or "keyword".
            exact: compare every matching row, whatever the index.
            by: "document" (each by its best passage) or "passage".

        Raises:
            InputError: k, mode, query or filter is impossible.
            CollectionError: the collection is damaged.
        """
        return self.search_batch([query], k, where=where, mode=mode, exact=exact, by=by)[0]

    def search_batch(
        self,
        queries: Sequence[str | NDArray[np.float32] | RowQuery],
        k: int = 10,
        *,
        where: str | None = None,
        mode: Mode = "hybrid",
        exact: bool = False,
        by: str = "document",
    ) -> list[SearchResult]:
        """One result a query, all over the same version; the queries are encoded together.

        Arguments and errors are those of `search`; a query vector is float32 [D].
        """
        _check(k, mode, by)
        ask = _Ask(k, where, mode, exact, by)
        snapshot = self.snapshot
        try:
            return self._answer(snapshot, queries, ask)
        # Its files were cleaned away, since it is older than what is kept; or another thread has opened the
        # re-embedded collection meanwhile, with an encoder that did not make the vectors of this snapshot.
        except (CollectionError, IndexMismatchError):
            with self._lock:
                if not self._renew() and snapshot is self._snapshot:
                    raise
                snapshot = self._snapshot
            return self._answer(snapshot, queries, ask)

    def _answer(
        self, snapshot: Snapshot, queries: Sequence[str | NDArray[np.float32] | RowQuery], ask: "_Ask"
    ) -> list[SearchResult]:
        clock = Clock()
        embedder = None
        if ask.mode != "keyword" and any(isinstance(query, str) for query in queries):
            with clock.step("load"):
                embedder = self.embedder
            snapshot.collection.check_encoder(embedder)
        with clock.step("encode"):
            vectors = self._vectors(snapshot, queries, embedder)
        with clock.step("filter"):
            allowed, condition = self._allowed(snapshot, ask.where)
        results = []
        for query, vector in zip(queries, vectors, strict=True):
            timed = clock.share(len(queries))
            one = Search(snapshot, query, vector, ask.mode, ask.k, ask.exact, ask.by, timed)
            results.append(one.run(allowed, condition, snapshot.collection.settings))
        return results

    def _vectors(
        self,
        snapshot: Snapshot,
        queries: Sequence[str | NDArray[np.float32] | RowQuery],
        embedder: Embedder | None,
    ) -> list[NDArray[np.float32] | None]:
        vectors: list[NDArray[np.float32] | None] = []
        texts: list[str] = []
        for query in queries:
            if isinstance(query, str):
                _check_text(query)
                texts.append(query)
                vectors.append(None)
            elif isinstance(query, RowQuery):
                vectors.append(snapshot.vector(self._row_id(snapshot, query.passage_id)))
            else:
                vectors.append(_unit(query, snapshot.collection.settings.dimension))
        if not texts or embedder is None:
            return vectors
        encoded = iter(embedder.encode_query(texts))
        return [next(encoded) if isinstance(q, str) else v for q, v in zip(queries, vectors, strict=True)]

    def _row_id(self, snapshot: Snapshot, passage_id: str) -> int:
        found = snapshot.store.matching(pc.field("id") == clean_text(passage_id))
        if not found.size:
            raise InputError(
                f"there is no passage {passage_id!r} in version {snapshot.publication.number}",
                str(self.collection.path),
                "it was changed or deleted; search for its text instead",
            )
        return int(found[0])

    def _allowed(self, snapshot: Snapshot, where: str | None) -> tuple[Allowed, Any]:
        if where is None or not where.strip():
            return snapshot.everything(), None
        settings = snapshot.collection.settings
        tree = parse_filter(where, settings.filter_columns)
        condition = to_lance(tree, lambda name: settings.filter_fields[name])
        return snapshot.allow(print_filter(tree), condition), condition

    def document(self, document_id: str) -> Document:
        """The whole document, put together from its passages, to the character.

        Raises:
            InputError: there is no such document in the version searched.
        """
        snapshot = self.snapshot
        fields = snapshot.collection.settings.column_fields
        wanted = ["title", *TEXT_COLUMNS, *fields.values()]
        batches = list(snapshot.store.scan(wanted, condition=pc.field("doc_id") == clean_text(document_id)))
        rows = pa.Table.from_batches(batches) if batches else None
        if rows is None or not rows.num_rows:
            raise InputError(
                f"there is no document {document_id!r} in version {snapshot.publication.number}",
                str(self.collection.path),
                "it was deleted; search again",
            )
        first = rows.slice(0, 1).to_pylist()[0]
        metadata = {name: first[stored] for name, stored in fields.items()}
        return Document(document_id, first["title"], rebuild_text(rows), metadata)

    def column_values(self, name: str, limit: int = 50) -> list[tuple[Any, int]]:
        """The most frequent values of a column with their passages, see `indexer.query.facets.column_values`."""
        return column_values(self.snapshot, name, limit)

    def column_range(self, name: str) -> tuple[Any, Any]:
        """Least and greatest value of a column, see `indexer.query.facets.column_range`."""
        return column_range(self.snapshot, name)


def _check(k: int, mode: str, by: str) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MOST_HITS:
        raise InputError(
            f"k = {k} is impossible",
            "the number of hits",
            f"choose 1 to {MOST_HITS:,}; for all rows use export",
        )
    if mode not in MODES:
        raise InputError(f"there is no mode {mode!r}", "the search mode", f"choose {', '.join(MODES)}")
    if by not in ("document", "passage"):
        raise InputError(f"hits cannot be shown by {by!r}", "by", "choose document or passage")


def _check_text(query: str) -> None:
    if len(query) > MOST_QUERY_CHARACTERS:
        raise InputError(
            f"the query has {len(query):,} characters",
            "the query",
            f"use at most {MOST_QUERY_CHARACTERS:,}; to find documents like a long one, search for a part of it",
        )


def _unit(vector: NDArray[np.float32], dimension: int) -> NDArray[np.float32]:
    try:
        vector = np.asarray(vector, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(
            "the query is neither text nor a vector", "the query", f"give {dimension} finite numbers"
        ) from error
    if vector.shape != (dimension,) or not np.isfinite(vector).all():
        raise InputError(
            f"the query vector has shape {vector.shape} or is not finite",
            "the query",
            f"give {dimension} finite numbers",
        )
    length = float(np.linalg.norm(vector))
    if length == 0:
        raise InputError("the query vector has length 0", "the query", "give a vector with a direction")
    return vector / np.float32(length)
