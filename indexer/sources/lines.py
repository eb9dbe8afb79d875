"""Lines of a text file, bounded in length, so that a file without line ends cannot fill the memory."""

from collections.abc import Iterator
from typing import IO, AnyStr

from encoder.errors import InputError

# One document of 50 MB fits on a line many times over; a packed file of zeros does not.
LONGEST_LINE = 500_000_000
# Rows are handed on when they hold so many characters, however few they are.
BATCH_CHARS = 16_000_000


def bounded_lines(file: IO[AnyStr], label: str) -> Iterator[AnyStr]:
    """The lines with their ends.

    Raises:
        InputError: a line is longer than 500 million characters.
    """
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) >= LONGEST_LINE:
            raise InputError(
                what=f"line {number:,} of {label} is longer than {LONGEST_LINE:,} characters",
                where=f"{label} line {number}",
                fix="check that the file is what its name says; JSON arrays belong into a .json file",
            )
        yield line
