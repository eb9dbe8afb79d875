"""Which column is the text, the title and the id: guessed where obvious, asked for where not; no reading."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

from encoder.errors import InputError
from indexer.sources.reader import ColumnSurvey

_TEXT_NAMES = frozenset(
    [
        "text",
        "body",
        "abstract",
        "description",
        "content",
        "contents",
        "summary",
        "passage",
        "document",
        "article",
        "review",
        "comment",
        "message",
        "post",
        "story",
        "plot",
        "overview",
        "synopsis",
        "transcript",
        "narrative",
        "prose",
        "details",
    ]
)
_TITLE_NAMES = ("title", "headline", "heading", "subject", "name", "label", "caption")
# "file name" and "first name" name something, but not what the text is about.
_NOT_TITLES = frozenset(
    [
        "file",
        "user",
        "first",
        "last",
        "middle",
        "nick",
        "host",
        "domain",
        "class",
        "author",
        "column",
        "login",
        "sur",
        "brand",
    ]
)
_ID_NAMES = (
    "id",
    "uuid",
    "guid",
    "doc_id",
    "docid",
    "document_id",
    "identifier",
    "key",
    "doi",
    "pmid",
    "isbn",
)
_WORD = re.compile(r"[^\W\d_]+")
# One letter of these scripts says about as much as half a word elsewhere.
_DENSE_SCRIPT = re.compile("[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_PROSE_WORDS = 4.0
_SAMPLE_CHARS = 2000
# A second column that scores above this share of the first makes the choice the user's.
_ABOUT_EQUAL = 0.7


def words_of_name(name: str) -> list[str]:
    """`vulnerabilityName` and `vulnerability_name` as ["vulnerability", "name"]."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return [word for word in re.split(r"[^0-9A-Za-z\u0080-\U0010ffff]+", spaced.lower()) if word]


def looks_like_id(name: str) -> bool:
    """Whether a column of this name may hold identifiers: `id`, `_id`, `show_id`, `cveID`, `uuid`, ..."""
    words = words_of_name(name)
    return "_".join(words) in _ID_NAMES or bool(words) and words[-1] in ("id", "uuid", "guid", "doi")


def choose_columns(
    columns: Mapping[str, ColumnSurvey],
    where: str,
    *,
    text: str | None = None,
    title: str | None = None,
    id: str | None = None,
) -> dict[str, str]:
    """Column for each of the roles "text", "title" and "id"; the last two only where there is one, "" for none.

    Raises:
        InputError: a given column is not there or cannot have that role, or the text column is not obvious.
    """
    for option, name in (("--text", text), ("--title", title), ("--id", id)):
        if name or (name is not None and option == "--text"):
            require_column(name, columns, where, option)
    if text is not None and columns[text].type not in ("string", None):
        raise InputError(
            what=f"column {text!r} is not text: it holds {columns[text].type} values",
            where=where,
            fix=f"name a column of texts with --text; the columns are:\n{describe_columns(columns)}",
        )
    chosen = {"text": text if text is not None else _guess_text(columns, {title, id}, where)}
    title = title if title is not None else _guess_title(columns, {chosen["text"], id})
    id = id if id is not None else _guess_id(columns, {chosen["text"], title})
    return chosen | ({"title": title} if title else {}) | ({"id": id} if id else {})


def require_column(name: str, columns: Mapping[str, Any], where: str, option: str) -> None:
    """Refuse a column that is not there, and offer the nearest.

    Raises:
        InputError: there is no such column.
    """
    if name in columns:
        return
    by_lower = {column.lower(): column for column in columns}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    offer = f"did you mean {option} {by_lower[near[0]]!r}? " if near else ""
    names = ", ".join(list(columns)[:40]) + (", ..." if len(columns) > 40 else "")
    raise InputError(
        what=f"there is no column {name!r} (asked for by {option})",
        where=where,
        fix=f"{offer}the columns are: {names}",
    )


def describe_columns(columns: Mapping[str, ColumnSurvey], limit: int = 30) -> str:
    """A line a column: name, type, and the start of one value."""
    lines = []
    for name, column in list(columns.items())[:limit]:
        value = max((str(v) for v in column.values[:20]), key=len, default="(all empty)")
        value = " ".join(value.split())
        lines.append(f"  {name} ({column.type or 'empty'}): {value[:60]}{'...' if len(value) > 60 else ''}")
    if len(columns) > limit:
        lines.append(f"  ... and {len(columns) - limit} more")
    return "\n".join(lines)


def prose_score(column: ColumnSurvey) -> float:
    """How much a column looks like running text: 0 for none, else about the number of words a row.

    Words count less the more of them begin with a capital (lists of names do), where values repeat (categories do)
    and where the characters are not words (addresses and codes are not).
    """
    values = [v[:_SAMPLE_CHARS] for v in column.values if isinstance(v, str) and v.strip()][:300]
    if column.type != "string" or not values:
        return 0.0
    words = [word for value in values for word in _WORD.findall(value)]
    dense = sum(len(_DENSE_SCRIPT.findall(value)) for value in values)
    n_words = len(words) + dense / 2
    if n_words / len(values) < _PROSE_WORDS:
        return 0.0
    tokens = [token for value in values for token in value.split()]
    plain = sum(
        any(c.isalpha() for c in t) and "://" not in t and not ("/" in t and len(t) > 24) for t in tokens
    )
    small = sum(not word[0].isupper() for word in words)
    capitals = min(1.0, 2.0 * (small + dense) / max(1, len(words) + dense))
    distinct = len(set(values)) / len(values)
    filled = len(column.values) / max(1, column.n_rows)
    length = min(n_words / len(values), 400.0)
    return length * (plain / len(tokens)) ** 2 * capitals * min(1.0, 2 * distinct) * (0.2 + 0.8 * filled)


def _guess_text(columns: Mapping[str, ColumnSurvey], taken: set[str | None], where: str) -> str:
    free = {name: column for name, column in columns.items() if name not in taken and not looks_like_id(name)}
    scores: dict[str, float] = {}
    for name, column in free.items():
        words = words_of_name(name)
        bonus = 2.0 if words and words[-1] in _TEXT_NAMES else 1.0
        if score := prose_score(column):
            scores[name] = score * bonus
    ranked = sorted(scores, key=lambda name: -scores[name])
    if not ranked:
        ranked = [n for n, c in free.items() if c.type == "string" and words_of_name(n)[-1:] == ["text"]]
        strings = [n for n, c in free.items() if c.type == "string"]
        ranked = ranked or (strings if len(strings) == 1 else [])
        if len(ranked) == 1:
            return ranked[0]
    if not ranked or (len(ranked) > 1 and scores[ranked[1]] > _ABOUT_EQUAL * scores[ranked[0]]):
        what = (
            f"{ranked[0]!r} and {ranked[1]!r} both look like it" if ranked else "none looks like running text"
        )
        raise InputError(
            what=f"which column is the text is not obvious: {what}",
            where=where,
            fix=f"say which: --text {ranked[0] if ranked else 'NAME'}; the columns are:\n{describe_columns(columns)}",
        )
    return ranked[0]


def _guess_title(columns: Mapping[str, ColumnSurvey], taken: set[str | None]) -> str | None:
    best: tuple[int, str] | None = None
    for name, column in columns.items():
        words = words_of_name(name)
        if name in taken or not words or words[-1] not in _TITLE_NAMES or _NOT_TITLES & set(words):
            continue
        values = [v for v in column.values if isinstance(v, str)]
        if column.type != "string" or not values or len(values) < 0.5 * column.n_rows:
            continue
        is_short = sum(map(len, values)) / len(values) <= 200
        if is_short and len(set(values)) >= 0.5 * len(values):
            rank = _TITLE_NAMES.index(words[-1]) * 2 + (len(words) > 1)
            best = min(best, (rank, name), key=lambda item: item[0]) if best else (rank, name)
    return best[1] if best else None


def _guess_id(columns: Mapping[str, ColumnSurvey], taken: set[str | None]) -> str | None:
    fit = [
        name
        for name, column in columns.items()
        if name not in taken
        and looks_like_id(name)
        and column.is_unique
        and column.type in ("string", "int64")
    ]
    return min(fit, key=_id_rank, default=None)


def _id_rank(name: str) -> int:
    plain = "_".join(words_of_name(name))
    return _ID_NAMES.index(plain) if plain in _ID_NAMES else len(_ID_NAMES)
