"""The library knows collections by where they lie, and writes only inside its folder."""

import json

import pytest

from app import library
from app.verbs.options import collection_folder
from encoder.errors import CollectionError, InputError, UsageError
from tests.app.conftest import ROADS


def a_collection(folder):
    folder.mkdir(parents=True)
    (folder / "collection.json").write_text("{}")
    return folder


def test_collections_of_the_home_are_found(library_home):
    a_collection(library_home / "collections" / "news")
    (library_home / "collections" / "half-made").mkdir()
    assert [entry.key for entry in library.known()] == ["news"]


def test_a_missing_home_is_an_empty_library(monkeypatch, tmp_path):
    monkeypatch.setenv("LLM2COMP_HOME", str(tmp_path / "none"))
    assert library.known() == []
    assert library.find("") is None


def test_remembered_collections_come_first_and_vanish_with_their_folder(library_home, tmp_path):
    a_collection(library_home / "collections" / "a")
    first, second = a_collection(tmp_path / "x" / "one"), a_collection(tmp_path / "x" / "two")
    library.remember([first])
    library.remember([second])
    assert [entry.key for entry in library.known()] == ["two", "one", "a"]
    (second / "collection.json").unlink()
    assert [entry.key for entry in library.known()] == ["one", "a"]


def test_two_collections_of_one_name_have_two_keys(library_home, tmp_path):
    one, two = a_collection(tmp_path / "x" / "news"), a_collection(tmp_path / "y" / "news")
    library.remember([one, two])
    first, second = library.known()
    assert first.key == "news"
    assert second.key.startswith("news~")
    assert library.find(second.key) == second
    assert library.find("nosuch") is None


def test_a_remembered_collection_that_cannot_be_opened_takes_no_name(library_home, make_collection, tmp_path):
    old = a_collection(tmp_path / "x" / "roads")
    own = make_collection(ROADS).path
    library.remember([old])
    broken, found = library.known()
    assert (found.key, found.path) == ("roads", own)
    assert (broken.path, broken.key[:6]) == (old, "roads~")
    assert library.called("roads") == [found]
    assert library.find("") == found


def test_rows_of_another_format_are_as_unreadable_as_settings(library_home, make_collection, tmp_path):
    moved = tmp_path / "x" / "roads"
    moved.parent.mkdir()
    make_collection(ROADS).path.rename(moved)
    settings = json.loads((moved / "collection.json").read_text())
    settings["dimension"] += 1
    (moved / "collection.json").write_text(json.dumps(settings))
    own = make_collection(ROADS).path
    library.remember([moved])
    assert {entry.key: entry.path for entry in library.known()}["roads"] == own
    assert library.find("").path == own


def test_a_failure_to_open_is_not_remembered(library_home, make_collection, tmp_path):
    moved = tmp_path / "x" / "roads"
    moved.parent.mkdir()
    make_collection(ROADS).path.rename(moved)
    own = make_collection(ROADS).path
    library.remember([moved])
    (own / "rows.lance").rename(tmp_path / "away")
    assert {entry.key: entry.path for entry in library.known()}["roads"] == moved
    (tmp_path / "away").rename(own / "rows.lance")
    assert {entry.key: entry.path for entry in library.known()}["roads"] == own


def test_of_two_that_can_be_opened_the_one_in_the_library_has_the_name(
    library_home, make_collection, tmp_path
):
    moved = tmp_path / "x" / "roads"
    moved.parent.mkdir()
    make_collection(ROADS).path.rename(moved)
    library.remember([moved])
    assert [entry.path for entry in library.called("roads")] == [moved]
    own = make_collection(ROADS).path
    assert [entry.path for entry in library.called("roads")] == [own]


def test_between_two_elsewhere_no_command_chooses(library_home, make_collection, tmp_path):
    paths = [tmp_path / folder / "roads" for folder in "xyz"]
    for path in paths[:2]:
        path.parent.mkdir()
        make_collection(ROADS).path.rename(path)
    library.remember([*paths[:2], a_collection(paths[2])])
    assert [entry.path for entry in library.called("roads")] == paths[:2]
    with pytest.raises(UsageError, match="2 collections are called roads") as caught:
        collection_folder("roads")
    assert caught.value.where == f"{paths[0]}\n{paths[1]}"
    assert caught.value.fix == "name one by its folder"
    second = library.called("roads")[1]
    assert collection_folder(second.key) == str(second.path)


def test_a_misspelt_name_is_answered_with_the_nearest(library_home):
    a_collection(library_home / "collections" / "Demo")
    with pytest.raises(CollectionError, match="there is no collection called demmo") as caught:
        collection_folder("demmo")
    assert caught.value.fix == "did you mean Demo? `llm2comp info` lists them all"
    assert collection_folder("something else") == "something else"
    assert collection_folder("./demmo") == "./demmo"


def test_a_damaged_list_is_an_empty_list(library_home):
    (library_home / "library.json").write_text("[1")
    assert library.known() == []


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("My News 2024", "my-news-2024"),
        ("../../etc", "etc"),
        ("a/b\\c", "a-b-c"),
        ("Café", "café"),
        ("x" * 99, "x" * 60),
    ],
)
def test_a_corpus_name_becomes_a_folder_of_the_library(library_home, name, folder):
    assert library.collection_path(name) == library_home / "collections" / folder


@pytest.mark.parametrize("name", ["", " ", "..", "///", "\0"])
def test_a_name_without_letters_is_refused(library_home, name):
    with pytest.raises(InputError, match="cannot be the name of a corpus"):
        library.collection_path(name)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("../../x.csv", "x.csv"),
        ("C:\\temp\\My report 2024.PDF", "My report 2024.pdf"),
        ("a b'\"; rm.JSONL.gz", "a b rm.jsonl.gz"),
        ("--into=x*[?].csv", "into x.csv"),
        ("\0.tar.parquet", "tar.parquet"),
        ("\udcff\x1b.csv", "upload.csv"),
        ("日本語" * 99 + ".csv", "日本語" * 20 + ".csv"),
    ],
)
def test_of_an_uploaded_name_what_is_harmless_stays(library_home, name, stored):
    path = library.store_upload(name, b"x")
    assert path.name == stored
    assert path.parent.parent == library_home / "uploads"
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize("name", ["x", "x.exe", "x.gz", "x.csv/..", "x.exe.gz"])
def test_files_that_are_not_read_are_refused(library_home, name):
    with pytest.raises(InputError, match="are not read"):
        library.store_upload(name, b"x")


def test_a_collection_that_can_be_searched_is_shown_first(library_home):
    a_collection(library_home / "collections" / "a-half-made")
    ready = a_collection(library_home / "collections" / "ready")
    (library_home / "collections" / "a-half-made" / "publish").mkdir()
    (library_home / "collections" / "a-half-made" / "publish" / ".0000001.json").write_text("half")
    (library_home / "collections" / "a-half-made" / "publish" / "note.json").write_text("{}")
    assert library.find("").key == "a-half-made"
    (ready / "publish").mkdir()
    (ready / "publish" / "0000001.json").write_text("{}")
    assert library.find("").key == "ready"


def test_the_same_upload_is_kept_once(library_home):
    first, again = library.store_upload("a.csv", b"x"), library.store_upload("a.csv", b"x")
    assert first == again
    other = library.store_upload("a.csv", b"y")
    assert other != first
    renamed = library.store_upload("b.csv", b"x")
    assert (renamed.parent, renamed.name) == (first.parent, "b.csv")


def test_an_upload_is_removed_and_no_other_file(library_home, tmp_path):
    mine = tmp_path / "mine.csv"
    mine.write_text("x")
    path = library.store_upload("a.csv", b"x")
    for each in (mine, path, library_home / "uploads" / "x" / "gone.csv"):
        library.remove_upload(each)
    assert mine.exists()
    assert not path.parent.exists()


def test_a_new_corpus_is_offered_a_name_that_no_other_folder_has(library_home, make_collection, tmp_path):
    elsewhere = tmp_path / "elsewhere" / "articles"
    elsewhere.parent.mkdir()
    make_collection(ROADS, "articles").path.rename(elsewhere)
    library.remember([elsewhere])
    assert library.is_taken("Articles") and library.free_name("Articles") == "Articles-2"
    assert library.free_name("papers") == "papers"
    make_collection(ROADS, "papers")
    assert not library.is_taken("papers"), "to this one the import adds"
    with pytest.raises(InputError, match="cannot be the name"):
        library.free_name("...")
