"""The memory tokens of a collection's encoder, by encoding some of its passages again."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.errors import InputError
from encoder.spectrum.covariance import Covariance, spectrum_measures
from encoder.spectrum.neighbourhood import NEIGHBOURS, nearest
from encoder.spectrum.slot_clusters import cluster_pool
from encoder.spectrum.slots import SlotReport, examine_slots
from indexer.health.passages import drawn, texts_of
from indexer.progress import JobProgress, Report, silent
from indexer.query.embedded import Embedded

MOST_TEXTS = 500
_ENCODED = 32


@dataclass(frozen=True, slots=True)
class Merged:
    """Embeddings when memory states that say the same count once."""

    clusters: int  # of the memory states of each text; all of them is the plain mean
    effective_rank: float | None  # centred
    overlap: float | None  # of the nearest neighbours by the plain mean, how many are so still


@dataclass(frozen=True, eq=False)
class MemoryLook:
    """What the memory tokens say, and what merging them by likeness would change."""

    slots: SlotReport
    merged: tuple[Merged, ...]  # by falling number of clusters, the plain mean first


def memory_report(
    searcher: Embedded,
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
    return examine_slots(_states(searcher, row_ids, most, seed, report), seed=seed)


def look_at_memory(
    searcher: Embedded,
    row_ids: NDArray[np.uint64],
    *,
    most: int = MOST_TEXTS,
    seed: int = 0,
    report: Report = silent,
) -> MemoryLook:
    """Like `memory_report` from rows [N], and what merging memory states would change.

    Raises:
        InputError: the encoder has no memory tokens, or there is no passage.
        CheckpointError: the encoder is gone.
    """
    states = _states(searcher, row_ids, most, seed, report)
    return MemoryLook(examine_slots(states, seed=seed), merged_by_likeness(states))


def merged_by_likeness(memory: NDArray[np.floating]) -> tuple[Merged, ...]:
    """Embeddings of memory states [N, M, D] with M, M / 2, M / 4 ... clusters of them in each text."""
    counts = [memory.shape[1]]
    while counts[-1] > 2:
        counts.append(counts[-1] // 2)
    usual, found = None, []
    for count in counts:
        unit = cluster_pool(memory, n_clusters=count)
        unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        near = nearest(unit, min(NEIGHBOURS, len(unit) - 1)).positions
        usual = near if usual is None else usual
        shared = [np.isin(now, before).mean() for now, before in zip(near, usual, strict=True) if len(before)]
        covariance = Covariance(unit.shape[1])
        covariance.add(unit.astype(np.float64))
        rank = spectrum_measures(np.sqrt(covariance.spectra()[1])).effective_rank
        found.append(Merged(count, rank, float(np.mean(shared)) if shared else None))
    return tuple(found)


def _states(
    searcher: Embedded, row_ids: NDArray[np.uint64], most: int, seed: int, report: Report
) -> NDArray[np.float32]:
    """Memory states of passages drawn from rows [N], float32 [n, M, D].

    Raises:
        InputError: the encoder has no memory tokens, or there is no passage.
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
    return np.concatenate(states)
