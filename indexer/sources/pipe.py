"""What can be read only once (standard input, a named pipe) as a file; a source is read twice."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import IO

from encoder.errors import InputError


class PipedFile:
    """All that comes out of a pipe, in a temporary file that lives as long as this object.

    Args:
        pipe: open for bytes.
        label: how it is called in messages.

    Raises:
        InputError: nothing comes, or the disk is full.
    """

    def __init__(self, pipe: IO[bytes], label: str) -> None:
        self._file = tempfile.NamedTemporaryFile(prefix="llm2comp-pipe-")  # noqa: SIM115 - lives with the object
        try:
            shutil.copyfileobj(pipe, self._file, 1 << 20)
            self._file.flush()
        except OSError as error:
            raise InputError(
                f"{label} could not be kept on disk: {error.strerror or error}",
                tempfile.gettempdir(),
                "free some space, or name another folder with TMPDIR",
            ) from error
        if not self._file.tell():
            raise InputError(
                f"{label} is empty", f"{label}, read as a pipe", "check the command before the pipe"
            )

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return Path(self._file.name)


def standard_input() -> IO[bytes]:
    """Standard input, open for bytes.

    Raises:
        InputError: it is a terminal.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError(
            "nothing is piped in", "stdin (the source -)", "pipe a file: llm2comp index - < FILE"
        )
    return sys.stdin.buffer
