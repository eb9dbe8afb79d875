"""Processes by their numbers: whether one still works, told from another that got its number later, and signals."""

import contextlib
import os
from pathlib import Path


def is_alive(pid: int, started: str) -> bool:
    """Whether the process of that number and start still works.

    Args:
        pid: its number.
        started: what `start_of` said of it.
    """
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return False
    return start_of(pid) == started


def start_of(pid: int) -> str:
    """The kernel's start time of a process, "dead" for one that only waits to be buried, "" where it is not told."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "dead" if fields[0] in {"Z", "X"} else fields[19]


def tell(pid: int, number: int) -> None:
    """Sends a signal to a process and all that it has started; nothing where they are gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
