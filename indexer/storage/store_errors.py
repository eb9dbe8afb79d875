"""What Lance and the operating system raise, as errors that a user can act on."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from encoder.errors import CollectionError

_FULL_DISK = ("No space left", "os error 28", "StorageFull", "File too large", "os error 27", "os error 122")
_NO_WRITING = ("Permission denied", "Read-only file system", "os error 13", "os error 30", "os error 1)")


def _is_panic(error: BaseException) -> bool:
    return type(error).__name__ == "PanicException"  # Rust code that gave up; no child of Exception


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Turns what Lance raises into what a user can act on."""
    try:
        yield
    except CollectionError:
        raise
    except (OSError, RuntimeError, ValueError, ArithmeticError, LookupError, TypeError, MemoryError) as error:
        raise _known_failure(error, path) from error
    except BaseException as error:
        if _is_panic(error):
            raise _known_failure(error, path) from error
        raise


def _known_failure(error: BaseException, path: Path) -> CollectionError:
    text = str(error) or type(error).__name__
    if any(sign in text for sign in _FULL_DISK):
        return CollectionError(
            "the disk is full", str(path), "free some space and run the same command again; it goes on"
        )
    if any(sign in text for sign in _NO_WRITING):
        return CollectionError(
            "the collection cannot be written", str(path), "check the permissions of the folder"
        )
    return CollectionError(
        f"the row store cannot be read or written: {text.splitlines()[0][:300]}",
        str(path),
        f"see what is damaged: llm2comp verify {path.parent}",
    )


def full_disk_or(error: OSError, what: str, where: Path) -> CollectionError:
    """The error for a file that could not be written.

    Args:
        error: what the system said.
        what: the sentence when it is not a lack of space: "the segment cannot be written".
        where: the folder.
    """
    if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return CollectionError(
            "the disk is full", str(where), "free some space and run the same command again; it goes on"
        )
    return CollectionError(
        f"{what}: {error.strerror or error}",
        str(where),
        "check permissions and space, and run the same command again; it goes on",
    )
