"""Pairs are checked, without doubles, of one shape a data set, and held-out texts stay unseen."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentence_transformers.base.sampler import (
    NoDuplicatesBatchSampler,
    ProportionalBatchSampler,
    RoundRobinBatchSampler,
)
from torch.utils.data import ConcatDataset

from encoder.errors import ConfigError, InputError
from train.settings import Pairs
from train.texts.pair_files import pair_paths
from train.texts.pairs import join_small, read_pairs


def _write(folder, rows, name="pairs.parquet"):
    path = folder / name
    if path.suffix == ".parquet":
        columns = {key: [row.get(key) for row in rows] for key in rows[0]}
        types = {key: pa.string() if not any(values) else None for key, values in columns.items()}
        pq.write_table(pa.table({key: pa.array(columns[key], types[key]) for key in columns}), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


def _rows(count, start=0):
    return [{"anchor": f"query {n}", "positive": f"answer {n}"} for n in range(start, start + count)]


def _read(tmp_path, *given, **options):
    return read_pairs(given, cache=tmp_path / "cache", **options)


def _as_rows(data):
    return {
        name: [tuple(text for column, text in row.items() if column != "number") for row in part]
        for name, part in data.items()
    }


@pytest.mark.parametrize("name", ["pairs.parquet", "pairs.csv", "pairs.jsonl", "pairs.json"])
def test_every_kind_of_file_is_read(tmp_path, name):
    rows = [{"q": "NA", "a": "null", "more": "x"}, {"q": 'a "b", c', "a": "007", "more": ""}]
    found = _read(tmp_path, Pairs("set", (_write(tmp_path, rows, name),), anchor="q", positive="a"))
    assert _as_rows(found.train) == {"set": [("NA", "null"), ('a "b", c', "007")]}
    assert found.train["set"].column_names == ["anchor", "positive", "number"]


def test_rows_are_numbered_through_all_files_and_keep_their_numbers(tmp_path):
    gap, whole = (
        {"anchor": "", "positive": "x", "negative": ""},
        [{**row, "negative": ""} for row in _rows(2)],
    )
    hard = {"anchor": "q", "positive": "p", "negative": "n"}
    first = Pairs("a", (_write(tmp_path, [gap, *whole, hard], "a.jsonl"),), negatives=("negative",))
    found = _read(tmp_path, first, Pairs("b", (_write(tmp_path, _rows(2, 9), "b.csv"),)))
    numbers = {name: part["number"][:] for name, part in found.train.items()}
    assert numbers == {"a": [3], "a-0-negatives": [1, 2], "b": [4, 5]}


def test_pairs_with_a_held_out_text_are_not_trained_on(tmp_path):
    rows = [
        {"anchor": f"query {n}", "positive": f"answer {n}", "negative": f"answer {n + 4}"} for n in range(9)
    ]
    pairs = Pairs("set", (_write(tmp_path, rows),), negatives=("negative",))
    found = _read(tmp_path, pairs, texts=["answer 5", "query 8", "elsewhere", " "])
    assert found.train["set"]["number"][:] == [0, 2, 3, 4, 6, 7]  # 1 has one as a hard negative
    assert found.counts["set"]["near held-out"] == 3
    assert found.held_out == {}


def test_pairs_that_all_have_held_out_texts_are_refused(tmp_path):
    pairs = Pairs("set", (_write(tmp_path, _rows(2)),))
    with pytest.raises(InputError, match="share texts with those or with held-out texts") as caught:
        _read(tmp_path, pairs, texts=["query 0", "answer 1"])
    assert "texts.held_out" in caught.value.fix


def test_folders_and_kinds_are_read_together(tmp_path):
    folder = tmp_path / "in"
    (folder / "deeper").mkdir(parents=True)
    _write(folder, _rows(2), "a.parquet")
    _write(folder / "deeper", _rows(2, 2), "b.jsonl")
    pq.write_table(
        pa.table({k: pa.array([k], pa.large_string()) for k in ("anchor", "positive")}), folder / "c.parquet"
    )
    (folder / "readme.md").write_text("no pairs")
    found = _read(tmp_path, Pairs("set", (str(folder),)))
    expected = [tuple(row.values()) for row in _rows(4)]
    assert _as_rows(found.train)["set"] == [*expected[:2], ("anchor", "positive"), *expected[2:]]
    assert [path.name for path in pair_paths([str(folder)])] == ["a.parquet", "c.parquet", "b.jsonl"]


def test_columns_may_have_each_others_names(tmp_path):
    rows = [{"positive": "query", "anchor": "answer", "negative_1": "wrong"}]
    given = Pairs(
        "set", (_write(tmp_path, rows),), anchor="positive", positive="negative_1", negatives=("anchor",)
    )
    found = _read(tmp_path, given).train["set"]
    assert found[0] == {"anchor": "query", "positive": "wrong", "negative_1": "answer", "number": 0}


def test_rows_without_text_and_doubled_pairs_are_counted(tmp_path):
    rows = [*_rows(3), {"anchor": None, "positive": "x"}, {"anchor": "x", "positive": "  "}, *_rows(2)]
    found = _read(tmp_path, Pairs("set", (_write(tmp_path, rows),)))
    assert _as_rows(found.train)["set"] == [tuple(row.values()) for row in _rows(3)]
    assert found.counts["set"] == {
        "read": 7, "empty": 2, "doubled": 2, "not taken": 0, "held out": 0, "near held-out": 0, "trained": 3,
    }  # fmt: skip


def test_an_anchor_may_have_several_positives(tmp_path):
    rows = [
        {"anchor": "q", "positive": "a"},
        {"anchor": "q", "positive": "b"},
        {"anchor": "p", "positive": "a"},
    ]
    assert len(_read(tmp_path, Pairs("set", (_write(tmp_path, rows),))).train["set"]) == 3


def test_of_doubled_pairs_the_one_with_hard_negatives_stays(tmp_path):
    bare = {"anchor": "q", "positive": "a", "n": None}
    rows = [bare, bare | {"n": "wrong"}, bare | {"n": "worse"}]
    found = _read(tmp_path, Pairs("set", (_write(tmp_path, rows),), negatives=("n",)))
    assert _as_rows(found.train) == {"set": [("q", "a", "wrong")]}


def test_each_number_of_hard_negatives_is_a_data_set_of_its_own(tmp_path):
    rows = [
        {"anchor": "q1", "positive": "a1", "n": "x1", "m": "y1"},
        {"anchor": "q2", "positive": "a2", "n": None, "m": None},
        {"anchor": "q3", "positive": "a3", "n": " ", "m": "y3"},
        {"anchor": "q4", "positive": "a4", "n": "x4", "m": None},
    ]
    found = _read(tmp_path, Pairs("set", (_write(tmp_path, rows),), negatives=("n", "m")))
    assert _as_rows(found.train) == {
        "set": [("q1", "a1", "x1", "y1")],
        "set-1-negatives": [("q3", "a3", "y3"), ("q4", "a4", "x4")],
        "set-0-negatives": [("q2", "a2")],
    }
    assert found.train["set-1-negatives"].column_names == ["anchor", "positive", "negative_1", "number"]


def test_sources_are_data_sets_of_their_own_with_one_instruction(tmp_path):
    rows = [row | {"from": kind} for row, kind in zip(_rows(4), ["web", "wiki", None, "web"], strict=True)]
    given = Pairs("set", (_write(tmp_path, rows),), source="from", instruction="find it")
    other = Pairs("other", (_write(tmp_path, _rows(1, 9), "other.jsonl"),))
    found = _read(tmp_path, given, other)
    assert {name: len(part) for name, part in found.train.items()} == {
        "set/none": 1, "set/web": 2, "set/wiki": 1, "other": 1,
    }  # fmt: skip
    assert found.instructions == dict.fromkeys(["set/none", "set/web", "set/wiki"], "find it")


def test_taken_pairs_do_not_depend_on_their_order(tmp_path):
    rows = _rows(50)
    forward = Pairs("set", (_write(tmp_path, rows, "a.parquet"),), most=10)
    backward = Pairs("set", (_write(tmp_path, rows[::-1], "b.parquet"),), most=10)
    one, two = (
        _as_rows(_read(tmp_path, each, held_out=3, seed=4).train)["set"] for each in (forward, backward)
    )
    assert len(one) == 7
    assert one == two[::-1]
    other = _as_rows(_read(tmp_path, forward, held_out=3, seed=5).train)["set"]
    assert one != other


_TEXTS = st.sampled_from("abcdefghij")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(_TEXTS, _TEXTS, st.one_of(st.none(), _TEXTS)), min_size=12, max_size=40),
    held_out=st.integers(1, 3),
    seed=st.integers(0, 5),
)
def test_no_text_of_a_held_out_pair_is_trained_on(tmp_path, rows, held_out, seed):
    name = f"{abs(hash(tuple(rows)))}.parquet"
    path = _write(tmp_path, [{"anchor": a, "positive": p, "n": n} for a, p, n in rows], name)
    try:
        found = _read(tmp_path, Pairs("set", (path,), negatives=("n",)), held_out=held_out, seed=seed)
    except InputError as error:
        assert "Nothing is left" in error.what
        return
    held = {text for part in _as_rows(found.held_out).values() for row in part for text in row}
    trained = [row for part in _as_rows(found.train).values() for row in part]
    assert not held & {text for row in trained for text in row}
    counts = found.counts["set"]
    assert counts["held out"] == sum(map(len, found.held_out.values())) == held_out
    assert counts["trained"] == len(trained)
    assert counts["read"] == sum(counts.values()) - counts["read"]


def test_held_out_pairs_come_from_all_data_sets(tmp_path):
    given = [
        Pairs(name, (_write(tmp_path, _rows(40, start), f"{name}.jsonl"),))
        for name, start in (("a", 0), ("b", 40))
    ]
    found = _read(tmp_path, *given, held_out=20)
    assert set(found.held_out) == {"a", "b"}
    assert sum(map(len, found.held_out.values())) == 20
    assert found.held_out["a"].column_names == ["anchor", "positive"]


@pytest.mark.parametrize(
    ("name", "content", "what", "fix"),
    [
        (
            "a.jsonl",
            '{"anchor": "x", \n no',
            "The file cannot be read: JSON parse error",
            "mend or leave out",
        ),
        ("a.parquet", "no parquet", "The file cannot be read: Parquet magic bytes", "mend or leave out"),
        ("a.csv", 'anchor,positive\n"x', "The file cannot be read: Error tokenizing", "mend or leave out"),
        ("a.csv", "anchor,positiv\nx,y", "There is no column 'positive'", "there is positiv"),
        ("a.jsonl", '{"anchor": "x", "b": 1}', "There is no column 'positive'", "there is anchor, b"),
        ("a.jsonl", '{"anchor": "x", "positive": 3}', "The column 'positive' holds int64", "column of text"),
        (
            "a.jsonl",
            '{"anchor": "x", "positive": ["y"]}',
            "The column 'positive' holds list",
            "column of text",
        ),
        ("a.jsonl", "", "The file is empty", "leave it out"),
        ("a.txt", "x", ".txt is no kind of file", "use .parquet, .csv"),
        (
            "a.jsonl",
            '{"anchor": "x", "positive": ""}',
            "of 1 rows none has both an anchor and",
            "look at the columns",
        ),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, name, content, what, fix):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as caught:
        _read(tmp_path, Pairs("set", (str(tmp_path / name),)))
    assert what in caught.value.what
    assert fix in caught.value.fix
    assert name in caught.value.where


def test_a_missing_column_of_parquet_is_named(tmp_path):
    with pytest.raises(InputError, match="There is no column 'negativ'") as caught:
        path = _write(tmp_path, [{"anchor": "q", "positive": "a", "negative": "n"}])
        _read(tmp_path, Pairs("set", (path,), negatives=("negativ",)))
    assert caught.value.fix == "name another one; there is negative"


def test_missing_files_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    for files, what in [
        ((str(tmp_path / "none.csv"),), "There is no such file"),
        ((str(tmp_path / "empty"),), "The folder holds no JSON lines"),
        ((), "No file is named"),
    ]:
        with pytest.raises(InputError, match=what):
            _read(tmp_path, Pairs("set", files))


def test_everything_held_out_leaves_nothing_to_train_on(tmp_path):
    with pytest.raises(InputError, match="Nothing is left to train on: of the pairs 3 are held out"):
        _read(tmp_path, Pairs("set", (_write(tmp_path, _rows(3)),)), held_out=5)


def test_doubled_names_are_refused(tmp_path):
    path = _write(tmp_path, [row | {"from": "b"} for row in _rows(3)])
    with pytest.raises(ConfigError, match="Two data sets have the name 'a'"):
        _read(tmp_path, Pairs("a", (path,)), Pairs("a", (path,)))
    with pytest.raises(ConfigError, match="Two data sets have the name 'a/b'"):
        _read(tmp_path, Pairs("a", (path,), source="from"), Pairs("a/b", (path,)))
    with pytest.raises(ConfigError, match="The column 'anchor' is named twice"):
        _read(tmp_path, Pairs("a", (path,), positive="anchor"))


def test_an_unchanged_file_is_mapped_once(tmp_path):
    given = Pairs("set", (_write(tmp_path, _rows(3)),))
    _read(tmp_path, given)
    first = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.arrow")}
    found = _read(tmp_path, given)
    assert first == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.arrow")}
    assert all(str(tmp_path) in each["filename"] for each in found.train["set"].cache_files)


def _small(tmp_path):
    rows = [row | {"from": kind, "n": None} for row, kind in zip(_rows(12), "aaaaabbbcccd", strict=True)]
    rows[-1]["n"] = "wrong"
    given = Pairs("set", (_write(tmp_path, rows),), source="from", negatives=("n",), instruction="find")
    other = Pairs("other", (_write(tmp_path, _rows(2, 20), "other.jsonl"),))
    return _read(tmp_path, given, other)


def test_data_sets_that_fill_no_batch_are_joined_if_they_are_alike(tmp_path):
    found = join_small(_small(tmp_path), 4)
    assert {name: len(part) for name, part in found.train.items()} == {"set/a-0-negatives": 5, "joined-1": 6}
    assert found.instructions["joined-1"] == "find"
    assert found.left_out == {"set/d": 1, "other": 2}
    assert join_small(_small(tmp_path), 1).left_out == {}


@pytest.mark.parametrize(("kind", "batches"), [(ProportionalBatchSampler, 2), (RoundRobinBatchSampler, 0)])
def test_samplers_of_the_library_pass_over_a_data_set_that_fills_no_batch(tmp_path, kind, batches):
    parts = [part for part in _small(tmp_path).train.values() if "negative_1" not in part.column_names][:2]
    assert [len(part) for part in parts] == [5, 3]
    samplers = [
        NoDuplicatesBatchSampler(part, batch_size=4, drop_last=True, generator=torch.Generator(), seed=0)
        for part in [*parts, parts[0]]
    ]
    together = kind(ConcatDataset([*parts, parts[0]]), samplers, torch.Generator(), 0)
    assert sum(1 for _ in together) == batches


def test_a_batch_that_no_data_set_fills_is_refused(tmp_path):
    with pytest.raises(InputError, match="No data set fills a batch of 100: the largest has 5 pairs"):
        join_small(_small(tmp_path), 100)
