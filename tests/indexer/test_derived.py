"""Builds that people ask for appear whole or not at all, and are read as the hostile files they may be."""

import errno
import json
import os
import time

import numpy as np
import pytest

from encoder.errors import CollectionError, InputError
from indexer import derived, retention
from tests.indexer.making import new_collection, numbered


@pytest.fixture
def collection(tmp_path):
    return new_collection(tmp_path / "c", numbered(2))[0]


def _write(collection, content=b"abc", kind="map"):
    def write(folder):
        (folder / "x.bin").write_bytes(content)

    return derived.write_build(collection, kind, version=1, recipe={"seed": 1}, facts={}, write=write)


def test_a_build_is_read_as_it_was_written(collection):
    build = _write(collection)
    assert derived.read_build(collection, "map", build.id) == build
    assert (derived.build_folder(collection, "map", build.id) / "x.bin").read_bytes() == b"abc"


def test_builds_are_listed_newest_first_and_by_kind(collection):
    first, second = _write(collection), _write(collection)
    _write(collection, kind="topics")
    assert [build.id for build in derived.list_builds(collection, "map")] == [second.id, first.id]


def test_a_failing_write_leaves_nothing(collection):
    def write(folder):
        (folder / "half").write_bytes(b"x")
        raise OSError(errno.ENOSPC, "No space left on device")

    before = sorted((collection.path / "derived").iterdir())
    with pytest.raises(CollectionError, match="disk"):
        derived.write_build(collection, "map", version=1, recipe={}, facts={}, write=write)
    assert sorted((collection.path / "derived").iterdir()) == before


@pytest.mark.parametrize("identifier", ["", "../../x", "0123456", "0123456g", "a" * 9, "\0" * 8])
def test_an_id_out_of_a_link_cannot_leave_the_folder(collection, identifier):
    with pytest.raises(InputError, match="is no id"):
        derived.read_build(collection, "map", identifier)


def test_an_unknown_id_says_how_to_make_one(collection):
    with pytest.raises(InputError, match="there is no map 01234567") as caught:
        derived.read_build(collection, "map", "01234567")
    assert "llm2comp map" in caught.value.fix


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "x.bin").unlink(),
        lambda folder: (folder / "x.bin").write_bytes(b"longer"),
        lambda folder: (folder / "build.json").write_text("[]"),
        lambda folder: (folder / "build.json").write_text("{"),
        lambda folder: _change(folder, kind="topics"),
        lambda folder: _change(folder, id="00000000"),
        lambda folder: _change(folder, format=99),
        lambda folder: _change(folder, encoder_fingerprint="0" * 64),
        lambda folder: _change(folder, files={"../x.bin": {"size": 3}}),
        lambda folder: _change(folder, files={"a" * 5000: {"size": 3}}),
        lambda folder: _change(folder, files={"x\0.bin": {"size": 3}}),
        lambda folder: _change(folder, surprise=1),
        lambda folder: os.truncate(folder / "build.json", 1 << 40),
        lambda folder: _change(folder, created_at="yesterday"),
        lambda folder: _change(folder, created_at="2026-01-01T00:00:00"),
    ],
)
def test_a_damaged_build_is_refused_and_left_out_of_the_list(collection, damage):
    build = _write(collection)
    damage(derived.build_folder(collection, "map", build.id))
    with pytest.raises(CollectionError):
        derived.read_build(collection, "map", build.id)
    assert derived.list_builds(collection, "map") == []


def test_a_build_that_is_being_removed_is_left_out_of_the_list(collection):
    build, half = _write(collection), _write(collection)
    (derived.build_folder(collection, "map", half.id) / "build.json").unlink()
    assert derived.list_builds(collection, "map") == [build]


def _change(folder, **fields):
    content = json.loads((folder / "build.json").read_text())
    (folder / "build.json").write_text(json.dumps(content | fields))


def test_a_removed_build_is_gone(collection):
    build = _write(collection)
    derived.remove_build(collection, "map", build.id)
    assert derived.list_builds(collection, "map") == []


def test_cleaning_up_keeps_builds_and_what_is_being_made_but_not_what_died_half_made(collection):
    build = _write(collection)
    folder = collection.path / "derived"
    young, old = folder / "map-00000001.making", folder / "map-00000002.making"
    for made in (young, old):
        made.mkdir()
    long_ago = time.time() - 100_000
    os.utime(old, (long_ago, long_ago))
    os.utime(derived.build_folder(collection, "map", build.id), (long_ago, long_ago))
    retention.forget_old(collection, collection.open_rows())
    assert young.exists() and not old.exists()
    assert derived.list_builds(collection, "map") == [build]


def test_vectors_are_read_in_the_order_asked_for(collection):
    from indexer.search import Searcher

    snapshot = Searcher(collection).snapshot
    ids = snapshot.row_ids()
    forward, backward = snapshot.vectors(ids), snapshot.vectors(ids[::-1])
    assert ids.size == 2 and np.array_equal(forward, backward[::-1])
    assert np.allclose(np.linalg.norm(forward, axis=1), 1, atol=2e-3)


def test_verify_finds_a_changed_build_and_says_how_to_remove_it(collection):
    build = _write(collection)
    assert collection.verify() == []
    (derived.build_folder(collection, "map", build.id) / "x.bin").write_bytes(b"abX")
    assert collection.verify(quick=True) == []
    (found,) = collection.verify()
    assert "not what was written" in found.what
    assert f"--remove {build.id}" in found.fix
    (derived.build_folder(collection, "map", build.id) / "build.json").write_text("{")
    assert "not JSON" in collection.verify(quick=True)[0].what


@pytest.mark.parametrize("name", ["rowid.u64", "xy.u16"])
def test_a_map_that_is_removed_while_it_is_read_is_no_traceback(collection, name, monkeypatch):
    from indexer.maps import stored
    from indexer.maps.build import build_map
    from indexer.search import Searcher

    made = build_map(Searcher(collection), method="pca")
    build = derived.read_build(collection, "map", made.id)
    (derived.build_folder(collection, "map", made.id) / name).unlink()
    monkeypatch.setattr(stored, "read_build", lambda *_: build)
    with pytest.raises(CollectionError, match=f"{name} is damaged: it cannot be read"):
        stored.open_map(collection, made.id)


@pytest.mark.parametrize("quick", [True, False])
def test_verify_says_which_build_it_may_not_read(collection, quick, monkeypatch):
    _write(collection)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(derived, "_size", refuse)
    monkeypatch.setattr("encoder.atomic.sha256_file", refuse)
    found = [finding.what for finding in collection.verify(quick=quick)]
    assert any("Permission denied" in what for what in found)


@pytest.mark.parametrize("name", ["rowid.u64", "neighbours.u32"])
def test_a_map_that_claims_to_be_a_terabyte_is_not_read(collection, name):
    from indexer.maps import stored
    from indexer.maps.build import build_map
    from indexer.search import Searcher

    made = build_map(Searcher(collection), method="pca")
    folder = derived.build_folder(collection, "map", made.id)
    os.truncate(folder / name, 1 << 40)
    _change(folder, files=made.build.files | {name: {"size": 1 << 40}})
    with pytest.raises(CollectionError, match=f"{name} is damaged: its size does not fit"):
        stored.open_map(collection, made.id)
