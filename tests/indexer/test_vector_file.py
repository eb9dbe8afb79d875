"""The vector file: the bytes that FAISS and numpy share, and the exact scan with its ties."""

import numpy as np
import pytest

from encoder.errors import CollectionError
from indexer.segments import vector_file
from indexer.segments.faiss_module import load_faiss
from indexer.segments.vector_file import VectorFile, VectorFileWriter, exact_scores, file_header
from tests.indexer.making import flip, truncate


def written(folder, vectors):
    folder = folder / "c" / "derived" / "build" / "seg-0"
    folder.mkdir(parents=True)
    writer = VectorFileWriter(folder / "vec.faiss", *vectors.shape)
    order = np.random.default_rng(0).permutation(len(vectors))
    for some in np.array_split(order, 3):
        writer.put(some, vectors[some].astype(np.float16))
    writer.close()
    return VectorFile(folder / "vec.faiss", *vectors.shape)


@pytest.mark.parametrize("dimension", [8, 17, 384, 4096])
def test_the_file_is_the_one_that_faiss_writes(tmp_path, dimension):
    faiss = load_faiss()
    vectors = np.random.default_rng(1).standard_normal((13, dimension)).astype(np.float16)
    index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.add(vectors.astype(np.float32))
    made = written(tmp_path, vectors)
    assert made.path.read_bytes() == faiss.serialize_index(index).tobytes()
    assert np.array_equal(made.block(0, 13), vectors.astype(np.float32))
    assert np.array_equal(made.block(2, 5), vectors[2:5].astype(np.float32))


@pytest.mark.parametrize("allowed_share", [None, 0.02, 0.1, 0.15, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("depth", [1, 7, 100, 5000])
def test_the_best_rows_and_all_that_tie_with_the_last_are_found(tmp_path, allowed_share, depth):
    rng = np.random.default_rng(depth)
    vectors = rng.integers(-1, 2, (3000, 8)).astype(np.float32)  # many equal rows
    made, query = written(tmp_path, vectors), np.ones(8, np.float32)
    allowed = None if allowed_share is None else rng.random(3000) < allowed_share
    open_rows = np.arange(3000) if allowed is None else np.flatnonzero(allowed)
    scores = exact_scores(vectors, query)
    least = np.sort(scores[open_rows])[-min(depth, open_rows.size)]
    found = made.nearest(query, depth, allowed)
    assert set(found.tolist()) == set(open_rows[scores[open_rows] >= least].tolist())
    assert len(set(found.tolist())) == found.size


def test_no_allowed_row_gives_no_row(tmp_path):
    made = written(tmp_path, np.eye(8))
    assert made.nearest(np.ones(8, np.float32), 3, np.zeros(8, np.bool_)).size == 0


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda file: flip(file, 3), "its header is not that of these vectors"),
        (lambda file: flip(file, 80), "its header is not that of these vectors"),
        (truncate, "it has"),
        (lambda file: file.unlink(), "it cannot be read"),
    ],
)
def test_a_damaged_file_is_never_given_to_faiss(tmp_path, monkeypatch, harm, sentence):
    made = written(tmp_path, np.eye(8))
    harm(made.path)
    monkeypatch.setattr(vector_file.load_faiss(), "read_index", None)
    with pytest.raises(CollectionError, match=f"vec.faiss is damaged: {sentence}") as raised:
        VectorFile(made.path, 8, 8)
    assert raised.value.fix == f"it is derived: llm2comp rebuild {tmp_path / 'c'}"


def test_equal_rows_have_equal_scores_wherever_they_stand():
    row = np.random.default_rng(3).standard_normal(384).astype(np.float32)
    many = np.tile(row, (5000, 1))
    assert len(set(exact_scores(many, row[::-1].copy()).tolist())) == 1
    assert exact_scores(many.astype(np.float16), row).dtype == np.float32


def test_the_header_counts_rows_beyond_32_bits():
    assert len(file_header(2**33, 4096)) == 81
