"""The row store: what is relied on in Lance, as contracts that a new major must still keep."""

import numpy as np
import pyarrow as pa
import pytest

from encoder.errors import CollectionError
from indexer.search import Searcher
from indexer.storage.row_schema import row_schema, vectors_of
from indexer.storage.store import RowStore
from indexer.storage.store_errors import full_disk_or, understood
from tests.indexer.making import ListSource, doc, new_collection, numbered, stored_ids


def id_of_each_document(collection):
    store = collection.open_rows()
    ids = store.live_row_ids()
    return dict(zip(store.take(ids, ["doc_id"])["doc_id"].to_pylist(), ids.tolist(), strict=True))


def test_row_ids_stay_when_rows_are_deleted_and_fragments_joined(tmp_path, monkeypatch):
    monkeypatch.setattr("indexer.storage.store._MOST_FRAGMENTS", 1)
    collection, encoder = new_collection(tmp_path / "c", numbered(10))
    before = id_of_each_document(collection)
    collection.add(ListSource(numbered(20)), encoder=encoder)
    store = collection.open_rows()
    store.delete(np.array([before["d3"]], np.uint64))
    store.compact()
    after = id_of_each_document(collection)
    assert len(after) == 19 and before.items() - after.items() == {("d3", before["d3"])}


def test_a_row_that_is_not_live_is_refused_and_not_passed_over(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(5))
    with pytest.raises(CollectionError, match="1 rows of the index are not in the row store"):
        collection.open_rows().take(np.array([0, 99], np.uint64), ["id"])


def test_rows_are_taken_in_the_order_asked_for_with_repeats(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(5))
    taken = collection.open_rows().take(np.array([4, 0, 4, 2], np.uint64), ["doc_id"])
    assert taken["doc_id"].to_pylist() == ["d4", "d0", "d4", "d2"]


@pytest.mark.parametrize("ids", [range(0, 600), range(0, 600, 2), [5], [], [599, 3, 3, 10_000]])
def test_deleting_is_one_commit_of_exactly_these_rows(tmp_path, ids):
    collection, _ = new_collection(tmp_path / "c", numbered(600))
    store = collection.open_rows()
    version, live = store.version, set(store.live_row_ids().tolist())
    assert store.delete(np.array(list(ids), np.uint64)) == len(live & set(ids))
    assert set(store.live_row_ids().tolist()) == live - set(ids)
    assert store.version - version == (1 if len(list(ids)) else 0)


def test_a_second_insert_of_the_same_rows_adds_nothing(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(5))
    store = collection.open_rows()
    rows = pa.Table.from_batches(list(store.scan(store.schema.names))).select(store.schema.names)
    assert store.insert(rows) == 0 and store.count() == 5


def test_every_row_is_findable_by_word_after_each_publication(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(5))
    for start in (10, 20):
        collection.add(ListSource(numbered(5, start=start)), encoder=encoder)
        assert collection.open_rows().rows_without_words() == 0
    hits = Searcher(collection, encoder).search("d23", mode="keyword").hits
    assert [hit.document_id for hit in hits] == ["d23"]


@pytest.mark.parametrize(
    ("words", "text", "query", "is_found"),
    [
        ("english", "the neural networks", "network", True),
        ("english", "the neural networks", "the", False),
        ("plain", "the neural networks", "network", False),
        ("plain", "the neural networks", "the", True),
        ("ngram2", "東京都の天気", "京都", True),
        ("ngram2", "東京都の天気", "大阪", False),
        ("english", "café au lait", "CAFE", True),
    ],
)
def test_words_are_cut_as_the_collection_says(tmp_path, words, text, query, is_found):
    collection, encoder = new_collection(tmp_path / "c", [doc("a", text), doc("b", "zzz")], words=words)
    hits = Searcher(collection, encoder).search(query, mode="keyword").hits
    assert [hit.document_id for hit in hits] == (["a"] if is_found else [])


def test_old_versions_go_unless_they_are_tagged(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(5))
    tagged = collection.publication().rows_version
    store = collection.open_rows()
    store.delete(np.array([1], np.uint64))
    untagged = store.version
    store.delete(np.array([2], np.uint64))
    store.clean(keep_s=0.0)
    assert collection.open_rows(tagged).count() == 5
    with pytest.raises(CollectionError, match="cannot be read"):
        collection.open_rows(untagged)


def test_rows_without_a_vector_are_refused(tmp_path):
    vectors = pa.array([[1.0, 2.0], None], pa.list_(pa.float16(), 2))
    batch = pa.record_batch({"vec": vectors})
    with pytest.raises(CollectionError, match="the vectors of 2 rows have 2 numbers instead of 2 each"):
        vectors_of(batch, 2)


def test_vectors_of_a_slice_are_those_of_the_slice():
    numbers = np.arange(12, dtype=np.float16)
    batch = pa.record_batch({"vec": pa.FixedSizeListArray.from_arrays(pa.array(numbers), 3)})
    assert vectors_of(batch.slice(2, 2), 3).tolist() == [[6, 7, 8], [9, 10, 11]]


class PanicException(BaseException):
    """Named as what Rust code raises when it gives up."""


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError("IO error: No space left on device (os error 28)"), "the disk is full"),
        (RuntimeError("LanceError: File too large (os error 27)"), "the disk is full"),
        (OSError("Permission denied (os error 13)"), "the collection cannot be written"),
        (PanicException("index out of bounds"), "cannot be read or written: index out of bounds"),
        (OverflowError("int too big"), "cannot be read or written: int too big"),
        (KeyError(), "cannot be read or written: KeyError"),
    ],
)
def test_what_lance_raises_becomes_a_sentence(tmp_path, error, sentence):
    with pytest.raises(CollectionError, match=sentence), understood(tmp_path):
        raise error


def test_an_interruption_stays_one(tmp_path):
    with pytest.raises(KeyboardInterrupt), understood(tmp_path):
        raise KeyboardInterrupt


def test_other_failures_of_the_system_keep_their_reason(tmp_path):
    error = full_disk_or(OSError(5, "Input/output error"), "the segment cannot be written", tmp_path)
    assert error.what == "the segment cannot be written: Input/output error"


def test_a_store_in_a_place_that_cannot_be_written_is_a_known_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CollectionError):
        RowStore.create(tmp_path / "file" / "rows", row_schema(4, {}, {}))


def test_everything_can_be_deleted_and_added_again(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(30), index="rabitq")
    assert collection.delete(where="year >= 0") == 30
    assert Searcher(collection, encoder).search("words").hits == [] and collection.verify() == []
    assert collection.publication().segments == []
    collection.add(ListSource(numbered(30)), encoder=encoder)
    assert len(stored_ids(collection)) == 30 and collection.verify() == []
