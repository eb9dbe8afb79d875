"""The tray as lines of a table, and as the items of a saved set; pure, no widgets."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.display import one_line
from app.formats import plural
from app.rows import TITLE_CHARS, shorten
from app.tray import WAY_LABELS, Origin, Tray, origins
from indexer.annotations.sets import SetItem
from indexer.query.snapshot import Snapshot

_DETAIL_CHARS = 80
_MOST_DETAIL = 1_000  # of what a saved set or a file remembers


def tray_table(snapshot: Snapshot, tray: Tray, rows: Sequence[int]) -> list[dict[str, str]]:
    """Title and way of some passages of the tray; those deleted since are shown as that.

    Args:
        snapshot: of the version searched.
        tray: that holds them.
        rows: row ids to show, in their order.
    """
    live = live_rows(snapshot, rows)
    titles = dict(zip(live, _column(snapshot, live, "title"), strict=True))
    return [
        {
            "title": (shorten(one_line(titles[row]), TITLE_CHARS) or "(no title)")
            if row in titles
            else f"(deleted since version {tray.entries[row].version})",
            "how": how(tray.entries[row]),
        }
        for row in rows
    ]


def live_rows(snapshot: Snapshot, rows: Sequence[int]) -> list[int]:
    """Those row ids that are still there, in their order."""
    wanted = np.array(rows, np.uint64)
    return [int(row) for row in wanted[np.isin(wanted, snapshot.row_ids())]]


def set_items(snapshot: Snapshot, tray: Tray) -> list[SetItem]:
    """What a saved set keeps of the tray: the passages that are still there, with how each got there."""
    live = live_rows(snapshot, tray.rows)
    ids = _column(snapshot, live, "id")
    return [
        SetItem(row, name, how(tray.entries[row], _MOST_DETAIL)) for row, name in zip(live, ids, strict=True)
    ]


def how(origin: Origin, width: int = _DETAIL_CHARS) -> str:
    """How a passage got there, in a line that holds nothing hostile but Markdown."""
    detail = shorten(one_line(origin.detail), width)
    return f"{WAY_LABELS[origin.way]}: {detail}" if detail else WAY_LABELS[origin.way]


def origins_by_row(tray: Tray) -> dict[int, str]:
    """Row id to how it got there, in the order of the tray, for a file."""
    return {row: how(origin, _MOST_DETAIL) for row, origin in tray.entries.items()}


def summary(tray: Tray) -> list[str]:
    """One line for each way by which passages came: "12 passages: hit of a query: roads"."""
    return [f"{plural(number, 'passage')}: {how(origin)}" for origin, number in origins(tray)]


def _column(snapshot: Snapshot, rows: Sequence[int], name: str) -> list[Any]:
    if not rows:
        return []
    found: list[Any] = snapshot.store.take(np.array(rows, np.uint64), [name])[name].to_pylist()
    return found
