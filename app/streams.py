"""Writing to streams whose reader may be gone, as `| head` is: what follows goes nowhere, and the work goes on.

A command that stopped there would lose its exit code, and a check in a script would pass by luck.
"""

import os
import sys
from typing import TextIO


def write(stream: TextIO, text: str) -> None:
    """Writes a text as it is, or drops it where nobody reads any more."""
    try:
        stream.write(text)
    except BrokenPipeError:
        _let_go(stream)


def flush(stream: TextIO) -> None:
    """Writes what is still held back, or drops it where nobody reads any more."""
    try:
        stream.flush()
    except BrokenPipeError:
        _let_go(stream)


def flush_all() -> None:
    """Flushes stdout and stderr, before the interpreter does it and ends with a code of its own."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            flush(stream)


def _let_go(stream: TextIO) -> None:
    """Lets all that is written from now on, and what is still held back, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)
