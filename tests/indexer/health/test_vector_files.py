"""Vectors of any encoder are read in blocks, and what is no matrix of floats is refused by a sentence."""

import io
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from encoder.errors import InputError
from indexer.health import vector_files
from indexer.health.vector_files import open_vectors


@pytest.fixture
def vectors():
    return np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)


def read(path, **options):
    return np.concatenate([np.zeros((0, 8), np.float32), *open_vectors(path, **options).blocks()])


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_an_array_is_read_as_it_is(tmp_path, vectors, kind):
    np.save(tmp_path / "v.npy", vectors.astype(kind))
    assert np.array_equal(read(tmp_path / "v.npy"), vectors.astype(kind).astype(np.float32))


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 8), pa.large_list(pa.float64())]
)
def test_a_column_of_lists_is_read_as_it_is(tmp_path, vectors, kind):
    table = pa.table({"id": range(50), "emb": pa.array(vectors.tolist(), kind)})
    pq.write_table(table, tmp_path / "v.parquet")
    assert np.array_equal(read(tmp_path / "v.parquet"), vectors)


def test_blocks_change_nothing(tmp_path, vectors, monkeypatch):
    np.save(tmp_path / "v.npy", vectors)
    pq.write_table(pa.table({"emb": pa.array(vectors.tolist())}), tmp_path / "v.parquet")
    monkeypatch.setattr(vector_files, "_BLOCK_NUMBERS", 8 * 7)
    for name in ("v.npy", "v.parquet"):
        assert len(list(open_vectors(tmp_path / name).blocks())) == 8
        assert np.array_equal(read(tmp_path / name), vectors)


def test_a_missing_vector_is_not_a_number(tmp_path, vectors):
    lists = vectors.tolist()
    lists[3] = None
    pq.write_table(pa.table({"emb": pa.array(lists, pa.list_(pa.float32()))}), tmp_path / "v.parquet")
    found = read(tmp_path / "v.parquet")
    assert np.isnan(found[3]).all() and np.array_equal(found[4:], vectors[4:])


def test_the_column_called_vector_wins_and_another_can_be_named(tmp_path, vectors):
    table = pa.table({"a": pa.array((2 * vectors).tolist()), "vector": pa.array(vectors.tolist())})
    pq.write_table(table, tmp_path / "v.parquet")
    assert np.array_equal(read(tmp_path / "v.parquet"), vectors)
    assert np.array_equal(read(tmp_path / "v.parquet", column="a"), 2 * vectors)


def _npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def _zip():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.npy", _npy(np.zeros((2, 2), np.float32)))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read"),
        (b"hello", "cannot be read"),
        (_npy(np.array([{"a": 1}], object), allow_pickle=True), "cannot be read"),
        (_npy(np.zeros((3, 4), np.float32))[:-5], "cannot be read"),
        (_npy(np.zeros(4, np.float32)), r"expected floats \[N, D\]"),
        (_npy(np.zeros((2, 3, 4), np.float32)), r"expected floats \[N, D\]"),
        (_npy(np.zeros((2, 3), np.int64)), "holds int64"),
        (_npy(np.zeros((2, 0), np.float32)), "vectors of 0 numbers"),
        (_zip(), "several arrays"),
    ],
)
def test_what_is_no_matrix_in_npy_is_refused(tmp_path, content, said):
    (tmp_path / "v.npy").write_bytes(content)
    with pytest.raises(InputError, match=said):
        read(tmp_path / "v.npy")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"id": [1, 2]}, "no column holds lists"),
        ({"a": [[1.0]], "b": [[2.0]]}, "2 columns hold lists"),
        ({"a": [[1, 2]]}, "no column holds lists"),
        ({"a": [[1.0, 2.0], [3.0]]}, r"row 1 \(the first is row 0\) has 1 numbers, others 2"),
        ({"a": pa.array([[], None], pa.list_(pa.float32()))}, "no row of the column 'a'"),
    ],
)
def test_what_is_no_matrix_in_parquet_is_refused(tmp_path, table, said):
    pq.write_table(pa.table(table), tmp_path / "v.parquet")
    with pytest.raises(InputError, match=said):
        read(tmp_path / "v.parquet")


def test_a_damaged_parquet_file_is_refused(tmp_path):
    (tmp_path / "v.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(InputError, match="cannot be read"):
        open_vectors(tmp_path / "v.parquet")


def test_a_missing_file_and_an_unknown_ending_are_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        open_vectors(tmp_path / "v.npy")
    with pytest.raises(InputError, match="no ending that holds vectors"):
        open_vectors(tmp_path / "v.bin")
    with pytest.raises(InputError, match="no column 'x'"):
        pq.write_table(pa.table({"a": [[1.0]]}), tmp_path / "v.parquet")
        open_vectors(tmp_path / "v.parquet", "x")


@pytest.mark.parametrize(
    "header",
    [
        "(" * 4000,
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999, 8), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (True, 8), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 8), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 8), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (2, 8), }",
    ],
)
def test_a_header_that_numpy_did_not_write_is_refused(tmp_path, header):
    text = header.encode() + b"\n"
    start = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little")
    (tmp_path / "v.npy").write_bytes(start + text + bytes(640))
    with pytest.raises(InputError, match="the vectors cannot be read"):
        open_vectors(tmp_path / "v.npy")
