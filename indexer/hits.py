"""What a search gives back; plain values, no engine behind them."""

from dataclasses import dataclass, field
from typing import Any, Literal

Mode = Literal["hybrid", "semantic", "keyword"]
MODES: tuple[Mode, ...] = ("hybrid", "semantic", "keyword")


@dataclass(frozen=True, slots=True)
class Hit:
    """One found document, shown by its best passage.

    Attributes:
        rank: from 1.
        id: of the passage.
        document_id: of the document.
        score: what the hits are ordered by; higher is better.
        dense: inner product of query and passage, -1 to 1; None in keyword mode.
        keyword: BM25 score; None in semantic mode or when no query word occurs.
        title: of the document, may be empty.
        text: of the passage.
        span: first character of the passage in the document's text, and one past its last.
        metadata: column name to value.
    """

    rank: int
    id: str
    document_id: str
    score: float
    dense: float | None
    keyword: float | None
    title: str
    text: str
    span: tuple[int, int]
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an answer came from, so that it can be trusted and repeated.

    Attributes:
        version: number of the published version that was searched.
        rows: live passages of that version.
        matching: passages that pass the filter; equals `rows` without one.
        index: kind of the segments searched: "flat", "rabitq", ..., joined by "+".
        encoder: the encoder's name.
        mode: "exact" when every matching row was compared, else "approximate".
        recall: ann recall@10 measured when the index was built; 1.0 for an exact answer.
        nprobe: cells visited, for IVF kinds.
        rows_scanned: rows compared.
        milliseconds: time per step ("encode", "filter", "dense", "keyword", "fetch", "total").
        notes: what the user should know, one sentence each ("the GPU was lost; searched on the CPU").
    """

    version: int
    rows: int
    matching: int
    index: str
    encoder: str
    mode: Literal["exact", "approximate"]
    recall: float
    nprobe: int | None
    rows_scanned: int
    milliseconds: dict[str, float]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fusion:
    """How two scores became one: the numbers that a hybrid search scaled with.

    score = weight * (dense - low) / (high - low) + (1 - weight) * keyword / top; a missing keyword score is 0.

    Attributes:
        weight: of the dense part, 0 to 1.
        low: least dense score among the candidates.
        high: greatest dense score among the candidates; where it equals `low` the scaled dense score is 1.
        top: greatest keyword score among the candidates; where it is 0 the scaled keyword score is 0.
    """

    weight: float
    low: float
    high: float
    top: float

    def parts(self, dense: float, keyword: float | None) -> tuple[float, float]:
        """What each of the two adds to the score."""
        scaled_dense = (dense - self.low) / (self.high - self.low) if self.high > self.low else 1.0
        scaled_keyword = (keyword or 0.0) / self.top if self.top > 0 else 0.0
        return self.weight * scaled_dense, (1.0 - self.weight) * scaled_keyword


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits by falling score, at most k, ties by row id; empty when nothing passes the filter.

    Attributes:
        query: as it is shown.
        hits: see above.
        provenance: where they came from.
        row_ids: of the hits' passages, in the same order: the keys of maps, topics and sets.
        fusion: how the scores were made; None unless both searches were asked.
    """

    query: str
    hits: list[Hit]
    provenance: Provenance
    row_ids: tuple[int, ...] = ()
    fusion: Fusion | None = None
