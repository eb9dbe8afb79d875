"""An older version is measured as it was, whatever came after it."""

import numpy as np
import pytest

from encoder.errors import CollectionError, InputError
from encoder.spectrum import examine as examine_rows
from indexer.health.versions import examine_version, kept_versions, open_version
from indexer.search import Searcher
from tests.indexer.making import ListSource, PresetEmbedder, doc, new_collection


@pytest.fixture
def grown(tmp_path):
    """Version 1 has 60 rows, version 2 also 30 more, version 3 is without the first 20; row 7 equals row 3."""
    vectors = np.random.default_rng(5).normal(size=(90, 8))
    vectors[7] = vectors[3]
    embedder = PresetEmbedder(vectors)
    documents = [doc(f"d{at}", f"row {at}", year=at) for at in range(90)]
    collection, _ = new_collection(tmp_path / "c", documents[:60], encoder=embedder)
    collection.add(ListSource(documents[60:]), encoder=embedder)
    collection.delete(where="year < 20")
    return collection, embedder


def test_each_version_measures_as_its_own_vectors_do(grown):
    collection, embedder = grown
    rows = (embedder.vectors / np.linalg.norm(embedder.vectors, axis=1, keepdims=True)).astype(np.float16)
    assert kept_versions(collection) == [1, 2, 3]
    for number, of_version in ((1, rows[:60]), (2, rows), (3, rows[20:])):
        found = examine_version(collection, number)
        plain = examine_rows(of_version.astype(np.float32))
        assert found.origin.version == number and found.origin.name == f"c, version {number}"
        assert found.examination.diagnosis.n == len(of_version)
        assert found.examination.diagnosis.eigenvalues == pytest.approx(plain.diagnosis.eigenvalues)
    newest = Searcher(collection, embedder).snapshot
    assert newest.publication.number == 3 and newest.rows == 70


def test_a_deleted_passage_is_still_named_in_its_version(grown):
    collection, _ = grown
    (group,) = examine_version(collection, 1).listed.equal
    assert [(row.text, row.passage_id.split("#")[0]) for row in group.rows] == [
        ("row 3", "d3"),
        ("row 7", "d7"),
    ]
    assert examine_version(collection, 3).listed.equal == ()


@pytest.mark.parametrize("number", [0, 4, -1])
def test_a_version_that_is_not_there_is_named(grown, number):
    with pytest.raises(InputError, match=f"version {number} is not kept") as raised:
        open_version(grown[0], number)
    assert "choose one of 1, 2, 3" in raised.value.fix


def test_a_damaged_version_is_said(grown):
    collection, _ = grown
    (collection.path / "publish" / "0000002.json").write_text("{")
    with pytest.raises(CollectionError):
        open_version(collection, 2)
