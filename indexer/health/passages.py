"""Positions among examined rows to passages with titles and texts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.health.report import NamedRow
from indexer.query.snapshot import Snapshot
from indexer.storage.row_schema import WORD_COLUMN

_TEXT_CHARS = 300


def named(
    snapshot: Snapshot, row_ids: NDArray[np.uint64], rows: Sequence[tuple[int, float]]
) -> tuple[NamedRow, ...]:
    """The rows with what they say, in the order given.

    Args:
        snapshot: of the version.
        row_ids: uint64 [N], the rows that were examined, in that order.
        rows: (position, value) of those to name.
    """
    if not rows:
        return ()
    ids = row_ids[np.array([at for at, _ in rows], np.int64)]
    found = snapshot.store.take(ids, ["id", "title", WORD_COLUMN, "text_at"]).to_pylist()
    return tuple(
        NamedRow(
            position=at,
            value=value,
            row_id=int(row_id),
            passage_id=row["id"],
            title=row["title"],
            text=row[WORD_COLUMN][row["text_at"] :][:_TEXT_CHARS],
        )
        for (at, value), row_id, row in zip(rows, ids, found, strict=True)
    )


def texts_of(snapshot: Snapshot, row_ids: NDArray[np.uint64]) -> list[str]:
    """The texts of live rows [N] as they were encoded, title and passage."""
    if not row_ids.size:
        return []
    found: list[str] = snapshot.store.take(row_ids, [WORD_COLUMN])[WORD_COLUMN].to_pylist()
    return found


def drawn(row_ids: NDArray[np.uint64], most: int, seed: int) -> NDArray[np.uint64]:
    """At most so many of the rows [N], drawn at random, ascending."""
    if row_ids.size <= most:
        return row_ids
    return np.sort(np.random.default_rng(seed).choice(row_ids, most, replace=False))
