"""Hits as a table for the terminal: rank, score, title, the best passage with the query's words, metadata."""

from collections.abc import Sequence
from typing import Any

from app.table import Marked, TableColumn
from encoder.errors import InputError
from indexer.hits import Hit, SearchResult
from indexer.query.keywords import query_words
from indexer.query.snippets import best_window, mark_words

_SHOWN_COLUMNS = 3
_SNIPPET = 260
_LONGEST_SHOWN_VALUE = 40


def result_table(
    result: SearchResult, show: Sequence[str] | None
) -> tuple[list[TableColumn], list[list[str | Marked]]]:
    """Columns and rows of the table.

    Args:
        result: at least one hit.
        show: metadata columns; None for the first three that are filled and short.

    Raises:
        InputError: a column to show does not exist.
    """
    chosen = _chosen_columns(result.hits, show)
    has_title = any(hit.title for hit in result.hits)
    columns = [TableColumn("#", "right"), TableColumn("score", "right")]
    columns += [TableColumn("title", wraps=True)] if has_title else []
    columns += [TableColumn("passage", wraps=True), *(TableColumn(name) for name in chosen)]
    words = query_words(result.query)
    rows: list[list[str | Marked]] = []
    for hit in result.hits:
        row: list[str | Marked] = [str(hit.rank), f"{hit.score:.3f}"]
        row += [Marked(hit.title, tuple(mark_words(hit.title, words)))] if has_title else []
        rows.append([*row, _snippet(hit.text, words), *(_shown(hit.metadata[name]) for name in chosen)])
    return columns, rows


def _chosen_columns(hits: Sequence[Hit], show: Sequence[str] | None) -> list[str]:
    known = list(hits[0].metadata)
    if show is None:
        short = [
            name
            for name in known
            if any(hit.metadata[name] is not None for hit in hits)
            and all(len(_shown(hit.metadata[name])) <= _LONGEST_SHOWN_VALUE for hit in hits)
        ]
        return short[:_SHOWN_COLUMNS]
    for name in show:
        if name not in known:
            raise InputError(
                f"there is no column {name!r}", "--show", f"the columns are: {', '.join(known) or 'none'}"
            )
    return list(show)


def _snippet(text: str, words: Sequence[str]) -> Marked:
    start, end = best_window(text, mark_words(text, words), _SNIPPET)
    piece = ("… " if start else "") + text[start:end] + (" …" if end < len(text) else "")
    return Marked(piece, tuple(mark_words(piece, words)))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
