"""Whether long passages of a collection crowd together, by the tokens of its own encoder."""

import numpy as np
from numpy.typing import NDArray

from encoder.spectrum.length_bias import LengthReport, SameTextLength, length_bias, same_text_lengths
from indexer.health.passages import drawn, texts_of
from indexer.query.embedded import Embedded

MOST_ROWS = 5_000  # tokenised for the bins
_COUNTS = (16, 32, 64, 128, 256)  # tokens that the same texts are cut to
_LEAST_TEXTS = 20


def length_report(searcher: Embedded, row_ids: NDArray[np.uint64], *, seed: int = 0) -> LengthReport:
    """Measures by the length of the passages in tokens, of at most 5,000 of the rows.

    Args:
        searcher: of the collection.
        row_ids: uint64 [N] to draw from.
        seed: of the draws.

    Raises:
        CheckpointError: the encoder is gone.
        CollectionError: the collection is damaged.
    """
    rows = drawn(row_ids, MOST_ROWS, seed)
    tokens = searcher.embedder.tokenize(texts_of(searcher.snapshot, rows))
    lengths = np.array([len(each) for each in tokens], np.int64)
    return length_bias(searcher.snapshot.vectors(rows), lengths, seed=seed)


def cut_report(
    searcher: Embedded, row_ids: NDArray[np.uint64], *, most: int = 100, seed: int = 0
) -> list[SameTextLength]:
    """Different texts, each cut to several lengths: what length alone does, whatever the texts are about.

    Args:
        searcher: of the collection.
        row_ids: uint64 [N] to draw from.
        most: texts to encode at every length.
        seed: of the draw.

    Returns:
        By rising length; empty where too few passages are as long as the second of the lengths.

    Raises:
        CheckpointError: the encoder is gone.
    """
    rows = drawn(row_ids, MOST_ROWS, seed)
    texts = texts_of(searcher.snapshot, rows)
    lengths = np.array([len(each) for each in searcher.embedder.tokenize(texts)], np.int64)
    limit = min(searcher.embedder.max_tokens, _COUNTS[-1])
    for at in range(len(_COUNTS), 1, -1):
        long = np.flatnonzero(lengths >= _COUNTS[at - 1])
        if _COUNTS[at - 1] <= limit and len(long) >= _LEAST_TEXTS:
            return same_text_lengths(searcher.embedder, [texts[each] for each in long[:most]], _COUNTS[:at])
    return []
