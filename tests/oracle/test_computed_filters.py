"""Filters that mix stored and computed columns, against plain Python, in every mode and kind of index."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from encoder.errors import InputError
from indexer.annotations import notes, tags
from indexer.query.filters import parse_filter, print_filter
from indexer.query.filters.tree import (
    And,
    Column,
    Compare,
    Contains,
    IsNull,
    OneOf,
    Or,
    StartsWith,
    join,
    negate,
)
from indexer.query.row_columns import RowColumn
from indexer.search import Searcher
from indexer.segments import segment as segments
from tests.conftest import WordEmbedder
from tests.indexer.making import doc, new_collection
from tests.oracle.brute_force import exact_ranking, holding, truth_of, unit_count
from tests.oracle.filter_truth import truth

KINDS = {"topic": "int64", "tag": "list<string>", "note": "string", "trust": "float64"}
STORED = {"year": "int64", "source": "string", "labels": "list<string>"}
WORDS = ["ant", "bee", "cow", "dog", "elk", "fox"]


class FakeColumns:
    """Values that a test wrote down, by row id."""

    kinds = KINDS

    def __init__(self, values):
        self.values = values
        self.state = "1"

    def column(self, name, snapshot):
        known = sorted((row, value) for row, value in self.values[name].items() if value is not None)
        row_ids = np.array([row for row, _ in known], np.uint64)
        found = [value for _, value in known]
        if KINDS[name] in ("int64", "float64"):
            found = np.array(found, np.int64 if KINDS[name] == "int64" else np.float64)
        return RowColumn(name, KINDS[name], row_ids, found, self.state)


def leaves():
    values = {
        "topic": st.integers(-1, 4) | st.just(1.5),
        "year": st.integers(2000, 2003),
        "source": st.sampled_from(["x", "y", "it's"]),
        "note": st.sampled_from(["", "check", "che"]),
        "trust": st.sampled_from([0.0, 0.25, 0.5]),
    }
    found = []
    for name, kind in (KINDS | STORED).items():
        column = Column(name, kind)
        found.append(st.just(IsNull(column)))
        if kind == "list<string>":
            found.append(st.builds(Contains, st.just(column), st.sampled_from(["a", "b", "c"])))
            continue
        signs = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
        found.append(st.builds(Compare, st.just(column), signs, values[name]))
        several = st.lists(values[name], min_size=1, max_size=3)
        found.append(several.map(lambda given, column=column: OneOf(column, tuple(given))))
        if kind == "string":
            found.append(st.builds(Contains, st.just(column), values[name]))
            found.append(st.builds(StartsWith, st.just(column), values[name]))
    return st.one_of(found)


def _grow(children):
    several = st.lists(children, min_size=2, max_size=3)
    return several.map(lambda p: join(And, p)) | several.map(lambda p: join(Or, p)) | children.map(negate)


TREES = st.recursive(leaves(), _grow, max_leaves=6)
VALUES = {
    "topic": st.none() | st.integers(0, 3),
    "tag": st.lists(st.sampled_from(["a", "b"]), max_size=2, unique=True).map(tuple),
    "note": st.none() | st.sampled_from(["", "check this"]),
    "trust": st.none() | st.sampled_from([0.0, 0.25, float("nan")]),
}


def kleene(tree, row):
    """True, False or None; of a tag nothing is unknown, and `is null` finds the rows without any."""
    if isinstance(tree, And | Or):
        answers = [kleene(part, row) for part in tree.parts]
        decisive = isinstance(tree, Or)
        return decisive if decisive in answers else None if None in answers else not decisive
    if not isinstance(tree, IsNull | Contains | Compare | OneOf | StartsWith):
        inner = kleene(tree.part, row)
        return None if inner is None else not inner
    if tree.column.name == "tag":
        return not row["tag"] if isinstance(tree, IsNull) else tree.part in row["tag"]
    return truth(tree, row)


@pytest.fixture(scope="module", params=["flat", "rabitq", "ivf-sq8"])
def searched(request, tmp_path_factory):
    rng = np.random.default_rng(7)
    added = [
        doc(
            f"d{n}",
            " ".join(rng.choice(WORDS, 12)),
            year=[None, 2000, 2001, 2002][n % 4],
            source=[None, "x", "y", "it's"][n % 3],
            labels=[None, [], ["a"], ["a", "b"]][n % 4],
        )
        for n in range(60)
    ]
    encoder = WordEmbedder(dimension=8, max_tokens=8)
    folder = tmp_path_factory.mktemp(request.param) / "c"
    collection, _ = new_collection(
        folder, added, encoder=encoder, columns=STORED, overlap=2, index=request.param
    )
    collection.delete(ids=["d3", "d4"])
    return collection, encoder, truth_of(collection)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), tree=TREES)
def test_a_mixed_filter_finds_what_plain_python_finds(searched, data, tree):
    collection, encoder, rows = searched
    seed = data.draw(st.integers(0, 2**16))
    some = {name: data.draw(st.lists(strategy, min_size=5, max_size=5)) for name, strategy in VALUES.items()}
    rng = np.random.default_rng(seed)
    columns = FakeColumns(
        {name: {row["_rowid"]: pool[rng.integers(5)] for row in rows} for name, pool in some.items()}
    )
    columns.values["topic"][10**9] = 1  # a row that was deleted since
    searcher = Searcher(collection, encoder, columns=columns)
    within = data.draw(
        st.none() | st.lists(st.sampled_from([r["_rowid"] for r in rows] + [10**9]), max_size=30)
    )
    allowed = [
        row
        for row in rows
        if kleene(tree, row["metadata"] | {n: columns.values[n][row["_rowid"]] for n in KINDS}) is True
        and (within is None or row["_rowid"] in within)
    ]
    where = print_filter(tree)
    chosen = None if within is None else np.array(within, np.uint64)
    found = searcher.snapshot.row_ids(searcher.allowed(where, within=chosen))
    assert found.tolist() == [row["_rowid"] for row in allowed], where
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "_EXACT_BUDGET_MS", data.draw(st.sampled_from([100.0, 0.0])))
        check_modes(searcher, encoder, where, chosen, allowed, data)


def check_modes(searcher, encoder, where, within, allowed, data):
    """The promises P1, P2, P4 and P5 for the three modes."""
    query = data.draw(st.sampled_from(["ant bee", "+ant bee", '"ant bee" cow', "-ant cow", "zebra"]))
    k = data.draw(st.sampled_from([1, 3, 10_000]))
    by = data.draw(st.sampled_from(["document", "passage"]))
    options = {"where": where, "within": within, "by": by}
    vector = encoder.encode_query([query])[0]
    best = [row["id"] for row, _ in exact_ranking(allowed, vector, by)[:k]]
    assert [h.id for h in searcher.search(query, k, mode="semantic", exact=True, **options).hits] == best
    exact = {row["id"]: score for row, score in exact_ranking(allowed, vector, "passage")}
    expected = {
        "semantic": allowed,
        "keyword": holding(allowed, query, needs_word=True),
        "hybrid": holding(allowed, query, needs_word=False),
    }
    for mode, rows in expected.items():
        result = searcher.search(query, k, mode=mode, **options)
        known = {row["id"]: row["_rowid"] for row in rows}
        assert len(result.hits) == min(k, unit_count(rows, by)), mode
        assert all(hit.id in known for hit in result.hits)
        assert result.row_ids == tuple(known[hit.id] for hit in result.hits)
        assert result.provenance.matching <= len(allowed)
        order = [(-hit.score, known[hit.id]) for hit in result.hits]
        assert order == sorted(order)
        if mode != "keyword":
            assert all(hit.dense == pytest.approx(exact[hit.id], abs=1e-6) for hit in result.hits)


def test_keyword_scores_are_those_of_a_search_without_the_computed_filter(searched):
    collection, encoder, rows = searched
    columns = FakeColumns({name: {} for name in KINDS})
    columns.values["topic"] = {row["_rowid"]: row["_rowid"] % 7 for row in rows}
    searcher = Searcher(collection, encoder, columns=columns)
    everything = searcher.search("ant bee", 10_000, mode="keyword", by="passage").hits
    numbers = {row["id"]: row["_rowid"] % 7 for row in rows}
    for k in (1, 2, 10_000):
        some = searcher.search("ant bee", k, mode="keyword", by="passage", where="topic = 3").hits
        expected = [(hit.id, hit.score) for hit in everything if numbers[hit.id] == 3]
        assert [(hit.id, hit.score) for hit in some] == expected[:k]


def test_few_allowed_rows_are_found_far_down_the_keyword_ranking(tmp_path):
    added = [doc(f"d{n:04}", "ant " * (1 + (n < 1500)) + f"w{n}") for n in range(1600)]
    collection, encoder = new_collection(tmp_path / "c", added)
    last = np.array([row["_rowid"] for row in truth_of(collection) if row["doc_id"] >= "d1590"], np.uint64)
    found = Searcher(collection, encoder).search("ant", 5, mode="keyword", within=last[::-1])
    assert [hit.document_id for hit in found.hits] == [f"d{n}" for n in range(1590, 1595)]
    assert found.provenance.matching == 10


def test_an_answer_is_kept_until_the_column_changes(searched):
    collection, encoder, rows = searched
    columns = FakeColumns({name: {} for name in KINDS})
    searcher = Searcher(collection, encoder, columns=columns)
    first, second = (row["_rowid"] for row in rows[:2])
    columns.values["topic"] = {first: 1}
    assert searcher.allowed("topic = 1").count == 1
    columns.values["topic"] = {first: 1, second: 1}
    columns.state = "2"
    assert searcher.allowed("topic = 1").count == 2


def test_a_stored_column_keeps_its_name(tmp_path):
    collection, encoder = new_collection(
        tmp_path / "c", [doc("d1", Topic="a"), doc("d2", Topic="b")], columns={"Topic": "string"}
    )
    rows = {row["doc_id"]: row["_rowid"] for row in truth_of(collection)}
    columns = FakeColumns({name: {} for name in KINDS})
    columns.values["topic"] = {rows["d2"]: 3}
    searcher = Searcher(collection, encoder, columns=columns)
    assert searcher.filter_columns == {
        "title": "string",
        "Topic": "string",
        "derived.topic": "int64",
        "tag": "list<string>",
        "note": "string",
        "trust": "float64",
    }
    found = [searcher.search("words", where=where).hits for where in ("topic = a", "derived.topic = 3")]
    assert [[hit.document_id for hit in hits] for hits in found] == [["d1"], ["d2"]]
    with pytest.raises(InputError) as raised:
        searcher.search("words", where="topics = 3")
    assert "columns: title, Topic, tag, note, trust, `derived.topic`" in raised.value.fix


@pytest.mark.parametrize("rows", [[[1]], [1.5], ["a"], [-1]])
def test_what_are_no_row_ids_is_refused(searched, rows):
    collection, encoder, _ = searched
    with pytest.raises(InputError, match="holds no row ids"):
        Searcher(collection, encoder).search("ant", within=np.array(rows))


def test_tags_and_notes_are_seen_by_the_next_query(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", [doc(f"d{n}") for n in range(4)])
    searcher = Searcher(collection, encoder)

    def found(where):
        return sorted(hit.document_id for hit in searcher.search("words", where=where).hits)

    assert found("tag contains good") == [] and found("tag is null") == ["d0", "d1", "d2", "d3"]
    tags.add_tag(collection, "good", ["d1", "d2", "gone"])
    tags.add_tag(collection, "new", ["d2"])
    assert found("tag contains good") == ["d1", "d2"]
    assert found("tag contains good and not tag contains new") == ["d1"]
    assert found("not tag contains good") == ["d0", "d3"] == found("tag is null")
    tags.remove_tag(collection, "good", ["d1"])
    assert found("tag contains good") == ["d2"]
    note = notes.write_note(collection, "d3", "check the date")
    assert found("note contains date") == ["d3"] == found("note is not null")
    notes.write_note(collection, "d3", "", note_id=note.id)
    assert found("note is not null") == []


def test_without_topics_the_filter_says_how_they_are_made(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", [doc("d1")], columns={})
    with pytest.raises(InputError) as raised:
        Searcher(collection, encoder).search("words", where="topic = 3")
    assert "no topics" in raised.value.what and "llm2comp topics" in raised.value.fix


def test_a_filter_prints_as_it_was_written():
    columns = {"derived.topic": "int64"}
    tree = parse_filter("derived.topic = 3", columns)
    assert parse_filter(print_filter(tree), columns) == tree
