"""The tray: passages that a person puts together while looking around, in their order, with how each got there.

Pure. Only row ids are kept, never texts; a tray belongs to one collection.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from app.formats import count
from encoder.errors import InputError

MOST_ROWS = 10_000
Way = Literal["query", "polygon", "topic", "neighbour", "row", "link", "set"]

WAY_LABELS: dict[Way, str] = {
    "query": "hit of a query",
    "polygon": "inside an outline on the map",
    "topic": "member of a topic",
    "neighbour": "neighbour of a passage",
    "row": "picked",
    "link": "brought by a link",
    "set": "from a saved set",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """How passages got into the tray.

    Attributes:
        way: what was done.
        detail: the query, the topic's label, the name of the set; empty where there is nothing to say. Not ours:
            clean it before it is shown.
        version: publication that was looked at.
    """

    way: Way
    detail: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Tray:
    """Row ids in the order in which they were put in, each with its origin."""

    entries: Mapping[int, Origin] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def rows(self) -> tuple[int, ...]:
        """The row ids in their order."""
        return tuple(self.entries)

    def __len__(self) -> int:
        """How many passages it holds."""
        return len(self.entries)


def add(tray: Tray, rows: Iterable[int], origin: Origin) -> Tray:
    """The tray with more passages at its end; what it holds already stays where it is.

    Raises:
        InputError: it would hold more than 10,000; nothing is added then.
    """
    entries = dict(tray.entries)
    for row in rows:
        entries.setdefault(int(row), origin)
    if len(entries) > MOST_ROWS:
        raise InputError(
            f"the tray would hold {count(len(entries))} passages, and {count(MOST_ROWS)} is the most",
            "tray",
            "add fewer, or save what it holds as a set and clear it",
        )
    return _tray(entries)


def remove(tray: Tray, rows: Iterable[int]) -> Tray:
    """The tray without some passages; those that it does not hold are ignored."""
    gone = {int(row) for row in rows}
    return _tray({row: origin for row, origin in tray.entries.items() if row not in gone})


def origins(tray: Tray) -> list[tuple[Origin, int]]:
    """Each distinct origin with how many passages came by it, in the order in which they first came."""
    counted: dict[Origin, int] = {}
    for origin in tray.entries.values():
        counted[origin] = counted.get(origin, 0) + 1
    return list(counted.items())


def _tray(entries: dict[int, Origin]) -> Tray:
    return Tray(MappingProxyType(entries))
