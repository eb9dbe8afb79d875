"""Damage, full disks, foreign folders and hostile descriptions: answered from what is left, or refused clearly."""

import dataclasses
import errno
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from encoder.errors import CollectionError, LockedError
from indexer.collection import Collection
from indexer.publish import publish
from indexer.search import Searcher
from indexer.segments import segment as segments
from indexer.storage import manifest
from tests.conftest import WordEmbedder
from tests.indexer.making import (
    ROOT,
    ListSource,
    answers,
    flip,
    new_collection,
    numbered,
    run_child,
    segment_folders,
    stored_ids,
    truncate,
)

QUERIES = ["words about number 7", "d11", "about +d3"]


def damage(folder, name, how):
    """Spoils one file of a segment."""
    if name == "the folder":
        shutil.rmtree(folder)
        return
    file = folder / name
    if how == "header":
        flip(file, 5)
    elif how == "body":
        flip(file)
    elif how == "truncated":
        truncate(file)
    elif how == "emptied":
        file.write_bytes(b"")
    else:
        file.unlink()


HARMS = [
    (name, how)
    for name in ("vec.faiss", "ann.faiss", "rowid.u64", "doc.u64", "seg.json", "rotation.f32")
    for how in ("header", "body", "truncated", "emptied", "removed")
] + [("the folder", "removed")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return new_collection(tmp_path_factory.mktemp("whole") / "c", numbered(80), index="rabitq")


@pytest.mark.parametrize(("name", "how"), HARMS)
def test_a_damaged_segment_is_noticed_answered_from_the_rows_and_mended_by_the_next_publish(
    whole, tmp_path, name, how
):
    original, encoder = whole
    expected = answers(original, encoder, *QUERIES, exact=True)
    shutil.copytree(original.path, tmp_path / "c")
    collection = Collection.open(tmp_path / "c")
    damage(segment_folders(collection)[0], name, how)
    assert answers(collection, encoder, *QUERIES) == expected
    notes = Searcher(collection, encoder).search("d7").provenance.notes
    assert any("is damaged" in note and "llm2comp rebuild" in note for note in notes)
    assert any("damaged" in finding.what for finding in collection.verify())
    collection.publish()
    assert collection.verify() == []
    assert Searcher(collection, encoder).search("d7").provenance.notes == ()
    assert answers(collection, encoder, *QUERIES, exact=True) == expected


def test_a_damaged_vector_file_too_large_to_be_hashed_at_opening_is_found_by_verify(
    whole, tmp_path, monkeypatch
):
    monkeypatch.setattr(segments, "_MOST_HASHED_BYTES", 100)
    shutil.copytree(whole[0].path, tmp_path / "c")
    collection = Collection.open(tmp_path / "c")
    flip(segment_folders(collection)[0] / "vec.faiss")
    assert collection.verify(quick=True) == []
    assert [finding.what for finding in collection.verify()] == [
        "vec.faiss is damaged: it is not the file that was published"
    ]
    collection.rebuild()
    assert collection.verify() == []


def test_a_damaged_row_file_is_named_by_verify(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(30))
    for file in sorted((collection.path / "rows.lance").rglob("*")):
        if not file.is_file() or "_refs" in file.parts or "_transactions" in file.parts:
            continue
        whole_content = file.read_bytes()
        flip(file)
        findings = collection.verify()
        file.write_bytes(whole_content)
        named = [f for f in findings if f.where == str(file) and "damaged" in f.what]
        is_old = not manifest_names(collection, file)
        assert named or is_old, file
    assert collection.verify() == []


def manifest_names(collection, file):
    return str(file.relative_to(collection.path / "rows.lance")) in collection.publication().row_files


def test_a_missing_row_file_is_named_by_verify_and_search_says_what_to_do(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(30))
    file = next((collection.path / "rows.lance" / "data").iterdir())
    file.unlink()
    assert any(f.where == str(file) and "is missing" in f.what for f in collection.verify())
    with pytest.raises(CollectionError, match="the row store cannot be read") as raised:
        Searcher(collection, encoder).search("d7")
    assert "llm2comp verify" in raised.value.fix


@pytest.mark.parametrize("how", ["header", "truncated", "emptied"])
def test_a_damaged_newest_publication_leaves_the_one_before_it_in_charge(tmp_path, how):
    collection, encoder = new_collection(tmp_path / "c", numbered(30))
    before = answers(collection, encoder, *QUERIES)
    collection.add(ListSource(numbered(5, start=50)), encoder=encoder)
    damage(collection.path / "publish", "0000002.json", how)
    assert answers(collection, encoder, *QUERIES) == before
    assert "a newer publication is damaged" in Searcher(collection, encoder).search("d7").provenance.notes[0]
    assert any("0000002.json is damaged" in finding.what for finding in collection.verify())
    assert collection.publish().number == 3
    assert collection.publication().passages == 35
    assert collection.verify() == []


def test_a_damaged_older_publication_hinders_nobody(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(30))
    collection.add(ListSource(numbered(5, start=50)), encoder=encoder)
    flip(collection.path / "publish" / "0000001.json", 0)
    assert any("0000001.json is damaged" in finding.what for finding in collection.verify())
    collection.add(ListSource(numbered(5, start=70)), encoder=encoder)
    assert collection.publication().passages == 40 and collection.verify() == []


def test_an_edited_publication_breaks_the_chain(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(5))
    collection.add(ListSource(numbered(5, start=50)), encoder=encoder)
    file = collection.path / "publish" / "0000001.json"
    file.write_text(file.read_text().replace('"documents": 5', '"documents": 6'))
    assert "0000002.json does not follow from the publication before it" in collection.verify()[0].what


def edit(file, **changes):
    found = json.loads(file.read_text())
    file.write_text(json.dumps({**found, **changes}))


@pytest.mark.parametrize("file", ["collection.json", "publish/0000001.json"])
def test_a_newer_format_is_refused_with_the_update_command(tmp_path, file):
    collection, encoder = new_collection(tmp_path / "c", numbered(5))
    edit(collection.path / file, format=2)
    with pytest.raises(CollectionError, match="has format 2, this version of llm2comp reads 1") as raised:
        Searcher(Collection.open(tmp_path / "c"), encoder)
    assert raised.value.fix == "update: pip install --upgrade llm2comp"


def test_a_newer_publication_is_not_answered_by_an_older_one_nor_overwritten(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(5))
    collection.add(ListSource(numbered(5, start=50)), encoder=encoder)
    edit(collection.path / "publish/0000002.json", format=7)
    for use in (lambda: Searcher(collection, encoder), collection.publish, collection.rebuild):
        with pytest.raises(CollectionError, match="format 7"):
            use()
    assert "format 7" in collection.verify()[0].what


def test_features_that_this_version_does_not_know_are_named(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(5))
    edit(collection.path / "collection.json", features_required=["colbert"], some_new_key=1)
    with pytest.raises(CollectionError, match="needs colbert, which this version does not know"):
        Collection.open(tmp_path / "c")


def test_a_path_that_is_no_collection_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for path, sentence in [
        ("file", "is a file, not a collection"),
        ("folder", "the folder is not a collection: it has no collection.json"),
        ("nothing", "there is no collection at this path"),
    ]:
        with pytest.raises(CollectionError, match=sentence):
            Collection.open(tmp_path / path)


def test_a_writer_that_holds_the_lock_is_named_with_its_process(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(5))
    code = (
        "import sys, time; from pathlib import Path; from indexer.storage.lock import writer_lock\n"
        "with writer_lock(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(collection.path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match=f"is being written by process {child.pid} on ") as raised:
            collection.add(ListSource(numbered(9)), encoder=encoder)
        assert "wait until it is done" in raised.value.fix
        assert answers(collection, encoder, "d3")[0], "readers need no lock"
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    collection.add(ListSource(numbered(9)), encoder=encoder)
    assert len(stored_ids(collection)) == 9


READ_ONLY = """
import os, sys, tempfile
from pathlib import Path
from encoder.errors import CollectionError
from indexer.collection import Collection
from indexer.search import Searcher
from tests.indexer.making import ListSource, new_collection, numbered
with tempfile.TemporaryDirectory() as folder:  # loads all modules, which may lie where only root reads
    warm, encoder = new_collection(Path(folder) / "c", numbered(5))
    Searcher(warm, encoder).search("words")
    warm.delete(ids=["d1"])
    warm.rebuild()
if os.getuid() == 0:  # root writes anywhere
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
collection = Collection.open(sys.argv[1])
print(len(Searcher(collection, encoder).search("words").hits), "hits")
for verb in (lambda: collection.add(ListSource(numbered(9)), encoder=encoder), collection.publish,
             collection.rebuild, lambda: collection.delete(ids=["d1"]),
             lambda: Collection.create(sys.argv[1] + "/new", encoder=encoder), lambda: Collection.open(sys.argv[2])):
    try:
        verb()
    except CollectionError as error:
        print(error.what, "|", error.fix)
"""


@pytest.fixture
def open_to_all():
    """A folder that other users can enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def set_modes(path, folder_mode, file_mode):
    for item in [*path.rglob("*"), path]:
        item.chmod(folder_mode if item.is_dir() else file_mode)


def test_a_read_only_collection_is_searched_and_refuses_writers_clearly(open_to_all):
    collection, _ = new_collection(open_to_all / "c", numbered(5))
    hidden = open_to_all / "hidden"
    shutil.copytree(collection.path, hidden / "c")
    set_modes(collection.path, 0o555, 0o444)
    hidden.chmod(0)
    try:
        done = run_child(READ_ONLY, collection.path, hidden / "c")
    finally:
        hidden.chmod(0o755)
        set_modes(collection.path, 0o755, 0o644)
    lines = done.stdout.splitlines()
    assert lines[:1] == ["5 hits"], done.stderr
    assert len(lines) == 7, done.stderr
    assert all(re.search("cannot be (written|made|read): Permission denied", line) for line in lines[1:]), (
        lines
    )


# ---- a full disk

FULL_DISK = """
import resource, sys
from encoder.errors import CollectionError
from indexer.collection import Collection
from tests.indexer.making import ListSource, numbered
from tests.conftest import WordEmbedder
collection = Collection.open(sys.argv[1])
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    collection.add(ListSource(numbered(3000)), encoder=WordEmbedder(dimension=64), index=sys.argv[3])
    print("done")
except CollectionError as error:
    print(error.what, "|", error.fix)
"""


@pytest.mark.parametrize("limit", [2_000, 40_000, 150_000, 350_000])
def test_files_that_may_not_grow_are_a_full_disk_nothing_is_half_published_and_it_goes_on(tmp_path, limit):
    """A real limit of the operating system, met while rows, words, segments or manifests are written."""
    encoder = WordEmbedder(dimension=64)
    collection, _ = new_collection(tmp_path / "c", numbered(4), encoder=encoder)
    before = answers(collection, encoder, *QUERIES)
    done = run_child(FULL_DISK, collection.path, limit, "rabitq")
    assert done.stdout.startswith("the disk is full | free some space"), done.stdout + done.stderr
    assert collection.publication().number == 1 and answers(collection, encoder, *QUERIES) == before
    assert not list((collection.path / "derived").glob("*.tmp"))
    assert collection.verify() == []
    collection.add(ListSource(numbered(3000)), encoder=encoder)
    assert collection.publication().passages == 3000 and collection.verify() == []


def full(*_args, **_keywords):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "place",
    [
        "encoder.atomic.create_exclusive",
        "encoder.atomic.sync_file",
        "encoder.atomic.sync_folder",
        "indexer.segments.vector_file.VectorFileWriter.put",
        "indexer.segments.build.save_ann",
        "pathlib.Path.mkdir",
    ],
)
def test_a_disk_that_fills_up_at_any_step_of_publishing_leaves_the_previous_version(
    tmp_path, monkeypatch, place
):
    collection, encoder = new_collection(tmp_path / "c", numbered(4))
    before = answers(collection, encoder, *QUERIES)
    with monkeypatch.context() as patch:
        patch.setattr(place, full)
        with pytest.raises(CollectionError, match="the disk is full") as raised:
            collection.add(ListSource(numbered(50)), encoder=encoder, index="rabitq")
    assert "it goes on" in raised.value.fix
    assert collection.publication().number == 1 and answers(collection, encoder, *QUERIES) == before
    collection.add(ListSource(numbered(50)), encoder=encoder, index="rabitq")
    assert collection.publication().passages == 50 and collection.verify() == []


def test_a_full_disk_in_the_row_store_is_named_as_such(tmp_path, monkeypatch):
    collection, encoder = new_collection(tmp_path / "c", numbered(4))
    store = collection.open_rows()
    monkeypatch.setattr(store._dataset.__class__, "merge_insert", full)
    with pytest.raises(CollectionError, match="the disk is full"):
        collection.add(ListSource(numbered(50)), encoder=encoder)


def test_a_writer_killed_between_its_tag_and_its_publication_is_followed_by_another(tmp_path, monkeypatch):
    collection, encoder = new_collection(tmp_path / "c", numbered(4))
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "write_publication", lambda *_: exec("raise KeyboardInterrupt"))
        with pytest.raises(KeyboardInterrupt):
            collection.add(ListSource(numbered(9)), encoder=encoder)
    assert collection.open_rows().tags()["pub-2"]
    assert collection.add(ListSource(numbered(12)), encoder=encoder).version == 2
    assert collection.publication().passages == 12 and collection.verify() == []


def test_builds_that_a_killed_writer_left_are_cleaned_away(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(4))
    half = collection.path / "derived" / "0123456789ab.tmp" / "seg-0"
    half.mkdir(parents=True)
    (half / "vec.faiss").write_bytes(b"half")
    collection.add(ListSource(numbered(9)), encoder=encoder)
    assert not half.parent.exists()


# ---- hostile descriptions

json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(),
        st.text(max_size=6),
        st.sampled_from(
            ["../../etc", "/etc/passwd", "derived/../seg-0", "derived/x/seg-0", "\x00", "\ud800"]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=4,
)


def places_in(value, path=()):
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places_in(part, (*path, key))


def changed(value, path, new, is_removed):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and is_removed:
        del copy[path[0]]
    else:
        copy[path[0]] = changed(value[path[0]], path[1:], new, is_removed)
    return copy


@pytest.mark.parametrize("file", ["collection.json", "publish/0000001.json"])
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_description_whatever_it_says_raises_anything_but_known_errors(whole, file, data):
    original, encoder = whole
    path = original.path.parent / "fuzzed"
    if not path.exists():
        shutil.copytree(original.path, path)
    found = json.loads((original.path / file).read_text())
    place = data.draw(st.sampled_from(list(places_in(found))))
    content = json.dumps(changed(found, place, data.draw(json_values), data.draw(st.booleans())))
    try:
        (path / file).write_text(content)
        use_all(path, encoder)
    finally:
        shutil.copy(original.path / file, path / file)


def use_all(path, encoder):
    """Opens, checks, searches; what cannot be used must say so in our words."""
    try:
        collection = Collection.open(path)
    except CollectionError:
        return
    collection.verify(quick=True)
    try:
        found = Searcher(collection).search(
            encoder.encode_query(["d7"])[0], 3, where="year > 3", by="passage"
        )
        assert len(found.hits) <= 3
    except CollectionError:
        pass


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[]", b"null", b"{", b'{"format": 1e999}', b"[" * 100_000, b"9" * 5000]
)
@pytest.mark.parametrize("file", ["collection.json", "publish/0000001.json"])
def test_a_description_that_is_no_description_is_called_damaged(whole, tmp_path, file, content):
    shutil.copytree(whole[0].path, tmp_path / "c")
    (tmp_path / "c" / file).write_bytes(content)
    with pytest.raises(CollectionError, match="is damaged") as raised:
        Searcher(Collection.open(tmp_path / "c"))
    assert "restore the file from a copy" in raised.value.fix


@pytest.mark.parametrize(
    "changes",
    [
        {"dimension": 17},
        {"columns": {}, "column_fields": {}},
        {
            "column_fields": {
                name: f"m_x{at}" for at, name in enumerate(["topic", "year", "score", "day", "tags"])
            }
        },
    ],
)
def test_a_description_of_other_rows_than_are_stored_is_refused(whole, tmp_path, changes):
    shutil.copytree(whole[0].path, tmp_path / "c")
    edit(tmp_path / "c" / "collection.json", **changes)
    with pytest.raises(CollectionError, match="does not have the fields that collection.json names"):
        Searcher(Collection.open(tmp_path / "c"))


def test_a_publication_may_not_name_files_outside_the_collection(whole, tmp_path):
    entry = dataclasses.asdict(whole[0].publication().segments[0])
    for change in (
        {"path": "derived/../../x/seg-0"},
        {"path": "/etc/seg-0"},
        {"files": {"../x": {"size": 1, "sha256": ""}}},
    ):
        shutil.copytree(whole[0].path, tmp_path / "c", dirs_exist_ok=True)
        edit(tmp_path / "c/publish/0000001.json", segments=[{**entry, **change}])
        with pytest.raises(CollectionError, match="leaves the collection|names files elsewhere"):
            Collection.open(tmp_path / "c").publication()


def test_publish_takes_only_kinds_that_there_are(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(4))
    with pytest.raises(Exception, match="there is no index kind 'hnsw'"):
        publish(collection, collection.open_rows(), index="hnsw")
