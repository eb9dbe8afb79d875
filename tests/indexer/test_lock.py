"""One writer at a time, named to the others."""

import errno

import pytest

from encoder.errors import CollectionError, LockedError
from indexer.retention import forget_old
from indexer.storage import lock
from indexer.storage.lock import LOCK_FILE, writer_lock
from tests.indexer.making import answers, new_collection, numbered


def test_the_lock_is_free_again_after_an_error(tmp_path):
    with pytest.raises(KeyError), writer_lock(tmp_path):
        raise KeyError
    with writer_lock(tmp_path):
        pass


def test_a_second_writer_in_the_same_process_is_refused(tmp_path):
    with (
        writer_lock(tmp_path),
        pytest.raises(LockedError, match="is being written by process"),
        writer_lock(tmp_path),
    ):
        pass


@pytest.mark.parametrize("content", ["", "[]", "7", '{"pid": 1}', "[" * 99999])
def test_a_lock_file_that_says_nothing_still_locks(tmp_path, content):
    with writer_lock(tmp_path):
        (tmp_path / LOCK_FILE).write_text(content)
        with pytest.raises(LockedError, match="is being written by another process"), writer_lock(tmp_path):
            pass


def test_signs_that_a_terminal_obeys_are_not_repeated_from_the_lock_file(tmp_path):
    with writer_lock(tmp_path):
        (tmp_path / LOCK_FILE).write_text('{"pid": 1, "host": "h", "since": "\\u001b[2J\\n", "command": "c"}')
        with pytest.raises(LockedError, match=r"since \?\[2J\? \(c\)"), writer_lock(tmp_path):
            pass


def test_a_folder_that_knows_no_locks_is_a_known_error(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with pytest.raises(CollectionError, match="cannot be locked: No locks available"), writer_lock(tmp_path):
        pass


def test_a_full_disk_keeps_nobody_from_locking(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lock.os, "pwrite", refuse)
    with writer_lock(tmp_path):
        pass


def test_a_missing_folder_cannot_be_locked(tmp_path):
    with (
        pytest.raises(CollectionError, match="the collection cannot be written"),
        writer_lock(tmp_path / "no"),
    ):
        pass


def test_a_link_in_place_of_the_lock_changes_nothing_where_it_leads(tmp_path):
    target = tmp_path / "precious.txt"
    target.write_text("mine")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / LOCK_FILE).symlink_to(target)
    with pytest.raises(CollectionError, match="writer.lock is a link"), writer_lock(tmp_path / "c"):
        pass
    assert target.read_text() == "mine"


@pytest.mark.parametrize("name", ["rows.lance", "publish", "derived"])
def test_a_collection_with_links_for_folders_is_not_written(tmp_path, name):
    collection, encoder = new_collection(tmp_path / "c", numbered(3))
    (tmp_path / "c" / name).rename(tmp_path / "elsewhere")
    (tmp_path / "c" / name).symlink_to(tmp_path / "elsewhere")
    for write in (lambda: collection.delete(ids=["d1"]), collection.rebuild, collection.publish):
        with pytest.raises(CollectionError, match=f"{name} is a link"):
            write()
    assert len(answers(collection, encoder, "d1")[0]) == 3, "it can still be searched"


def test_a_link_among_the_builds_is_left_alone(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(3))
    (tmp_path / "elsewhere" / "seg-0").mkdir(parents=True)
    (tmp_path / "c" / "derived" / "a.tmp").symlink_to(tmp_path / "elsewhere")
    with writer_lock(collection.path):
        forget_old(collection, collection.open_rows(), publications=1, younger_than_s=0)
    assert (tmp_path / "elsewhere" / "seg-0").is_dir()
