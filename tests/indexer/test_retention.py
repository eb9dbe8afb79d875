"""What is forgotten, and what nobody may lose."""

import os
import time

import pytest

from encoder.errors import CollectionError
from indexer.query.snapshot import Snapshot
from indexer.retention import forget_old
from indexer.search import Searcher
from indexer.storage.lock import writer_lock
from indexer.storage.manifest import publication_file, publication_numbers, read_publication
from tests.indexer.making import ListSource, new_collection, numbered, segment_folders


def published_often(path, times):
    collection, encoder = new_collection(path, numbered(10))
    for step in range(1, times):
        collection.add(ListSource(numbered(10, start=100 * step)), encoder=encoder)
    return collection, encoder


def age(collection, hours=2):
    then = time.time() - 3600 * hours
    files = [*(collection.path / "publish").iterdir(), *(collection.path / "derived").iterdir()]
    for file in files:
        os.utime(file, (then, then))


def clean(collection, **options):
    with writer_lock(collection.path):
        return forget_old(collection, collection.open_rows(), **options)


def test_young_publications_are_all_kept(tmp_path):
    collection, _ = published_often(tmp_path / "c", 6)
    assert publication_numbers(collection.path) == [1, 2, 3, 4, 5, 6]
    assert set(collection.open_rows().tags()) == {f"pub-{n}" for n in range(1, 7)}


def test_old_publications_go_but_for_three_with_their_tags_builds_and_rows(tmp_path):
    collection, encoder = published_often(tmp_path / "c", 6)
    age(collection)
    clean(collection)
    assert publication_numbers(collection.path) == [4, 5, 6]
    assert set(collection.open_rows().tags()) == {"pub-4", "pub-5", "pub-6"}
    named = {f.parent.name for n in (4, 5, 6) for f in _folders(collection, n)}
    assert {p.name for p in (collection.path / "derived").iterdir()} == named
    assert collection.verify() == [] and len(Searcher(collection, encoder).search("words", 99).hits) == 60
    for number in (4, 5):
        assert Snapshot(collection, read_publication(collection.path, number)).rows == 10 * number


def _folders(collection, number):
    return [collection.path / s.path for s in read_publication(collection.path, number).segments]


def test_the_newest_publication_stays_however_old_it_is(tmp_path):
    collection, _ = published_often(tmp_path / "c", 2)
    age(collection, 9999)
    clean(collection, publications=1, younger_than_s=0)
    assert publication_numbers(collection.path) == [2] and collection.verify() == []


def test_a_dry_run_counts_and_removes_nothing(tmp_path):
    collection, _ = published_often(tmp_path / "c", 5)
    age(collection)
    before = sorted(p for p in collection.path.rglob("*") if p.is_file())
    foretold = clean(collection, publications=1, dry_run=True)
    assert sorted(p for p in collection.path.rglob("*") if p.is_file()) == before
    assert 0 < foretold <= clean(collection, publications=1)


def test_map_and_topic_builds_are_never_cleaned_with_the_segments(tmp_path):
    collection, _ = published_often(tmp_path / "c", 2)
    build = collection.path / "derived" / "map-1"
    build.mkdir()
    (build / "recipe.json").write_text("{}")
    age(collection)
    clean(collection, publications=1, younger_than_s=0)
    assert (build / "recipe.json").exists()


def test_a_reader_of_a_cleaned_version_keeps_its_mapped_vectors(tmp_path):
    collection, encoder = published_often(tmp_path / "c", 1)
    snapshot = Searcher(collection, encoder).snapshot
    folder = segment_folders(collection)[0]
    collection.rebuild()
    clean(collection, publications=1, younger_than_s=0)
    assert not folder.exists()
    query = encoder.encode_query(["words about number d3"])[0]
    assert snapshot.nearest(query, 1, snapshot.everything(), exact=True).scores[0] > 0.9


def test_what_cannot_be_removed_is_a_known_error_for_gc_and_no_matter_for_publish(tmp_path, monkeypatch):
    collection, encoder = published_often(tmp_path / "c", 5)
    age(collection)

    def refuse(*_args, **_options):
        raise PermissionError(1, "Operation not permitted", "some file")

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(CollectionError, match="old files cannot be removed: Operation not permitted"):
        clean(collection)
    monkeypatch.undo()
    monkeypatch.setattr("indexer.retention.shutil.rmtree", refuse)
    collection.add(ListSource(numbered(10, start=900)), encoder=encoder)
    assert collection.version() == 6 and publication_file(collection.path, 6).exists()
