"""The colours of points by a column of their collection: a stored one, the current topics, or trust."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.map_colours import (
    Colouring,
    by_category,
    by_date,
    by_flag,
    by_number,
    by_topic,
    by_trust,
    one_colour,
)
from encoder.errors import InputError
from indexer.maps.points import MapPoints
from indexer.query.row_columns import PREFIX
from indexer.search import Searcher

TRUST, TOPIC = "trust", "topic"


def colour_points(searcher: Searcher, points: MapPoints, column: str) -> Colouring:
    """One colour a point, uint8 [N] inside.

    Args:
        searcher: of the collection.
        points: to colour.
        column: a metadata column, or "topic", or "trust" where no column has that name, else with "derived." before
            it; empty for one colour.

    Raises:
        InputError: there is no such column, or no topics yet.
    """
    if not column:
        return one_colour(points.row_ids.size)
    check_column(searcher, column)
    kinds = searcher.collection.settings.filter_columns
    computed = computed_column(searcher, column)
    if not computed:
        return _by_stored(searcher, points.row_ids, column, kinds[column])
    if computed == TRUST:
        return by_trust(points.trust)
    numbers, labels = topic_numbers(searcher, points.row_ids)
    return by_topic(numbers, labels, places=np.stack([points.x, points.y], axis=1))


def computed_column(searcher: Searcher, column: str) -> str:
    """Which computed column a name means, `TOPIC` or `TRUST`; empty for a stored one and for no column."""
    if column in searcher.collection.settings.filter_columns:
        return ""
    plain = column.removeprefix(PREFIX)
    return plain if plain in (TOPIC, TRUST) else ""


def check_column(searcher: Searcher, column: str) -> None:
    """Makes sure that points can be coloured by it.

    Raises:
        InputError: there is no such column, or no topics yet.
    """
    kinds = searcher.collection.settings.filter_columns
    computed = computed_column(searcher, column)
    if column not in kinds and not computed:
        offered = [f"{PREFIX}{name}" if name in kinds else name for name in (TOPIC, TRUST)]
        raise InputError(
            f"there is no column {column[:80]!r}",
            str(searcher.collection.path),
            f"choose {', '.join([*kinds, *offered])}",
        )
    if computed == TOPIC:
        from indexer.topics.versions import open_topics

        open_topics(searcher.collection)


def stored_values(searcher: Searcher, row_ids: NDArray[np.uint64], column: str) -> list[Any]:
    """The values of a stored column, one a row, None where a row has none or is gone.

    Args:
        searcher: of the collection.
        row_ids: uint64 [N], ascending.
        column: as filters name it.
    """
    field = searcher.collection.settings.filter_fields[column]
    values: list[Any] = [None] * row_ids.size
    if not row_ids.size:
        return values
    for batch in searcher.snapshot.store.scan([field]):
        ids = batch["_rowid"].to_numpy()
        at = np.minimum(np.searchsorted(row_ids, ids), row_ids.size - 1)
        here = row_ids[at] == ids
        for place, value, wanted in zip(at.tolist(), batch[field].to_pylist(), here.tolist(), strict=True):
            if wanted:
                values[place] = value
    return values


def _by_stored(searcher: Searcher, row_ids: NDArray[np.uint64], column: str, kind: str) -> Colouring:
    values = stored_values(searcher, row_ids, column)
    if kind in ("int64", "float64"):
        return by_number(
            np.array([np.nan if value is None else value for value in values], np.float64), column
        )
    if kind in ("date", "timestamp"):
        moments = [None if value is None else np.datetime64(value, "s") for value in values]
        return by_date(np.array(moments, "datetime64[s]"), column)
    if kind == "bool":
        return by_flag(values, column)
    if kind == "list<string>":
        values = [None if not value else ", ".join(map(str, value)) for value in values]
    return by_category(values, column)


def topic_numbers(
    searcher: Searcher, row_ids: NDArray[np.uint64]
) -> tuple[NDArray[np.int32], dict[int, str]]:
    """The current topic of each row, int32 [N], -1 for none; and the topics' labels.

    Args:
        searcher: of the collection.
        row_ids: uint64 [N], ascending.

    Raises:
        InputError: there are no topics yet.
    """
    from indexer.topics.current import current_topics
    from indexer.topics.versions import open_topics

    current = current_topics(open_topics(searcher.collection), searcher.snapshot)
    numbers = np.full(row_ids.size, -1, np.int32)
    kept = np.isin(row_ids, current.row_ids, assume_unique=True)
    numbers[kept] = current.numbers[np.searchsorted(current.row_ids, row_ids[kept])]
    return numbers, {topic.number: topic.label for topic in current.stored.topics}
