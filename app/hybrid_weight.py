"""Held-out pairs -> the weight with which hybrid search, our own engine and no copy of its formula, ranks best."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoder.config import read_config, write_config
from encoder.errors import InputError
from encoder.shipped import SUMS_FILE, write_sums

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from encoder.embedder import Embedder
    from encoder.stats import EncodingStats
    from indexer import Collection
    from train.settings import ContrastiveRecipe

_WEIGHTS = tuple(round(0.05 * step, 2) for step in range(21))
_DEPTH = 10
Note = Callable[[str], None]


@dataclass(frozen=True)
class Tuned:
    """What was found.

    Attributes:
        weight: of the dense part, the middle one where several are best.
        gains: nDCG@10 from 0 to 1 of hybrid search by weight: 0.0 orders by words, 1.0 by vectors.
        queries: how many were asked.
        documents: among which each looked for its own.
    """

    weight: float
    gains: dict[float, float]
    queries: int
    documents: int


def held_out_pairs(recipe: "ContrastiveRecipe") -> list[tuple[str, str]]:
    """Anchor and positive of the pairs that a run by this recipe never trains on, no positive twice.

    Raises:
        ConfigError: the recipe is impossible.
        InputError: a file cannot be read, or the recipe holds no pairs out.
    """
    from indexer.query.asked import MOST_QUERY_CHARACTERS
    from train.texts.pairs import read_pairs

    found = read_pairs(recipe.pairs, held_out=recipe.held_out, seed=recipe.schedule.seed)
    anchors = {
        row["positive"]: row["anchor"]
        for name in sorted(found.held_out)
        for row in found.held_out[name]
        if len(row["anchor"]) <= MOST_QUERY_CHARACTERS  # search refuses longer ones
    }
    if not anchors:
        raise InputError("The recipe holds no pairs out.", "held_out", "set held_out above 0")
    return [(anchor, positive) for positive, anchor in anchors.items()]


def tune_weight(encoder: "Embedder", pairs: Sequence[tuple[str, str]], *, queries: int, note: Note) -> Tuned:
    """Indexes the positives and lets anchors look for their own with every weight.

    Args:
        encoder: of whose search the weight is.
        pairs: anchor and positive, no positive twice; all positives are searched.
        queries: most anchors that are asked; they are drawn evenly.
        note: told what is done.
    """
    from indexer import Collection
    from indexer.sources import open_sources

    documents = [{"id": str(number), "text": positive} for number, (_, positive) in enumerate(pairs)]
    step = max(1, -(-len(pairs) // queries))
    asked = list(range(0, len(pairs), step))
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "documents.jsonl"
        source.write_text("\n".join(map(json.dumps, documents)), encoding="utf-8")
        note(f"indexing {len(pairs):,} documents")
        collection = Collection.create(Path(temporary) / "collection", encoder=encoder)
        collection.add(open_sources([source], text="text", id="id", metadata=[]), encoder=encoder)
        note(f"asking {len(asked):,} queries with {len(_WEIGHTS)} weights")
        known = _KnownQueries(encoder, [pairs[number][0] for number in asked])
        gains = {weight: _gain(collection, known, asked, weight) for weight in _WEIGHTS}
    best = [weight for weight, gain in gains.items() if gain >= max(gains.values()) - 1e-9]
    return Tuned(best[len(best) // 2], gains, len(asked), len(pairs))


def store_weight(directory: Path, tuned: Tuned) -> None:
    """Writes the weight into an encoder directory, and into its card what it was found on.

    Raises:
        CheckpointError: the directory is no encoder, or its description is damaged.
        OSError: the folder cannot be written.
    """
    config = read_config(directory)
    found = {
        "queries": tuned.queries,
        "documents": tuned.documents,
        "ndcg_at_10": round(tuned.gains[tuned.weight], 4),
        "ndcg_at_10_dense": round(tuned.gains[1.0], 4),
        "ndcg_at_10_words": round(tuned.gains[0.0], 4),
    }
    card = {**config.card, "hybrid": found}
    write_config(directory, replace(config, hybrid_weight=tuned.weight, card=card))
    if (directory / SUMS_FILE).exists():
        write_sums(directory)


def _gain(collection: "Collection", known: "_KnownQueries", asked: Sequence[int], weight: float) -> float:
    """Mean nDCG@10 where query i has one answer, document i."""
    from encoder.metrics import ndcg_at_k
    from indexer import Collection
    from indexer.search import Searcher

    weighted = Collection(collection.path, replace(collection.settings, hybrid_weight=weight))
    results = Searcher(weighted, known).search_batch(known.texts, _DEPTH, exact=True)
    gains = [
        ndcg_at_k([hit.document_id for hit in result.hits], {str(number): 1.0}, _DEPTH)
        for number, result in zip(asked, results, strict=True)
    ]
    return sum(gains) / len(gains)


class _KnownQueries:
    """An encoder that encodes queries once, since they are asked with every weight."""

    def __init__(self, encoder: "Embedder", texts: Sequence[str]) -> None:
        from encoder.stats import EncodingStats

        stats = EncodingStats()
        self._encoder = encoder
        self.texts = list(texts)
        self._vectors = dict(zip(self.texts, encoder.encode_query(self.texts, stats=stats), strict=True))
        self._unknown = {self.texts[number] for number in stats.mostly_unknown}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def encode_query(
        self, texts: Sequence[str], *, stats: "EncodingStats | None" = None, **_: Any
    ) -> "NDArray[np.float32]":
        """Rows [N, D] kept for these texts; `stats` is told which of them are mostly unknown, as search asks."""
        import numpy as np

        if stats is not None:
            stats.mostly_unknown += [number for number, text in enumerate(texts) if text in self._unknown]
        return np.stack([self._vectors[text] for text in texts])
