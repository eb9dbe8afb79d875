"""Collections with a transformation: made from stored vectors, searched, added to, and given up again."""

import json

import numpy as np
import pytest

from encoder.errors import CollectionError, IndexMismatchError, InputError, ShapeError, UsageError
from encoder.spectrum.transforms import fit_transform, parse_steps
from indexer import retransform
from indexer.collection import Collection
from indexer.search import Searcher
from tests.conftest import WordEmbedder
from tests.indexer.making import (
    ListSource,
    PresetEmbedder,
    answers,
    doc,
    flip,
    new_collection,
    numbered,
    run_child,
    stored_ids,
    stored_rows,
)

SPEC = "centre+drop:1"


def preset(tmp_path, count=300, width=16, index=None):
    """A collection of given vectors, crowded around their mean, and its encoder."""
    random = np.random.default_rng(0)
    vectors = random.standard_normal((count, width)) + np.linspace(1, 3, width)
    encoder = PresetEmbedder(vectors)
    documents = [doc(i, f"row {i}", year=i) for i in range(count)]
    return new_collection(tmp_path / "c", documents, encoder=encoder, index=index)


def stored_vectors(collection):
    rows = stored_rows(collection)
    return {row["doc_id"]: np.array(row["vec"], np.float32) for row in rows.values()}


def best_by_hand(encoder, spec, query, count, width=None):
    """Document numbers by falling score, all in float64 but the rounding of what is stored."""
    stored = encoder.vectors[:count].astype(np.float16)
    transform = fit_transform(stored, parse_steps(spec))
    rows = transform.apply(stored).astype(np.float16).astype(np.float64)
    return np.argsort(-(rows @ transform.apply(encoder.encode_query([query]))[0].astype(np.float64)))


@pytest.mark.parametrize("index", ["flat", "rabitq"])
@pytest.mark.parametrize("spec", ["centre", SPEC, "whiten", "cut:9", "centre+pca:8"])
def test_hits_are_those_of_plain_arithmetic(tmp_path, spec, index):
    collection, encoder = preset(tmp_path, index=index)
    collection.rebuild(transform=spec)
    assert collection.publication().segments[0].kind == index and collection.verify() == []
    searcher = Searcher(collection, collection.dressed(encoder))
    for query in ("row 3", "row 70"):
        hits = searcher.search(query, 20, mode="semantic", exact=True).hits
        expected = best_by_hand(encoder, spec, query, 300)[:20]
        assert [int(hit.document_id) for hit in hits] == expected.tolist()
        assert len(searcher.search(query, 20, where="year >= 285").hits) == 15
        assert len(searcher.search(query, 300, mode="semantic").hits) == 300


def test_all_but_the_vectors_is_kept_and_nothing_is_encoded(tmp_path):
    documents = [
        doc("long", "Many words. " * 60, "Title", topic="x", tags=["a"], colour="red"),
        *numbered(20),
    ]
    collection, encoder = new_collection(tmp_path / "c", documents, index="rabitq")
    (collection.path / "views").mkdir()
    (collection.path / "views" / "tags.jsonl").write_text("mine")
    before, encoder.n_encoded = stored_rows(collection), 0
    collection.rebuild(transform=SPEC)
    after = stored_rows(collection)
    assert encoder.n_encoded == 0 and before.keys() == after.keys()
    for name, row in before.items():
        assert {**row, "vec": 0, "_rowid": 0} == {**after[name], "vec": 0, "_rowid": 0}
    assert collection.settings == Collection.open(tmp_path / "c").settings
    assert (collection.path / "views" / "tags.jsonl").read_text() == "mine"
    assert (
        collection.settings.encoder_spec == "words" and collection.settings.encoder_name == f"words ({SPEC})"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["c"] and not (
        collection.path / "rebuild-of"
    ).exists()
    assert collection.info()["transform"] == SPEC


def test_what_is_added_later_is_transformed_too(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(30))
    collection.rebuild(transform=SPEC)
    collection.add(ListSource([doc("late", "words that came later")]), encoder=encoder)
    own = collection.dressed(encoder)
    expected = own.encode_document(["words that came later"])[0].astype(np.float16)
    assert np.array_equal(stored_vectors(collection)["late"], expected) and collection.verify() == []
    encoder.n_encoded = 0
    done = collection.add(ListSource(numbered(30)), encoder=own)
    assert (done.unchanged, encoder.n_encoded) == (30, 0)
    assert Searcher(collection, own).search("words that came later").hits[0].document_id == "late"


def test_the_collection_loads_its_encoder_with_the_transformation(tmp_path, monkeypatch):
    collection, encoder = new_collection(tmp_path / "c", numbered(30))
    asked = []
    monkeypatch.setattr(
        "encoder.checkpoint.load_encoder", lambda spec, **options: asked.append((spec, options)) or encoder
    )
    collection.rebuild(transform=SPEC)
    assert (
        Searcher(collection).search("number 7").hits
        == Searcher(collection, collection.dressed(encoder)).search("number 7").hits
    )
    collection.add(ListSource([doc("late")]))
    assert collection.load_encoder(device="cpu").fingerprint == collection.settings.encoder_fingerprint
    assert {spec for spec, _ in asked} == {"words"} and all(options["only_cached"] for _, options in asked)
    assert asked[-1][1]["device"] == "cpu"


def test_the_way_back_makes_every_vector_anew(tmp_path, monkeypatch):
    collection, encoder = new_collection(tmp_path / "c", numbered(30))
    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda *_, **__: encoder)
    before, settings = stored_vectors(collection), collection.settings
    collection.rebuild(transform=SPEC)
    collection.rebuild(transform="none")
    after = stored_vectors(collection)
    assert all(np.array_equal(before[name], after[name]) for name in before) and before.keys() == after.keys()
    assert collection.settings.encoder_fingerprint == settings.encoder_fingerprint
    assert "transform" not in json.loads((collection.path / "collection.json").read_text())
    assert not (collection.path / "transform.safetensors").exists() and collection.verify() == []


def test_what_a_link_leads_to_does_not_come_into_the_collection(tmp_path):
    collection, _ = preset(tmp_path)
    beside = tmp_path / "private"
    beside.mkdir()
    (beside / "key").write_text("private")
    views = collection.path / "views"
    views.mkdir()
    (views / "tags.jsonl").write_text("kept\n")
    (views / "notes.jsonl").symlink_to(beside / "key")
    collection.rebuild(transform=SPEC)
    assert (views / "tags.jsonl").read_text() == "kept\n" and (views / "notes.jsonl").is_symlink()
    (views / "tags.jsonl").unlink()
    (views / "notes.jsonl").unlink()
    views.rmdir()
    views.symlink_to(beside)
    retransform.put_in_place(*_two(tmp_path, collection))
    assert not views.exists() and (beside / "key").read_text() == "private"


def _two(tmp_path, collection):
    """A collection that is to go in the place of another one, and that one."""
    new, _ = new_collection(tmp_path / "new", numbered(3))
    return new.path, collection.path


def test_one_transformation_is_not_laid_over_another(tmp_path, monkeypatch):
    collection, encoder = preset(tmp_path)
    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda *_, **__: encoder)
    collection.rebuild(transform="whiten")
    collection.rebuild(transform="centre")
    expected = best_by_hand(encoder, "centre", "row 5", 300)[:10]
    hits = Searcher(collection).search("row 5", mode="semantic").hits
    assert [int(hit.document_id) for hit in hits] == expected.tolist()
    assert collection.settings.features_required == ["transform"]


def test_the_same_again_only_builds_the_index(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(30))
    collection.rebuild(transform=SPEC)
    settings = collection.settings
    collection.rebuild(transform=SPEC, index="rabitq")
    collection.rebuild(encoder=encoder)
    collection.rebuild()
    assert collection.settings == settings and collection.publication().segments[0].kind == "rabitq"


def test_another_encoder_gives_the_transformation_up_or_gets_one(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(30))
    collection.rebuild(transform=SPEC)
    other = WordEmbedder("other", dimension=24)
    collection.rebuild(encoder=other)
    assert (collection.settings.encoder_name, collection.settings.transform) == ("other", "")
    third = WordEmbedder("third", dimension=20)
    collection.rebuild(encoder=third, transform="cut:7")
    assert (collection.settings.encoder_name, collection.settings.dimension) == ("third (cut:7)", 7)
    assert collection.verify() == [] and answers(collection, collection.dressed(third), "number 7")[0]


@pytest.mark.parametrize(
    "step", ["fit_transform", "begin_copy", "Collection.lay_out", "_copy_rows", "publish", "put_in_place"]
)
def test_killed_anywhere_the_old_one_answers_and_the_next_run_makes_it(tmp_path, monkeypatch, step):
    collection, encoder = new_collection(tmp_path / "c", numbered(40))
    before = answers(collection, encoder, "d7")

    def kill(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"indexer.retransform.{step}", kill)
        with pytest.raises(KeyboardInterrupt):
            collection.rebuild(transform=SPEC)
    assert answers(Collection.open(tmp_path / "c"), encoder, "d7") == before
    collection.delete(ids=["d2"])
    collection.add(ListSource([doc("late", "added meanwhile")]), encoder=encoder)
    collection.rebuild(transform=SPEC)
    assert set(stored_ids(collection)) == {f"d{i}" for i in range(40) if i != 2} | {"late"}
    assert collection.verify() == [] and [path.name for path in tmp_path.iterdir()] == ["c"]


def test_killed_between_two_commits_no_row_is_lost_or_doubled(tmp_path, monkeypatch):
    monkeypatch.setattr(retransform, "_COMMIT_ROWS", 10)
    collection, _ = new_collection(tmp_path / "c", numbered(40))
    store = "indexer.storage.store.RowStore"
    monkeypatch.setattr(f"{store}.scan", small_batches(retransform.RowStore.scan))
    inserted, insert = [], retransform.RowStore.insert

    def insert_once(self, rows):
        if inserted:
            raise KeyboardInterrupt
        inserted.append(insert(self, rows))
        return inserted[0]

    with monkeypatch.context() as patch:
        patch.setattr(f"{store}.insert", insert_once)
        with pytest.raises(KeyboardInterrupt):
            collection.rebuild(transform=SPEC)
    assert 0 < inserted[0] < 40 and not Collection.open(collection.path).settings.transform
    collection.rebuild(transform=SPEC)
    assert len(stored_rows(collection)) == 40 and collection.verify() == []


def small_batches(scan):
    return lambda self, columns, *, condition=None, rows=4: scan(self, columns, condition=condition, rows=4)


_DYING = """
import os, sys
from indexer import rebuild, retransform
from indexer.collection import Collection
module, name = {"begin_copy": (retransform, "begin_copy"), "publish": (retransform, "publish"),
    "exchange": (rebuild, "exchange_folders"), "discard": (rebuild, "_discard")}[sys.argv[2]]
setattr(module, name, lambda *_, **__: os._exit(9))
Collection.open(sys.argv[1]).rebuild(transform="centre+drop:1")
"""


@pytest.mark.parametrize(
    ("step", "is_transformed"),
    [("begin_copy", False), ("publish", False), ("exchange", False), ("discard", True)],
)
def test_a_process_that_dies_leaves_a_whole_collection(tmp_path, step, is_transformed):
    collection, encoder = new_collection(tmp_path / "c", numbered(40))
    assert run_child(_DYING, collection.path, step).returncode == 9
    left = Collection.open(collection.path)
    assert bool(left.settings.transform) == is_transformed and left.verify() == []
    assert len(answers(left, left.dressed(encoder), "number 7", k=40)[0]) == 40
    left.rebuild(transform=SPEC)
    assert left.verify() == [] and len(stored_rows(left)) == 40
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    assert not (left.path / "rebuild-of").exists()


def test_a_searcher_goes_over_to_the_transformed_collection(tmp_path, monkeypatch):
    collection, encoder = new_collection(tmp_path / "c", numbered(30))
    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda *_, **__: encoder)
    monkeypatch.setattr("indexer.search._POLL_S", 0.0)
    searcher = Searcher(Collection.open(collection.path))
    assert searcher.search("number 7").hits
    collection.rebuild(transform="centre+pca:5")
    result = searcher.search("number 7")
    assert result.hits and result.provenance.encoder == "words (centre+pca:5)"


def test_a_plain_encoder_is_refused_with_what_to_do(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(30))
    collection.rebuild(transform=SPEC)
    with pytest.raises(IndexMismatchError, match="this one is words") as caught:
        collection.check_encoder(encoder)
    assert caught.value.fix.endswith("--encoder words")
    narrow = WordEmbedder("narrow", dimension=8)
    with pytest.raises(IndexMismatchError, match="takes 16 numbers, narrow makes 8"):
        collection.dressed(narrow)
    with pytest.raises(IndexMismatchError, match="this one is other") as caught:
        collection.check_encoder(collection.dressed(WordEmbedder("other", dimension=16)))
    assert caught.value.fix.endswith("--encoder other")


def test_a_new_collection_is_not_made_with_the_encoder_of_another(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(30))
    collection.rebuild(transform=SPEC)
    with pytest.raises(InputError, match="the encoder of another collection"):
        Collection.create(tmp_path / "d", encoder=collection.dressed(encoder))
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("damage", ["flip", "gone", "other"])
def test_a_damaged_transformation_is_named_and_can_be_given_up(tmp_path, monkeypatch, damage):
    collection, encoder = new_collection(tmp_path / "c", numbered(30))
    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda *_, **__: encoder)
    collection.rebuild(transform=SPEC)
    file = collection.path / "transform.safetensors"
    if damage == "flip":
        flip(file)
    elif damage == "gone":
        file.unlink()
    else:
        other, _ = new_collection(tmp_path / "d", numbered(29))
        other.rebuild(transform=SPEC)
        file.write_bytes((other.path / file.name).read_bytes())
    searcher = Searcher(Collection.open(collection.path))
    with pytest.raises(CollectionError, match="transform") as caught:
        searcher.search("number 7")
    assert f"llm2comp rebuild {collection.path} --transform none" in caught.value.fix
    assert [finding.where for finding in collection.verify(quick=True)] == [str(file)]
    assert searcher.search("number 7", mode="keyword").hits
    collection.rebuild(transform="none")
    assert collection.verify() == [] and Searcher(collection).search("number 7").hits


@pytest.mark.parametrize(
    "wrong",
    [
        {"transform": "run me"},
        {"transform": "none"},
        {"transform": ""},
        {"transform_sha256": ""},
        {"transform_sha256": "x" * 64},
        {"base_fingerprint": ""},
        {"features_required": []},
    ],
)
def test_settings_that_contradict_themselves_are_damaged(tmp_path, wrong):
    collection, _ = new_collection(tmp_path / "c", numbered(30))
    collection.rebuild(transform=SPEC)
    file = collection.path / "collection.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **wrong}))
    with pytest.raises(CollectionError, match="collection.json is damaged: (transform|base_fingerprint)"):
        Collection.open(collection.path)


def test_programs_that_know_no_transformation_refuse_by_name_and_open_all_others(tmp_path, monkeypatch):
    collection, _ = new_collection(tmp_path / "c", numbered(30))
    assert not {"transform", "transform_sha256", "base_fingerprint"} & set(
        json.loads((tmp_path / "c/collection.json").read_text())
    )
    collection.rebuild(transform=SPEC)
    monkeypatch.setattr("indexer.storage.manifest.FEATURES", frozenset())
    with pytest.raises(CollectionError, match="needs transform, which this version does not know"):
        Collection.open(collection.path)


def test_impossible_steps_change_nothing(tmp_path, monkeypatch):
    collection, encoder = new_collection(tmp_path / "c", numbered(30))
    monkeypatch.setattr("encoder.checkpoint.load_encoder", lambda *_, **__: encoder)
    settings = collection.settings
    with pytest.raises(UsageError, match="more than the 16 numbers"):
        collection.rebuild(transform="cut:17")
    with pytest.raises(UsageError, match="not understood"):
        collection.rebuild(transform="center")
    assert collection.settings == settings == Collection.open(collection.path).settings
    collection.rebuild(transform="pca:4")
    encoder.n_encoded = 0
    with pytest.raises(UsageError, match="more than the 16 numbers"):
        collection.rebuild(transform="cut:17")
    assert encoder.n_encoded == 0 and collection.settings.transform == "pca:4"


def test_an_empty_collection_has_nothing_to_fit_to(tmp_path):
    collection, _ = new_collection(tmp_path / "c", [])
    with pytest.raises(ShapeError, match="no row to fit"):
        collection.rebuild(transform="centre")
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
