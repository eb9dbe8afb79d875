"""What people write while another folder takes the place of the collection: nothing is lost, nothing comes twice."""

import os
import subprocess
import sys
import threading
import time

import pytest

from indexer import rebuild
from indexer.annotations import journal, notes, searches, sets, tags
from indexer.collection import Collection
from indexer.search import Searcher
from indexer.selection import rows_of_set
from indexer.storage.lock import place_lock
from tests.conftest import WordEmbedder
from tests.indexer.making import ROOT, new_collection, numbered

WRITER = """
import sys
from indexer.annotations import journal
from indexer.collection import Collection
collection = Collection.open(sys.argv[1])
print("ready", flush=True)
for n in range(int(sys.argv[3])):
    journal.append(collection, sys.argv[2], {"n": n}, author="other")
"""
CHANGES = [{"encoder": WordEmbedder("new", dimension=24)}, {"transform": "centre"}]


def writer(path, name, count):
    """A process that waits with its first line until it is asked to begin."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    assert child.stdout.readline() == "ready\n"
    return child


def numbers(path, name):
    found = journal.read_journal(Collection.open(path), name)
    assert found.left_out == 0
    return [record["n"] for record in found.records]


@pytest.mark.parametrize("change", CHANGES, ids=["encoder", "transform"])
@pytest.mark.parametrize("name", ["tags", "notes"])  # one that is there before, one that is not
def test_a_line_of_another_process_in_the_moment_of_the_swap_is_kept(tmp_path, monkeypatch, change, name):
    collection, _ = new_collection(tmp_path / "c", numbered(12))
    journal.append(collection, "tags", {"n": -1})
    file = collection.path / "views" / f"{name}.jsonl"
    exchange, children = rebuild.exchange_folders, []

    def late(one, other):
        """After the journals were copied: a line now would stay with the old folder."""
        size = file.stat().st_size if file.exists() else 0
        children.append(writer(collection.path, name, 20))
        until = time.monotonic() + 1
        while time.monotonic() < until and (file.stat().st_size if file.exists() else 0) == size:
            time.sleep(0.01)
        exchange(one, other)

    monkeypatch.setattr(rebuild, "exchange_folders", late)
    collection.rebuild(**change)
    assert [child.wait(60) for child in children] == [0]
    assert numbers(tmp_path / "c", name) == ([-1] if name == "tags" else []) + list(range(20))
    assert numbers(tmp_path / "c", "tags")[0] == -1
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_process_that_writes_all_the_time_loses_nothing_over_several_rebuilds(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(12))
    child = writer(collection.path, "tags", 400)
    for number in range(3):
        collection.rebuild(encoder=WordEmbedder(f"new {number}", dimension=16 + number))
    assert child.wait(120) == 0
    assert numbers(tmp_path / "c", "tags") == list(range(400))


def test_whoever_waited_for_a_folder_gets_the_one_that_took_its_place(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "who").write_text(name)
    found = []

    def wait():
        with place_lock(tmp_path / "b"):
            found.append((tmp_path / "b" / "who").read_text())

    with place_lock(tmp_path / "b"):
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.2)
        assert not found
        rebuild.exchange_folders(tmp_path / "a", tmp_path / "b")
    waiting.join(60)
    assert found == ["a"]


@pytest.mark.parametrize("change", CHANGES, ids=["encoder", "transform"])
def test_what_people_wrote_means_the_same_after_a_rebuild(tmp_path, change):
    collection, encoder = new_collection(tmp_path / "c", numbered(12))
    searcher = Searcher(collection, encoder)
    row = int(searcher.snapshot.row_ids()[7])
    entry = searcher.snapshot.store.take(searcher.snapshot.row_ids()[7:8], ["id", "doc_id"]).to_pylist()[0]
    tags.add_tag(collection, "good", [entry["doc_id"]])
    notes.write_note(collection, entry["doc_id"], "read it")
    searches.save_search(collection, "mine", {"q": "words"})
    sets.save_set(collection, "seven", [sets.SetItem(row, entry["id"])], version=1)
    collection.rebuild(**change)
    after = Collection.open(tmp_path / "c")
    assert tags.tagged_documents(after) == {"good": {entry["doc_id"]}}
    assert [note.text for note in notes.read_notes(after)] == ["read it"]
    assert [search.name for search in searches.list_searches(after)] == ["mine"]
    snapshot = Searcher(after, after.dressed(change.get("encoder", encoder))).snapshot
    rows, gone = rows_of_set(snapshot, sets.list_sets(after)[0])
    assert snapshot.store.take(rows, ["doc_id"])["doc_id"].to_pylist() == [entry["doc_id"]] and gone == 0
