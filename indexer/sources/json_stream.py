"""The items of a JSON array, one after the other, without holding the array; also of objects written one by one."""

import json
import re
from collections.abc import Iterator
from typing import IO, Any

from encoder.errors import InputError
from indexer.sources.encoding import has_broken_bytes

_CHUNK = 1 << 20
# `false`, `\u1234` and the like: a literal may be cut in two by the end of a chunk.
_LONGEST_WORD = 16
# {"version": 1, "data": [{: plain values, then an array of objects.
_WRAPPED = re.compile(
    r'\{\s*(?:"[^"\\]{0,99}"\s*:\s*(?:"[^"\\]{0,999}"|[\w.+-]{1,99})\s*,\s*){0,50}"[^"\\]{0,99}"\s*:\s*\[\s*\{'
)
_DECODER = json.JSONDecoder()
# For whole numbers of more digits than Python converts: they stay text.
_PATIENT_DECODER = json.JSONDecoder(parse_int=lambda digits: digits if len(digits) > 4000 else int(digits))


def has_one_object_a_line(sample: str, *, is_whole: bool, is_called_lines: bool) -> bool:
    """Whether the first line that is not blank is a JSON value of its own, and so the file is JSON lines.

    Args:
        sample: the first characters of the file.
        is_whole: whether they are all.
        is_called_lines: whether the file's name says so; settles whether an object with an array of objects is one
            record or the wrapping of many.
    """
    text = sample.lstrip()
    line, newline, rest = text.partition("\n")
    if line.lstrip().startswith("["):
        return False
    if not newline and not is_whole:
        return is_called_lines or not _WRAPPED.match(line)  # a first line of more than a megabyte
    try:
        first = json.loads(line)
    except ValueError:
        # A broken first line among good ones is still JSON lines; a file that begins with "{" alone is not.
        return any(_is_object(other) for other in rest.split("\n")[:20])
    if not is_called_lines and not rest.strip() and isinstance(first, dict):
        return not any(
            isinstance(value, list) and value and isinstance(value[0], dict) for value in first.values()
        )
    return True


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict) and line.lstrip() == line
    except ValueError:
        return False


def _decoded(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return _PATIENT_DECODER.raw_decode(text, at)


class JsonStream:
    """Reads a text file as JSON items.

    Args:
        file: open for text, bytes that are no characters kept as lone surrogates.
        label: how it is called in messages.

    Attributes:
        is_broken: whether the latest item holds such bytes.
        chars: length of the items since it was last set to 0.
    """

    def __init__(self, file: IO[str], label: str) -> None:
        self._file = file
        self._label = label
        self._text = ""
        self._at = 0
        self._ended = False
        self._n_items = 0
        self._in_array = True
        self._has_broken_bytes = False
        self.is_broken = False
        self.chars = 0

    def items(self) -> Iterator[Any]:
        """The items of the array, or the objects that follow one another; `is_broken` speaks of the latest.

        Raises:
            InputError: the file is not JSON, ends early, or holds no array of objects.
        """
        if self._peek() == "{":
            self._enter_array_of_object()
        else:
            self._expect("[")
        while (mark := self._peek()) not in ("]", ""):
            if mark == ",":
                self._at += 1
                continue
            self._n_items += 1
            yield self._value()
        if mark == "" and self._in_array:
            raise self._error("the file ends in the middle of its array")

    def _enter_array_of_object(self) -> None:
        """Move into the first array of {"data": [...]}, or stay before the first of several plain objects."""
        start = self._at
        self._at += 1
        while self._peek() == '"':
            self._value()
            self._expect(":")
            if self._peek() == "[":
                self._at += 1
                if self._peek() == "{":
                    return
                self._at -= 1
                self._back_to("[")
            self._value()
            if self._peek() != ",":
                break
            self._at += 1
        self._in_array = False
        self._at = start

    def _back_to(self, mark: str) -> None:
        self._at = self._text.rindex(mark, 0, self._at + 1)

    def _more(self) -> bool:
        """Append a chunk (twice what is held, so that one long value is parsed a few times only)."""
        if self._ended:
            return False
        chunk = self._file.read(max(_CHUNK, len(self._text)))
        self._ended = not chunk
        self._has_broken_bytes = self._has_broken_bytes or has_broken_bytes(chunk)
        self._text += chunk
        return not self._ended

    def _peek(self) -> str:
        """The next character that is not blank, "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n\ufeff":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _expect(self, mark: str) -> None:
        if (found := self._peek()) != mark:
            raise self._error(f"{mark!r} was expected, {found!r} found")
        self._at += 1

    def _value(self) -> Any:
        if self._n_items and self._at > _CHUNK:
            self._text, self._at = self._text[self._at :], 0
        while True:
            self._peek()
            try:
                value, end = _decoded(self._text, self._at)
            except json.JSONDecodeError as error:
                # Only what stands at the end of what is held may be mended by reading on.
                is_cut = (
                    error.msg.startswith("Unterminated string")
                    or error.pos >= len(self._text) - _LONGEST_WORD
                )
                if is_cut and self._more():
                    continue
                raise self._error(error.msg) from error
            except RecursionError as error:
                raise self._error("it is nested too deeply") from error
            # A number at the end of what is held may go on in the next chunk.
            if end == len(self._text) and self._more():
                continue
            self.is_broken = self._has_broken_bytes and has_broken_bytes(self._text[self._at : end])
            self.chars += end - self._at
            self._at = end
            return value

    def _error(self, problem: str) -> InputError:
        return InputError(
            what=f"{self._label} is not JSON that can be read: {problem}",
            where=f"{self._label}, after row {self._n_items}",
            fix='mend the file: one object a line, [{...}, ...] or {"data": [{...}, ...]}',
        )
