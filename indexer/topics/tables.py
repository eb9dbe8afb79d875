"""Topics against metadata: how often each value of a column occurs in each topic, and how topics move over time.

Both read one column once. Letters: N rows, C topics, V values, B time bins.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from encoder.errors import InputError
from indexer.query.snapshot import Snapshot
from indexer.topics.current import CurrentTopics

MOST_VALUES = 12
MOST_BINS = 60
_MOST_DRAWN, _MOST_CELLS = 100_000, 10_000_000  # bins that somebody asks for, and bins times topics
OTHER, NONE = "other values", "no value"
STEPS = ("day", "week", "month", "quarter", "year")


@dataclass(frozen=True, slots=True)
class ValueTable:
    """Passages by topic and value.

    Attributes:
        column: of the metadata.
        numbers: C topics, the last is -1, noise.
        values: V of them, most frequent first, then "other values" and "no value" where there are any.
        counts: int64 [C, V]; a passage with several values counts for each.
        sizes: int64 [C], passages of each topic.
    """

    column: str
    numbers: list[int]
    values: list[str]
    counts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of each topic's passages that have the value, float64 [C, V]."""
        return self.counts / np.maximum(1, self.sizes)[:, None]

    @property
    def lifts(self) -> NDArray[np.float64]:
        """How many times more frequent a value is in the topic than in all passages, float64 [C, V]."""
        everywhere = self.counts.sum(axis=0) / max(1, int(self.sizes.sum()))
        return np.divide(self.shares, everywhere, out=np.zeros_like(self.shares), where=everywhere > 0)


@dataclass(frozen=True, slots=True)
class TimeTable:
    """Passages by topic and time.

    Attributes:
        column: of the metadata.
        step: one of `STEPS`.
        numbers: C topics, the last is -1, noise.
        bins: first day of each bin, without gaps.
        counts: int64 [C, B].
        undated: passages without a date.
    """

    column: str
    step: str
    numbers: list[int]
    bins: list[date]
    counts: NDArray[np.int64]
    undated: int

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of the passages of each bin that belong to the topic, float64 [C, B]."""
        return self.counts / np.maximum(1, self.counts.sum(axis=0))[None, :]


def topics_by_value(
    snapshot: Snapshot, topics: CurrentTopics, column: str, *, most: int = MOST_VALUES
) -> ValueTable:
    """Counts for the most frequent values of a column.

    Args:
        snapshot: that `topics` was read with.
        topics: of every row.
        column: of the metadata.
        most: values that get their own place.

    Raises:
        InputError: there is no such column.
    """
    values, at = _column(snapshot, topics, column)
    kind = snapshot.collection.settings.columns[column]
    if kind == "list<string>":
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy().astype(np.int64)
        empty = at[lengths == 0]
        at, values = np.repeat(at, lengths), values.drop_null().combine_chunks().flatten()
        pairs = _codes(values)
        at = np.concatenate([at, empty])
        codes = np.concatenate([pairs[0], np.full(empty.size, -1)])
        names = pairs[1]
    else:
        codes, names = _codes(values)
    numbers, positions, sizes = _numbers(topics)
    frequency = np.bincount(codes[codes >= 0], minlength=len(names))
    kept = np.argsort(-frequency, kind="stable")[:most]
    place = np.full(len(names) + 1, most, np.int64)  # `most` is the place of all others
    place[kept] = np.arange(kept.size)
    place[-1] = most + 1
    cells = np.unique(np.stack([at, place[codes]]), axis=1)  # of two other values of a passage one counts
    counts = np.zeros((len(numbers), most + 2), np.int64)
    np.add.at(counts, (positions[cells[0]], cells[1]), 1)
    labels = [*(_shown(names[index]) for index in kept.tolist()), *[""] * (most - kept.size), OTHER, NONE]
    used = [index for index in range(most + 2) if index < kept.size or counts[:, index].any()]
    return ValueTable(column, numbers, [labels[index] for index in used], counts[:, used], sizes)


def topics_over_time(snapshot: Snapshot, topics: CurrentTopics, column: str, *, step: str = "") -> TimeTable:
    """Counts by day, week, month, quarter or year.

    Args:
        snapshot: that `topics` was read with.
        topics: of every row.
        column: a date or timestamp.
        step: one of `STEPS`; the finest of at most 60 bins, half of them in use, when empty.

    Raises:
        InputError: there is no such column, it holds no dates, or the step is unknown.
    """
    values, at = _column(snapshot, topics, column)
    kind = snapshot.collection.settings.columns[column]
    if kind not in ("date", "timestamp"):
        dated = [
            name for name, of in snapshot.collection.settings.columns.items() if of in ("date", "timestamp")
        ]
        raise InputError(
            f"{column!r} holds no dates ({kind})",
            "topics over time",
            f"choose one of: {', '.join(dated) or 'none has'}",
        )
    if step not in ("", *STEPS):
        raise InputError(f"there is no step {step[:40]!r}", "topics over time", f"choose {', '.join(STEPS)}")
    days = pc.cast(values, pa.date32(), safe=False).combine_chunks().cast(pa.int32())
    is_dated = np.asarray(days.is_valid())
    numbers, positions, _ = _numbers(topics)
    day = days.drop_null().to_numpy().astype("datetime64[D]")
    if not day.size:
        return TimeTable(column, step or "year", numbers, [], np.zeros((len(numbers), 0), np.int64), at.size)
    step = step or _suiting_step(day)
    bins = _bin(day, step)
    first, last = int(bins.min()), int(bins.max())
    width = last - first + 1
    if width > _MOST_DRAWN or width * len(numbers) > _MOST_CELLS:
        raise InputError(
            f"the dates of {column!r} reach from {day.min()} to {day.max()}",
            f"topics over time, by {step}",
            "choose a longer step, for example year",
        )
    counts = np.zeros((len(numbers), width), np.int64)
    np.add.at(counts, (positions[at[is_dated]], bins - first), 1)
    starts = [_start(number, step) for number in range(first, last + 1)]
    return TimeTable(column, step, numbers, starts, counts, int((~is_dated).sum()))


def _suiting_step(days: NDArray[Any]) -> str:
    """The finest step of at most 60 bins of which half hold something."""
    for step in STEPS:
        bins = _bin(days, step)
        width = int(np.ptp(bins)) + 1
        if width <= MOST_BINS and 2 * np.unique(bins).size >= width:
            return step
    return STEPS[-1]


def _bin(days: NDArray[Any], step: str) -> NDArray[np.int64]:
    """Number of the bin of each day, int64 [N], consecutive bins consecutive."""
    since = days.astype(np.int64)
    months = days.astype("datetime64[M]").astype(np.int64)
    found = {
        "day": since,
        "week": (since + 3) // 7,
        "month": months,
        "quarter": months // 3,
        "year": months // 12,
    }
    return found[step]


def _start(number: int, step: str) -> date:
    """The first day of a bin; weeks begin on Monday."""
    if step in ("day", "week"):
        day = date(1970, 1, 1) + timedelta(days=number if step == "day" else number * 7 - 3)
        return day
    months = number * {"month": 1, "quarter": 3, "year": 12}[step]
    return date(1970 + months // 12, months % 12 + 1, 1)


def _column(
    snapshot: Snapshot, topics: CurrentTopics, column: str
) -> tuple[pa.ChunkedArray, NDArray[np.int64]]:
    """The values of a column, and the position of each in `topics`, int64 [N]."""
    fields = snapshot.collection.settings.column_fields
    if column not in fields:
        raise InputError(
            f"there is no column {column[:60]!r}",
            "the metadata",
            f"choose one of: {', '.join(fields) or 'none'}",
        )
    batches = list(snapshot.store.scan([fields[column]]))
    if not batches:
        schema = pa.schema([(fields[column], pa.null()), ("_rowid", pa.uint64())])
        batches = [pa.RecordBatch.from_pylist([], schema=schema)]
    table = pa.Table.from_batches(batches)
    at = np.searchsorted(topics.row_ids, table["_rowid"].to_numpy().astype(np.uint64))
    return table[fields[column]], at.astype(np.int64)


def _codes(values: Any) -> tuple[NDArray[np.int64], list[Any]]:
    """Number of each value, int64 [N], -1 for none, and the values."""
    encoded = pc.dictionary_encode(values)
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # of no chunk
        return np.zeros(0, np.int64), []
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, encoded.dictionary.to_pylist()


def _numbers(topics: CurrentTopics) -> tuple[list[int], NDArray[np.int64], NDArray[np.int64]]:
    """Topic numbers with -1 last, the place of each row's topic among them, and how many rows each has."""
    numbers = [*(topic.number for topic in topics.stored.topics), -1]
    place = {number: at for at, number in enumerate(numbers)}
    positions = np.array([place[number] for number in topics.numbers.tolist()], np.int64)
    return numbers, positions, np.bincount(positions, minlength=len(numbers)).astype(np.int64)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
