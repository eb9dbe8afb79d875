"""The indexing job: what it stores, what it skips, and what a stop in the middle leaves behind."""

import os

import pandas as pd
import pytest

from encoder.errors import CollectionError, IndexMismatchError, InputError
from indexer.collection import Collection
from indexer.ingest import job as ingest
from indexer.search import Searcher
from indexer.sources import open_sources
from indexer.storage.store import RowStore
from tests.conftest import WordEmbedder
from tests.indexer.making import ListSource, doc, new_collection, numbered, stored_ids, stored_rows

LONG = ". ".join(f"Sentence number {i} of a long text" for i in range(60))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(ingest, "_BLOCK_PASSAGES", 8)
    monkeypatch.setattr(ingest, "_COMMIT_PASSAGES", 16)


def killed(self, row_ids):
    """Stands for `RowStore.delete` in a job that is killed just before it."""
    if row_ids.size:
        raise KeyboardInterrupt
    return 0


def test_the_same_source_again_encodes_nothing(tmp_path):
    documents = [*numbered(20), doc("long", LONG, "A title")]
    collection, encoder = new_collection(tmp_path / "c", documents)
    encoder.n_encoded = 0
    done = collection.add(ListSource(documents), encoder=encoder)
    assert (done.unchanged, done.added, done.passages, encoder.n_encoded) == (21, 0, 0, 0)
    assert done.version == 1, "nothing new, nothing published"


def test_a_changed_row_replaces_all_passages_of_the_old_one(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", [doc("a", LONG), doc("b")])
    assert stored_ids(collection)["a"] > 3
    done = collection.add(ListSource([doc("a", "short now"), doc("b")]), encoder=encoder)
    assert (done.changed, done.unchanged) == (1, 1)
    assert stored_ids(collection) == {"a": 1, "b": 1}


def test_changed_metadata_replace_the_row_without_encoding_again(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", [doc("a", LONG, year=1), doc("b", year=2)])
    before = {row["chunk_no"]: row["vec"] for row in stored_rows(collection).values() if row["doc_id"] == "a"}
    encoder.n_encoded = 0
    done = collection.add(ListSource([doc("a", LONG, year=9), doc("b", year=2)]), encoder=encoder)
    assert (done.metadata_changed, done.unchanged, encoder.n_encoded) == (1, 1, 0)
    rows = [row for row in stored_rows(collection).values() if row["doc_id"] == "a"]
    assert {row["m_year"] for row in rows} == {9}
    assert {row["chunk_no"]: row["vec"] for row in rows} == before
    assert collection.verify() == []


def test_many_changed_metadata_are_committed_as_they_come(tmp_path, small_blocks, monkeypatch):
    monkeypatch.setattr(ingest, "_RENEW_DOCUMENTS", 4)
    collection, encoder = new_collection(tmp_path / "c", numbered(60))
    inserted = []
    insert = RowStore.insert

    def counting(self, rows):
        inserted.append(rows.num_rows)
        return insert(self, rows)

    monkeypatch.setattr(RowStore, "insert", counting)
    changed = [doc(f"d{i}", year=-1 - i) for i in range(60)]
    assert collection.add(ListSource(changed), encoder=encoder).metadata_changed == 60
    assert sum(inserted) == 60 and max(inserted) <= 20
    assert sorted(row["m_year"] for row in stored_rows(collection).values()) == list(range(-60, 0))


def test_without_an_id_column_equal_rows_are_kept_apart_and_found_again(tmp_path):
    texts = ["same", "same", "other", "same"]
    documents = [doc(None, text) for text in texts]
    documents = [type(d)(None, d.title, d.text) for d in documents]
    collection, encoder = new_collection(tmp_path / "c", documents)
    assert len(stored_ids(collection)) == 4
    encoder.n_encoded = 0
    done = collection.add(ListSource(documents), encoder=encoder)
    assert (done.unchanged, encoder.n_encoded) == (4, 0)
    changed = [*documents[:3], type(documents[0])(None, "", "changed")]
    done = collection.add(ListSource(changed), encoder=encoder)
    assert (done.added, done.unchanged) == (1, 3), "a changed row is a new one"


def test_rows_that_vanished_stay_unless_the_source_is_mirrored(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(6))
    collection.add(ListSource(numbered(3, start=100), name="other"), encoder=encoder)
    done = collection.add(ListSource(numbered(2)), encoder=encoder)
    assert (done.removed, len(stored_ids(collection))) == (0, 9)
    done = collection.add(ListSource(numbered(2)), encoder=encoder, mirror=True)
    assert done.removed == 4
    assert set(stored_ids(collection)) == {"d0", "d1", "d100", "d101", "d102"}


def test_a_doubled_id_stops_the_job_after_storing_all_before_it(tmp_path):
    collection, encoder = new_collection(tmp_path / "c")
    documents = [*numbered(5), doc("d2", "another text"), *numbered(3, start=50)]
    with pytest.raises(InputError, match=r"the id 'd2' occurs twice.*") as raised:
        collection.add(ListSource(documents), encoder=encoder)
    assert raised.value.where == "row d2" and "--on-bad-row skip" in raised.value.fix
    assert set(stored_ids(collection)) == {f"d{i}" for i in range(5)}
    assert collection.publication() is None, "a job that stopped publishes nothing"


def test_a_doubled_id_is_left_out_and_counted_when_bad_rows_are_skipped(tmp_path):
    collection, encoder = new_collection(tmp_path / "c")
    documents = [*numbered(5), doc("d2", "another text")]
    done = collection.add(ListSource(documents, skips=True), encoder=encoder)
    assert done.counts["doubled id"] == 1 and done.added == 5
    assert "another text" not in {row["content"] for row in stored_rows(collection).values()}


def test_a_broken_source_stops_the_job_after_storing_all_before_it(tmp_path):
    collection, encoder = new_collection(tmp_path / "c")
    broken = ListSource(numbered(20), batch=5, fails_at=(10, InputError("line 11 is broken", "x", "mend it")))
    with pytest.raises(InputError, match="line 11 is broken"):
        collection.add(broken, encoder=encoder)
    assert len(stored_ids(collection)) == 10


def test_a_value_that_does_not_fit_its_column_stops_the_job_and_names_the_column(tmp_path):
    collection, encoder = new_collection(tmp_path / "c")
    with pytest.raises(InputError, match=r"'soon' does not fit the column 'year', which holds int64"):
        collection.add(ListSource([doc("a", year=1), doc("b", year="soon")]), encoder=encoder)
    assert set(stored_ids(collection)) == {"a"}


def test_a_value_that_does_not_fit_is_left_out_and_counted_when_bad_rows_are_skipped(tmp_path):
    collection, encoder = new_collection(tmp_path / "c")
    documents = [doc("a", year=1), doc("b", year="soon"), doc("c", year=3)]
    done = collection.add(ListSource(documents, skips=True), encoder=encoder)
    assert (done.counts["bad"], set(stored_ids(collection))) == (1, {"a", "c"})


def test_a_row_that_cannot_be_read_is_not_taken_for_one_that_vanished(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(3))
    changed = [doc("d0", year="soon"), doc("d1", "other words", year=1)]
    with pytest.raises(InputError, match="1 rows could not be read, so it is not known which documents"):
        collection.add(ListSource(changed, skips=True), encoder=encoder, mirror=True)
    assert set(stored_ids(collection)) == {"d0", "d1", "d2"}
    assert "other words" in {row["content"] for row in stored_rows(collection).values()}


def test_what_the_source_left_out_is_reported(tmp_path):
    collection, encoder = new_collection(tmp_path / "c")
    source = ListSource(numbered(3))
    source.counts.update(empty=4, bad=2)
    done = collection.add(source, encoder=encoder)
    assert (done.counts["empty"], done.counts["bad"]) == (4, 2)


def test_a_kill_between_insert_and_delete_doubles_nothing_after_the_next_run(tmp_path, monkeypatch):
    collection, encoder = new_collection(tmp_path / "c", [doc("a", LONG), *numbered(5)])
    changed = [doc("a", LONG.replace("long", "very long")), doc("d1", "other words", year=1), *numbered(1)]

    with monkeypatch.context() as patch:
        patch.setattr(RowStore, "delete", killed)
        with pytest.raises(KeyboardInterrupt):
            collection.add(ListSource(changed), encoder=encoder)
    assert len(stored_rows(collection)) > len(set(stored_ids(collection))) + stored_ids(collection)["a"] / 2
    encoder.n_encoded = 0
    collection.add(ListSource(changed), encoder=encoder)
    assert encoder.n_encoded == 0, "the new rows had been stored"
    expected, _ = new_collection(
        tmp_path / "e", [changed[0], changed[1], *[d for d in numbered(5) if d.id != "d1"]]
    )
    assert set(stored_rows(collection)) == set(stored_rows(expected))


@pytest.mark.parametrize("verb", ["publish", "delete", "rebuild"])
def test_every_verb_that_publishes_first_removes_what_a_killed_job_left_doubled(tmp_path, monkeypatch, verb):
    collection, encoder = new_collection(tmp_path / "c", numbered(5))
    with monkeypatch.context() as patch:
        patch.setattr(RowStore, "delete", killed)
        with pytest.raises(KeyboardInterrupt):
            collection.add(ListSource([doc("d1", "other words")]), encoder=encoder)
    {
        "publish": collection.publish,
        "delete": lambda: collection.delete(ids=["d4"]),
        "rebuild": collection.rebuild,
    }[verb]()
    assert stored_ids(collection)["d1"] == 1
    hits = Searcher(collection, encoder).search("words", where="year = 1 or year is null", by="passage").hits
    assert [hit.text for hit in hits if hit.document_id == "d1"] == ["other words"]


def test_changed_documents_are_never_gone_while_their_new_rows_are_not_in(
    tmp_path, monkeypatch, small_blocks
):
    """A batch of many changed documents is committed in parts; each part removes only what it replaces."""
    collection, encoder = new_collection(tmp_path / "c", numbered(60))
    present = []
    delete = RowStore.delete

    def watching(self, row_ids):
        done = delete(self, row_ids)
        present.append(set(stored_ids(collection)))
        return done

    monkeypatch.setattr(RowStore, "delete", watching)
    collection.add(ListSource([doc(f"d{i}", f"changed {i}") for i in range(60)]), encoder=encoder)
    assert len(present) > 3 and all(len(names) == 60 for names in present)


def test_passages_that_were_not_inserted_are_an_error_and_delete_nothing(tmp_path, monkeypatch):
    collection, encoder = new_collection(tmp_path / "c", numbered(3))
    monkeypatch.setattr(RowStore, "insert", lambda self, rows: 0)
    with pytest.raises(CollectionError, match="1 of 1 new passages have the id of a stored one"):
        collection.add(ListSource([doc("d1", "other words")]), encoder=encoder)
    assert set(stored_ids(collection)) == {"d0", "d1", "d2"}


def test_another_encoder_is_refused_with_both_names_and_the_command(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(2))
    other = WordEmbedder("other", dimension=16)
    with pytest.raises(
        IndexMismatchError, match=r"made with the encoder words \(\w{8}\), this one is other"
    ) as raised:
        collection.add(ListSource([]), encoder=other)
    assert f"llm2comp rebuild {tmp_path / 'c'} --encoder other" in raised.value.fix
    with pytest.raises(IndexMismatchError, match="words .* other"):
        Searcher(collection, other)


def test_an_encoder_that_makes_no_unit_vectors_is_refused_with_the_document(tmp_path):
    collection, encoder = new_collection(tmp_path / "c")
    encoder._encode = lambda texts: WordEmbedder(dimension=16)._encode(texts) * 3
    with pytest.raises(InputError, match="a vector of length 3 instead of 1") as raised:
        collection.add(ListSource(numbered(3)), encoder=encoder)
    assert "row d0, passage 0" in raised.value.where


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a\ud800b",
        "\x00",
        "x" * 5000,
        "#0-12345678",
        "../..",
        "'; drop table",
        "日本 \U0001f600",
        "a\nb",
    ],
)
def test_odd_ids_texts_and_titles_are_stored_and_found_again(tmp_path, name):
    document = doc(name or "plain", f"text {name}\ud800 end", f"title \udfff {name[:9]}", topic=f"t {name}")
    document = type(document)(name, document.title, document.text, document.metadata, "row 1")
    collection, encoder = new_collection(tmp_path / "c", [document, doc("other")])
    encoder.n_encoded = 0
    done = collection.add(ListSource([document]), encoder=encoder)
    assert (done.unchanged, encoder.n_encoded) == (1, 0)
    searcher = Searcher(collection, encoder)
    hit = searcher.search("title text end", 1).hits[0]
    assert hit.document_id == name.replace("\ud800", "\ufffd")
    assert searcher.document(name).text.startswith("text ")
    assert collection.delete(ids=[name]) == 1


def test_odd_column_names_are_stored_and_filtered_by(tmp_path):
    columns = {
        "a b": "int64",
        "A B": "int64",
        "x.y": "string",
        "it's": "string",
        "é": "string",
        "id": "string",
    }
    columns |= {
        "m_0": "int64",
        "0": "int64",
        'say "hi"': "int64",
        "select": "int64",
        "Year": "int64",
        "year": "int64",
    }
    values = {
        name: number if kind == "int64" else f"v{number}"
        for number, (name, kind) in enumerate(columns.items())
    }
    collection, encoder = new_collection(tmp_path / "c", [doc("a", **values), doc("b")], columns=columns)
    searcher = Searcher(Collection.open(tmp_path / "c"), encoder)
    assert searcher.search("words", 1, where="`a b` = 0").hits[0].metadata == values
    for name, value in values.items():
        shown = value if isinstance(value, int) else f"'{value}'"
        assert [hit.document_id for hit in searcher.search("words", where=f"`{name}` = {shown}").hits] == [
            "a"
        ]


def test_metadata_that_the_collection_has_no_column_for_are_kept_beside(tmp_path):
    collection, encoder = new_collection(
        tmp_path / "c", [doc("a", colour="red", year=3)], columns={"year": "int64"}
    )
    assert next(iter(stored_rows(collection).values()))["extra"] == '{"colour": "red"}'


def test_a_collection_without_metadata_columns_works(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", [doc("a")], columns={})
    assert Searcher(collection, encoder).search("words").hits[0].metadata == {}


def test_the_id_of_another_sources_document_stops_the_job_and_names_both(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(5))
    other = [doc("x"), doc("d1", year=1), doc("d2", "another text"), doc("y")]
    with pytest.raises(
        InputError, match="the id 'd2' belongs to another document, which came from list"
    ) as raised:
        collection.add(ListSource(other, name="other"), encoder=encoder)
    assert raised.value.where == "row d2" and "--id" in raised.value.fix
    assert set(stored_ids(collection)) == {"d0", "d1", "d2", "d3", "d4", "x"}, "equal text is no conflict"
    assert "another text" not in {row["content"] for row in stored_rows(collection).values()}


def test_the_id_of_another_sources_document_is_left_out_when_bad_rows_are_skipped(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(5))
    other = ListSource([doc("x"), doc("d2", "another text")], name="other", skips=True)
    done = collection.add(other, encoder=encoder)
    assert (done.added, done.changed, done.counts["id of another source"]) == (1, 0, 1)
    rows = stored_rows(collection).values()
    assert {row["content"] for row in rows if row["doc_id"] == "d2"} == {"words about number d2"}
    done = collection.add(ListSource([doc("d2", "its new state")]), encoder=encoder)
    assert done.changed == 1, "its own source may change it"


def test_labels_survive_re_embedding(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(3))
    new = WordEmbedder("new", dimension=24)
    collection.rebuild(encoder=new)
    assert collection.add(ListSource([doc("d1", "changed")]), encoder=new).changed == 1
    with pytest.raises(InputError, match="belongs to another document"):
        collection.add(ListSource([doc("d1", "changed again")], name="other"), encoder=new)


def test_a_source_without_a_lasting_name_is_not_mirrored(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(3))
    frame = pd.DataFrame({"id": ["a"], "text": ["some words of prose about whales"]})
    with pytest.raises(InputError, match="no lasting name"):
        collection.add(frame, encoder=encoder, mirror=True)
    assert set(stored_ids(collection)) == {"d0", "d1", "d2"}
    collection.add(frame, encoder=encoder)


def test_a_file_is_the_same_source_from_whatever_folder_it_is_named(tmp_path, monkeypatch):
    collection, encoder = new_collection(tmp_path / "c", columns={})
    (tmp_path / "in").mkdir()
    rows = ["id,text", *(f"{i},some words of prose about whale {i}" for i in range(3))]
    (tmp_path / "in" / "a.csv").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    collection.add("in/a.csv", encoder=encoder)
    (tmp_path / "in" / "a.csv").write_text("\n".join(rows[:-1]))
    monkeypatch.chdir(tmp_path / "in")
    assert collection.add("a.csv", encoder=encoder, mirror=True).removed == 1
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.csv").write_text("id,text\n7,some words of prose about snow")
    monkeypatch.chdir(tmp_path / "other")
    assert collection.add("a.csv", encoder=encoder, mirror=True).removed == 0, "another file of that name"


def only_readable(monkeypatch, refused):
    """Root may read everything, so that a refusal must be played."""
    scan = os.scandir

    def scandir(path="."):
        if str(path) == str(refused):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.mark.parametrize("suffix", ["txt", "csv"])
@pytest.mark.parametrize("pattern", ["", "/**/*.{}"])
def test_a_folder_that_may_not_be_read_has_not_vanished(tmp_path, monkeypatch, suffix, pattern):
    collection, encoder = new_collection(tmp_path / "c", columns={})
    for name in ("open", "closed"):
        (tmp_path / "in" / name).mkdir(parents=True)
        head = "text\n" if suffix == "csv" else ""
        (tmp_path / "in" / name / f"{name}.{suffix}").write_text(f"{head}some words of prose about {name}")
        (tmp_path / "in" / name / f"two.{suffix}").write_text(f"{head}more words of prose about {name}")
    spec = str(tmp_path / "in") + pattern.format(suffix)
    collection.add(spec, encoder=encoder)
    before = stored_ids(collection)
    assert len(before) == 4
    only_readable(monkeypatch, tmp_path / "in" / "closed")
    source = open_sources([spec])
    with pytest.raises(InputError, match="1 rows could not be read"):
        collection.add(source, encoder=encoder, mirror=True)
    assert stored_ids(collection) == before
    assert source.bad_rows == [f"{tmp_path / 'in' / 'closed'}: it may not be read"]


class Clock:
    """Time that only the encoder spends."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


@pytest.mark.parametrize(("rate", "expected"), [(0.1, 32), (20, 100), (1e6, 2048)])
def test_a_slow_encoder_gets_smaller_blocks(tmp_path, monkeypatch, rate, expected):
    clock = Clock()
    monkeypatch.setattr(ingest, "time", clock)
    collection, encoder = new_collection(tmp_path / "c")
    blocks, made = [], encoder._encode

    def encode(texts):
        blocks.append(len(texts))
        clock.now += len(texts) / rate
        return made(texts)

    encoder._encode = encode
    collection.add(ListSource(numbered(32 + 2 * expected)), encoder=encoder)
    assert blocks == [32, expected, expected]


def test_a_slow_job_commits_about_every_ten_seconds(tmp_path, monkeypatch):
    clock, commits = Clock(), []
    monkeypatch.setattr(ingest, "time", clock)
    collection, encoder = new_collection(tmp_path / "c")
    made, insert = encoder._encode, RowStore.insert

    def encode(texts):
        clock.now += len(texts) / 20
        return made(texts)

    def counting(self, rows):
        commits.append(clock.now)
        return insert(self, rows)

    encoder._encode = encode
    monkeypatch.setattr(RowStore, "insert", counting)
    collection.add(ListSource(numbered(1500)), encoder=encoder)
    gaps = [after - before for before, after in zip([0, *commits], commits, strict=False)]
    assert max(gaps) <= 15 and len(commits) >= 5
