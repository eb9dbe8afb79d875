"""The hits of one query as vectors are now and as a transformation would make them, nothing stored."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from encoder.errors import InputError
from encoder.spectrum.transforms import Transform, fit_transform, parse_steps
from indexer.query.asked import check_search
from indexer.query.snapshot import Snapshot
from indexer.search import Searcher
from indexer.storage.row_schema import WORD_COLUMN

MOST_ROWS = 200_000
_SEED = 0
Change = Literal["same", "up", "down", "new", "gone"]


@dataclass(frozen=True, slots=True)
class SideHit:
    """A document in one of the two lists, by its best passage there.

    Attributes:
        rank: from 1.
        other_rank: in the other list; None where it is not in it.
        change: as seen from now to transformed: "same", "up" or "down" in both lists, "gone" only now, "new" only
            transformed.
        row_id: of the passage.
        document_id: of the document.
        title: may be empty.
        text: of the passage.
        score: inner product of query and passage, -1 to 1; scores of the two lists do not compare.
    """

    rank: int
    other_rank: int | None
    change: Change
    row_id: int
    document_id: str
    title: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Two lists of hits over the same rows, exact.

    Attributes:
        now: by the stored vectors.
        transformed: by the transformed ones.
        compared: passages that both lists were chosen from.
        matching: passages that pass the filter; where it is more than `compared`, a sample was looked at.
    """

    now: list[SideHit]
    transformed: list[SideHit]
    compared: int
    matching: int


def fit_to(searcher: Searcher, spec: str) -> Transform:
    """The transformation that `rebuild --transform` would save; of more than 200,000 rows a sample decides it.

    Args:
        searcher: of the collection.
        spec: steps such as "centre+drop:1".

    Raises:
        UsageError: the steps are not understood, or ask for more numbers than the vectors have.
        ShapeError: the collection is empty.
    """
    snapshot = searcher.snapshot
    blocks = snapshot.vector_blocks(_sampled(snapshot.row_ids()))
    return fit_transform((block for _, block in blocks), parse_steps(spec))


def hits_side_by_side(
    searcher: Searcher, query: str, transform: Transform, k: int = 10, where: str | None = None
) -> SideBySide:
    """The best k documents by vector alone, without and with a transformation of query and passages.

    All matching passages are compared; of more than 200,000 a random sample, the same for both lists.

    Args:
        searcher: of a collection without a transformation.
        query: text.
        transform: fitted to vectors of the collection.
        k: most hits, 1 to 10,000.
        where: filter; None for all rows.

    Raises:
        InputError: k or the filter is impossible, or the collection has a transformation already.
        ShapeError: the transformation takes vectors of another width.
        CollectionError: the collection is damaged.
    """
    check_search(k, "semantic", "document")
    searcher = searcher.held()
    snapshot = searcher.snapshot
    settings = snapshot.collection.settings
    if settings.transform:
        raise InputError(
            f"the vectors have passed {settings.transform} already, and a second one cannot be laid over it",
            str(snapshot.collection.path),
            f"go back first: llm2comp rebuild {snapshot.collection.path} --transform none",
        )
    vector = searcher.embedder.encode_query([query])
    matching = snapshot.row_ids(searcher.allowed(where))
    row_ids = _sampled(matching)
    scores = _scores(snapshot, row_ids, vector, transform)
    documents = snapshot.documents(row_ids)
    best = [_best(row_ids, documents, side, k) for side in scores]
    now, transformed = (
        _hits(snapshot, row_ids, documents, scores[side], best[side], documents[best[1 - side]], side)
        for side in (0, 1)
    )
    return SideBySide(now, transformed, row_ids.size, matching.size)


def _sampled(row_ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """At most `MOST_ROWS` of the rows, uint64 [n], ascending."""
    if row_ids.size <= MOST_ROWS:
        return row_ids
    return np.sort(np.random.default_rng(_SEED).choice(row_ids, MOST_ROWS, replace=False))


def _scores(
    snapshot: Snapshot, row_ids: NDArray[np.uint64], vector: NDArray[np.float32], transform: Transform
) -> NDArray[np.float32]:
    """Scores of the rows [N] by the query [1, D], now and transformed, float32 [2, N]."""
    moved = transform.apply(vector)[0]
    scores = np.zeros((2, row_ids.size), np.float32)
    done = 0
    for _, block in snapshot.vector_blocks(row_ids):
        here = slice(done, done + len(block))
        scores[0, here], scores[1, here] = block @ vector[0], transform.apply(block) @ moved
        done += len(block)
    return scores


def _best(
    row_ids: NDArray[np.uint64], documents: NDArray[np.uint64], scores: NDArray[np.float32], k: int
) -> NDArray[np.int64]:
    """Positions of the best passages of the best k documents, best first, ties by row id, [k] or fewer."""
    order = np.lexsort((row_ids, -scores))
    first = np.sort(np.unique(documents[order], return_index=True)[1])[:k]
    return order[first]


def _hits(
    snapshot: Snapshot,
    row_ids: NDArray[np.uint64],
    documents: NDArray[np.uint64],
    scores: NDArray[np.float32],
    best: NDArray[np.int64],
    others: NDArray[np.uint64],
    side: int,
) -> list[SideHit]:
    """Hits at the positions `best` [k]; `others` [k] are the documents of the other list, best first."""
    if not best.size:
        return []
    other_rank = {int(document): rank for rank, document in enumerate(others, 1)}
    fields = ["doc_id", "title", WORD_COLUMN, "text_at"]
    rows = snapshot.store.take(row_ids[best], fields).to_pylist()
    hits = []
    for rank, (at, row) in enumerate(zip(best, rows, strict=True), 1):
        other = other_rank.get(int(documents[at]))
        hits.append(
            SideHit(
                rank=rank,
                other_rank=other,
                change=_change(rank, other, side),
                row_id=int(row_ids[at]),
                document_id=row["doc_id"],
                title=row["title"],
                text=row[WORD_COLUMN][row["text_at"] :],
                score=float(scores[at]),
            )
        )
    return hits


def _change(rank: int, other: int | None, side: int) -> Change:
    if other is None:
        return "new" if side else "gone"
    before, after = (other, rank) if side else (rank, other)
    return "same" if before == after else "up" if after < before else "down"
