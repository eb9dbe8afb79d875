"""Making and opening collections, and the verbs they offer."""

import pytest

from encoder.errors import CollectionError, InputError
from indexer.collection import Collection
from indexer.search import Searcher
from tests.conftest import WordEmbedder
from tests.indexer.making import ListSource, doc, new_collection, numbered


def test_an_empty_collection_is_published_and_finds_nothing(tmp_path):
    collection, encoder = new_collection(tmp_path / "c")
    with pytest.raises(CollectionError, match="nothing was published yet"):
        Searcher(collection, encoder)
    assert [f.what for f in collection.verify()] == ["nothing was published"]
    collection.publish()
    for mode in ("hybrid", "semantic", "keyword"):
        found = Searcher(collection, encoder).search("words -x", mode=mode, where="year > 3")
        assert (found.hits, found.provenance.rows, found.provenance.matching) == ([], 0, 0)
    assert collection.verify() == [] and collection.export(tmp_path / "e.jsonl") == 0
    assert collection.info()["documents"] == 0
    collection.rebuild()


@pytest.mark.parametrize("index", ["flat", "rabitq", "ivf-sq8"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_collection_of_one_or_two_rows_works_with_every_index(tmp_path, index, count):
    collection, encoder = new_collection(tmp_path / "c", numbered(count), index=index)
    hits = Searcher(collection, encoder).search("words about number d0", 10_000).hits
    assert len(hits) == count and hits[0].document_id == "d0"
    assert collection.verify() == []


@pytest.mark.parametrize("dimension", [8, 33, 256])
def test_any_dimension_works(tmp_path, dimension):
    encoder = WordEmbedder(dimension=dimension)
    collection, _ = new_collection(tmp_path / "c", numbered(9), encoder=encoder, index="rabitq")
    assert Searcher(collection, encoder).search("d4", exact=True).hits and collection.verify() == []


def test_a_folder_of_other_things_is_refused_and_left_alone(tmp_path, word_embedder):
    for name, content in [("publish", "mine.json"), ("rows.lance", "data"), ("x", "y")]:
        folder = tmp_path / name
        (folder / name).mkdir(parents=True)
        (folder / name / content).write_text("mine")
        with pytest.raises(CollectionError, match=f"the folder is not empty: it holds {name}"):
            Collection.create(folder, encoder=word_embedder)
        assert (folder / name / content).read_text() == "mine"


def test_an_empty_folder_of_somebody_else_is_left_alone_though_it_has_one_of_our_names(
    tmp_path, word_embedder
):
    (tmp_path / "c" / "publish").mkdir(parents=True)
    with pytest.raises(CollectionError, match="the folder is not empty: it holds publish"):
        Collection.create(tmp_path / "c", encoder=word_embedder)


def test_what_a_kill_in_the_middle_of_making_left_is_replaced(tmp_path, word_embedder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("indexer.storage.manifest.write_settings", lambda *_: exec("raise KeyboardInterrupt"))
        with pytest.raises(KeyboardInterrupt):
            Collection.create(tmp_path / "c", encoder=word_embedder)
    Collection.create(tmp_path / "c", encoder=word_embedder, columns={"year": "int64"})
    assert Collection.open(tmp_path / "c").settings.columns == {"year": "int64"}


def test_a_collection_is_not_made_over_another(tmp_path, word_embedder):
    collection, _ = new_collection(tmp_path / "c", numbered(3))
    with pytest.raises(CollectionError, match="there is a collection already"):
        Collection.create(tmp_path / "c", encoder=word_embedder)
    (tmp_path / "file").write_text("")
    with pytest.raises(CollectionError, match="is a file, not a folder"):
        Collection.create(tmp_path / "file", encoder=word_embedder)
    with pytest.raises(CollectionError, match="the folder cannot be made"):
        Collection.create(tmp_path / "file" / "below", encoder=word_embedder)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"window": 7}, "a window of 7 tokens is impossible"),
        ({"window": 65}, "a window of 65 tokens is impossible"),
        ({"overlap": 33}, "an overlap of 33 tokens is impossible with a window of 64"),
        ({"words": "german"}, "'german' is no way to cut words"),
        ({"columns": {"a": "int32"}}, "'int32' is no type of a column"),
        ({"columns": {"a\ud800": "int64"}}, "a name that no file can hold"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_made(tmp_path, word_embedder, options, sentence):
    with pytest.raises(InputError, match=sentence):
        Collection.create(tmp_path / "c", encoder=word_embedder, **options)
    assert not (tmp_path / "c").exists()


def test_names_that_no_file_can_hold_are_cleaned(tmp_path, word_embedder):
    collection = Collection.create(tmp_path / "c", encoder=word_embedder, name="a\ud800b")
    assert Collection.open(collection.path).settings.name == "a\ufffdb"


def test_info_says_what_there_is(tmp_path):
    collection, encoder = new_collection(tmp_path / "c", numbered(12), index="rabitq")
    collection.add(ListSource([doc("x", "late")]), encoder=encoder)
    info = collection.info()
    assert (info["documents"], info["passages"], info["version"], info["index"]) == (13, 13, 2, "rabitq")
    assert (info["encoder"], info["dimension"], info["unpublished_rows"]) == ("words", 16, 0)
    assert info["bytes"] > 1000


def test_the_encoder_that_a_collection_names_is_never_downloaded(tmp_path, monkeypatch):
    collection, encoder = new_collection(tmp_path / "c", numbered(2))
    asked = []

    def load(spec, *, only_cached=False, **_):
        asked.append((spec, only_cached))
        return encoder

    monkeypatch.setattr("encoder.checkpoint.load_encoder", load)
    Searcher(collection).search("words")
    collection.add(ListSource(numbered(3)))
    assert asked == [("words", True), ("words", True)]


@pytest.mark.parametrize("spec", ["default", "hf:org", "hf:org/name", "st:org/name", "words", "st:", "?x=1"])
def test_a_name_is_not_taken_for_a_folder(tmp_path, monkeypatch, spec):
    monkeypatch.chdir(tmp_path)
    for folder in ("default", "hf:org/name"):
        (tmp_path / folder).mkdir(parents=True)
    collection, _ = new_collection(tmp_path / "c", encoder=WordEmbedder(spec, dimension=16))
    assert collection.settings.encoder_spec == spec


@pytest.mark.parametrize(
    ("spec", "stored"),
    [
        ("mine", "{}/mine"),
        ("./mine?pooling=mean", "{}/mine?pooling=mean"),
        ("st:mine", "st:{}/mine"),
        ("mine?x", "{}/mine?x"),
    ],
)
def test_a_folder_is_named_from_the_root(tmp_path, monkeypatch, spec, stored):
    monkeypatch.chdir(tmp_path)
    for folder in ("mine", "mine?x"):
        (tmp_path / folder).mkdir()
    collection, _ = new_collection(tmp_path / "c", encoder=WordEmbedder(spec, dimension=16))
    assert collection.settings.encoder_spec == stored.format(tmp_path)
