"""What chosen passages have that the others have not: key phrases, values of columns, and the most typical of them."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from app import session
from app.formats import count, percent
from app.map_selection import sampled, typical_first
from app.rows import shorten, value_text
from encoder.errors import Llm2CompError

if TYPE_CHECKING:
    from indexer.topics.phrase_table import PhraseTable

MOST_TYPICAL_OF = 100_000  # passages whose mean is taken; of more a sample
_TEXTS_READ = 2_000  # of the chosen ones, for their key phrases
_TEXTS_COUNTED = 6_000  # of a corpus without topics, whose runs keep a count of all
_PHRASES = 10
_MOST_COLUMNS, _MOST_VALUES, _VALUE_CHARS = 8, 4, 40
_ORDERED = ("float64", "date", "timestamp")
_Made = TypeVar("_Made")


def key_phrases(opened: session.Opened, rows: NDArray[np.uint64]) -> list[str]:
    """What some passages say more often than the whole corpus, most telling first; hostile texts.

    Args:
        opened: the collection.
        rows: uint64 [n], live, ascending.

    Raises:
        Llm2CompError: the collection is damaged.
    """

    def find() -> list[str]:
        from indexer.topics.describe import texts_of
        from indexer.topics.keyphrases import contrast

        texts = list(texts_of(opened.searcher.snapshot, sampled(rows, _TEXTS_READ)))
        return [phrase for phrase, _ in contrast(texts, _phrase_table(opened), _PHRASES)]

    return _kept(opened, "map phrases", rows, find)


def _phrase_table(opened: session.Opened) -> "PhraseTable":
    """The phrases of the whole corpus: as the newest topics counted them, else of a sample."""
    beside = session.state_beside(opened.collection.path)
    return session.derived(opened, "phrase table", beside, lambda: _read_or_count(opened), place="map")


def _read_or_count(opened: session.Opened) -> "PhraseTable":
    from indexer.derived import build_folder
    from indexer.topics.describe import texts_of
    from indexer.topics.phrase_table import count_phrases, read_phrases
    from indexer.topics.versions import list_runs

    collection, snapshot = opened.collection, opened.searcher.snapshot
    for build in list_runs(collection):
        try:
            return read_phrases(build_folder(collection, "topics", build.id))
        except Llm2CompError:  # a damaged run is for the page Topics to tell
            continue
    texts = list(texts_of(snapshot, sampled(snapshot.row_ids(), _TEXTS_COUNTED)))
    nothing = np.zeros(len(texts), np.int64)
    return count_phrases(texts, nothing, rule=collection.settings.words, n_topics=1)[0]


def typical_rows(opened: session.Opened, rows: NDArray[np.uint64], most: int) -> NDArray[np.uint64]:
    """The rows nearest in meaning to the mean of all of them, nearest first, uint64 [at most `most`].

    Args:
        opened: the collection.
        rows: uint64 [n], live, ascending.
        most: how many.
    """

    def find() -> NDArray[np.uint64]:
        some = sampled(rows, MOST_TYPICAL_OF)
        return some[typical_first(opened.searcher.snapshot.vectors(some))[:most]]

    return _kept(opened, f"map typical {most}", rows, find)


def column_lines(opened: session.Opened, rows: NDArray[np.uint64]) -> list[dict[str, str]]:
    """The commonest values of each column among some rows, with their shares here and in the whole corpus.

    Args:
        opened: the collection.
        rows: uint64 [n], live, ascending.
    """

    def find() -> list[dict[str, str]]:
        kinds = dict(opened.collection.settings.columns)
        lines: list[dict[str, str]] = []
        for name in list(kinds)[:_MOST_COLUMNS]:
            make = _range_line if kinds[name] in _ORDERED else _value_lines
            lines += make(opened, name, rows)
        return lines

    return _kept(opened, "map columns", rows, find)


def _value_lines(opened: session.Opened, name: str, rows: NDArray[np.uint64]) -> list[dict[str, str]]:
    here = opened.searcher.facet_counts(name, rows, _MOST_VALUES)
    if not here or (here[0][1] < 2 and rows.size > 1):  # an identifier: every passage another
        return []
    everywhere = _all_counts(opened, name)
    total = max(1, opened.searcher.snapshot.rows)
    return [
        {
            "column": shorten(value_text(name), _VALUE_CHARS),
            "value": shorten(value_text(value), _VALUE_CHARS) or "(empty)",
            "here": f"{percent(number / max(1, rows.size))} ({count(number)})",
            "everywhere": percent(everywhere.get(value, number) / total),
        }
        for value, number in here
    ]


def _range_line(opened: session.Opened, name: str, rows: NDArray[np.uint64]) -> list[dict[str, str]]:
    ends = [_ends(opened, name, some) for some in (rows, opened.searcher.snapshot.row_ids())]
    if not ends[0]:
        return []
    column = shorten(value_text(name), _VALUE_CHARS)
    return [{"column": column, "value": "from … to", "here": ends[0], "everywhere": ends[1]}]


def _ends(opened: session.Opened, name: str, rows: NDArray[np.uint64]) -> str:
    import pyarrow.compute as pc

    field = opened.collection.settings.column_fields[name]
    column = opened.searcher.snapshot.store.take(sampled(rows, MOST_TYPICAL_OF), [field])[field]
    found = pc.min_max(column)
    least, greatest = found["min"].as_py(), found["max"].as_py()
    return "" if least is None else f"{_short(least)} … {_short(greatest)}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:10]


def _all_counts(opened: session.Opened, name: str) -> dict[Any, int]:
    make = lambda: dict(opened.searcher.column_values(name, 100_000))  # noqa: E731
    return session.derived(opened, "column counts", name, make, place="map")


def _kept(opened: session.Opened, name: str, rows: NDArray[np.uint64], make: Callable[[], _Made]) -> _Made:
    """What is made of some rows, kept by what they are."""
    digest = hashlib.blake2b(np.ascontiguousarray(rows).tobytes(), digest_size=16).hexdigest()
    beside = session.state_beside(opened.collection.path)
    return session.derived(opened, name, (digest, beside), make)
