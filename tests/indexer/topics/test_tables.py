"""Topics against columns and over time, compared with plain counting."""

import datetime
from collections import Counter

import numpy as np
import pytest

from encoder.errors import InputError
from indexer.search import Searcher
from indexer.topics import build_topics, current_topics, tables
from indexer.topics.tables import STEPS, topics_by_value, topics_over_time
from tests.indexer.making import doc, new_collection

DAY = datetime.date(2021, 1, 30)


@pytest.fixture(scope="module")
def tabled(tmp_path_factory):
    rng = np.random.default_rng(0)
    words = ("river bridge water", "bread oven flour")
    documents = []
    for i in range(60):
        metadata = {
            "topic": [None, "a", "b", "c", "<b>"][rng.integers(5)],
            "tags": [[], ["x"], ["x", "y"], ["z", "w", "z"], None][rng.integers(5)],
            "day": None if i % 7 == 0 else DAY + datetime.timedelta(days=int(rng.integers(400))),
            "year": 2000 + int(rng.integers(3)),
        }
        documents.append(doc(f"d{i}", f"{words[i % 2]} {i}", **metadata))
    collection, embedder = new_collection(tmp_path_factory.mktemp("t") / "c", documents)
    searcher = Searcher(collection, embedder)
    run = build_topics(searcher, method="kmeans", count=2)
    current = current_topics(run, searcher.snapshot)
    names = searcher.snapshot.store.take(current.row_ids, ["doc_id"])["doc_id"].to_pylist()
    metadata = {document.id: document.metadata for document in documents}
    rows = [(int(number), metadata[name]) for number, name in zip(current.numbers, names, strict=True)]
    return searcher.snapshot, current, rows


@pytest.mark.parametrize("column", ["topic", "year", "tags"])
@pytest.mark.parametrize("most", [1, 2, 12])
def test_counts_by_value_are_those_of_plain_counting(tabled, column, most):
    snapshot, current, rows = tabled
    table = topics_by_value(snapshot, current, column, most=most)
    each = [
        (
            number,
            {str(v) for v in (value if isinstance(value, list) else [value])}
            if value not in (None, [])
            else set(),
        )
        for number, value in ((number, metadata[column]) for number, metadata in rows)
    ]
    counted = Counter((number, value) for number, values in each for value in values)
    kept = [value for value in table.values if value not in ("other values", "no value")]
    assert len(kept) == min(most, len({value for _, values in each for value in values}))
    for at, number in enumerate(table.numbers):
        assert table.sizes[at] == sum(of == number for of, _ in each)
        for value in kept:
            assert table.counts[at, table.values.index(value)] == counted[number, value]
        expected = {
            "other values": sum(of == number and bool(values - set(kept)) for of, values in each),
            "no value": sum(of == number and not values for of, values in each),
        }
        for name, count in expected.items():
            found = table.counts[at, table.values.index(name)] if name in table.values else 0
            assert found == count


def test_a_lift_is_the_share_inside_over_the_share_everywhere(tabled):
    snapshot, current, _ = tabled
    table = topics_by_value(snapshot, current, "topic")
    value = table.values.index("a")
    everywhere = table.counts[:, value].sum() / table.sizes.sum()
    assert table.lifts[0, value] == pytest.approx(table.counts[0, value] / table.sizes[0] / everywhere)


@pytest.mark.parametrize("step", ["", *STEPS])
def test_counts_over_time_are_those_of_plain_counting(tabled, step):
    snapshot, current, rows = tabled
    table = topics_over_time(snapshot, current, "day", step=step)
    assert table.undated == sum(metadata["day"] is None for _, metadata in rows)
    counted = np.zeros_like(table.counts)
    for number, metadata in rows:
        if metadata["day"]:
            at = max(at for at, start in enumerate(table.bins) if start <= metadata["day"])
            counted[table.numbers.index(number), at] += 1
    assert np.array_equal(table.counts, counted)
    assert counted[:, 0].any() and counted[:, -1].any()
    assert all(start.day == 1 for start in table.bins) or table.step in ("day", "week")
    assert all(start.weekday() == 0 for start in table.bins) or table.step != "week"
    shares = table.shares.sum(axis=0)
    assert np.allclose(shares[table.counts.sum(axis=0) > 0], 1)


def test_the_step_is_the_finest_that_fits(tabled):
    snapshot, current, _ = tabled
    table = topics_over_time(snapshot, current, "day")
    assert table.step == "week" and len(table.bins) <= 60


def test_columns_that_cannot_be_used_are_named(tabled):
    snapshot, current, _ = tabled
    with pytest.raises(InputError, match="there is no column 'nosuch'"):
        topics_by_value(snapshot, current, "nosuch")
    with pytest.raises(InputError, match="'year' holds no dates") as error:
        topics_over_time(snapshot, current, "year")
    assert "day" in error.value.fix
    with pytest.raises(InputError, match="there is no step 'hour'"):
        topics_over_time(snapshot, current, "day", step="hour")


@pytest.mark.parametrize(("name", "most"), [("_MOST_DRAWN", 3), ("_MOST_CELLS", 12)])
def test_steps_that_would_fill_the_memory_are_refused(tabled, monkeypatch, name, most):
    snapshot, current, _ = tabled
    monkeypatch.setattr(tables, name, most)
    with pytest.raises(InputError, match="the dates of 'day' reach from") as caught:
        topics_over_time(snapshot, current, "day", step="day")
    assert "longer step" in caught.value.fix
