"""The lines of a file for `csv.reader`, remembering those of the current row so that they can be read again."""

from collections.abc import Iterator


class RowLines:
    """An iterator over lines that can go back to the second line of the current row.

    A quote that is opened and never closed swallows good rows: reading again from the second line loses one line only.

    Attributes:
        first: number of the line on which the current row begins, from 1.
        chars: characters handed out since it was last set to 0.
        has_odd_bytes: whether anything but ASCII was seen.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._row: list[str] = []
        self._again: list[str] = []
        self.first = 1
        self.chars = 0
        self.has_odd_bytes = False

    def __iter__(self) -> "RowLines":
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else next(self._lines)
        if not self.has_odd_bytes and not line.isascii():
            self.has_odd_bytes = True
        self.chars += len(line)
        self._row.append(line)
        return line

    def next_row(self) -> None:
        """The current row is done."""
        self.first += len(self._row)
        self._row.clear()

    def retry_from_second(self) -> None:
        """Hand out all but the first line of the current row once more."""
        self._again.extend(reversed(self._row[1:]))
        del self._row[1:]
