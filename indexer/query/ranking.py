"""One query over one snapshot: candidates from both searches, fused, grouped by document, fetched."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.hits import Fusion, Hit, Mode, Provenance, SearchResult
from indexer.query.asked import Asked, RowQuery
from indexer.query.fusion import fuse_scores, fusion_of
from indexer.query.keywords import KeywordQuery, parse_keywords, to_lance_query
from indexer.query.scope import Scope
from indexer.query.snapshot import Allowed, Nearest, Snapshot
from indexer.storage.manifest import CollectionSettings
from indexer.storage.row_schema import WORD_COLUMN

__all__ = ["Clock", "RowQuery", "Search", "find_together"]

_LEAST_DEPTH = 100
# Of the dense part, for a query that the encoder hardly knows: the words decide, and meaning only where they are even.
_UNKNOWN_WEIGHT = 0.01
_UNKNOWN = "the encoder hardly knows the writing of this query"


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Rows by falling score: what fusing made of both searches."""

    row_ids: NDArray[np.uint64]
    scores: NDArray[np.float32]
    dense: NDArray[np.float32]  # NaN where not computed
    keyword: NDArray[np.float32]  # NaN where no word occurs
    documents: NDArray[np.uint64]
    is_complete: bool  # a deeper search would find no further row
    nearest: Nearest | None
    fusion: Fusion | None = None


def first_depth(k: int, scope: Scope) -> int:
    """How many rows a search for `k` hits looks at to begin with."""
    return min(max(_LEAST_DEPTH, 3 * k), max(1, scope.allowed.count))


def find_together(searches: Sequence["Search"], scope: Scope, clock: "Clock") -> None:
    """Puts what their vectors find at `first_depth` into searches of one call, all looked for at once.

    A search whose words leave out rows is left alone: it looks in fewer rows than the whole scope.
    """
    several = [
        (one, one.asked.vector) for one in searches if one.asked.vector is not None and not one.is_constrained
    ]
    if not several:
        return
    first, vectors = several[0][0], np.stack([vector for _, vector in several])
    with clock.step("dense"):
        depth = first_depth(first.k, scope)
        found = first.snapshot.nearest_batch(vectors, depth, scope.allowed, exact=first.exact)
    for (one, _), nearest in zip(several, found, strict=True):
        one.first = nearest


@dataclass(slots=True)
class Search:
    """One query over one snapshot.

    Attributes:
        first: what its vector finds at `first_depth` in the whole scope, when that was looked for with other queries.
    """

    snapshot: Snapshot
    asked: Asked
    mode: Mode
    k: int
    exact: bool
    by: str
    clock: "Clock"
    first: Nearest | None = None

    def run(self, scope: Scope, settings: CollectionSettings) -> SearchResult:
        """Looks deeper until k hits are found or no row is left."""
        asked = scope.allowed
        words = self._words()
        if words is not None and self.is_constrained:
            scope = self._constrain(scope, words)
        depth = first_depth(self.k, scope)
        weight = _UNKNOWN_WEIGHT if self.asked.is_unknown else settings.hybrid_weight
        while True:
            ranked = self._rank(depth, scope, words, weight)
            chosen = self._best(ranked)
            if ranked.is_complete or (chosen.size >= self.k and not self._is_cut_in_a_tie(ranked, chosen)):
                break
            depth *= 4
        with self.clock.step("fetch"):
            hits = self._hits(ranked, chosen, settings)
        row_ids = tuple(ranked.row_ids[chosen].tolist())
        provenance = self._provenance(ranked, asked, settings)
        return SearchResult(self.asked.shown, hits, provenance, row_ids, ranked.fusion)

    @property
    def is_constrained(self) -> bool:
        """Whether words of a hybrid query are conditions: "phrases", +words and -words."""
        words = self._words() if self.mode == "hybrid" else None
        return words is not None and words.is_constrained

    def _is_cut_in_a_tie(self, ranked: _Ranked, chosen: NDArray[np.int64]) -> bool:
        """Whether a row as good as the last hit, with a lower id, may lie beyond what the word index gave."""
        return self.mode == "keyword" and ranked.scores[chosen[-1]] == ranked.scores[-1]

    def _words(self) -> KeywordQuery | None:
        if self.mode == "semantic" or self.asked.text is None:
            return None
        return parse_keywords(self.asked.text)

    def _constrain(self, scope: Scope, words: KeywordQuery) -> Scope:
        """The allowed rows that hold what the query demands and not what it excludes."""
        with self.clock.step("keyword"):
            rows = np.sort(self._constrained_rows(words, scope))
        return Scope(self.snapshot.allow_rows(rows), scope.condition, scope.rows)

    def _constrained_rows(self, words: KeywordQuery, scope: Scope) -> NDArray[np.uint64]:
        store, most = self.snapshot.store, max(1, self.snapshot.rows)
        rows = store.matching(scope.condition) if scope.rows is None else scope.rows
        for required in words.required_queries(WORD_COLUMN):
            rows = np.intersect1d(rows, store.keyword_scores(required, most)[0], assume_unique=True)
        for excluded in words.excluded_queries(WORD_COLUMN):
            rows = np.setdiff1d(rows, store.keyword_scores(excluded, most)[0], assume_unique=True)
        return rows

    def _rank(self, depth: int, scope: Scope, words: KeywordQuery | None, weight: float) -> _Ranked:
        nearest, self.first = self.first, None  # a deeper look is a new one
        if nearest is None and self.asked.vector is not None:
            with self.clock.step("dense"):
                nearest = self.snapshot.nearest(self.asked.vector, depth, scope.allowed, exact=self.exact)
        is_complete = depth >= scope.allowed.count
        if words is None:
            assert nearest is not None  # without words there is a vector
            return _dense_only(nearest, is_complete)
        with self.clock.step("keyword"):
            ids, scores = self._keyword(words, depth, scope)
        if nearest is None:
            _, documents = self.snapshot.score_rows(ids, np.zeros(self._dimension, np.float32))
            nothing = np.full(ids.size, np.nan, np.float32)
            return _Ranked(ids, scores, nothing, scores, documents, ids.size < depth, None)
        return self._fuse(nearest, ids, scores, weight, is_complete)

    @property
    def _dimension(self) -> int:
        return self.snapshot.collection.settings.dimension

    def _keyword(
        self, words: KeywordQuery, depth: int, scope: Scope
    ) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
        query = to_lance_query(words, WORD_COLUMN)
        if query is None:
            return np.zeros(0, np.uint64), np.zeros(0, np.float32)
        wide = depth
        while True:  # Lance cannot be told of computed columns, so those rows are left out afterwards
            ids, scores = self.snapshot.store.keyword_scores(query, wide, scope.condition)
            kept = scope.cut(ids)
            if kept.sum() >= depth or ids.size < wide:
                return ids[kept][:depth], scores[kept][:depth]
            wide *= 4

    def _fuse(
        self,
        nearest: Nearest,
        ids: NDArray[np.uint64],
        scores: NDArray[np.float32],
        weight: float,
        is_complete: bool,
    ) -> _Ranked:
        assert self.asked.vector is not None  # fusing needs both
        only_words = ids[~np.isin(ids, nearest.row_ids)]
        extra_dense, extra_documents = self.snapshot.score_rows(only_words, self.asked.vector)
        row_ids = np.concatenate([nearest.row_ids, only_words])
        dense = np.concatenate([nearest.scores, extra_dense])
        documents = np.concatenate([nearest.documents, extra_documents])
        keyword = np.full(row_ids.size, np.nan, np.float32)
        order = np.argsort(row_ids)
        keyword[order[np.searchsorted(row_ids, ids, sorter=order)]] = scores
        fused = fuse_scores(dense, keyword, weight)
        best = np.lexsort((row_ids, -fused))
        return _Ranked(
            row_ids[best],
            fused[best],
            dense[best],
            keyword[best],
            documents[best],
            is_complete,
            nearest,
            fusion_of(dense, keyword, weight),
        )

    def _best(self, ranked: _Ranked) -> NDArray[np.int64]:
        """Positions of the k best hits: of each document its best passage."""
        if self.by == "passage":
            positions = np.arange(ranked.row_ids.size)
        else:
            positions = np.sort(np.unique(ranked.documents, return_index=True)[1])
        if self.asked.left_out.size:
            positions = positions[~np.isin(ranked.documents[positions], self.asked.left_out)]
        return positions[: self.k]

    def _hits(self, ranked: _Ranked, chosen: NDArray[np.int64], settings: CollectionSettings) -> list[Hit]:
        if not chosen.size:
            return []
        fields: dict[str, str] = settings.column_fields
        wanted = ["id", "doc_id", "title", WORD_COLUMN, "text_at", "char_start", "char_end", *fields.values()]
        rows = self.snapshot.store.take(ranked.row_ids[chosen], wanted).to_pylist()
        return [
            Hit(
                rank=rank,
                id=row["id"],
                document_id=row["doc_id"],
                score=float(ranked.scores[at]),
                dense=_number(ranked.dense[at]),
                keyword=_number(ranked.keyword[at]),
                title=row["title"],
                text=row[WORD_COLUMN][row["text_at"] :],
                span=(row["char_start"], row["char_end"]),
                metadata={name: row[stored] for name, stored in fields.items()},
            )
            for rank, (at, row) in enumerate(zip(chosen, rows, strict=True), 1)
        ]

    def _provenance(self, ranked: _Ranked, allowed: Allowed, settings: CollectionSettings) -> Provenance:
        nearest = ranked.nearest
        is_exact = nearest is None or nearest.is_exact
        return Provenance(
            version=self.snapshot.publication.number,
            rows=self.snapshot.rows,
            matching=allowed.count,
            index="+".join(self.snapshot.kinds),
            encoder=settings.encoder_name,
            mode="exact" if is_exact else "approximate",
            recall=1.0 if is_exact else self.snapshot.recall,
            nprobe=None if nearest is None else nearest.nprobe,
            rows_scanned=0 if nearest is None else nearest.scanned,
            milliseconds=self.clock.milliseconds(),
            notes=self.snapshot.notes + self._notes(ranked),
        )

    def _notes(self, ranked: _Ranked) -> tuple[str, ...]:
        if not self.asked.is_unknown:
            return ()
        if ranked.fusion is None:
            return (f"{_UNKNOWN}: these hits by meaning say little",)
        if ranked.fusion.top > 0:
            return (f"{_UNKNOWN}: its words decide",)
        return (f"{_UNKNOWN}, and no passage holds a word of it: these hits say little",)


class Clock:
    """Milliseconds per step of one search."""

    def __init__(self, spent: dict[str, float] | None = None) -> None:
        self._began = time.perf_counter()
        self._spent = dict(spent or {})

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Adds the time inside to `name`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._spent[name] = self._spent.get(name, 0.0) + 1000 * (time.perf_counter() - began)

    def share(self, parts: int) -> "Clock":
        """A clock for one of `parts` queries that shared the time so far."""
        return Clock({name: spent / parts for name, spent in self._spent.items()})

    def milliseconds(self) -> dict[str, float]:
        """Step to milliseconds, and the "total" of all but "load", which only the first query pays."""
        shown = {name: round(spent, 2) for name, spent in self._spent.items()}
        return {**shown, "total": round(sum(self._spent.values()) - self._spent.get("load", 0.0), 2)}


def _dense_only(nearest: Nearest, is_complete: bool) -> _Ranked:
    nothing = np.full(nearest.row_ids.size, np.nan, np.float32)
    return _Ranked(
        nearest.row_ids, nearest.scores, nearest.scores, nothing, nearest.documents, is_complete, nearest
    )


def _number(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(value)
