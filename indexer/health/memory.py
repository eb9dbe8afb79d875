"""The memory tokens of a collection's encoder, by encoding some of its passages again."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.errors import InputError
from encoder.spectrum.slots import SlotReport, examine_slots
from indexer.health.passages import drawn, texts_of
from indexer.progress import JobProgress, Report, silent
from indexer.search import Searcher

MOST_TEXTS = 500
_ENCODED = 32


def memory_report(
    searcher: Searcher,
    row_ids: NDArray[np.uint64],
    *,
    most: int = MOST_TEXTS,
    seed: int = 0,
    report: Report = silent,
) -> SlotReport:
    """What each memory token says, from passages drawn at random.

    Args:
        searcher: of the collection.
        row_ids: uint64 [N] to draw from.
        most: passages to encode.
        seed: of the draw.
        report: called as passages are encoded.

    Raises:
        InputError: the encoder has no memory tokens, or there is no passage.
        CheckpointError: the encoder is gone.
    """
    name = str(searcher.snapshot.collection.path)
    if not row_ids.size:
        raise InputError("there is no passage whose memory tokens could be looked at", name, "choose some")
    embedder: Any = searcher.embedder
    encode = getattr(embedder, "encode_memory", None)
    if encode is None:
        raise InputError(
            "the encoder of this collection has no memory tokens",
            name,
            "look at a collection that was indexed with an LLM2Comp encoder",
        )
    texts = texts_of(searcher.snapshot, drawn(row_ids, most, seed))
    states = []
    for start in range(0, len(texts), _ENCODED):
        states.append(encode(texts[start : start + _ENCODED]))
        done = min(start + _ENCODED, len(texts))
        report(JobProgress("encoding memory tokens", passages=done, fraction=done / len(texts)))
    return examine_slots(np.concatenate(states), seed=seed)
