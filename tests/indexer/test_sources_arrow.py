"""Parquet, Arrow files, saved datasets and tables in memory: types are kept."""

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from encoder.errors import InputError
from indexer.sources import open_sources

PROSE = "A quiet village wakes up to find that the river has moved during the night"
DAY = dt.date(2021, 2, 3)
MOMENT = dt.datetime(2021, 2, 3, 4, 5, 6)


def documents(source):
    return [document for batch in source.batches() for document in batch]


def table(n=5, **columns):
    return pa.table(
        {
            "id": pa.array([f"x{i}" for i in range(n)], pa.large_string()),
            "title": [f"Title {i}" for i in range(n)],
            "abstract": [f"{PROSE} {i}." for i in range(n)],
            **{name: pa.array([value] * (n - 1) + [None], type_) for name, (value, type_) in columns.items()},
        }
    )


TYPED = {
    "int": (7, pa.int32(), "int64", 7),
    "float": (1.5, pa.float32(), "float64", 1.5),
    "flag": (True, pa.bool_(), "bool", True),
    "day": (DAY, pa.date32(), "date", DAY),
    "day64": (DAY, pa.date64(), "date", DAY),
    "moment": (MOMENT, pa.timestamp("ns"), "timestamp", MOMENT),
    "zoned": (MOMENT, pa.timestamp("ms", "Europe/Berlin"), "timestamp", MOMENT),
    "names": (["a", "b"], pa.list_(pa.string()), "list<string>", ["a", "b"]),
    "price": (decimal.Decimal("1.25"), pa.decimal128(9, 2), "float64", 1.25),
    "nested": ({"a": 1}, pa.struct([("a", pa.int64())]), "string", '{"a": 1}'),
    "time": (dt.time(1, 2), pa.time32("s"), "string", "01:02:00"),
    "word": ("a", pa.string_view(), "string", "a"),
}


def typed_table():
    return table(**{name: (value, type_) for name, (value, type_, _, _) in TYPED.items()})


def test_arrow_types_become_metadata_types(tmp_path):
    pq.write_table(typed_table(), tmp_path / "a.parquet")
    source = open_sources([tmp_path / "a.parquet"])
    assert source.guessed == {"text": "abstract", "title": "title", "id": "id"}
    assert source.columns == {name: type_ for name, (_, _, type_, _) in TYPED.items()}
    found = documents(source)
    assert found[0].metadata == {name: value for name, (_, _, _, value) in TYPED.items()}
    assert found[4].metadata == dict.fromkeys(TYPED)
    assert found[4].row.endswith("a.parquet row 5")


def test_categories_are_text_and_vectors_and_bytes_are_left_out(tmp_path):
    full = table(vector=([1.0, 2.0], pa.list_(pa.float32())), blob=(b"x", pa.binary()))
    full = full.append_column("kind", pa.array(["a"] * 5).dictionary_encode())
    source = open_sources([full])
    assert source.columns == {"kind": "string"}
    assert documents(source)[0].metadata == {"kind": "a"}
    assert source.notes == ["left out, since they hold bytes or vectors: vector, blob"]


def test_a_frame_and_a_table_give_the_same_documents():
    frame = table(int=(7, pa.int64()), day=(DAY, pa.date32())).to_pandas()
    frame["seen"] = pd.Timestamp("2020-01-02 03:04")
    source = open_sources([frame])
    assert source.name == "table"
    assert source.columns == {"int": "float64", "day": "date", "seen": "timestamp"}
    assert documents(source)[0].metadata == {"int": 7.0, "day": DAY, "seen": dt.datetime(2020, 1, 2, 3, 4)}
    assert documents(source)[4].metadata["int"] is None


def test_a_frame_with_objects_of_mixed_types_is_read_as_text():
    frame = pd.DataFrame({"text": [f"{PROSE} {i}" for i in range(4)], "v": [1, "two", None, "\ud800"]})
    assert [d.metadata["v"] for d in documents(open_sources(frame))] == ["1", "two", None, "\ufffd"]


def test_number_names_and_an_index_do_no_harm():
    frame = pd.DataFrame({0: [f"{PROSE} {i}" for i in range(3)], 1: [1, 2, 3]}, index=[5, 5, 7])
    source = open_sources(frame)
    assert (source.guessed, source.columns) == ({"text": "0"}, {"1": "int64"})


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_arrow_files_are_read(tmp_path, kind):
    path = tmp_path / "a.arrow"
    new = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with new(str(path), typed_table().schema) as writer:
        writer.write_table(typed_table(), max_chunksize=2)
    source = open_sources([path])
    assert len(documents(source)) == 5
    assert source.columns["names"] == "list<string>"


def test_a_saved_dataset_is_read_with_class_names(tmp_path):
    from datasets import ClassLabel, Dataset, DatasetDict

    rows = {"text": [f"{PROSE} {i}" for i in range(6)], "label": [0, 1, 0, 1, 0, 1]}
    dataset = Dataset.from_dict(rows).cast_column("label", ClassLabel(names=["bad", "good"]))
    DatasetDict({"train": dataset, "test": dataset.select([5, 1])}).save_to_disk(tmp_path / "saved")
    source = open_sources([tmp_path / "saved"])
    assert source.columns == {"label": "string"}
    found = documents(source)
    assert len(found) == 8
    assert found[1].metadata == {"label": "good"}
    assert [d.text for d in found[6:]] == [f"{PROSE} 5", f"{PROSE} 1"]
    assert found[7].row.endswith("saved/test row 2")


def test_a_damaged_saved_dataset_is_refused(tmp_path):
    from datasets import Dataset

    Dataset.from_dict({"text": [PROSE]}).save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "state.json").write_text("{}")
    with pytest.raises(InputError, match="the saved dataset .* cannot be opened"):
        open_sources([tmp_path / "saved"])


def test_doubled_names_in_parquet_are_numbered(tmp_path):
    doubled = pa.Table.from_arrays(
        [pa.array([f"{PROSE} {i}" for i in range(3)]), pa.array([1, 2, 3]), pa.array([4, 5, 6])],
        ["text", "n", "n"],
    )
    pq.write_table(doubled, tmp_path / "a.parquet")
    source = open_sources([tmp_path / "a.parquet"])
    assert documents(source)[0].metadata == {"n": 1, "n_2": 4}


def test_text_in_parquet_that_is_not_utf8_names_the_row(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(table(3000), path, compression="none", use_dictionary=False, write_statistics=False)
    path.write_bytes(path.read_bytes().replace(b"night 2900.", b"night \xff900."))
    with pytest.raises(InputError, match="is damaged after row 2,048"):
        documents(open_sources([path]))


def test_a_truncated_arrow_file_is_named(tmp_path):
    path = tmp_path / "a.arrow"
    with pa.ipc.new_file(str(path), typed_table().schema) as writer:
        writer.write_table(typed_table())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="is not a whole Arrow file"):
        open_sources([path])


def test_a_dataset_in_memory_and_a_stream_of_arrow_are_sources():
    from datasets import Dataset

    class Stream:
        def __arrow_c_stream__(self, requested_schema=None):
            return table(3).__arrow_c_stream__(requested_schema)

    assert (
        len(documents(open_sources([Dataset.from_dict({"text": [f"{PROSE} {i}" for i in range(4)]})]))) == 4
    )
    assert len(documents(open_sources([Stream()]))) == 3


def test_nan_is_null():
    source = open_sources([pa.table({"text": [f"{PROSE} {i}" for i in range(2)], "v": [np.nan, 1.0]})])
    assert [d.metadata["v"] for d in documents(source)] == [None, 1.0]


@pytest.mark.parametrize("keep", [0.3, 0.95])
def test_a_truncated_parquet_is_named(tmp_path, keep):
    path = tmp_path / "a.parquet"
    pq.write_table(table(100), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(InputError, match="is not a whole parquet file") as caught:
        open_sources([path])
    assert "bytes)" in caught.value.where


def test_a_parquet_that_is_damaged_inside_names_the_row(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(table(5000), path, row_group_size=1000, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = b"\xff" * 4000
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"is damaged after row [\d,]+"):
        documents(open_sources([path]))


def test_rows_are_read_in_small_batches_when_they_are_large(tmp_path):
    big = pa.table(
        {"text": [f"{i} " + f"{PROSE}. " * 30_000 for i in range(20)], "id": [str(i) for i in range(20)]}
    )
    pq.write_table(big, tmp_path / "a.parquet", use_dictionary=False)
    source = open_sources([tmp_path / "a.parquet"])
    assert max(len(batch) for batch in source.batches()) < 20


def test_a_table_without_rows_is_refused():
    with pytest.raises(InputError, match="table has no rows"):
        open_sources([table(5).slice(0, 0)])


@pytest.mark.parametrize(
    "kind", [pa.timestamp("us"), pa.timestamp("s"), pa.timestamp("ms", "UTC"), pa.date32(), pa.date64()]
)
def test_a_time_beyond_the_year_9999_is_no_value_and_counted(tmp_path, kind):
    beyond = {"date32[day]": 10**7, "timestamp[us]": 10**18}.get(str(kind), 864 * 10**12)
    numbers = pa.array([0, beyond, None], pa.int32() if kind == pa.date32() else pa.int64())
    texts = [f"some words of prose about whale number {i}" for i in range(3)]
    made = pa.table({"text": texts, "when": numbers.cast(kind)})
    pq.write_table(made, tmp_path / "a.parquet")
    for spec in (made, tmp_path / "a.parquet"):
        source = open_sources([spec], text="text")
        found = [d.metadata["when"] for d in documents(source)]
        assert found[1:] == [None, None] and found[0].year == 1970
        assert source.misfits == {"when": 1}


def test_what_python_cannot_hold_inside_a_record_is_no_reason_to_stop(tmp_path):
    times = pa.array([0, 10**18], pa.int64()).cast(pa.timestamp("us"))
    records = pa.StructArray.from_arrays([times], ["when"])
    texts = ["some words of prose about whales", "some words of prose about snow"]
    pq.write_table(pa.table({"text": texts, "more": records}), tmp_path / "a.parquet")
    found = [d for batch in open_sources([tmp_path / "a.parquet"], text="text").batches() for d in batch]
    assert "1970-01-01" in found[0].metadata["more"] and found[1].metadata["more"] == "out of range"
