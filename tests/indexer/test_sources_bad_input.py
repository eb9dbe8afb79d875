"""Files that cannot be used: each is named, with what to do; and what comes through a pipe."""

import bz2
import gzip
import io
import lzma
import os
import sys
import threading

import pytest
import zstandard

from encoder.errors import InputError
from indexer.sources import open_sources

PROSE = "A quiet village wakes up to find that the river has moved during the night"
CSV = ("id,text\n" + "".join(f"{i},{PROSE} {i}\n" for i in range(2000))).encode()


def documents(source):
    return [document for batch in source.batches() for document in batch]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "a.csv is empty"),
        ("a.csv", b" \n\n \n", "a.csv is empty"),
        ("a.jsonl", b"", "a.jsonl is empty"),
        ("a.jsonl", b"\n\n", "a.jsonl is empty"),
        ("a.parquet", b"", "a.parquet is empty"),
        ("a.txt", b"", "a.txt is empty"),
        ("a.csv", b"id,text\n", "a.csv has a header and no rows"),
        ("a.parquet", b"id,text\n1,x\n", "a.parquet is not a whole parquet file"),
        ("a.xlsx", b"PK\x03\x04rest", "a.xlsx is a zip archive or an office document, which is not read"),
        ("a.db", b"SQLite format 3\0", "a.db is an SQLite database"),
        ("a.pkl", b"\x80\x04\x95rest", "a.pkl is a pickle"),
        ("a.bin", b"ab\0\1\2" * 20, "a.bin is of a kind that is not read"),
        ("a.csv.gz", gzip.compress(b""), "a.csv.gz is empty"),
        ("a.csv.gz", gzip.compress(CSV)[:-100], "a.csv.gz is cut off: its compressed data ends early"),
        ("a.csv.gz", gzip.compress(CSV)[:200] + b"x" * 900, "a.csv.gz is damaged: its compressed data"),
        ("a.csv.zst", zstandard.compress(CSV)[:-20], "a.csv.zst is cut off: its compressed data ends early"),
        ("a.csv.zst", zstandard.compress(CSV)[:9] + b"\xff" * 99, "a.csv.zst is damaged"),
        ("a.csv.bz2", bz2.compress(CSV)[:-20], "a.csv.bz2 is cut off: its compressed data ends early"),
        ("a.csv.xz", lzma.compress(CSV)[:-20], "a.csv.xz is cut off: its compressed data ends early"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        documents(open_sources([tmp_path / name]))
    assert name in caught.value.where
    assert caught.value.fix


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress, bz2.compress, lzma.compress])
def test_packed_files_are_read_whatever_their_name(tmp_path, compress):
    (tmp_path / "a.csv").write_bytes(compress(CSV))
    source = open_sources([tmp_path / "a.csv"])
    assert len(documents(source)) == 2000
    assert source.fraction_read() == 1.0


def test_a_missing_file_is_named():
    with pytest.raises(InputError, match="there is no file nowhere.csv"):
        open_sources(["nowhere.csv"])


def test_a_glob_that_matches_nothing_is_named(tmp_path):
    with pytest.raises(InputError, match="no file matches"):
        open_sources([str(tmp_path / "*.csv")])


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(tmp_path):
    (tmp_path / "a[1].csv").write_bytes(CSV)
    assert len(documents(open_sources([tmp_path / "a[1].csv"]))) == 2000


def test_nothing_named_is_refused():
    with pytest.raises(InputError, match="no source was named"):
        open_sources([])


def test_what_is_no_source_is_refused():
    with pytest.raises(InputError, match="an object of type int is no source"):
        open_sources([7])


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("indexer.sources.lines.LONGEST_LINE", 1000)
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n{"text": "' + "x" * 5000)
    with pytest.raises(InputError, match="line 2 of .* is longer than 1,000 characters"):
        open_sources([tmp_path / "a.jsonl"])


def test_a_cell_that_never_ends_is_a_bad_row(tmp_path, monkeypatch):
    monkeypatch.setattr("indexer.sources.delimited._LONGEST_CELL", 5000)
    lines = [f'{i},"{PROSE} {i}"\n' for i in range(20)]
    lines[5] = '5,"opened\n'
    lines[6:] = [line.replace('"', "") for line in lines[6:]] * 50
    (tmp_path / "a.csv").write_text("id,text\n" + "".join(lines))
    source = open_sources([tmp_path / "a.csv"], on_bad_row="skip")
    assert len(documents(source)) == 5 + 14 * 50
    assert "line 7: a cell that begins here is longer than 5,000 characters" in source.bad_rows[0]


class Pipe:
    def __init__(self, content):
        self.buffer = io.BytesIO(content)

    def isatty(self):
        return False


@pytest.mark.parametrize(
    "content",
    [
        CSV,
        "\n".join(f'{{"id": {i}, "text": "{PROSE} {i}"}}' for i in range(2000)).encode(),
        gzip.compress(CSV),
    ],
)
def test_standard_input_is_csv_or_json_lines(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", Pipe(content))
    source = open_sources(["-"])
    assert source.name == "stdin"
    assert len(documents(source)) == 2000
    assert len(documents(source)) == 2000, "it can be read again"
    assert documents(source)[0].row in ("stdin line 1", "stdin line 2")


def test_a_named_pipe_is_read_like_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(CSV,))
    writer.start()
    source = open_sources([tmp_path / "pipe"])
    writer.join()
    assert len(documents(source)) == 2000


def test_characters_cut_in_two_at_the_end_of_a_wide_encoding_are_named(tmp_path):
    (tmp_path / "a.csv").write_bytes(CSV.decode().encode("utf-16")[:-1])
    with pytest.raises(InputError, match="a.csv holds bytes that are no characters .utf-16"):
        documents(open_sources([tmp_path / "a.csv"]))


def test_an_empty_pipe_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Pipe(b""))
    with pytest.raises(InputError, match="stdin is empty"):
        open_sources(["-"])


def test_a_terminal_is_no_pipe(monkeypatch):
    pipe = Pipe(b"")
    pipe.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", pipe)
    with pytest.raises(InputError, match="nothing is piped in"):
        open_sources(["-"])


def test_at_most_twenty_bad_rows_are_kept_as_sentences(tmp_path):
    (tmp_path / "a.csv").write_text("id,text\n" + "".join(f"{i},{PROSE}\n{i},a,b\n" for i in range(200)))
    source = open_sources([tmp_path / "a.csv"], on_bad_row="skip", text="text")
    assert len(documents(source)) == 200
    assert source.counts["bad"] == 200
    assert len(source.bad_rows) == 20
