"""One writer a collection: an advisory lock that names its holder; and a short one that keeps its folder in place."""

import contextlib
import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from encoder.errors import CollectionError, LockedError

LOCK_FILE = "writer.lock"
# What a writer writes and deletes in; a foreign collection could lead it elsewhere by a link.
_OWN_FOLDERS = ("rows.lance", "publish", "derived")


@contextmanager
def writer_lock(path: Path) -> Iterator[None]:
    """Holds the right to write the collection at `path`; the kernel frees it however the process ends.

    Raises:
        LockedError: another process holds it; the message names that process.
        CollectionError: the folder cannot be written, or parts of it are links that lead elsewhere.
    """
    file = path / LOCK_FILE
    for name in (LOCK_FILE, *_OWN_FOLDERS):
        if (path / name).is_symlink():
            raise CollectionError(
                f"{name} is a link: writing would change what lies where it leads",
                str(path / name),
                "put a copy of what it leads to in its place",
            )
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise CollectionError(
            f"the collection cannot be written: {error.strerror}",
            str(path),
            "check the permissions of the folder, or copy it to a place that can be written",
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError(
                f"the collection is being written by {_holder(file)}",
                str(path),
                "wait until it is done, or stop that process",
            ) from error
        except OSError as error:  # some network folders know no locks
            raise CollectionError(
                f"the collection cannot be locked: {error.strerror}",
                str(path),
                "copy it to a local disk",
            ) from error
        with contextlib.suppress(OSError):  # a full disk must not keep anyone from deleting
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(_self()).encode(), 0)
        yield
    finally:
        os.close(handle)


@contextmanager
def place_lock(path: Path) -> Iterator[None]:
    """Keeps the folder that is at `path` there, while a few lines are written into it or another takes its place.

    Held for moments, waited for, and free of the writer's lock, which an import holds for hours. Where the system
    knows no locks on folders, what is written in the very moment of a change of places may go with the old folder.

    Raises:
        OSError: there is no such folder.
    """
    while True:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(handle), path.stat()):  # else another was put there while we waited
                yield
                return
        finally:
            os.close(handle)


def _self() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(sys.argv)[:200],
    }


def _holder(file: Path) -> str:
    try:
        found = json.loads(file.read_text())
        named = f"process {found['pid']} on {found['host']} since {found['since']} ({found['command']})"
        return "".join(sign if sign.isprintable() else "?" for sign in named[:400])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"
