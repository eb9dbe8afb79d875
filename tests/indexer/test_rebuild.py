"""Rebuilding the index, and every vector with another encoder."""

import pytest

from encoder.errors import CollectionError
from indexer import rebuild
from indexer.collection import Collection
from indexer.query.snapshot import Snapshot
from indexer.rebuild import exchange_folders
from indexer.search import Searcher
from tests.conftest import WordEmbedder
from tests.indexer.making import (
    ListSource,
    answers,
    doc,
    new_collection,
    numbered,
    segment_folders,
    stored_ids,
    stored_rows,
)

LONG = ". ".join(f"Sentence number {i} of a long text" for i in range(60))


def test_rebuilding_makes_new_segments_and_the_same_answers(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(50), index="rabitq")
    before, folders = answers(collection, encoder, "d7"), segment_folders(collection)
    collection.rebuild()
    assert answers(collection, encoder, "d7") == before and collection.verify() == []
    assert not set(segment_folders(collection)) & set(folders)
    collection.rebuild(index="flat")
    assert collection.publication().segments[0].kind == "flat"


def test_readers_keep_the_old_segments_until_the_new_ones_are_published(tmp_path, monkeypatch):
    collection, _ = new_collection(tmp_path / "c", numbered(50))
    seen = []

    def look(*_args, **_keywords):
        seen.append(len(Snapshot(collection, collection.publication()).segments))
        raise KeyboardInterrupt

    monkeypatch.setattr("indexer.publish.build_segment", look)
    with pytest.raises(KeyboardInterrupt):
        collection.rebuild()
    assert seen == [1] and collection.verify() == []


def embedded_twice(path, documents):
    collection, encoder = new_collection(path, documents, index="rabitq", words="plain")
    new = WordEmbedder("new", dimension=24, max_tokens=32)
    collection.rebuild(encoder=new)
    return collection, encoder, new


def test_every_vector_is_made_again_and_all_else_is_kept(tmp_path):
    documents = [doc("long", LONG, "Title", topic="x", tags=["a"], colour="red"), *numbered(20)]
    collection, encoder, new = embedded_twice(tmp_path / "c", documents)
    rows = stored_rows(collection).values()
    assert collection.settings == Collection.open(tmp_path / "c").settings
    assert collection.settings.encoder_name == "new" and collection.settings.dimension == 24
    assert collection.publication().segments[0].kind == "rabitq" and collection.settings.words == "plain"
    assert set(stored_ids(collection)) == {document.id for document in documents}
    long = [row for row in rows if row["doc_id"] == "long"]
    assert {(row["m_topic"], tuple(row["m_tags"]), row["extra"], row["title"]) for row in long} == {
        ("x", ("a",), '{"colour": "red"}', "Title")
    }
    assert Searcher(collection, new).document("long").text == LONG
    assert collection.verify() == [] and [p.name for p in tmp_path.iterdir()] == ["c"]


def test_source_labels_survive_so_that_a_source_can_still_be_mirrored(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(4))
    collection.add(ListSource(numbered(2, start=50), name="other"), encoder=encoder)
    new = WordEmbedder("new", dimension=24)
    collection.rebuild(encoder=new)
    assert {row["doc_id"]: row["source"] for row in stored_rows(collection).values()}["d50"] == "other"
    new.n_encoded = 0
    done = collection.add(ListSource(numbered(2)), encoder=new, mirror=True)
    assert (done.removed, new.n_encoded, sorted(stored_ids(collection))) == (2, 0, ["d0", "d1", "d50", "d51"])


def test_saved_views_survive(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(4))
    (collection.path / "views").mkdir()
    (collection.path / "views" / "tags.jsonl").write_text("mine")
    collection.rebuild(encoder=WordEmbedder("new", dimension=24))
    assert (collection.path / "views" / "tags.jsonl").read_text() == "mine"


def test_odd_documents_survive(tmp_path):
    documents = [
        doc("a\ud800", "text \udfff", "t\ud800", topic="\ud800"),
        doc("日本", "  spaces  kept \n\n here "),
        doc("x#1", "y"),
    ]
    collection, _, new = embedded_twice(tmp_path / "c", documents)
    assert set(stored_ids(collection)) == {"a\ufffd", "日本", "x#1"} and collection.verify() == []


def test_an_empty_collection_is_embedded_anew(tmp_path):
    collection, _, new = embedded_twice(tmp_path / "c", [])
    assert Searcher(collection, new).search("words").hits == []


def failing_after(encoder, calls):
    made = encoder._encode

    def encode(texts):
        nonlocal calls
        calls -= 1
        if calls < 0:
            raise KeyboardInterrupt
        return made(texts)

    encoder._encode = encode
    return lambda: setattr(encoder, "_encode", made)


def test_killed_in_the_middle_the_old_one_answers_and_the_next_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("indexer.ingest.job._BLOCK_PASSAGES", 10)
    monkeypatch.setattr("indexer.ingest.job._COMMIT_PASSAGES", 10)
    collection, encoder = new_collection(tmp_path / "c", numbered(40))
    before = answers(collection, encoder, "d7")
    new = WordEmbedder("new", dimension=24)
    mend = failing_after(new, 2)
    with pytest.raises(KeyboardInterrupt):
        collection.rebuild(encoder=new)
    assert answers(Collection.open(tmp_path / "c"), encoder, "d7") == before
    collection.add(
        ListSource([doc("late", "added meanwhile"), doc("d1", "changed meanwhile")]), encoder=encoder
    )
    collection.delete(ids=["d2"])
    mend()
    new.n_encoded = 0
    collection.rebuild(encoder=new)
    kept = 20 - 2  # of the 20 that were encoded before the kill d1 has changed and d2 is gone
    assert new.n_encoded == 40 - kept
    assert set(stored_ids(collection)) == {f"d{i}" for i in range(40) if i != 2} | {"late"}
    assert {row["content"] for row in stored_rows(collection).values() if row["doc_id"] == "d1"} == {
        "changed meanwhile"
    }
    assert collection.verify() == []


def test_killed_after_the_change_of_places_nothing_of_the_old_comes_back(tmp_path, monkeypatch):
    collection, encoder = new_collection(tmp_path / "c", numbered(10))
    new = WordEmbedder("new", dimension=24)

    def kill(folder, **_options):
        if (folder / "collection.json").exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rebuild.shutil, "rmtree", kill)
        with pytest.raises(KeyboardInterrupt):
            collection.rebuild(encoder=new)
    collection = Collection.open(tmp_path / "c")
    assert collection.settings.encoder_name == "new" and (tmp_path / "c.rebuild").exists()
    collection.delete(ids=["d1"])
    collection.rebuild(encoder=encoder)
    assert "d1" not in stored_ids(collection) and collection.settings.encoder_name == "words"


@pytest.mark.parametrize("has_exchange", [True, False])
def test_two_folders_change_places(tmp_path, monkeypatch, has_exchange):
    if not has_exchange:
        monkeypatch.setattr(rebuild.ctypes, "CDLL", lambda *_, **__: object())
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "who").write_text(name)
    (tmp_path / "b.before-rebuild").mkdir()
    exchange_folders(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "who").read_text() == "b" and (tmp_path / "b" / "who").read_text() == "a"


@pytest.mark.parametrize("kind", ["folder", "collection", "link", "file", "other mark"])
def test_what_is_not_our_copy_is_kept_whatever_its_name(tmp_path, kind):
    collection, _ = new_collection(tmp_path / "c", numbered(3))
    beside = tmp_path / "c.rebuild"
    (tmp_path / "elsewhere").mkdir()
    if kind == "collection":
        new_collection(beside, numbered(2))
    elif kind == "link":
        beside.symlink_to(tmp_path / "elsewhere")
    elif kind == "file":
        beside.write_text("mine")
    else:
        beside.mkdir()
        (beside / "precious.txt").write_text("mine")
        if kind == "other mark":
            (beside / "rebuild-of").write_text("another collection")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(CollectionError, match="c.rebuild is in the way"):
        collection.rebuild(encoder=WordEmbedder("new", dimension=24))
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def killed_half_way(collection, new, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("indexer.ingest.job._BLOCK_PASSAGES", 10)
        patch.setattr("indexer.ingest.job._COMMIT_PASSAGES", 10)
        mend = failing_after(new, 2)
        with pytest.raises(KeyboardInterrupt):
            collection.rebuild(encoder=new)
        mend()


def test_after_a_kill_yet_another_encoder_starts_anew(tmp_path, monkeypatch):
    collection, _ = new_collection(tmp_path / "c", numbered(40))
    killed_half_way(collection, WordEmbedder("new", dimension=24), monkeypatch)
    third = WordEmbedder("third", dimension=20)
    collection.rebuild(encoder=third)
    assert third.n_encoded == 40 and collection.settings.encoder_name == "third"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c"] and collection.verify() == []
    assert not (collection.path / "rebuild-of").exists()


@pytest.mark.parametrize("left", ["nothing", "mark", "half"])
def test_a_copy_that_a_kill_left_half_made_is_made_again(tmp_path, left):
    collection, _ = new_collection(tmp_path / "c", numbered(4))
    beside = tmp_path / "c.rebuild"
    beside.mkdir()
    if left != "nothing":
        (beside / "rebuild-of").write_text(collection.settings.uuid)
    if left == "half":
        (beside / "rows.lance").mkdir()
    collection.rebuild(encoder=WordEmbedder("new", dimension=24))
    assert collection.settings.encoder_name == "new" and not beside.exists()


def test_passages_stay_as_long_as_the_new_encoder_allows_and_the_index_can_be_chosen(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(20), window=40, overlap=10)
    collection.rebuild(encoder=WordEmbedder("long", dimension=24, max_tokens=500), index="rabitq")
    assert (collection.settings.window, collection.settings.overlap) == (40, 10)
    assert collection.publication().segments[0].kind == "rabitq"
    collection.rebuild(encoder=WordEmbedder("short", dimension=16, max_tokens=20))
    assert (collection.settings.window, collection.settings.overlap) == (20, 5)


PARAGRAPHS = "\n\n".join(f"Paragraph {i} has a line.\n\tAnd another   one, number {i}." for i in range(40))


@pytest.mark.parametrize("text", [PARAGRAPHS, f"  \n{PARAGRAPHS}\n\n \t", " short ", f"\u3000{LONG}\u2028"])
def test_a_document_comes_back_to_the_character_and_is_not_encoded_again(tmp_path, text):
    source = [doc("a", text, "Title"), *numbered(3)]
    collection, encoder = new_collection(tmp_path / "c", source, window=32, overlap=4)
    assert Searcher(collection, encoder).document("a").text == text
    new = WordEmbedder("new", dimension=24, max_tokens=40)
    collection.rebuild(encoder=new)
    assert Searcher(collection, new).document("a").text == text
    new.n_encoded = 0
    done = collection.add(ListSource(source), encoder=new)
    assert (done.unchanged, new.n_encoded) == (4, 0)


@pytest.mark.parametrize("text", [PARAGRAPHS, f"  \n{PARAGRAPHS}\n\n \t"])
def test_new_metadata_keep_the_text_to_the_character(tmp_path, text):
    collection, encoder = new_collection(tmp_path / "c", [doc("a", text, year=1)], window=32, overlap=4)
    assert collection.add(ListSource([doc("a", text, year=2)]), encoder=encoder).metadata_changed == 1
    assert Searcher(collection, encoder).document("a").text == text


def test_a_document_that_another_source_took_over_meanwhile_is_no_obstacle(tmp_path, monkeypatch):
    collection, encoder = new_collection(tmp_path / "c", numbered(40))
    new = WordEmbedder("new", dimension=24)
    killed_half_way(collection, new, monkeypatch)
    collection.delete(ids=["d1"])
    collection.add(ListSource([doc("d1", "other words")], name="other"), encoder=encoder)
    collection.rebuild(encoder=new)
    row = next(row for row in stored_rows(collection).values() if row["doc_id"] == "d1")
    assert (row["content"], row["source"]) == ("other words", "other")


def test_where_folders_cannot_be_exchanged_nothing_of_anyone_elses_is_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(rebuild.ctypes, "CDLL", lambda *_, **__: object())
    collection, encoder = new_collection(tmp_path / "c", numbered(3))
    taken = tmp_path / "c.before-rebuild" / "precious.txt"
    taken.parent.mkdir()
    taken.write_text("mine")
    new = WordEmbedder("new", dimension=24)
    with pytest.raises(CollectionError, match="cannot be put in place"):
        collection.rebuild(encoder=new)
    assert taken.read_text() == "mine" and len(answers(collection, encoder, "d1")[0]) == 3
    taken.unlink()
    collection.rebuild(encoder=new)
    assert collection.settings.encoder_name == "new"
