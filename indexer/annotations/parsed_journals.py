"""Journals as they were parsed last, so that a page does not parse ten thousand lines at every click.

A journal only grows, but a person may cut, mend or replace the file: what was parsed counts only as long as its bytes
are the same, which a hash tells far sooner than parsing them again.
"""

import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SETTLED_NS = 100_000_000
_MOST_KEPT_BYTES = 64 << 20  # of the files whose records are kept

Record = dict[str, Any]
_Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Journal:
    """What a journal holds.

    Attributes:
        records: in the order in which they were written, each with `format`, `at` and `author`.
        left_out: lines that are damaged, of a newer format, or beyond the most that is read.
    """

    records: list[Record]
    left_out: int


@dataclass(frozen=True, slots=True)
class _Parsed:
    """The whole lines at the beginning of a file, and what follows them."""

    stamp: _Stamp
    most: int
    size: int  # of the whole lines
    digest: bytes  # of them
    whole: Journal
    found: Journal  # with the last line, if it has no end yet


_kept: OrderedDict[Path, _Parsed] = OrderedDict()
_lock = threading.Lock()


def read(file: Path, handle: int, most: int, parse: Callable[[bytes], Record | None]) -> Journal:
    """What an open journal holds; the list is the caller's, the records are everybody's.

    Args:
        file: its path.
        handle: of the open file, locked against writers.
        most: bytes that are read.
        parse: a line to its record, None for one that is left out.

    Raises:
        OSError: it cannot be read.
    """
    seen = os.fstat(handle)
    stamp = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
    with _lock:
        before = _kept.get(file)
    if before is None or (before.stamp, before.most) != (stamp, most):
        with os.fdopen(os.dup(handle), "rb") as stream:
            content = stream.read(most + 1)
        # A clock ticks in milliseconds: of a file that was just written, the next writing may bear the same time.
        is_settled = time.time_ns() - max(seen.st_mtime_ns, seen.st_ctime_ns) > _SETTLED_NS
        before = _parsed(content, stamp if is_settled else (), most, before, parse)
        _keep(file, before)
    return Journal(list(before.found.records), before.found.left_out)


def _parsed(
    content: bytes, stamp: _Stamp, most: int, before: _Parsed | None, parse: Callable[[bytes], Record | None]
) -> _Parsed:
    is_cut = len(content) > most
    if is_cut:
        content = content[: content.rfind(b"\n", 0, most) + 1]
    size = content.rfind(b"\n") + 1
    digest = hashlib.blake2b()
    old = Journal([], 0)
    start = 0
    if before is not None and before.size <= size:
        digest.update(memoryview(content)[: before.size])
        if digest.digest() == before.digest:
            old, start = before.whole, before.size
        else:
            digest = hashlib.blake2b()
    digest.update(memoryview(content)[start:size])
    whole = _joined(old, _of_lines(content[start:size], parse))
    found = _joined(whole, _of_lines(content[size:], parse))
    found = Journal(found.records, found.left_out + is_cut)
    return _Parsed(stamp, most, size, digest.digest(), whole, found)


def _of_lines(content: bytes, parse: Callable[[bytes], Record | None]) -> Journal:
    lines = [line for line in content.split(b"\n") if line.strip()]
    records = [record for line in lines if (record := parse(line)) is not None]
    return Journal(records, len(lines) - len(records))


def _joined(one: Journal, other: Journal) -> Journal:
    return Journal([*one.records, *other.records], one.left_out + other.left_out)


def _keep(file: Path, found: _Parsed) -> None:
    """Keeps it, and lets go of what was not asked for longest where that is too much."""
    with _lock:
        _kept[file] = found
        _kept.move_to_end(file)
        while len(_kept) > 1 and sum(each.size for each in _kept.values()) > _MOST_KEPT_BYTES:
            _kept.popitem(last=False)
