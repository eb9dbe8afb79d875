"""Searcher: queries, refusals, newer versions, and threads."""

import threading
import time

import numpy as np
import pytest

from encoder.errors import CollectionError, IndexMismatchError, InputError, Llm2CompError
from indexer import retention, search
from indexer.collection import Collection
from indexer.query.snapshot import Snapshot
from indexer.search import RowQuery, Searcher
from indexer.storage.lock import writer_lock
from tests.conftest import WordEmbedder
from tests.indexer.making import ListSource, doc, new_collection, numbered


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    return new_collection(tmp_path_factory.mktemp("numbers") / "c", numbered(40))


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(search, "_POLL_S", 0.0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"k": 0}, "k = 0 is impossible"),
        ({"k": -1}, "k = -1 is impossible"),
        ({"k": 10**9}, "k = 1000000000 is impossible"),
        ({"k": True}, "k = True is impossible"),
        ({"mode": "fuzzy"}, "there is no mode 'fuzzy'"),
        ({"by": "page"}, "hits cannot be shown by 'page'"),
        ({"query": "x" * 1_000_001}, "the query has 1,000,001 characters"),
        ({"query": np.ones(7, np.float32)}, "the query vector has shape"),
        ({"query": np.full(16, np.nan, np.float32)}, "is not finite"),
        ({"query": np.zeros(16, np.float32)}, "the query vector has length 0"),
        ({"query": object()}, "the query is neither text nor a vector"),
        ({"query": RowQuery("nobody")}, "there is no passage 'nobody' in version 1"),
        ({"query": RowQuery("\ud800")}, "there is no passage"),
        ({"where": "year ="}, "a value is missing"),
    ],
)
def test_impossible_questions_are_refused_in_a_sentence(numbers, arguments, sentence):
    collection, encoder = numbers
    with pytest.raises(InputError, match=sentence):
        Searcher(collection, encoder).search(**{"query": "words", **arguments})


@pytest.mark.parametrize("query", ["", " ", "\x00", "\ud800", '"', "-", "+the", "🙂" * 50, "OR OR", "-words"])
@pytest.mark.parametrize("mode", ["hybrid", "semantic", "keyword"])
def test_odd_queries_are_answered(numbers, query, mode):
    collection, encoder = numbers
    assert len(Searcher(collection, encoder).search(query, 5, mode=mode).hits) <= 5


@pytest.mark.parametrize("by", ["document", "passage"])
def test_similar_to_this_finds_all_other_documents_best_first(numbers, by):
    collection, encoder = numbers
    searcher = Searcher(collection, encoder)
    own = searcher.search("words about number d5", 1).hits[0]
    found = searcher.search(RowQuery(own.id), 10_000, by=by)
    assert found.query == f"similar to {own.id}"
    assert own.document_id not in {hit.document_id for hit in found.hits}
    assert len(found.hits) == found.provenance.rows - 1
    vector = encoder.encode_document([own.text])[0]
    best = encoder.encode_document([found.hits[0].text])[0] @ vector
    assert found.hits[0].score == pytest.approx(best, abs=5e-3)


def test_the_encoder_is_found_from_any_folder(tmp_path, monkeypatch, word_embedder):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    word_embedder.name = "mine?pooling=mean"
    collection = Collection.create(tmp_path / "c", encoder=word_embedder)
    assert collection.settings.encoder_spec == f"{tmp_path / 'mine'}?pooling=mean"


def test_a_vector_of_any_length_is_a_query(numbers):
    collection, encoder = numbers
    vector = encoder.encode_query(["words about number d5"])[0]
    hits = [Searcher(collection, encoder).search(vector * factor, 5).hits for factor in (1, 30)]
    assert [hit.id for hit in hits[0]] == [hit.id for hit in hits[1]]


def test_a_batch_gives_what_single_queries_give(numbers):
    collection, encoder = numbers
    searcher = Searcher(collection, encoder)
    queries = ["d5", "words +d6", encoder.encode_query(["d7"])[0], "words d8"]
    together = searcher.search_batch(queries, 4, where="year > 2")
    alone = [searcher.search(query, 4, where="year > 2") for query in queries]
    assert [result.hits for result in together] == [result.hits for result in alone]


@pytest.mark.parametrize("query", ["words d6", "words +d6", '"number d6"', "words -d6"])
def test_vectors_are_looked_through_once_a_query(numbers, monkeypatch, query):
    collection, encoder = numbers
    searcher = Searcher(collection, encoder)
    looked = []
    look = Snapshot.nearest_batch

    def counted(self, queries, depth, allowed, **options):
        looked.append(allowed.count)
        return look(self, queries, depth, allowed, **options)

    monkeypatch.setattr(Snapshot, "nearest_batch", counted)
    found = searcher.search(query, 2)
    assert found.hits and len(looked) == 1


def test_a_document_is_put_together_from_its_passages(tmp_path):
    text = ". ".join(f"Sentence {i} about   ants" for i in range(60))
    collection, encoder = new_collection(tmp_path / "c", [doc("long", text, "Ants", year=3)])
    found = Searcher(collection, encoder).document("long")
    assert found.text.split() == text.split() and len(found.text) == len(text)
    assert (found.title, found.metadata["year"]) == ("Ants", 3)
    hits = Searcher(collection, encoder).search("sentence 40", 50, by="passage").hits
    assert all(text[slice(*hit.span)] == hit.text for hit in hits) and len(hits) > 2
    with pytest.raises(InputError, match="there is no document 'other'"):
        Searcher(collection, encoder).document("other")


def test_hybrid_scores_are_the_weighted_sum_of_scaled_parts(numbers):
    collection, encoder = numbers
    hits = Searcher(collection, encoder).search("number d5 words", 40).hits
    dense = np.array([hit.dense for hit in hits])
    keyword = np.array([hit.keyword or 0 for hit in hits])
    expected = 0.5 * (dense - dense.min()) / (dense.max() - dense.min()) + 0.5 * keyword / keyword.max()
    assert [hit.score for hit in hits] == pytest.approx(expected.tolist(), abs=1e-5)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


def test_a_new_publication_is_seen_by_an_open_searcher(tmp_path, impatient):
    collection, encoder = new_collection(tmp_path / "c", numbered(5))
    searcher = Searcher(collection, encoder)
    collection.add(ListSource(numbered(3, start=50)), encoder=encoder)
    assert searcher.search("words").provenance.version == 2
    assert "d51" in [hit.document_id for hit in searcher.search("d51").hits]


def test_a_held_searcher_stays_with_its_version(tmp_path, impatient):
    collection, encoder = new_collection(tmp_path / "c", numbered(5))
    searcher = Searcher(collection, encoder)
    held = searcher.held()
    collection.delete(ids=["d1"])
    assert held.snapshot is held.snapshot
    assert held.search("words", 50).provenance.version == 1
    assert searcher.search("words", 50).provenance.version == 2
    assert len(held.search("words", 50).hits) == 5 and held.held().snapshot.rows == 5
    assert searcher.held().snapshot.rows == 4


def test_an_open_version_answers_while_newer_ones_cannot_be_opened(tmp_path, impatient):
    collection, encoder = new_collection(tmp_path / "c", numbered(5))
    searcher = Searcher(collection, encoder)
    (collection.path / "publish" / "0000002.json").write_text("{}")
    (collection.path / "publish" / "0000001.json").write_text("{}")
    assert len(searcher.search("words").hits) == 5


def test_a_searcher_whose_version_was_cleaned_away_answers_from_the_newest(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(5))
    searcher = Searcher(collection, encoder)
    for start in (20, 40):
        collection.add(ListSource(numbered(5, start=start)), encoder=encoder)
    collection.rebuild()
    with writer_lock(collection.path):
        retention.forget_old(collection, collection.open_rows(), publications=1, younger_than_s=0)
    assert searcher.search("words", 50, where="year >= 0").provenance.version == 4


def test_a_searcher_follows_a_collection_that_was_embedded_anew(tmp_path, impatient):
    collection, encoder = new_collection(tmp_path / "c", numbered(5))
    searcher, loading = Searcher(collection, encoder), Searcher(collection)
    new = WordEmbedder("new", dimension=24)
    Collection.open(tmp_path / "c").rebuild(encoder=new)
    with pytest.raises(IndexMismatchError, match="made with the encoder new"):
        searcher.search("words")
    loading._embedder = new
    vector = new.encode_query(["words about number d3"])[0]
    assert loading.search(vector, 1).hits[0].document_id == "d3"


def test_threads_search_while_versions_come_and_go(tmp_path, impatient):
    """Every answer is a whole version: all its rows, of one state."""
    collection, encoder = new_collection(
        tmp_path / "c", [doc(f"d{i}", f"state 0 number {i}", year=0) for i in range(20)]
    )
    searcher, problems, answered = Searcher(collection, encoder), [], []
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            try:
                found = searcher.search("state number", 100, mode="semantic")
                states = {hit.metadata["year"] for hit in found.hits}
                answered.append(found.provenance.version)
                if len(found.hits) != 20 or len(states) != 1:
                    problems.append((len(found.hits), states))
            except (Llm2CompError, ValueError, RuntimeError, OSError) as error:
                problems.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for state in range(1, 6):
        changed = [doc(f"d{i}", f"state {state} number {i}", year=state) for i in range(20)]
        collection.add(ListSource(changed), encoder=encoder)
        with writer_lock(collection.path):
            retention.forget_old(collection, collection.open_rows(), publications=1, younger_than_s=0)
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == [] and len(set(answered)) > 2


def test_a_snapshot_without_room_for_rows_says_so(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(5))
    (collection.path / "rows.lance").rename(collection.path / "gone")
    with pytest.raises(CollectionError, match="cannot be read"):
        Searcher(collection, encoder)


def test_a_search_on_the_old_state_is_not_answered_with_the_encoder_of_the_new(tmp_path, monkeypatch):
    """One thread has its snapshot, another opens the re-embedded collection before the first has encoded."""
    collection, encoder = new_collection(tmp_path / "c", numbered(20))
    new = WordEmbedder("new", dimension=24)
    made = {"words": encoder, "new": new}
    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda spec, **_: made[spec])
    searcher = Searcher(Collection.open(tmp_path / "c"))
    searcher.search("d7")
    answer = searcher._answer

    def overtaken(snapshot, *rest):
        if snapshot.collection.settings.encoder_name == "words":
            collection.rebuild(encoder=new)
            with searcher._lock:
                searcher._renew()
        return answer(snapshot, *rest)

    monkeypatch.setattr(searcher, "_answer", overtaken)
    assert searcher.search("words about number d7").hits[0].document_id == "d7"
    assert searcher.embedder is new
