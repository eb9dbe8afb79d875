"""Journals of a collection: `views/<name>.jsonl`, one JSON object a line, only ever added to.

Several processes may write at once. What cannot be read is left out and counted. It knows nothing of what the
records mean; `tags`, `notes`, `sets` and `searches` do.
"""

import contextlib
import fcntl
import getpass
import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from encoder import atomic
from encoder.errors import CollectionError, InputError
from indexer.annotations import parsed_journals
from indexer.annotations.parsed_journals import Journal
from indexer.collection import Collection
from indexer.storage.lock import place_lock
from indexer.storage.store_errors import full_disk_or

VIEWS_FOLDER = "views"
FORMAT = 1
MOST_LINE_BYTES = 64_000
MOST_BYTES = 64 << 20  # of a journal
_MOST_AUTHOR = 200
_NAME = re.compile(r"[a-z]{1,32}")
# Without O_NONBLOCK the opening of a pipe that somebody put there would never end.
_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def append(collection: Collection, name: str, record: dict[str, Any], *, author: str = "") -> dict[str, Any]:
    """Adds one record and returns it as written, with `format`, `at` (UTC) and `author`.

    Args:
        collection: it belongs to.
        name: of the journal, small letters.
        record: JSON types only; as text at most 64 kB.
        author: who did it; what the record names, or the user of this computer, when empty.

    Raises:
        InputError: the record is too large or cannot be written as JSON.
        CollectionError: the disk is full, the folder cannot be written, or the journal is full; nothing was added.
    """
    return append_all(collection, name, [record], author=author)[0]


def append_all(
    collection: Collection, name: str, records: Sequence[dict[str, Any]], *, author: str = ""
) -> list[dict[str, Any]]:
    """Adds several records, all of them or none, see `append`.

    Raises:
        InputError: a record is too large or cannot be written as JSON.
        CollectionError: the disk is full, the folder cannot be written, or the journal is full; nothing was added.
    """
    file = _file(collection, name)
    if not records:
        return []
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    written = [_signed(record, author, now) for record in records]
    lines = b"".join(_line(record, file) for record in written)
    try:
        with place_lock(collection.path):  # a re-embedding puts another folder there
            _add_to(file, lines)
    except OSError as error:
        raise full_disk_or(error, f"{file.name} cannot be written", file) from error
    return written


def read(collection: Collection, name: str) -> list[dict[str, Any]]:
    """The records in the order in which they were written; what cannot be read is left out.

    They are kept for the next call: look at them, change nothing in them.

    Raises:
        CollectionError: the file is a link, or cannot be opened.
    """
    return read_journal(collection, name).records


def read_journal(collection: Collection, name: str) -> Journal:
    """The records, and how many lines could not be read; empty where nothing was written yet.

    What was parsed before is not parsed again: of a file that grew only the new lines, if all before them is as it
    was. The records are kept for the next call: look at them, change nothing in them.

    Raises:
        CollectionError: the file is a link, or cannot be opened.
    """
    file = _file(collection, name)
    try:
        with _opened(file, os.O_RDONLY, fcntl.LOCK_SH) as handle:
            return parsed_journals.read(file, handle, MOST_BYTES, _record)
    except FileNotFoundError:
        return Journal([], 0)
    except OSError as error:
        raise CollectionError(
            f"{file.name} cannot be read: {error.strerror or error}",
            str(file),
            "check the permissions of the folder",
        ) from error


def state(collection: Collection, name: str) -> tuple[int, int]:
    """Something that differs whenever the journal does, (0, 0) where there is none; costs one look at the file."""
    try:
        seen = _file(collection, name).lstat()
    except OSError:
        return 0, 0
    return seen.st_size, seen.st_mtime_ns


def user_name() -> str:
    """The user of this computer, for records that nobody signed."""
    try:
        return getpass.getuser()[:_MOST_AUTHOR]
    except (OSError, KeyError, ImportError):  # a container without an entry for its user
        return f"user {os.getuid()}"


def _file(collection: Collection, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise InputError(f"{name[:40]!r} is no name of a journal", str(collection.path), "use small letters")
    folder = collection.path / VIEWS_FOLDER
    if folder.is_symlink():
        raise _is_link(folder)
    return folder / f"{name}.jsonl"


def _is_link(path: Path) -> CollectionError:
    return CollectionError(
        f"{path.name} is a link or no plain file: what it leads to is neither read nor changed",
        str(path),
        "put a copy of what it leads to in its place",
    )


@contextmanager
def _opened(file: Path, flags: int, lock: int) -> Iterator[int]:
    if file.is_symlink():
        raise _is_link(file)
    handle = os.open(file, flags | _SAFELY, 0o644)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise _is_link(file)
        # Some network folders know no locks: there a line is still whole, unless two write it in the same moment.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, lock)
        yield handle
    finally:
        os.close(handle)


def _add_to(file: Path, lines: bytes) -> None:
    """Adds lines to a journal, which is made where there is none, with its folder."""
    is_new = not file.parent.is_dir()
    file.parent.mkdir(exist_ok=True)
    with _opened(file, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as handle:
        _add(handle, lines, file)
    atomic.sync_folder(file.parent)
    if is_new:
        atomic.sync_folder(file.parent.parent)


def _add(handle: int, lines: bytes, file: Path) -> None:
    """Writes at the end and to disk; where that fails the file is as before."""
    size = os.fstat(handle).st_size
    if size + len(lines) > MOST_BYTES:
        raise CollectionError(
            f"{file.name} holds {size / 2**20:,.0f} MB, more is not read again",
            str(file),
            "move the file elsewhere to begin a new one; what it holds is then no longer shown",
        )
    # A power cut may have left a line without its end; ours must not become a part of it.
    if size and os.pread(handle, 1, size - 1) != b"\n":
        lines = b"\n" + lines
    try:
        done = 0
        while done < len(lines):
            done += os.pwrite(handle, lines[done:], size + done)
        os.fsync(handle)
    except BaseException:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, size)
        raise


def _signed(record: dict[str, Any], author: str, now: str) -> dict[str, Any]:
    signed_by = author or record.get("author") or user_name()
    return {**record, "format": FORMAT, "at": now, "author": str(signed_by)[:_MOST_AUTHOR]}


def _line(record: dict[str, Any], file: Path) -> bytes:
    try:
        line = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:  # UnicodeEncodeError is a ValueError
        raise InputError(
            f"this cannot be written down: {error}", str(file), "use plain text and finite numbers"
        ) from error
    if len(line) > MOST_LINE_BYTES:
        raise InputError(
            f"an entry of {len(line):,} bytes is too large",
            str(file),
            f"at most {MOST_LINE_BYTES:,} are kept",
        )
    return line


def _record(line: bytes) -> dict[str, Any] | None:
    """The record of a line, None when it is not one of ours."""
    if len(line) > MOST_LINE_BYTES:
        return None
    try:
        found = json.loads(line.decode(), parse_constant=_refuse)
        json.dumps(
            found, ensure_ascii=False, allow_nan=False
        ).encode()  # no lone surrogates, nothing infinite
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and _is_signed(found) else None


def _is_signed(found: dict[str, Any]) -> bool:
    number, at, author = found.get("format"), found.get("at"), found.get("author")
    if type(number) is not int or number != FORMAT:  # True equals 1
        return False
    if not isinstance(at, str) or not isinstance(author, str) or len(author) > _MOST_AUTHOR:
        return False
    try:
        return datetime.fromisoformat(at).tzinfo is not None
    except ValueError:
        return False


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
