"""What a page shows, as one frozen value, and its two-way translation into the address bar.

Pure: neither Streamlit nor the engine is imported. Short keys keep links short: c corpus, q query, m mode, k hits,
f filter, r the picked passage, l "like this passage", p page.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from indexer.hits import Mode

LONGEST_LINK = 2_000  # proxies and chat tools cut beyond; the app itself would take more
MOST_HITS = 10_000  # the engine's own limit on k
_LONGEST_VALUE = 20_000

_MODE_LETTERS: dict[Mode, str] = {"hybrid": "h", "semantic": "s", "keyword": "w"}
_MODES: dict[str, Mode] = {letter: mode for mode, letter in _MODE_LETTERS.items()}


@dataclass(frozen=True, slots=True)
class ViewState:
    """Everything that decides what the search page shows.

    Attributes:
        corpus: key of a collection in the library; empty for the first one.
        query: as typed.
        mode: how to search.
        k: hits asked for, 1 to 10,000.
        filter: text of the filter language, as typed; empty for none.
        row: id of the passage whose hit is picked; empty for the first hit of the page.
        like: id of the passage that "similar to this" was asked for; the query is then not used.
        page: of the table of hits, from 1.
    """

    corpus: str = ""
    query: str = ""
    mode: Mode = "hybrid"
    k: int = 50
    filter: str = ""
    row: str = ""
    like: str = ""
    page: int = 1


_KEYS = {
    "corpus": "c",
    "query": "q",
    "mode": "m",
    "k": "k",
    "filter": "f",
    "row": "r",
    "like": "l",
    "page": "p",
}


def encode(view: ViewState) -> dict[str, str]:
    """Query parameters of a view, in a fixed order; what has its default is left out."""
    default = ViewState()
    parameters = {}
    for field in fields(ViewState):
        value = getattr(view, field.name)
        if value != getattr(default, field.name):
            parameters[_KEYS[field.name]] = _MODE_LETTERS[value] if field.name == "mode" else str(value)
    return parameters


def decode(parameters: Mapping[str, str]) -> tuple[ViewState, tuple[str, ...]]:
    """The view that a link means, and the keys whose values were not understood.

    Unknown keys are ignored; a bad value leaves its default and everything else applies.
    """
    values: dict[str, Any] = {}
    bad = []
    for name, key in _KEYS.items():
        if key not in parameters:
            continue
        try:
            values[name] = _READERS.get(name, _read_text)(parameters[key])
        except (ValueError, KeyError):
            bad.append(key)
    return ViewState(**values), tuple(bad)


def is_linkable(parameters: Mapping[str, str]) -> bool:
    """Whether the parameters fit a link that survives being passed on."""
    return sum(len(key) + len(value.encode("utf-8", "replace")) + 2 for key, value in parameters.items()) <= (
        LONGEST_LINK
    )


def _read_text(value: str) -> str:
    if len(value) > _LONGEST_VALUE or "\0" in value:
        raise ValueError(value)
    value.encode()  # a lone surrogate cannot be sent to a browser; UnicodeEncodeError is a ValueError
    return value


def _read_mode(value: str) -> Mode:
    return _MODES[value]


def _read_number(value: str, most: int) -> int:
    # int() would also take "1_0", " 7" and digits of other scripts: two links for one view
    if not (value.isascii() and value.isdigit() and len(value) < 9):
        raise ValueError(value)
    number = int(value)
    if not 1 <= number <= most:
        raise ValueError(value)
    return number


_READERS: dict[str, Callable[[str], Any]] = {
    "mode": _read_mode,
    "k": lambda value: _read_number(value, MOST_HITS),
    "page": lambda value: _read_number(value, MOST_HITS),
}
