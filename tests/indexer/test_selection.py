"""Selections: every part chooses what it says, together they choose what all of them do, and the export is that."""

import csv
import json
import zipfile

import hypothesis.strategies as st
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from encoder.errors import InputError
from indexer.annotations import notes, sets, tags
from indexer.bundle import export_bundle
from indexer.derived import write_build
from indexer.export import export_passages
from indexer.maps import stored as maps
from indexer.maps.polygon import encode_polygon
from indexer.search import Searcher
from indexer.selection import Selection, select_rows
from indexer.topics.stored import KIND, Topic
from indexer.topics.stored import write_files as write_topics
from indexer.topics.versions import open_topics
from tests.conftest import WordEmbedder
from tests.indexer.making import doc, new_collection

SQUARE = (0, 0, 1000, 0, 1000, 1000, 0, 1000)


def write_map(collection, row_ids, places):
    count = row_ids.size

    def write(folder):
        maps.write_files(
            folder,
            row_ids=row_ids,
            places=places.astype(np.uint16),
            trust=np.linspace(0, 1, count).astype(np.float32),
            neighbours=np.zeros((count, 0), np.uint32),
            is_placed=np.zeros(count, np.bool_),
        )

    return write_build(
        collection, "map", version=1, recipe={"method": "pca", "format": maps.FORMAT}, facts={}, write=write
    ).id


def write_run(collection, row_ids, numbers, vectors):
    found = [n for n in sorted(set(numbers.tolist())) if n >= 0]
    means = np.stack([vectors[numbers == n].mean(axis=0) for n in found]).astype(np.float32)
    topics = [
        Topic(
            n,
            f"=topic {n}",
            f"=topic {n}",
            int((numbers == n).sum()),
            float((numbers == n).mean()),
            0.5,
            None,
        )
        for n in found
    ]

    def write(folder):
        write_topics(
            folder,
            row_ids,
            numbers.astype(np.int32),
            closeness=np.zeros(row_ids.size, np.float32),
            means=means,
            topics=topics,
        )

    return write_build(collection, KIND, version=1, recipe={"method": "hdbscan"}, facts={}, write=write).id


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """40 documents of one passage: topic n % 3 or noise, on a line across the map."""
    folder = tmp_path_factory.mktemp("s") / "c"
    collection, encoder = new_collection(folder, [doc(f"d{n:02}", year=2000 + n) for n in range(40)])
    searcher = Searcher(collection, encoder)
    rows = searcher.snapshot.row_ids()
    order = np.arange(rows.size)
    map_id = write_map(collection, rows, np.stack([order * 100, order * 100], axis=1))
    numbers = np.where(order % 4 == 3, -1, order % 3)
    run_id = write_run(collection, rows, numbers, searcher.snapshot.vectors(rows))
    tags.add_tag(collection, "good", [f"d{n:02}" for n in range(0, 40, 2)])
    notes.write_note(collection, "d05", "=look")
    chosen = [sets.SetItem(int(rows[n]), f"d{n:02}#0-00000000", "query") for n in range(5, 15)]
    named = sets.save_set(collection, "mine", [*chosen, sets.SetItem(10**9, "gone#0-0", "query")], version=1)
    names = searcher.snapshot.store.take(rows, ["doc_id"])["doc_id"].to_pylist()
    at = np.array([int(name[1:]) for name in names])
    return searcher, rows, at, {"map": map_id, "run": run_id, "set": named.id, "numbers": numbers}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    year=st.none() | st.integers(1999, 2041),
    outline=st.booleans(),
    topics=st.lists(st.integers(-1, 2), max_size=2, unique=True),
    singles=st.none() | st.lists(st.integers(0, 45), max_size=20, unique=True),
    with_set=st.booleans(),
)
def test_a_selection_is_what_all_its_parts_choose(made, year, outline, topics, singles, with_set):
    searcher, rows, at, known = made
    where = "" if year is None else f"year >= {year} or tag contains good"
    selection = Selection(
        where=where,
        polygon=SQUARE if outline else (),
        topics=tuple(topics),
        rows=None if singles is None else tuple(int(rows[n]) if n < 40 else 10**9 + n for n in singles),
        set_id=known["set"] if with_set else "",
    )
    expected = [
        int(row)
        for position, row in enumerate(rows)
        if (year is None or 2000 + at[position] >= year or at[position] % 2 == 0)
        and (not outline or position * 100 < 1000)
        and (not topics or known["numbers"][position] in topics)
        and (singles is None or position in singles)
        and (not with_set or 5 <= position < 15)
    ]
    selected = select_rows(searcher, selection)
    assert selected.row_ids.tolist() == expected and selected.row_ids.dtype == np.uint64
    assert selected.missing == with_set + sum(n >= 40 for n in singles or [])
    assert selected.sentence.startswith(f"{len(expected)} passage")
    assert selection.is_everything == (selected.sentence == "40 passages: the whole collection")


def test_the_sentence_says_what_was_chosen(made):
    searcher, rows, _, known = made
    selection = Selection(
        where="year >= 2003", polygon=SQUARE, topics=(0, 2, -1), set_id=known["set"], rows=(int(rows[6]),)
    )
    assert select_rows(searcher, selection).sentence == (
        '1 passage: inside the outline, topic 0 or 2 or without a topic, in the set "mine", chosen one by one, '
        "year >= 2003; 1 of the chosen were deleted since"
    )


@pytest.mark.parametrize(
    ("selection", "what"),
    [
        (Selection(polygon=(1, 2, 3)), "the outline cannot be used"),
        (Selection(polygon=SQUARE, map_id="00000000"), "there is no map 00000000"),
        (Selection(polygon=SQUARE, map_id="../../x"), "is no id of a map"),
        (Selection(topics=(7,)), "there is no topic 7"),
        (Selection(topics=(0,), topics_id="00000000"), "there is no topics 00000000"),
        (Selection(topics=(0,), topics_version="x"), "'' is no id|no version"),
        (Selection(set_id="00000000"), "there is no set"),
        (Selection(where="yaer > 5"), "there is no column"),
    ],
)
def test_an_impossible_selection_is_refused(made, selection, what):
    with pytest.raises(InputError, match=what):
        select_rows(made[0], selection)


def test_a_set_is_found_again_after_re_embedding(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", [doc(f"d{n}") for n in range(6)])
    hits = Searcher(collection, encoder).search("words about number 3", 3)
    items = [sets.SetItem(row, hit.id) for row, hit in zip(hits.row_ids, hits.hits, strict=True)]
    named = sets.save_set(collection, "x", [*items, sets.SetItem(10**6, "nobody#0-12345678")], version=1)
    other = WordEmbedder("other", dimension=12)
    collection.rebuild(encoder=other)
    searcher = Searcher(type(collection).open(collection.path), other)
    selected = select_rows(searcher, Selection(set_id=named.id))
    found = searcher.snapshot.store.take(selected.row_ids, ["doc_id"])["doc_id"].to_pylist()
    assert sorted(found) == sorted(hit.document_id for hit in hits.hits) and selected.missing == 1


def test_an_export_holds_the_selection_and_what_is_known_of_it(made, tmp_path):
    searcher, rows, at, known = made
    selection = Selection(where="year < 2010", topics=(0, 1, -1))
    wanted = select_rows(searcher, selection).row_ids
    written = export_passages(searcher.collection, tmp_path / "e.parquet", selection=selection, vectors=True)
    table = pq.read_table(tmp_path / "e.parquet").to_pylist()
    assert written == len(table) == wanted.size > 3
    for row, row_id in zip(table, wanted, strict=True):
        position = int(np.flatnonzero(rows == row_id)[0])
        name, number = f"d{at[position]:02}", int(known["numbers"][position])
        assert row["document_id"] == name and row["year"] == 2000 + at[position]
        assert row["derived.topic" if "derived.topic" in row else "topic"] == (None if number < 0 else number)
        assert row["topic_label"] == (None if number < 0 else f"=topic {number}")
        assert row["derived.tags"] == (["good"] if at[position] % 2 == 0 else None)
        assert row["notes"] == ("=look" if name == "d05" else None)
        assert (row["x"], row["y"]) == (position * 100, position * 100) and 0 <= row["trust"] <= 1
        assert np.allclose(row["vector"], searcher.snapshot.vector(int(row_id)), atol=1e-3)
    export_passages(searcher.collection, tmp_path / "e.csv", selection=selection)
    cells = list(csv.DictReader((tmp_path / "e.csv").open(encoding="utf-8")))
    assert {cell["topic_label"] for cell in cells} == {"'=topic 0", "'=topic 1", ""}


def test_a_selection_of_nothing_gives_a_file_with_its_columns(made, tmp_path):
    for ending in ("parquet", "jsonl", "csv"):
        assert (
            export_passages(made[0].collection, tmp_path / f"e.{ending}", selection=Selection(rows=())) == 0
        )
    assert "topic_label" in pq.read_table(tmp_path / "e.parquet").column_names


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_a_bundle_holds_both_tables_and_says_where_they_come_from(made, tmp_path, name):
    searcher, _, _, known = made
    where = "year < 2010"
    selected = export_bundle(searcher, Selection(where=where + "\n and year > 0"), tmp_path / name)
    folder = tmp_path / "bundle"
    if name.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / name) as archive:
            archive.extractall(tmp_path)
    table = pq.read_table(folder / "passages.parquet").to_pylist()
    lines = [json.loads(line) for line in (folder / "passages.jsonl").read_text().splitlines()]
    assert [row["id"] for row in table] == [row["id"] for row in lines] and len(
        table
    ) == selected.row_ids.size
    readme = (folder / "README.txt").read_text()
    assert readme.startswith(selected.sentence) and "\nfilter       year < 2010 and year > 0\n" in readme
    assert f"topics {known['run']}" in readme and f"map {known['map']}" in readme and '"hdbscan"' in readme
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_the_readme_of_a_bundle_holds_topic_outline_and_link_so_that_it_can_be_chosen_again(made, tmp_path):
    searcher, _, _, known = made
    outline = (0, 0, 65_535, 0, 65_535, 65_535, 0, 65_535)
    chosen = Selection(topics=(-1, 0), polygon=outline)
    export_bundle(searcher, chosen, tmp_path / "bundle", link="http://h:1/map?c=a\nfilter none")
    readme = (tmp_path / "bundle" / "README.txt").read_text()
    label = open_topics(searcher.collection).topic(0).label
    assert f"\ntopic        in no topic; 0 {label} (topics {known['run']})\n" in readme
    assert f"\noutline      on map {known['map']}: 0,0 65535,0 65535,65535 0,65535\n" in readme
    assert f"map={known['map']}&pl={encode_polygon(outline)}\n" in readme
    assert "\nlink         http://h:1/map?c=a filter none\n" in readme  # on one line, whatever it holds


@pytest.mark.parametrize("where", ["", "year < 0"])
def test_the_readme_of_a_bundle_names_every_column_of_the_table_once(made, tmp_path, where):
    export_bundle(made[0], Selection(where=where), tmp_path / "bundle")
    columns = pq.read_schema(tmp_path / "bundle" / "passages.parquet").names
    told = (tmp_path / "bundle" / "README.txt").read_text().partition("\nColumns\n")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in told.splitlines()] == columns


def test_a_column_that_is_called_as_ours_keeps_its_name_in_a_bundle(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", [doc("a", tags="wet")], columns={"tags": "string"})
    tags.add_tag(collection, "seen", ["a"])
    export_bundle(Searcher(collection, encoder), Selection(), tmp_path / "bundle")
    row = pq.read_table(tmp_path / "bundle" / "passages.parquet").to_pylist()[0]
    assert row["tags"] == "wet" and row["derived.tags"] == ["seen"]
    readme = (tmp_path / "bundle" / "README.txt").read_text()
    assert "\n  tags         metadata, string\n" in readme
    assert "\n  derived.tags that people put on the document\n" in readme


def test_a_bundle_replaces_no_folder_and_leaves_nothing_when_it_fails(made, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(InputError, match="is not an empty folder"):
        export_bundle(made[0], Selection(), tmp_path / "full")
    with pytest.raises(InputError, match="the bundle cannot be written"):
        export_bundle(made[0], Selection(), tmp_path / "no" / "such")

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("indexer.export._json_values", full)
    with pytest.raises(InputError, match="No space left"):
        export_bundle(made[0], Selection(), tmp_path / "b.zip")
    assert [entry.name for entry in tmp_path.iterdir()] == ["full"]
