"""What the pages show, as one frozen value, and its two-way translation into the address bar.

Pure: neither Streamlit nor the engine's work is imported. Short keys keep links short; `_KEYS` lists them all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from app import link
from indexer.hits import Mode

LONGEST_LINK = 2_000  # proxies and chat tools cut beyond; the app itself would take more
MOST_HITS = 10_000  # the engine's own limit on k
SAVED_VIEW_KEY = "view"  # stands for all the others, kept with the collection
_MOST_VERSION = 999_999_999

_MODE_LETTERS: dict[Mode, str] = {"hybrid": "h", "semantic": "s", "keyword": "w"}
_MODES: dict[str, Mode] = {letter: mode for mode, letter in _MODE_LETTERS.items()}

# What narrows the pages, each field with what narrows nothing.
WHOLE: dict[str, Any] = {"filter": "", "polygon": (), "topics": (), "scope": "", "set": ""}
# Fields of the comparisons on the page Topics.
COMPARED = ("part", "by", "over", "step", "measure")

Scope = Literal["", "tray"]
Part = Literal["", "time"]
Measure = Literal["share", "lift", "count"]


@dataclass(frozen=True, slots=True)
class ViewState:
    """Everything that decides what the pages show.

    Attributes:
        corpus: key of a collection in the library; empty for the first one.
        version: publication that a link was made of; 0 for the newest.
        encoder: first eight hex digits of the fingerprint that a link was made with; empty for whatever it is.
        query: as typed.
        mode: how to search.
        k: hits asked for, 1 to 10,000.
        filter: text of the filter language, as typed; empty for none.
        row: id of the passage whose hit is picked; empty for the first hit of the page.
        like: id of the passage that "similar to this" was asked for; the query is then not used.
        more: ids of passages to find more like.
        less: ids of passages to find less like.
        page: of the table of hits, from 1.
        map: id of a map; empty for the newest.
        colour: what colours the map: a word of the map page or a column; empty for its default.
        map_view: centre x, centre y on the map's grid, and zoom in hundredths; empty for the whole map.
        polygon: outline on the map, x and y in turn, 0 to 65,535, 3 to 64 corners; empty for none.
        topics_run: id of a topics run; empty for the collection's current one.
        topics_version: name of a version of that run; empty for its current one.
        topics: numbers of the picked topics, -1 for what belongs to none.
        part: "time" when topics are compared over time, else by the values of a column.
        by: column whose values topics are compared by; empty for the first that suits.
        over: column of dates that they are compared over; empty for the first.
        step: of time, as `indexer.topics.tables.STEPS` calls it; empty for what suits.
        measure: what the comparisons show.
        scope: "tray" when the pages look at the tray only.
        set: id of the saved set that the pages look at; empty for none.
        tray: row ids that a link brings along, at most 50.
        what_if: chosen trial on the health page.
        other: key of the collection to compare with, or `/N` for version N of this one.
    """

    corpus: str = ""
    version: int = 0
    encoder: str = ""
    query: str = ""
    mode: Mode = "hybrid"
    k: int = 50
    filter: str = ""
    row: str = ""
    like: str = ""
    more: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    page: int = 1
    map: str = ""
    colour: str = ""
    map_view: tuple[int, ...] = ()
    polygon: tuple[int, ...] = ()
    topics_run: str = ""
    topics_version: str = ""
    topics: tuple[int, ...] = ()
    part: Part = ""
    by: str = ""
    over: str = ""
    step: str = ""
    measure: Measure = "share"
    scope: Scope = ""
    set: str = ""
    tray: tuple[int, ...] = ()
    what_if: str = ""
    other: str = ""


_KEYS = {
    "corpus": "c",
    "version": "v",
    "encoder": "e",
    "query": "q",
    "mode": "m",
    "k": "k",
    "filter": "f",
    "row": "r",
    "like": "l",
    "more": "xm",
    "less": "xl",
    "page": "p",
    "map": "map",
    "colour": "cb",
    "map_view": "vw",
    "polygon": "pl",
    "topics_run": "ti",
    "topics_version": "tv",
    "topics": "t",
    "part": "tp",
    "by": "tb",
    "over": "to",
    "step": "ts",
    "measure": "tm",
    "scope": "sc",
    "set": "s",
    "tray": "tr",
    "what_if": "wi",
    "other": "c2",
}


def encode(view: ViewState) -> dict[str, str]:
    """Query parameters of a view, in a fixed order; what has its default is left out."""
    default = ViewState()
    parameters = {}
    for field in fields(ViewState):
        value = getattr(view, field.name)
        if value != getattr(default, field.name):
            parameters[_KEYS[field.name]] = _WRITERS.get(field.name, str)(value)
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
            values[name] = _READERS.get(name, link.read_text)(parameters[key])
        except (ValueError, KeyError):
            bad.append(key)
    return ViewState(**values), tuple(bad)


def answered(view: ViewState) -> ViewState:
    """The view with only what the answer to its question depends on, so that the rest searches nothing anew."""
    default = ViewState()
    unasked = (
        "row",
        "page",
        "map_view",
        "colour",
        "tray",
        "what_if",
        "other",
        "version",
        "encoder",
        *COMPARED,
    )
    return replace(view, **{name: getattr(default, name) for name in unasked})


def is_linkable(parameters: Mapping[str, str]) -> bool:
    """Whether the parameters fit a link that survives being passed on."""
    return sum(len(key) + len(value.encode("utf-8", "replace")) + 2 for key, value in parameters.items()) <= (
        LONGEST_LINK
    )


def _write_polygon(polygon: tuple[int, ...]) -> str:
    from indexer.maps.polygon import encode_polygon

    return encode_polygon(polygon)


def _read_polygon(value: str) -> tuple[int, ...]:
    from indexer.maps.polygon import decode_polygon

    return decode_polygon(value)


_SCOPES: dict[str, Scope] = {"tray": "tray"}
_PARTS: dict[str, Part] = {"time": "time"}
_MEASURES: dict[str, Measure] = {"lift": "lift", "count": "count"}
_STEPS = {name: name for name in ("day", "week", "month", "quarter", "year")}
_WRITERS: dict[str, Callable[[Any], str]] = {
    "mode": lambda mode: _MODE_LETTERS[mode],
    "more": link.write_texts,
    "less": link.write_texts,
    "map_view": link.write_numbers,
    "polygon": _write_polygon,
    "topics": link.write_numbers,
    "tray": link.write_rows,
}
_READERS: dict[str, Callable[[str], Any]] = {
    "version": lambda value: link.read_number(value, 1, _MOST_VERSION),
    "encoder": link.read_short_id,
    "mode": lambda value: _MODES[value],
    "k": lambda value: link.read_number(value, 1, MOST_HITS),
    "more": link.read_texts,
    "less": link.read_texts,
    "page": lambda value: link.read_number(value, 1, MOST_HITS),
    "map": link.read_short_id,
    "map_view": link.read_map_view,
    "polygon": _read_polygon,
    "topics_run": link.read_short_id,
    "topics": link.read_topics,
    "part": lambda value: _PARTS[value],
    "step": lambda value: _STEPS[value],
    "measure": lambda value: _MEASURES[value],
    "scope": lambda value: _SCOPES[value],
    "set": link.read_saved_id,
    "tray": link.read_rows,
}
