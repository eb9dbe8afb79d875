"""Texts come in a repeatable, shuffled, endless stream; held-out ones never come, and bad files are named."""

import json
import logging
import socket
from collections import Counter
from itertools import islice

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.errors import InputError
from train.settings import Texts
from train.texts.stream import TextStream, in_turn, local_paths, shuffled

TEXTS = [f"text {number} of the file" for number in range(60)]


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return str(path)


def stream_of(*files, **settings):
    return TextStream(Texts(**{"files": tuple(map(str, files)), "held_out": 5, "shuffle": 7, **settings}))


def first(stream, count):
    return list(islice(stream, count))


def write_jsonl(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_a_stream_begins_again_when_the_texts_run_out(text_file):
    assert len(first(stream_of(text_file), 200)) == 200


def test_a_stream_is_the_same_at_every_start(text_file):
    stream = stream_of(text_file)
    assert first(stream, 150) == first(stream, 150) == first(stream_of(text_file), 150)


def test_another_seed_gives_another_order_and_other_held_out_texts(text_file):
    one, other = stream_of(text_file, seed=1), stream_of(text_file, seed=2)
    assert first(one, 55) != first(other, 55)
    assert one.held_out != other.held_out


def test_texts_are_not_in_file_order(text_file):
    assert first(stream_of(text_file, held_out=0), 60) != TEXTS


def test_every_round_has_each_text_once_in_another_order(text_file):
    stream = stream_of(text_file)
    rounds = [list(texts) for texts in islice(stream.rounds(), 3)]
    assert rounds[0] != rounds[1] != rounds[2] != rounds[0]
    assert {frozenset(texts) for texts in rounds} == {frozenset(TEXTS) - set(stream.held_out)}
    assert [len(texts) for texts in rounds] == [55, 55, 55]


def test_held_out_texts_are_never_trained_on_even_when_the_file_has_them_twice(tmp_path):
    path = tmp_path / "double.txt"
    path.write_text("\n".join(TEXTS + TEXTS), encoding="utf-8")
    stream = stream_of(path, held_out=10)
    assert len(stream.held_out) == len(set(stream.held_out)) > 5
    assert not set(stream.held_out) & set(first(stream, 400))


def test_most_takes_the_same_texts_in_every_round(text_file):
    stream = stream_of(text_file, most=20)
    rounds = [list(texts) for texts in islice(stream.rounds(), 3)]
    assert {len(texts) for texts in rounds} == {15}
    assert len({frozenset(texts) for texts in rounds}) == 1
    assert rounds[0] != rounds[1]


def test_files_are_mixed(tmp_path):
    paths = [tmp_path / f"{name}.txt" for name in "ab"]
    for path in paths:
        path.write_text("\n".join(f"{path.stem} {number}" for number in range(100)), encoding="utf-8")
    begin = Counter(text[0] for text in first(stream_of(*paths), 40))
    assert min(begin["a"], begin["b"]) > 10


def test_nobody_is_told_that_local_files_are_read(text_file, monkeypatch):
    asked = []
    monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", True)
    monkeypatch.setattr("datasets.load.get_session", lambda: asked.append("a session") or 1 / 0)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: asked.append(args) or 1 / 0)
    assert first(stream_of(text_file), 3)
    assert asked == []


def test_a_folder_stands_for_the_files_in_it(tmp_path):
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "a.md").write_text("from a\n", encoding="utf-8")
    (tmp_path / "data" / "notes.bin").write_bytes(b"no text")
    write_jsonl(tmp_path / "data" / "b.jsonl", [{"text": "from b"}])
    assert set(first(stream_of(tmp_path / "data", held_out=0), 2)) == {"from a", "from b"}


def test_all_kinds_of_files_are_read(tmp_path):
    table = pa.table({"text": ["parquet text"], "other": [1]})
    pq.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text("other,text\n1,csv text\n", encoding="utf-8")
    write_jsonl(tmp_path / "c.jsonl", [{"text": "json lines text"}])
    (tmp_path / "d.json").write_text('[{"text": "json text"}]', encoding="utf-8")
    (tmp_path / "e.txt").write_text("plain text", encoding="utf-8")
    datasets.Dataset.from_dict({"text": ["saved text"]}).save_to_disk(tmp_path / "saved")
    files = [tmp_path / name for name in ("a.parquet", "b.csv", "c.jsonl", "d.json", "e.txt", "saved")]
    found = {text.rpartition(" ")[0] for text in first(stream_of(*files, held_out=0), 6)}
    assert found == {"parquet", "csv", "json lines", "json", "plain", "saved"}


def test_texts_that_are_not_used_are_counted_once_however_often_they_come_by(tmp_path):
    path = write_jsonl(
        tmp_path / "mixed.jsonl",
        [{"text": None}, {"text": "  "}, {"text": "short"}, *({"text": text} for text in TEXTS)],
    )
    stream = stream_of(path, shortest_characters=10)
    first(stream, 300)
    assert stream.passed_over == {"no text": 2, "shorter than texts.shortest_characters": 1}
    assert sorted(stream.notes()) == [
        "1 texts were passed over: shorter than texts.shortest_characters",
        "2 texts were passed over: no text",
    ]


def test_the_first_texts_are_at_most_one_round(text_file):
    stream = stream_of(text_file)
    assert sorted(stream.first(1000)) == sorted(set(TEXTS) - set(stream.held_out))


@given(st.lists(st.integers()), st.integers(1, 9), st.randoms(use_true_random=False))
def test_shuffling_loses_nothing(items, size, random):
    assert sorted(shuffled(iter(items), size, random)) == sorted(items)


@given(st.lists(st.lists(st.integers()), max_size=8), st.integers(1, 4))
def test_reading_in_turn_loses_nothing_and_keeps_the_order_of_each_part(parts, most_open):
    marked = [[(number, place) for place, _ in enumerate(part)] for number, part in enumerate(parts)]
    found = list(in_turn(marked, most_open))
    assert sorted(found) == [item for part in marked for item in part]
    for number in range(len(parts)):
        assert [item for item in found if item[0] == number] == marked[number]


def test_only_so_many_files_are_open_at_a_time():
    opened, closed, most = set(), set(), 0

    def part(number):
        nonlocal most
        opened.add(number)
        most = max(most, len(opened - closed))
        yield from range(3)
        closed.add(number)

    assert len(list(in_turn([part(number) for number in range(10)], 4))) == 30
    assert most == 4


def damaged_in_the_middle(tmp_path):
    path = tmp_path / "torn.parquet"
    words = [f"{number} {number * 7919 % 104729} words" for number in range(4000)]
    pq.write_table(pa.table({"text": words}), path, row_group_size=200)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = b"\xff" * 4000
    path.write_bytes(content)
    return path


def test_the_library_says_nothing_of_a_damaged_file_and_has_its_voice_back(tmp_path):
    rows = [{"text": f"{number} " * 30_000} for number in range(100, 200)]
    path = write_jsonl(tmp_path / "texts.jsonl", rows)  # 12 MB, more than is read at the opening
    with path.open("a", encoding="utf-8") as file:
        file.write("\n{ torn")
    logger, lines = datasets.logging.get_logger(), []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    before = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity_warning()
    logger.addHandler(handler)
    try:
        with pytest.raises(InputError, match="cannot be read to their end"):
            first(stream_of(path), 200)
        assert (lines, datasets.logging.get_verbosity()) == ([], datasets.logging.WARNING)
        assert not datasets.are_progress_bars_disabled()
    finally:
        logger.removeHandler(handler)
        datasets.logging.set_verbosity(before)


def test_a_file_damaged_in_its_middle_is_named_when_it_is_read_to_there(tmp_path):
    path = damaged_in_the_middle(tmp_path)
    stream = stream_of(path)  # its beginning is whole
    with pytest.raises(InputError, match="cannot be read to their end") as caught:
        first(stream, 4000)
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    ("name", "content", "what", "fix"),
    [
        ("empty.txt", b"", "The file is empty.", "leave it out"),
        ("blank.txt", b"\n\n \n", "Nothing is left to train on: there are no texts.", "name more files"),
        ("latin.txt", "été\n".encode("latin-1") * 9, "cannot be read: 'utf-8' codec", "read as UTF-8"),
        ("torn.parquet", b"PAR1 and no more", "The texts cannot be read: ", "mend or leave out the file"),
        ("bad.jsonl", b'{"text": "a b"}\n{"text": ', "The texts cannot be read: ", "mend or leave out"),
        ("bad.csv", b"text\na\nb,c,d\n", "The texts cannot be read: ", "mend or leave out"),
        ("odd.xyz", b"a b c", ".xyz is no kind of file that texts are read from.", "use .txt, .md, .parquet"),
        ("t.csv", b"Texts,id\na b,1\n", "There is no column 'text'.", "set texts.column; there is Texts"),
        ("t.jsonl", b'{"a": "x", "b": "y"}', "There is no column 'text'.", "there is a, b"),
        (
            "one.txt",
            b"one text alone",
            "Nothing is left to train on: all 1 texts are held out.",
            "lower texts.held",
        ),
    ],
)
def test_a_file_that_gives_no_texts_is_refused_with_what_to_do(tmp_path, name, content, what, fix):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        stream_of(tmp_path / name)
    assert what in caught.value.what
    assert caught.value.where == str(tmp_path / name)
    assert fix in caught.value.fix


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="There is no such file or folder") as caught:
        stream_of(tmp_path / "none.txt")
    assert caught.value.where.endswith("none.txt")


def test_a_folder_without_texts_is_named(tmp_path):
    with pytest.raises(InputError, match="holds no text, JSON lines, csv or parquet file"):
        stream_of(tmp_path)


def test_a_saved_data_set_of_several_splits_is_refused_with_their_names(tmp_path):
    part = datasets.Dataset.from_dict({"text": ["a b"]})
    datasets.DatasetDict({"train": part, "test": part}).save_to_disk(tmp_path / "saved")
    with pytest.raises(InputError, match="has the splits train, test") as caught:
        stream_of(tmp_path / "saved")
    assert caught.value.fix.endswith("saved/train")


def test_no_files_at_all_are_refused():
    with pytest.raises(InputError, match="texts.files is empty"):
        stream_of()


def test_names_on_the_hub_are_no_paths(tmp_path):
    assert local_paths(Texts(files=("hf:org/name@train", str(tmp_path)))) == [tmp_path]


def test_a_missing_training_package_is_named_with_the_command_that_installs_it(monkeypatch):
    import sys

    from encoder.errors import MissingExtraError
    from train.texts.stream import need_training_extra

    need_training_extra()
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtraError, match="tensorboard") as caught:
        need_training_extra()
    assert caught.value.fix == "pip install 'llm2comp[train]'"
