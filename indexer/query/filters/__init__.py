"""The filter language: text to a tree, a tree to text or to Lance.

    year >= 2020 and (topic = physics or tags contains 'open data') and title is not null

A condition is `column operator value`; conditions are joined by `and`, `or`, `not` and parentheses.
Operators: = != < <= > >=, `in (a, b)`, `not in (a, b)`, `between a and b`, `is null`, `is not null`,
`contains 'x'` (part of a text, or element of a list), `starts with 'x'`. Values: words, 'quoted text' or
"quoted text" (the quote doubled inside), numbers, true, false, 2024-05-01, 2024-05-01T12:30:00 (UTC). A column
name with spaces or signs, or one that is a keyword, stands in `backticks`.

A comparison with a missing value is neither true nor false, as in SQL: `year != 2020` and `not year = 2020` leave
out the rows without a year; `year is null` finds them. NaN counts as missing. Texts compare by code point, with case.
"""

from indexer.query.filters.compile import to_lance
from indexer.query.filters.parse import parse_filter
from indexer.query.filters.tree import Column, Filter, print_filter

__all__ = [
    "Column",
    "Filter",
    "parse_filter",
    "print_filter",
    "to_lance",
]
