"""Files that appear whole or not at all: write beside, flush to disk, rename; and their hashes."""

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

_BLOCK_BYTES = 1 << 20


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces `path` by `content` in one step that survives a power cut.

    Raises:
        OSError: the folder cannot be written or the disk is full; `path` is then as before.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    sync_folder(path.parent)


def write_json(path: Path, content: Any) -> None:
    """Replaces `path` by `content` as readable JSON, in one step."""
    write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def create_exclusive(path: Path, content: bytes) -> None:
    """Writes `path` only if it does not exist: the commit point of a publication.

    Raises:
        FileExistsError: another writer was first; its file is untouched.
        OSError: the folder cannot be written or the disk is full.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        os.link(temporary, path)  # fails when the name is taken, unlike a rename
    finally:
        Path(temporary).unlink()
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Forces a file's content to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(path: Path) -> None:
    """Forces a folder's names to disk; without it a renamed file may be gone after a power cut."""
    with contextlib.suppress(PermissionError):  # Windows cannot open a folder
        sync_file(path)


def sha256_file(path: Path) -> str:
    """Sha256 of a file's content, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
