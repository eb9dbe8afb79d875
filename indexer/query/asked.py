"""What is asked: a text, a vector, a passage, or examples; checked, and made the vector that is searched with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoder.errors import InputError
from encoder.stats import EncodingStats
from indexer.hits import MODES
from indexer.ingest.rows import clean_text
from indexer.query.snapshot import Snapshot

MOST_HITS = 10_000
MOST_QUERY_CHARACTERS = 100_000
MOST_EXAMPLES = 10_000
LESS_WEIGHT = 0.5
_NO_DIRECTION = 1e-6
_NONE = np.zeros(0, np.uint64)


@dataclass(frozen=True, slots=True)
class RowQuery:
    """Similar to this: the passage whose stored vector is the query; its own document is no answer."""

    passage_id: str


@dataclass(frozen=True, slots=True)
class ExampleQuery:
    """More like these, less like those; the examples' own documents are no answers.

    The query is Rocchio's: the vector of the text, plus the mean vector of `more`, minus `less_weight` times the
    mean vector of `less`, scaled to length 1. An example named twice counts once.

    Attributes:
        more: passages to be like, by passage id or row id.
        less: passages to be unlike.
        text: to be like as well; may be empty when there is an example to be like.
        less_weight: 0 to 1.

    Source: J. Rocchio, Relevance feedback in information retrieval, 1971.
    """

    more: tuple[str | int, ...]
    less: tuple[str | int, ...] = ()
    text: str = ""
    less_weight: float = LESS_WEIGHT


Query = str | NDArray[np.float32] | RowQuery | ExampleQuery


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, ready to be answered.

    Attributes:
        shown: as it is shown to people.
        text: whose words are searched for; None for a query without words.
        vector: float32 [D], unit length; None in keyword mode.
        left_out: uint64 [N], hashes of documents that are no answers.
        is_unknown: the encoder hardly knows the writing of the text, so that its vector says little.
    """

    shown: str
    text: str | None
    vector: NDArray[np.float32] | None
    left_out: NDArray[np.uint64] = field(default_factory=lambda: _NONE)
    is_unknown: bool = False


def text_of(query: Query) -> str | None:
    """The text of a query that the encoder must see; None without one."""
    if isinstance(query, ExampleQuery):
        return query.text if query.text.strip() else None
    return query if isinstance(query, str) else None


def needs_vector(query: Query, mode: str) -> bool:
    """Whether the encoder must see it: words alone are searched for without it, examples always by vector."""
    return text_of(query) is not None and not (isinstance(query, str) and mode == "keyword")


def ask(
    snapshot: Snapshot,
    queries: Sequence[Query],
    *,
    mode: str,
    encode: Callable[[list[str]], NDArray[np.float32]] | None,
    stats: EncodingStats | None = None,
) -> list[Asked]:
    """Checks the queries and finds their vectors.

    Args:
        snapshot: that will be searched.
        queries: of any kind.
        mode: "hybrid", "semantic" or "keyword".
        encode: texts to unit vectors [N, D]; None where no query text needs a vector.
        stats: to which `encode`, called once, adds what is unknown; None to leave that open.

    Raises:
        InputError: a query is impossible, or names a passage that is not there.
    """
    texts = []
    for query in queries:
        text = text_of(query)
        if text is not None:
            check_text(text)
            if needs_vector(query, mode):
                texts.append(text)
    vectors = iter(encode(texts)) if texts and encode is not None else iter(())
    unknown = {texts[number] for number in stats.mostly_unknown} if stats is not None else set()
    return [
        _asked(snapshot, query, next(vectors) if needs_vector(query, mode) else None, unknown)
        for query in queries
    ]


def _asked(snapshot: Snapshot, query: Query, vector: NDArray[np.float32] | None, unknown: set[str]) -> Asked:
    if isinstance(query, str):
        return Asked(query, query, vector, is_unknown=vector is not None and query in unknown)
    if isinstance(query, RowQuery):
        row = find_rows(snapshot, [query.passage_id])
        return Asked(
            f"similar to {query.passage_id}", None, snapshot.vectors(row)[0], snapshot.documents(row)
        )
    if isinstance(query, ExampleQuery):
        return _asked_by_example(snapshot, query, vector)
    return Asked("a vector", None, unit_vector(query, snapshot.collection.settings.dimension))


def _asked_by_example(snapshot: Snapshot, query: ExampleQuery, text: NDArray[np.float32] | None) -> Asked:
    if not query.more and text is None:
        raise InputError(
            "there is nothing to be like",
            "the examples",
            "give a passage to be like, or a text; what is only unlike something is everything else",
        )
    if not 0 <= query.less_weight <= 1:
        raise InputError(f"less_weight = {query.less_weight} is impossible", "the examples", "choose 0 to 1")
    more, less = find_rows(snapshot, query.more), find_rows(snapshot, query.less)
    vector = example_vector(snapshot.vectors(more), snapshot.vectors(less), text, query.less_weight)
    shown = [f'"{query.text}"'] if text is not None else []
    shown += [f"more like {more.size} passages"] if more.size else []
    shown += [f"less like {less.size}"] if less.size else []
    return Asked(", ".join(shown), None, vector, snapshot.documents(np.union1d(more, less)))


def example_vector(
    more: NDArray[np.float32],
    less: NDArray[np.float32],
    text: NDArray[np.float32] | None = None,
    less_weight: float = LESS_WEIGHT,
) -> NDArray[np.float32]:
    """The query that examples stand for, see `ExampleQuery`; float32 [D], unit length.

    Args:
        more: float32 [N, D], may be empty when there is a text.
        less: float32 [N, D], may be empty.
        text: float32 [D].
        less_weight: of the mean of `less`.

    Raises:
        InputError: nothing is left of it, as when the same passages are in both.
    """
    total = np.zeros(more.shape[1], np.float64)
    if len(more):
        total += more.mean(axis=0, dtype=np.float64)
    if text is not None:
        total += text
    if len(less):
        total -= less_weight * less.mean(axis=0, dtype=np.float64)
    length = float(np.linalg.norm(total))
    if length < _NO_DIRECTION:
        raise InputError(
            "the examples cancel each other out: no direction is left to search in",
            "the examples",
            "take one of them away",
        )
    return (total / length).astype(np.float32)


def find_rows(snapshot: Snapshot, passages: Sequence[str | int]) -> NDArray[np.uint64]:
    """Row ids of passages named by passage id or row id, uint64 [N], ascending, each once.

    Raises:
        InputError: one of them is not in this version, or they are too many.
    """
    if len(passages) > MOST_EXAMPLES:
        raise InputError(
            f"{len(passages):,} examples are too many", "the examples", f"give at most {MOST_EXAMPLES:,}"
        )
    names = {clean_text(name) for name in passages if isinstance(name, str)}
    numbers = {name for name in passages if not isinstance(name, str)}
    found = np.zeros(0, np.uint64)
    if names:
        found, known = named_rows(snapshot, sorted(names))
        if missing := names - set(known):
            raise _no_passage(snapshot, min(missing))
    if numbers:
        if missing_row := next((number for number in numbers if not 0 <= number < 2**64), None):
            raise _no_passage(snapshot, missing_row)
        rows = np.array(sorted(numbers), np.uint64)
        is_live = np.isin(rows, snapshot.row_ids())
        if not is_live.all():
            raise _no_passage(snapshot, int(rows[~is_live][0]))
        found = np.union1d(found, rows)
    return found


def named_rows(snapshot: Snapshot, names: Sequence[str]) -> tuple[NDArray[np.uint64], list[str]]:
    """Row ids uint64 [N], ascending, and passage ids of those passages that are live."""
    ids: list[NDArray[np.uint64]] = [_NONE]
    known: list[str] = []
    for batch in snapshot.store.scan(["id"], condition=pc.field("id").isin(list(names))):
        ids.append(batch["_rowid"].to_numpy().astype(np.uint64))
        known.extend(batch["id"].to_pylist())
    rows = np.concatenate(ids)
    order = np.argsort(rows)
    return rows[order], [known[at] for at in order]


def _no_passage(snapshot: Snapshot, name: str | int) -> InputError:
    return InputError(
        f"there is no passage {name!r} in version {snapshot.publication.number}",
        str(snapshot.collection.path),
        "it was changed or deleted; search for its text instead",
    )


def check_search(k: int, mode: str, by: str) -> None:
    """Makes sure that a search can be made.

    Raises:
        InputError: it cannot.
    """
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MOST_HITS:
        raise InputError(
            f"k = {k} is impossible",
            "the number of hits",
            f"choose 1 to {MOST_HITS:,}; for all rows use export",
        )
    if mode not in MODES:
        raise InputError(f"there is no mode {mode!r}", "the search mode", f"choose {', '.join(MODES)}")
    if by not in ("document", "passage"):
        raise InputError(f"hits cannot be shown by {by!r}", "by", "choose document or passage")


def check_text(query: str) -> None:
    """Makes sure that a query is not a whole book.

    Raises:
        InputError: it is.
    """
    if len(query) > MOST_QUERY_CHARACTERS:
        raise InputError(
            f"the query has {len(query):,} characters",
            "the query",
            f"use at most {MOST_QUERY_CHARACTERS:,}; to find documents like a long one, search for a part of it",
        )


def unit_vector(vector: NDArray[np.float32], dimension: int) -> NDArray[np.float32]:
    """The vector with length 1, float32 [D].

    Args:
        vector: [D], any numbers.
        dimension: D.

    Raises:
        InputError: it is none, or has no direction.
    """
    try:
        vector = np.asarray(vector, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(
            "the query is neither text nor a vector", "the query", f"give {dimension} finite numbers"
        ) from error
    if vector.shape != (dimension,) or not np.isfinite(vector).all():
        raise InputError(
            f"the query vector has shape {vector.shape} or is not finite",
            "the query",
            f"give {dimension} finite numbers",
        )
    length = float(np.linalg.norm(vector))
    if length == 0:
        raise InputError("the query vector has length 0", "the query", "give a vector with a direction")
    return vector / np.float32(length)
