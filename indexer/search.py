"""Searcher: the one way to search a collection, for the command, the pages and the tests."""

import contextlib
import copy
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoder.embedder import Embedder
from encoder.errors import CollectionError, IndexMismatchError, InputError
from encoder.stats import EncodingStats
from indexer.collection import Collection
from indexer.documents import Document
from indexer.hits import Hit, Mode, SearchResult
from indexer.ingest.rows import clean_text, rebuild_text
from indexer.query.asked import (
    MOST_HITS,
    ExampleQuery,
    Query,
    RowQuery,
    ask,
    check_search,
    named_rows,
    needs_vector,
)
from indexer.query.computed import ComputedColumns
from indexer.query.explain import Explanation, explain_hit
from indexer.query.facets import column_range, column_values, facet_counts
from indexer.query.filters import parse_filter, print_filter
from indexer.query.ranking import Clock, Search, find_together
from indexer.query.row_columns import PREFIX, ColumnProvider, filter_names
from indexer.query.scope import Scope, filter_columns, make_scope
from indexer.query.snapshot import Allowed, Snapshot
from indexer.query.value_hints import ValueHint, value_hints
from indexer.storage.row_schema import TEXT_COLUMNS

__all__ = ["MOST_HITS", "ExampleQuery", "RowQuery", "Searcher"]

_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class _Ask:
    """What is asked of every query of a call."""

    k: int
    where: str | None
    mode: Mode
    exact: bool
    by: str
    within: NDArray[np.uint64] | None


class Searcher:
    """Searches the newest publication of a collection; safe to use from many threads.

    Args:
        collection: to search.
        embedder: for queries; None loads the encoder that the collection names, at the first query that needs it.
        columns: the computed columns that filters may name; None for topics, tags and notes.

    Raises:
        CollectionError: nothing was published yet, or the rows cannot be read.
        IndexMismatchError: `embedder` did not make the collection.
    """

    def __init__(
        self,
        collection: Collection,
        embedder: Embedder | None = None,
        *,
        columns: ColumnProvider | None = None,
    ) -> None:
        if embedder is not None:
            collection.check_encoder(embedder)
        self.collection = collection
        self._embedder = embedder
        self._is_given = embedder is not None
        self._columns: ColumnProvider = columns or ComputedColumns()
        self._lock = threading.Lock()
        self._is_held = False
        self._open_newest()

    def held(self) -> "Searcher":
        """A searcher that stays with the version that is newest now, for answers that several steps put together.

        When the files of that version are cleaned away, days later, it fails. An encoder that is loaded through it
        is its own.
        """
        _ = self.snapshot  # looks for the newest
        with self._lock:
            stays = copy.copy(self)
        stays._lock = threading.Lock()
        stays._is_held = True
        return stays

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
        """The newest published version, looked for at most once a second; always the same of one that is `held`.

        Raises:
            IndexMismatchError: the collection was re-embedded with another encoder than the one given.
        """
        with self._lock:
            if not self._is_held and time.monotonic() - self._checked_at >= _POLL_S:
                self._checked_at = time.monotonic()
                with contextlib.suppress(CollectionError):  # what is open still answers
                    self._renew()
            return self._snapshot

    def _renew(self) -> bool:
        """Opens what is newest on disk when that is not what is open; returns whether it was not."""
        if self._is_held:
            return False
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
                loaded = self.collection.load_encoder()
                self.collection.check_encoder(loaded)
                self._embedder = loaded
            return self._embedder

    def search(
        self,
        query: Query,
        k: int = 10,
        *,
        where: str | None = None,
        mode: Mode = "hybrid",
        exact: bool = False,
        by: str = "document",
        within: NDArray[np.uint64] | None = None,
    ) -> SearchResult:
        """Hits by falling score, at most k, ties by row id; empty when nothing passes the filter.

        As many hits as there are matching documents (or passages), up to k. In keyword mode a match must hold a
        word of the query; in hybrid mode "phrases", +words and -words of the query are conditions as well.

        Args:
            query: text; or a unit vector float32 [D]; or a passage ("similar to this"); or examples. All but text
                are answered by vector alone.
            k: most hits, 1 to 10,000.
            where: filter, see `docs/reference/filters.md`; None for all rows.
            mode: "hybrid", "semantic" or "keyword".
            exact: compare every matching row, whatever the index.
            by: "document" (each by its best passage) or "passage".
            within: uint64 [N] row ids, the only ones that may be found; None for all.

        Raises:
            InputError: k, mode, query or filter is impossible.
            CollectionError: the collection is damaged.
        """
        return self.search_batch([query], k, where=where, mode=mode, exact=exact, by=by, within=within)[0]

    def search_batch(
        self,
        queries: Sequence[Query],
        k: int = 10,
        *,
        where: str | None = None,
        mode: Mode = "hybrid",
        exact: bool = False,
        by: str = "document",
        within: NDArray[np.uint64] | None = None,
    ) -> list[SearchResult]:
        """One result a query, all over the same version; the queries are encoded together.

        Arguments and errors are those of `search`; a query vector is float32 [D].
        """
        check_search(k, mode, by)
        wish = _Ask(k, where, mode, exact, by, within)
        snapshot = self.snapshot
        try:
            return self._answer(snapshot, queries, wish)
        # Its files were cleaned away, since it is older than what is kept; or another thread has opened the
        # re-embedded collection meanwhile, with an encoder that did not make the vectors of this snapshot.
        except (CollectionError, IndexMismatchError):
            with self._lock:
                if not self._renew() and snapshot is self._snapshot:
                    raise
                snapshot = self._snapshot
            return self._answer(snapshot, queries, wish)

    def _answer(self, snapshot: Snapshot, queries: Sequence[Query], wish: "_Ask") -> list[SearchResult]:
        clock = Clock()
        with clock.step("filter"):  # first: a mistake in it need not wait for the encoder
            scope = make_scope(snapshot, wish.where, wish.within, self._columns)
        encode, stats = None, EncodingStats()
        if any(needs_vector(query, wish.mode) for query in queries):
            with clock.step("load"):
                embedder = self.embedder
            snapshot.collection.check_encoder(embedder)
            encode = partial(embedder.encode_query, stats=stats)
        with clock.step("encode"):
            asked = ask(snapshot, queries, mode=wish.mode, encode=encode, stats=stats)
        settings = snapshot.collection.settings
        searches = [Search(snapshot, one, wish.mode, wish.k, wish.exact, wish.by, clock) for one in asked]
        find_together(searches, scope, clock)
        results = []
        for search in searches:
            search.clock = clock.share(len(searches))
            results.append(search.run(scope, settings))
        return results

    @property
    def filter_columns(self) -> dict[str, str]:
        """What a filter may name, with its type: stored columns, then computed ones, each by one name."""
        stored = self.snapshot.collection.settings.filter_columns
        names = filter_names(stored, self._columns.kinds)
        kinds = self._columns.kinds.items()
        return stored | {name if name in names else f"{PREFIX}{name}": kind for name, kind in kinds}

    def canonical_filter(self, where: str) -> str:
        """The filter as it is understood, written out; it can be put in parentheses and joined with others.

        Raises:
            InputError: it cannot be used.
        """
        return print_filter(parse_filter(where, filter_columns(self.snapshot, self._columns)))

    def scope(
        self,
        where: str | None = None,
        *,
        within: NDArray[np.uint64] | None = None,
        snapshot: Snapshot | None = None,
    ) -> Scope:
        """The rows that a search with these would look at, with what Lance is told of them.

        Args:
            where: filter; None for all rows.
            within: uint64 [N] row ids; None for all rows.
            snapshot: that the masks are for, since the newest may be another a moment later; None for the newest.

        Raises:
            InputError: the filter cannot be used.
        """
        return make_scope(snapshot or self.snapshot, where, within, self._columns)

    def value_hints(self, where: str) -> list[ValueHint]:
        """Values that a filter may have meant where it names some that no passage has, see `indexer.query.value_hints`.

        Raises:
            InputError: the filter cannot be used.
        """
        return value_hints(self.snapshot, parse_filter(where, self.filter_columns))

    def allowed(self, where: str | None = None, *, within: NDArray[np.uint64] | None = None) -> Allowed:
        """The rows that pass a filter and are among those given (uint64 [N] row ids); see `scope`."""
        return self.scope(where, within=within).allowed

    def passing(
        self, where: str | None = None, *, within: NDArray[np.uint64] | None = None
    ) -> NDArray[np.uint64]:
        """Row ids uint64 [N], ascending, of the rows that pass a filter and are among those given; see `scope`."""
        snapshot = self.snapshot
        return snapshot.row_ids(self.scope(where, within=within, snapshot=snapshot).allowed)

    def explain(
        self,
        result: SearchResult,
        hit: Hit,
        query: Query,
        *,
        where: str | None = None,
        within: NDArray[np.uint64] | None = None,
    ) -> Explanation:
        """Why a hit stands where it stands, see `indexer.query.explain`.

        Args:
            result: of `search` with the same query, filter and rows.
            hit: one of its hits.
            query: that was asked.
            where: filter of the search.
            within: uint64 [N] row ids of the search.

        Raises:
            InputError: the passage is gone, or an argument is impossible.
        """
        snapshot = self.snapshot
        scope = self.scope(where, within=within, snapshot=snapshot)
        mode: Mode = "keyword" if hit.dense is None else "semantic"
        encode = self.embedder.encode_query if needs_vector(query, mode) else None
        asked = ask(snapshot, [query], mode=mode, encode=encode)[0]
        searched = hit.dense is None or result.fusion is not None
        text = asked.text if searched else None
        return explain_hit(snapshot, scope, result, hit, text=text, vector=asked.vector)

    def facet_counts(
        self, name: str, rows: SearchResult | NDArray[np.uint64] | None = None, limit: int = 20
    ) -> list[tuple[Any, int]]:
        """Most frequent values of a stored or computed column, see `indexer.query.facets.facet_counts`.

        Args:
            name: as a filter names the column.
            rows: the hits of a search; or row ids uint64 [N], as of `passing`; None for all rows of the version.
            limit: most values.

        Raises:
            InputError: there is no such column.
        """
        snapshot = self.snapshot
        chosen = np.array(rows.row_ids, np.uint64) if isinstance(rows, SearchResult) else rows
        if chosen is not None:  # some may be deleted by now
            chosen = np.intersect1d(chosen, snapshot.row_ids())
        return facet_counts(snapshot, name, chosen, columns=self._columns, limit=limit)

    def row_ids_of(self, passage_ids: Sequence[str]) -> dict[str, int]:
        """Passage id to row id, of those that are live."""
        rows, names = named_rows(self.snapshot, [clean_text(name) for name in passage_ids])
        return dict(zip(names, rows.tolist(), strict=True))

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
