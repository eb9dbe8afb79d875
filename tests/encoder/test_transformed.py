"""An encoder with a transformation, and the file that keeps one."""

import copy

import numpy as np
import pytest
from safetensors.numpy import save_file

from encoder.errors import CheckpointError, ShapeError
from encoder.spectrum.transforms import fit_transform, parse_steps
from encoder.transform_file import read_transform, write_transform
from encoder.transformed import TransformedEncoder
from tests.conftest import WordEmbedder

TEXTS = [f"words about number {i} and {i % 5}" for i in range(40)]


@pytest.fixture
def base():
    return WordEmbedder(dimension=16)


def made(base, spec="centre+drop:1"):
    return fit_transform(base.encode_document(TEXTS), parse_steps(spec))


def test_both_sides_are_transformed_alike(base):
    transform = made(base)
    encoder = TransformedEncoder(base, transform)
    expected = transform.apply(base.encode_document(TEXTS))
    assert np.array_equal(encoder.encode_document(TEXTS), expected)
    assert np.array_equal(encoder.encode_query(TEXTS, instruction="find"), expected)


def test_it_says_what_it_is(base):
    encoder = TransformedEncoder(base, made(base, "centre+pca:4"))
    assert (encoder.name, encoder.dimension, encoder.max_tokens) == ("words (centre+pca:4)", 4, 64)
    assert encoder.card["transform"] == "centre+pca:4" and encoder.hybrid_weight == 0.5
    assert [len(offsets) for offsets in encoder.tokenize(["two words"])] == [2]


def test_its_fingerprint_is_its_own(base):
    found = {TransformedEncoder(base, made(base, spec)).fingerprint for spec in ("centre", "drop:1")}
    other = WordEmbedder("other", dimension=16)
    found |= {base.fingerprint, TransformedEncoder(other, made(base, "centre")).fingerprint}
    assert len(found) == 4


def test_what_else_an_encoder_can_do_is_that_of_the_encoder(base):
    base.encode_memory = lambda texts: np.zeros((len(texts), 2, 16))
    encoder = copy.copy(TransformedEncoder(base, made(base)))
    assert encoder.encode_memory(["a"]).shape == (1, 2, 16)
    with pytest.raises(AttributeError):
        _ = encoder.no_such_thing


def test_it_must_fit_the_encoder(base):
    with pytest.raises(ShapeError, match="takes 16 numbers, words makes 8"):
        TransformedEncoder(WordEmbedder(dimension=8), made(base))


def test_a_transformation_survives_its_file(base, tmp_path):
    for spec in ("centre", "whiten:0.5+cut:3", "centre+drop:2+pca:5"):
        transform = made(base, spec)
        write_transform(tmp_path / "t", transform)
        again = read_transform(tmp_path / "t")
        assert (again.spec, again.rows, again.sha256) == (spec, 40, transform.sha256)
        assert np.array_equal(again.matrix, transform.matrix) and np.array_equal(again.mean, transform.mean)


ABOUT = {"format": "1", "spec": "centre", "rows": "40"}


@pytest.mark.parametrize(
    ("about", "mean", "matrix", "message"),
    [
        ({**ABOUT, "format": "2"}, None, None, "has format 2, this version"),
        ({**ABOUT, "format": "x"}, None, None, "its description"),
        ({**ABOUT, "rows": "-1"}, None, None, "its description"),
        ({**ABOUT, "rows": "9" * 40}, None, None, "its description"),
        ({**ABOUT, "more": "1"}, None, None, "its description"),
        ({**ABOUT, "spec": "none"}, None, None, "names no steps"),
        ({**ABOUT, "spec": "centre+whiten"}, None, None, "names no steps"),
        ({**ABOUT, "spec": "run me"}, None, None, "is not understood"),
        ({**ABOUT, "spec": "cut:5"}, None, None, "asks for more"),
        ({**ABOUT, "spec": "cut:3"}, None, None, "the matrix has the shape"),
        (ABOUT, np.zeros(3, np.float32), None, "the matrix has the shape"),
        (ABOUT, np.zeros((4, 1), np.float32), None, "the mean has the shape"),
        (ABOUT, np.zeros(0, np.float32), None, "the mean has the shape"),
        (ABOUT, np.zeros(4), None, "not float32"),
        (ABOUT, None, np.full((4, 4), np.nan, np.float32), "not finite"),
        (ABOUT, np.full(4, np.inf, np.float32), None, "not finite"),
    ],
)
def test_a_file_that_cannot_be_is_refused(tmp_path, about, mean, matrix, message):
    mean = np.zeros(4, np.float32) if mean is None else mean
    matrix = np.eye(4, dtype=np.float32) if matrix is None else matrix
    save_file({"mean": mean, "matrix": matrix}, tmp_path / "t", metadata=about)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_transform(tmp_path / "t")
    assert caught.value.fix


@pytest.mark.parametrize("content", [None, b"", b"\x00" * 100, b"\xff" * 8 + b"{}", b"PK\x03\x04"])
def test_no_transformation_at_all_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "t").write_bytes(content)
    with pytest.raises(CheckpointError, match="the transformation in t cannot be used"):
        read_transform(tmp_path / "t")


def test_a_file_without_the_two_arrays_is_refused(tmp_path):
    save_file({"mean": np.zeros(4, np.float32)}, tmp_path / "t", metadata=ABOUT)
    with pytest.raises(CheckpointError, match="a mean and a matrix"):
        read_transform(tmp_path / "t")
