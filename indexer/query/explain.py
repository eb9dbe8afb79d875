"""Why this hit: its rank in each search, the words that matched, the passages of its document, and how the scores add up."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoder.errors import InputError
from indexer.hits import Fusion, Hit, SearchResult
from indexer.query.keywords import parse_keywords, query_words, to_lance_query
from indexer.query.scope import Scope
from indexer.query.snapshot import Snapshot
from indexer.storage.row_schema import WORD_COLUMN

MOST_WORDS = 20


@dataclass(frozen=True, slots=True)
class Leg:
    """What one of the two searches says of the hit's passage.

    Attributes:
        score: inner product, or BM25.
        rank: from 1, among all allowed passages; equal scores share the better rank.
        of: passages ranked: all allowed ones, or those that hold words of the query.
    """

    score: float
    rank: int
    of: int


@dataclass(frozen=True, slots=True)
class WordShare:
    """A word of the query that the passage holds.

    Attributes:
        word: as typed.
        score: what it adds to the BM25 score.
        passages: of the whole version that hold it; rare words count more.
    """

    word: str
    score: float
    passages: int


@dataclass(frozen=True, slots=True)
class PassageScore:
    """A passage of the hit's document.

    Attributes:
        id: of the passage.
        span: in the document's text.
        score: inner product with the query; None where the query has no vector.
        is_shown: it is the one that the hit shows.
    """

    id: str
    span: tuple[int, int]
    score: float | None
    is_shown: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a hit stands where it stands.

    Attributes:
        dense: None without a vector.
        keyword: None where no word was searched for, or none occurs.
        words: words of the query that the passage holds, the weightiest first; at most 20 words are looked at.
        passages: of its document, in their order.
        fusion: what the scores were scaled with; None unless both searches were asked.
        parts: what the dense and the keyword score add to the hit's score; their sum is the score.
        slots: share of each memory token, where somebody computed it.
    """

    dense: Leg | None
    keyword: Leg | None
    words: tuple[WordShare, ...]
    passages: tuple[PassageScore, ...]
    fusion: Fusion | None
    parts: tuple[float, float] | None
    slots: tuple[float, ...] | None = None


def explain_hit(
    snapshot: Snapshot,
    scope: Scope,
    result: SearchResult,
    hit: Hit,
    *,
    text: str | None,
    vector: NDArray[np.float32] | None,
) -> Explanation:
    """Why a hit stands where it stands.

    Args:
        snapshot: that was searched.
        scope: the rows that the search could return.
        result: of the search.
        hit: one of its hits.
        text: of the query, None where no words were searched for.
        vector: float32 [D] of the query; None in keyword mode.

    Raises:
        InputError: the hit's passage is not in this version.
    """
    row = _row_of(snapshot, hit.id)
    words: tuple[WordShare, ...] = ()
    keyword = None
    if text is not None:
        keyword = _keyword_leg(snapshot, scope, text, row)
        words = _words(snapshot, text, row)
    parts = None
    if result.fusion is not None and hit.dense is not None:
        parts = result.fusion.parts(hit.dense, hit.keyword)
    return Explanation(
        None if vector is None else _dense_leg(snapshot, scope, vector, row),
        keyword,
        words,
        _passages(snapshot, hit, vector),
        result.fusion,
        parts,
    )


def _row_of(snapshot: Snapshot, passage_id: str) -> int:
    found = snapshot.store.matching(pc.field("id") == passage_id)
    if not found.size:
        raise InputError(
            f"there is no passage {passage_id!r} in version {snapshot.publication.number}",
            str(snapshot.collection.path),
            "it was changed or deleted; search again",
        )
    return int(found[0])


def _dense_leg(snapshot: Snapshot, scope: Scope, vector: NDArray[np.float32], row: int) -> Leg:
    rows = snapshot.row_ids(scope.allowed)
    own = float(snapshot.score_rows(np.array([row], np.uint64), vector)[0][0])
    better = sum(
        int((snapshot.score_rows(rows[at : at + 65_536], vector)[0] > own).sum())
        for at in range(0, rows.size, 65_536)
    )
    return Leg(own, better + 1, int(rows.size))


def _keyword_leg(snapshot: Snapshot, scope: Scope, text: str, row: int) -> Leg | None:
    query = to_lance_query(parse_keywords(text), WORD_COLUMN)
    if query is None:
        return None
    ids, scores = snapshot.store.keyword_scores(query, max(1, snapshot.rows), scope.condition)
    kept = scope.cut(ids)
    ids, scores = ids[kept], scores[kept]
    at = np.flatnonzero(ids == row)
    if not at.size:
        return None
    own = scores[at[0]]
    return Leg(float(own), int((scores > own).sum()) + 1, int(ids.size))


def _words(snapshot: Snapshot, text: str, row: int) -> tuple[WordShare, ...]:
    from lance.query import MatchQuery

    found = []
    for word in query_words(text)[:MOST_WORDS]:
        query: Any = MatchQuery(word, WORD_COLUMN)
        _, own = snapshot.store.keyword_scores(query, 1, f"_rowid = {row}")
        if own.size:
            holding = snapshot.store.keyword_scores(query, max(1, snapshot.rows))[0].size
            found.append(WordShare(word, float(own[0]), int(holding)))
    return tuple(sorted(found, key=lambda share: -share.score))


def _passages(snapshot: Snapshot, hit: Hit, vector: NDArray[np.float32] | None) -> tuple[PassageScore, ...]:
    rows: list[dict[str, Any]] = []
    condition = pc.field("doc_id") == hit.document_id
    for batch in snapshot.store.scan(["id", "char_start", "char_end"], condition=condition):
        rows += batch.to_pylist()
    rows.sort(key=lambda row: (row["char_start"], row["_rowid"]))
    ids = np.array([row["_rowid"] for row in rows], np.uint64)
    scores = [None] * len(rows) if vector is None else snapshot.score_rows(ids, vector)[0].tolist()
    return tuple(
        PassageScore(row["id"], (row["char_start"], row["char_end"]), score, row["id"] == hit.id)
        for row, score in zip(rows, scores, strict=True)
    )
