"""Filter text to tokens, and the error that points into the text."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from encoder.errors import InputError

MAX_CHARACTERS = 10_000
_WINDOW = 70  # characters of the filter shown in an error
_END = r"(?![\w.+\-/:@#&$%])"
_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<string>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")"
    r"|(?P<name>`(?:[^`]|``)+`)"
    r"|(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    rf"(?:[Zz]|[+-][0-9]{{2}}:?[0-9]{{2}})?{_END})"
    rf"|(?P<date>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{_END})"
    rf"|(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?{_END})"
    r"|(?P<sign><=|>=|!=|<>|==|[=<>(),])"
    r"|(?P<word>[\w.+\-/:@#&$%]+)"
)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

Kind = Literal["string", "name", "time", "date", "number", "sign", "word", "end"]


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the filter; `text` is unquoted for strings and names; `start` counts characters from 0."""

    kind: Kind
    text: str
    start: int

    def is_word(self, *words: str) -> bool:
        """It is one of these keywords, in any case."""
        return self.kind == "word" and self.text.casefold() in words

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end of the filter"
        return f'"{self.text[:40]}"'


def read_tokens(text: str) -> list[Token]:
    """The tokens of the whole text, the last of kind "end".

    Raises:
        InputError: the text is too long, holds a character that no text can store, or a quote is not closed.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(
            f"the filter has {len(text)} characters, at most {MAX_CHARACTERS} are read",
            "the filter",
            "shorten it; many values of one column are shorter as `column in (a, b, c)`",
        )
    if bad := _UNSTORABLE.search(text):
        raise error_at(text, bad.start(), "the filter holds a character that no text can", "remove it")
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise _unreadable(text, position)
        if found.lastgroup != "space":
            tokens.append(_token(found))
        position = found.end()
    return [*tokens, Token("end", "", len(text))]


def error_at(text: str, position: int, what: str, fix: str) -> InputError:
    """The error, with the filter and a caret under the position as its `where`."""
    first = max(0, min(position - _WINDOW // 2, len(text) - _WINDOW))
    window = "".join(c if c.isprintable() else " " for c in text[first : first + _WINDOW])
    lead = "… " if first else ""
    width = sum(_columns(character) for character in lead + window[: position - first])
    tail = " …" if first + _WINDOW < len(text) else ""
    where = f"the filter, character {position + 1}\n    {lead}{window}{tail}\n    {' ' * width}^"
    return InputError(what, where, fix)


def _token(found: re.Match[str]) -> Token:
    kind, raw = found.lastgroup, found.group()
    if kind in {"string", "name"}:
        raw = raw[1:-1].replace(raw[0] * 2, raw[0])
    return Token(kind, raw, found.start())  # type: ignore[arg-type]


def _unreadable(text: str, position: int) -> InputError:
    character = text[position]
    if character in "'\"`":
        fix = f"close it with another {character}; a {character} inside is written twice"
        return error_at(text, position, f"the {character} is never closed", fix)
    shown = character if character.isprintable() else f"U+{ord(character):04X}"
    return error_at(
        text, position, f"{shown} means nothing in a filter", "quote values that hold signs: 'a;b'"
    )


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
