"""What goes to the streams: results to stdout as lines, a table or JSON; notes and progress to stderr."""

import json
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self, TextIO

from app import streams
from app.display import clean_for_display, escape_for_json
from app.formats import THIN_SPACE, count, duration
from app.table import Marked, TableColumn, table_lines

_UNKNOWN_WIDTH = 120  # of a file or a pipe
_REDRAWN_EVERY_S = 0.1
_WRITTEN_EVERY_S = 10.0
_BAR_COLUMNS = 24
_SETTLED_S = 1.0  # a rate measured over less is noise
_CLEAR = "\r\x1b[2K"


def write_lines(lines: Iterable[str], *, stream: TextIO | None = None) -> None:
    """Writes lines, control characters visible, with ? for what the stream's encoding has no character for.

    Args:
        lines: without line ends; whatever texts they quote cannot command the terminal.
        stream: stdout if None.
    """
    for line in lines:
        _write(line, stream or sys.stdout)


def write_note(text: str) -> None:
    """Writes what is not the result, to stderr."""
    _write(text, sys.stderr)


def terminal_width(stream: TextIO | None = None) -> int:
    """Columns of the terminal that a stream (stdout if None) goes to; 120 where it goes elsewhere."""
    if not (stream or sys.stdout).isatty():
        return _UNKNOWN_WIDTH
    return shutil.get_terminal_size((_UNKNOWN_WIDTH, 24)).columns


def print_table(
    columns: Sequence[TableColumn],
    rows: Iterable[Sequence[str | Marked]],
    *,
    width: int | None = None,
    stream: TextIO | None = None,
) -> None:
    """Writes a table that fits; marked parts are bold on a terminal only.

    Args:
        columns: at least one.
        rows: as many cells each.
        width: in terminal columns; None for `terminal_width`.
        stream: stdout if None.
    """
    stream = stream or sys.stdout
    for line in table_lines(columns, rows, width=width or terminal_width(stream), bold=stream.isatty()):
        # Its cells are clean already; the bold marks are ours.
        streams.write(stream, _encodable(line, stream) + "\n")


def print_json(value: Any, *, stream: TextIO | None = None, indent: int | None = 2) -> None:
    """Writes one JSON value; NaN and infinities, which JSON has not, become null.

    Args:
        value: dicts, lists, texts, numbers, dates.
        stream: stdout if None.
        indent: None for one line.
    """
    stream = stream or sys.stdout
    # What the stream cannot write is escaped by JSON itself.
    is_utf8 = (stream.encoding or "utf-8").lower().replace("-", "").startswith("utf8")
    text = json.dumps(_finite(value), indent=indent, ensure_ascii=not is_utf8, default=str)
    streams.write(stream, escape_for_json(text) + "\n")


class Progress:
    """The state of one step, shown now and then; a context manager that ends with the whole count and time.

    Args:
        label: what is being done, "indexing".
        total: how many there are; None when unknown.
        unit: of what is counted, "passages".
        quiet: shows nothing.
        stream: stderr if None.
        clock: seconds that never run back; tests give their own.
    """

    def __init__(
        self,
        label: str,
        total: int | None = None,
        *,
        unit: str = "",
        quiet: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label, self._total, self._unit = label, total, unit
        self._stream = stream or sys.stderr
        self._quiet, self._clock = quiet, clock
        self._is_terminal = self._stream.isatty()
        self._began = self._shown = clock()
        self._done, self._details = 0, ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(failed=kind is not None)

    def update(
        self, done: int, total: int | None = None, details: str = "", *, unit: str | None = None
    ) -> None:
        """Shows the state if it is time to.

        Args:
            done: so far.
            total: a better known total.
            details: shown behind, "12 000 tokens/s".
            unit: of what is counted, if that changed.
        """
        self._done, self._details = done, details
        self._total = self._total if total is None else total
        self._unit = self._unit if unit is None else unit
        now = self._clock()
        if self._quiet or now - self._shown < (_REDRAWN_EVERY_S if self._is_terminal else _WRITTEN_EVERY_S):
            return
        self._shown = now
        if self._is_terminal:
            columns = shutil.get_terminal_size((80, 24)).columns
            line = _encodable(clean_for_display(self._line(now)), self._stream)
            streams.write(self._stream, _CLEAR + line[: columns - 1])
        else:
            _write(self._line(now), self._stream)
        streams.flush(self._stream)

    def finish(self, *, failed: bool = False) -> None:
        """Ends the bar with what was done in which time; after a failure, or nothing, the bar is only taken away."""
        if self._quiet:
            return
        if self._is_terminal:
            streams.write(self._stream, _CLEAR)
        if self._done and not failed:
            seconds = self._clock() - self._began
            _write(f"{self._label}: {self._counted(self._done)} in {duration(seconds)}", self._stream)
        streams.flush(self._stream)

    def _line(self, now: float) -> str:
        seconds = now - self._began
        rate = self._done / seconds if seconds >= _SETTLED_S else 0.0
        parts = [self._counted(self._done)]
        if self._total:
            share = min(1.0, self._done / self._total)
            filled = round(share * _BAR_COLUMNS)
            bar = "█" * filled + "░" * (_BAR_COLUMNS - filled) + " " if self._is_terminal else ""
            parts = [f"{bar}{share:.0%}", self._counted(self._done, self._total)]
        if rate:
            parts.append(f"{count(rate) if rate >= 10 else f'{rate:.1f}'}/s")
        if rate and self._total and self._total > self._done:
            parts.append(f"{duration((self._total - self._done) / rate)} left")
        return f"{self._label}: {', '.join([*parts, self._details] if self._details else parts)}"

    def _counted(self, done: int, total: int | None = None) -> str:
        text = count(done) if total is None else f"{count(done)} of {count(total)}"
        return f"{text} {self._unit}".rstrip()


def _write(text: str, stream: TextIO) -> None:
    streams.write(stream, _encodable(clean_for_display(text), stream) + "\n")


def _encodable(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:  # thousands get the next best sign, all else a question mark
        return text.replace(THIN_SPACE, " ").encode(encoding, "replace").decode(encoding)
    return text


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
