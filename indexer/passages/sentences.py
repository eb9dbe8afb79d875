"""Where sentences begin in a text; rules for any script with full stops, no model, no language."""

import re

import numpy as np
from numpy.typing import NDArray

# One mark, few closers, blanks: each position is looked at a bounded number of times, whatever the text.
_END = re.compile(
    r"[.!?…][\"'”’»)\]]{0,3}(?=\s)\s+(?![a-z])|[。！？｡][」』”’）]{0,3}\s*|\n[^\S\n]*\n\s*", re.UNICODE
)
_ABBREVIATIONS = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "sr",
        "jr",
        "st",
        "mt",
        "no",
        "vs",
        "fig",
        "figs",
        "eq",
        "eqs",
        "sec",
        "ref",
        "refs",
        "vol",
        "ed",
        "eds",
        "al",
        "etc",
        "eg",
        "ie",
        "cf",
        "approx",
        "dept",
        "inc",
        "ltd",
        "co",
        "corp",
        "gen",
        "col",
        "sgt",
        "capt",
        "lt",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
        "e.g",
        "i.e",
        "u.s",
        "a.m",
        "p.m",
        "ph.d",
    ]
)
_LONGEST_ABBREVIATION = 6


def sentence_starts(text: str) -> NDArray[np.int64]:
    """Character positions at which sentences and paragraphs begin, int64 [S], rising, 0 and the text's end not among them."""
    starts = []
    for end in _END.finditer(text):
        at = end.start()
        if text[at] == "." and end.end() - at < 4 and _is_abbreviation(text, at):
            continue
        starts.append(end.end())
    if starts and starts[-1] == len(text):
        starts.pop()
    return np.array(starts, dtype=np.int64)


def _is_abbreviation(text: str, at: int) -> bool:
    """Whether the full stop at `at` closes an initial ("J. Smith") or a known abbreviation."""
    word = text[max(0, at - _LONGEST_ABBREVIATION - 1) : at].rsplit(None, 1)
    last = word[-1].lstrip("([\"'") if word else ""
    return (len(last) == 1 and last.isupper()) or last.lower() in _ABBREVIATIONS
