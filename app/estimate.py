"""What an indexing job would cost, from its first rows: nothing is written."""

import time
from typing import Any

from encoder.embedder import Embedder
from indexer.passages.cut import cut_passages
from indexer.sources.source import Source

_SAMPLE_DOCUMENTS = 256


def estimate(source: Source, encoder: Embedder, *, window: int | None, overlap: int | None) -> dict[str, Any]:
    """Documents, passages, bytes and minutes, extrapolated from the first documents.

    Args:
        source: to be indexed.
        encoder: to be used; a sample is really encoded.
        window: tokens of a passage; None for the encoder's limit.
        overlap: tokens that neighbours share; None for an eighth.
    """
    window = window or encoder.max_tokens
    overlap = window // 8 if overlap is None else overlap
    documents = next(source.batches(_SAMPLE_DOCUMENTS), [])
    fraction = source.fraction_read()
    pieces = cut_passages(documents, encoder, window=window, overlap=overlap)
    texts = [passage.content for cut in pieces for passage in cut]
    encoder.encode_document(texts[:8])  # the first call pays for warming up
    began = time.monotonic()
    encoder.encode_document(texts)
    seconds = time.monotonic() - began
    scale = 1 / fraction if fraction else None
    row_bytes = sum(len(text.encode("utf-8", "replace")) for text in texts) / max(1, len(texts))
    passages = round(len(texts) * scale) if scale else None
    return {
        "documents": round(len(documents) * scale) if scale else None,
        "passages": passages,
        "minutes": round(seconds * scale / 60, 1) if scale else None,
        # Vectors stand in the row store and in the index, 2 bytes a number each.
        "disk_mb": round(passages * (row_bytes + 4 * encoder.dimension) / 1e6, 1) if passages else None,
        "memory_mb": round(passages * 2 * encoder.dimension / 1e6, 1) if passages else None,
    }
