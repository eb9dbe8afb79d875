"""Standard input as a file: it is kept on disk while it is read, since a source is read twice."""

import shutil
import sys
import tempfile
from pathlib import Path

from encoder.errors import InputError


class PipedFile:
    """All of standard input in a temporary file that lives as long as this object.

    Raises:
        InputError: nothing is piped in, or the disk is full.
    """

    def __init__(self) -> None:
        if sys.stdin is None or sys.stdin.isatty():
            raise InputError(
                "nothing is piped in", "stdin (the source -)", "pipe a file: llm2comp index - < FILE"
            )
        self._file = tempfile.NamedTemporaryFile(prefix="llm2comp-stdin-")  # noqa: SIM115 - lives with the object
        try:
            shutil.copyfileobj(sys.stdin.buffer, self._file, 1 << 20)
            self._file.flush()
        except OSError as error:
            raise InputError(
                f"standard input could not be kept on disk: {error.strerror or error}",
                tempfile.gettempdir(),
                "free some space, or name another folder with TMPDIR",
            ) from error
        if not self._file.tell():
            raise InputError("stdin is empty", "stdin (the source -)", "check the command before the pipe")

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return Path(self._file.name)
