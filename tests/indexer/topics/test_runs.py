"""Runs from the vectors to the disk and back: found, stored, read strictly, brought up to date."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from encoder.errors import CollectionError, InputError, Llm2CompError
from indexer.derived import build_folder, list_builds
from indexer.search import Searcher
from indexer.topics import build_topics, clusters, current_topics, open_topics, stored, topic_column
from indexer.topics.stored import read_run
from indexer.topics.versions import choose, list_runs
from tests.indexer.making import ROOT, ListSource, doc, new_collection
from tests.indexer.topics.planted import (
    VOCABULARIES,
    planted_collection,
    planted_vectors,
    same_groups,
    truth_of,
)


@pytest.fixture
def planted(tmp_path):
    vectors, truth = planted_vectors()
    collection, searcher, _ = planted_collection(tmp_path / "c", vectors, truth)
    return collection, searcher, truth


def test_kmeans_finds_names_and_measures_planted_topics(planted):
    collection, searcher, truth = planted
    run = build_topics(searcher, method="kmeans", count=4)
    assert same_groups(run.numbers, truth_of(searcher, run.row_ids, truth)) == 1.0
    assert (run.numbers >= 0).all() and [topic.number for topic in run.topics] == [0, 1, 2, 3]
    vectors = searcher.snapshot.vectors(run.row_ids)
    for topic in run.topics:
        of = int(truth_of(searcher, run.members(topic.number), truth)[0])
        assert {word for part in topic.label.split(", ") for word in part.split()} <= set(
            VOCABULARIES[of].split()
        )
        mine = vectors[run.numbers == topic.number]
        assert topic.cohesion == pytest.approx(np.linalg.norm(mine.mean(axis=0)), abs=1e-3)
        assert (topic.size, topic.share, topic.stability) == (30, 0.25, 1.0)
        assert set(topic.exemplars) <= set(run.members(topic.number).tolist()) and len(topic.exemplars) == 5
    assert run.build.recipe["seed"] == 0 and "faiss-cpu" in run.build.recipe["versions"]
    assert run.build.facts["topics"] == 4 and run.build.version == 1


def test_the_same_seed_gives_the_same_run_and_both_are_kept(tmp_path):
    vectors, truth = planted_vectors(spread=3.0)
    collection, searcher, _ = planted_collection(tmp_path / "c", vectors, truth)
    first, again, other = (build_topics(searcher, method="kmeans", seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.numbers, again.numbers) and first.topics == again.topics
    assert np.array_equal(first.means, again.means)
    assert not np.array_equal(first.numbers, other.numbers)
    assert [build.id for build in list_runs(collection)] == [other.id, again.id, first.id]
    assert all(0 <= topic.stability < 1 for topic in first.topics)


def test_the_current_run_is_the_newest_or_the_one_chosen(planted):
    collection, searcher, _ = planted
    with pytest.raises(InputError, match="there are no topics of this collection yet"):
        open_topics(collection)
    first, second = (build_topics(searcher, method="kmeans", count=4, seed=seed) for seed in (0, 1))
    assert open_topics(collection).id == second.id
    choose(collection, first.id)
    assert open_topics(collection).id == first.id
    build_topics(searcher, method="kmeans", count=4)
    assert open_topics(collection).id == first.id
    shutil.rmtree(build_folder(collection, "topics", first.id))
    assert open_topics(collection).id not in (first.id, second.id)


def test_rows_added_later_get_the_nearest_topic_and_deleted_ones_are_counted(tmp_path):
    vectors, truth = planted_vectors()
    vectors, truth = np.concatenate([vectors, vectors[::17]]), np.concatenate([truth, truth[::17]])
    extra = truth.size - 120
    collection, searcher, rest = planted_collection(tmp_path / "c", vectors, truth, extra=extra)
    run = build_topics(searcher, method="kmeans", count=4)
    collection.delete(ids=["d00000", "d00001"])
    collection.add(ListSource(rest, name="rest"), encoder=searcher.embedder)
    later = Searcher(collection, searcher.embedder)
    now = current_topics(run, later.snapshot)
    assert (int(now.is_added.sum()), now.gone, now.row_ids.size) == (extra, 2, 118 + extra)
    assert same_groups(now.numbers, truth_of(later, now.row_ids, truth)) == 1.0
    row_ids, numbers = topic_column(later, run.id)
    assert np.array_equal(row_ids, now.row_ids) and np.array_equal(numbers, now.numbers)
    assert (np.diff(row_ids.astype(np.int64)) > 0).all()


def test_equal_vectors_share_a_topic(tmp_path):
    vectors, truth = planted_vectors(spread=4.0)
    collection, searcher, _ = planted_collection(tmp_path / "c", vectors[truth % 120 // 3 * 3], truth)
    run = build_topics(searcher, method="kmeans", count=7)
    groups = clusters.group_equal(iter([searcher.snapshot.vectors(run.row_ids)]))
    for group in set(groups.tolist()):
        assert len(set(run.numbers[groups == group].tolist())) == 1


@pytest.mark.parametrize("rows", [1, 2, 40])
def test_identical_passages_are_one_topic(tmp_path, rows):
    vectors = np.tile(np.eye(1, 16, dtype=np.float32), (rows, 1))
    _, searcher, _ = planted_collection(tmp_path / "c", vectors, np.zeros(rows, int))
    run = build_topics(searcher)
    assert run.numbers.tolist() == [0] * rows and len(run.topics) == 1
    assert run.topics[0].cohesion == pytest.approx(1, abs=1e-3)
    assert len(run.topics[0].exemplars) == 1


def test_a_collection_without_passages_has_no_topics(tmp_path):
    vectors, truth = planted_vectors(per_topic=2, topics=2)
    collection, searcher, _ = planted_collection(tmp_path / "c", vectors, truth)
    collection.delete(ids=[f"d{i:05d}" for i in range(4)])
    searcher = Searcher(collection, searcher.embedder)
    run = build_topics(searcher)
    assert (run.row_ids.size, run.topics, run.numbers.size) == (0, [], 0)
    assert topic_column(searcher)[0].size == 0


def test_rows_without_direction_are_noise(planted, monkeypatch):
    _, searcher, truth = planted
    snapshot = searcher.snapshot
    stored = type(snapshot).vectors

    def damaged(self, row_ids):
        found = stored(self, row_ids)
        found[row_ids == self.row_ids()[3]] = 0
        found[row_ids == self.row_ids()[4]] = np.nan
        return found

    monkeypatch.setattr(type(snapshot), "vectors", damaged)
    run = build_topics(searcher, method="kmeans", count=4)
    assert np.flatnonzero(run.numbers == -1).tolist() == [3, 4]
    assert run.build.facts["without_direction"] == 2
    assert all(np.isfinite(topic.cohesion) for topic in run.topics) and np.isfinite(run.means).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "there is no method 'magic'"),
        ({"method": "kmeans", "count": 0}, "a count of 0 topics is impossible"),
        ({"method": "hdbscan", "count": 5}, "a count of 5 topics is impossible with hdbscan"),
        ({"method": "kmeans", "min_size": 5}, "topics of at least 5 passages are impossible with kmeans"),
        ({"method": "hdbscan", "min_size": 1}, "topics of at least 1 passages are impossible"),
        ({"method": "kmeans", "seed": -1}, "the seed -1 is impossible"),
    ],
)
def test_what_is_impossible_is_said(planted, options, message):
    with pytest.raises(InputError, match=message):
        build_topics(planted[1], **options)


def test_hostile_texts_are_only_text(tmp_path):
    evil = "<script>alert(1)</script> ![x](http://evil/x) \x1b[31mred \u202egnp"
    documents = [doc(f"d{i}", f"{evil} number {i}") for i in range(12)]
    collection, embedder = new_collection(tmp_path / "c", documents, words="english")
    run = build_topics(Searcher(collection, embedder), method="kmeans", count=1)
    label = run.topics[0].label
    assert label == open_topics(collection).topics[0].label
    assert not set(label) & set("<>![](){}\x1b\u202e")


DAMAGES = {
    "topic.i32": lambda file: file.write_bytes(b"\xff\xff\xff\x7f" * (file.stat().st_size // 4)),
    "rowid.u64": lambda file: file.write_bytes(b"\0" * file.stat().st_size),
    "means.f32": lambda file: file.write_bytes(b"\xff" * file.stat().st_size),
    "closeness.f16": lambda file: file.write_bytes(file.read_bytes()[:-2]),
}


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_damaged_arrays_are_refused(planted, name):
    collection, searcher, _ = planted
    run = build_topics(searcher, method="kmeans", count=4)
    DAMAGES[name](build_folder(collection, "topics", run.id) / name)
    with pytest.raises(CollectionError, match=f"{name.replace('.', '.')} is damaged"):
        read_run(collection, run.id)


def _resized(collection, run, change):
    """Changes topics.json and makes build.json agree with its size."""
    folder = build_folder(collection, "topics", run.id)
    content = json.loads((folder / "topics.json").read_text())
    change(content)
    (folder / "topics.json").write_text(json.dumps(content))
    build = json.loads((folder / "build.json").read_text())
    build["files"]["topics.json"]["size"] = (folder / "topics.json").stat().st_size
    (folder / "build.json").write_text(json.dumps(build))


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(rows=10**12),
        lambda content: content.update(dimension=3),
        lambda content: content["topics"].pop(),
        lambda content: content["topics"][0].update(number=1),
        lambda content: content["topics"][0].update(size=10**9),
        lambda content: content["topics"][0]["weights"].pop(),
        lambda content: content["topics"][0].update(label=5),
        lambda content: content.update(format=99),
        lambda content: content.update(surprise=1),
    ],
)
def test_a_description_that_contradicts_itself_is_refused(planted, change):
    collection, searcher, _ = planted
    run = build_topics(searcher, method="kmeans", count=4)
    _resized(collection, run, change)
    with pytest.raises(Llm2CompError):
        read_run(collection, run.id)


def test_a_file_with_holes_takes_no_memory_whatever_size_it_claims(planted):
    collection, searcher, _ = planted
    run = build_topics(searcher, method="kmeans", count=4)
    folder, rows = build_folder(collection, "topics", run.id), 10**11
    _resized(collection, run, lambda content: content.update(rows=rows))
    build = json.loads((folder / "build.json").read_text())
    for name, width in (("rowid.u64", 8), ("topic.i32", 4), ("closeness.f16", 2)):
        os.truncate(folder / name, rows * width)
        build["files"][name]["size"] = rows * width
    (folder / "build.json").write_text(json.dumps(build))
    tracemalloc.start()
    with pytest.raises(CollectionError, match=r"rowid\.u64 is damaged: its rows do not ascend"):
        read_run(collection, run.id)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20
    os.truncate(folder / "topics.json", 1 << 40)
    build["files"]["topics.json"]["size"] = 1 << 40
    (folder / "build.json").write_text(json.dumps(build))
    with pytest.raises(CollectionError, match=r"topics\.json is damaged: it is far too large"):
        read_run(collection, run.id)
    os.truncate(folder / "build.json", 1 << 40)
    with pytest.raises(CollectionError, match=r"build\.json is damaged: it is far too large"):
        read_run(collection, run.id)


def test_rows_are_read_in_blocks_and_ascend_across_them(planted, monkeypatch):
    collection, searcher, _ = planted
    run = build_topics(searcher, method="kmeans", count=4)
    monkeypatch.setattr(stored, "_BLOCK", 7)
    assert np.array_equal(read_run(collection, run.id).row_ids, run.row_ids)
    swapped = run.row_ids.copy()
    swapped[7] = swapped[6]
    swapped.tofile(build_folder(collection, "topics", run.id) / "rowid.u64")
    with pytest.raises(CollectionError, match="its rows do not ascend"):
        read_run(collection, run.id)


@pytest.mark.parametrize("bound", ["MOST_FILE_BYTES", "MOST_MEANS_BYTES"])
def test_more_topics_than_are_read_again_are_not_written(planted, monkeypatch, bound):
    collection, searcher, _ = planted
    monkeypatch.setattr(stored, bound, 100)
    with pytest.raises(InputError, match="4 topics are more than can be kept"):
        build_topics(searcher, method="kmeans", count=4)
    assert list_runs(collection) == [] and not list((collection.path / "derived").glob("topics-*"))


def test_more_means_than_a_run_may_have_are_not_read(planted, monkeypatch):
    collection, searcher, _ = planted
    run = build_topics(searcher, method="kmeans", count=4)
    monkeypatch.setattr(stored, "MOST_MEANS_BYTES", 100)
    with pytest.raises(CollectionError, match="it describes 4 topics, more than can be"):
        read_run(collection, run.id)


def test_a_kill_in_the_middle_leaves_nothing(planted):
    collection, _, _ = planted
    code = """
import os, signal, sys
from indexer.collection import Collection
from indexer.search import Searcher
from indexer.topics import build, stored
def stop(*_, **__):
    os.kill(os.getpid(), int(sys.argv[2]))
build.write_phrases = stop
build.build_topics(Searcher(Collection.open(sys.argv[1])), method="kmeans")
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    for number in (signal.SIGKILL, signal.SIGINT):
        arguments = [sys.executable, "-c", code, str(collection.path), str(int(number))]
        done = subprocess.run(
            arguments, env=environment, cwd=ROOT, capture_output=True, timeout=120, check=False
        )
        assert done.returncode in (-number, 130)
        assert list_builds(collection, "topics") == []
    left = [path.name for path in (collection.path / "derived").glob("topics-*")]
    assert len(left) == 1 and left[0].endswith(".making")  # of the SIGKILL; gc knows the ending
