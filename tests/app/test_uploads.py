"""Files that people upload and should not: each is a sentence on the page, and the app goes on."""

import bz2
import errno
import gzip
import io
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from app import jobs, library
from encoder.errors import InputError
from indexer.sources import open_sources
from indexer.sources.compressed import ByteStream

PROSE = "A long enough sentence of prose that is surely the text of this table as number"
EVIL_NAME = '\'; DROP "x" <img src=x onerror=alert(1)> ](http://evil.example) ../../etc/passwd'


def text_of(test):
    kinds = (test.text, test.markdown, test.caption, test.code, test.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def upload(test, name, content):
    test.file_uploader(key="import_upload").upload(name, content).run()
    return test


def table(**columns):
    return pd.DataFrame(columns).to_csv(index=False).encode()


def parquet(frame):
    buffer = io.BytesIO()
    pq.write_table(frame, buffer)
    return buffer.getvalue()


def zipped(name, content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def good():
    return table(id=range(5), body=[f"{PROSE} {n}." for n in range(5)])


@pytest.fixture
def started(monkeypatch):
    calls = []
    monkeypatch.setattr(jobs, "start", lambda title, arguments, into: calls.append(arguments))
    return calls


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("archive.zip", zipped("a.csv", "x" * 1000), "files that end in .zip are not read"),
        ("program.exe", b"MZ", "files that end in .exe are not read"),
        ("noending", b"text", "files that end in nothing are not read"),
        ("pickle.pkl", b"\x80\x04", "files that end in .pkl are not read"),
        ("wrong.parquet", good(), "is not a whole parquet file"),
        ("wrong.csv", zipped("a.csv", good()), "which is not read"),
        ("cut.parquet", parquet(pa.table({"body": [PROSE] * 9}))[:-20], "is not a whole parquet file"),
        ("cut.csv.gz", gzip.compress(good())[:-12], "cut off"),
        ("empty.csv", b"", "is empty"),
        ("header.csv", b"id,body\n", "has a header and no rows"),
        ("numbers.csv", table(a=range(5), b=range(5)), "which column is the text is not obvious"),
        ("none.parquet", parquet(pa.table({"a": pa.array([], pa.string())})), "has no rows"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_sentence_and_the_next_one_works(
    library_home, open_app, started, name, content, message
):
    test = upload(open_app("corpora"), name, content)
    assert message in text_of(test)
    assert "This page could not be drawn" not in text_of(test)
    assert not test.exception
    upload(test, "good.csv", good())
    next(found for found in test.button if found.key == "start_import").click().run()
    assert len(started) == 1


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, bz2.compress])
def test_what_a_packed_file_unpacks_to_counts_as_looked_at(tmp_path, pack):
    packed = tmp_path / "bomb"
    packed.write_bytes(pack(b"x" * (8 << 20)))
    stream = ByteStream(packed)
    stream.file.read(1 << 20)
    assert stream.bytes_looked_at == 1 << 20  # hardly anything was taken from the file
    assert stream.bytes_read < 1 << 18
    stream.close()


def test_a_look_at_a_packed_table_stops_at_its_limit(tmp_path, monkeypatch):
    from indexer.sources import table_source
    from indexer.sources.delimited import DelimitedReader

    monkeypatch.setattr(table_source, "_SURVEY_BYTES", 100_000)
    packed = tmp_path / "bomb.csv.gz"
    rows = 40_000
    packed.write_bytes(gzip.compress(b"body\n" + f"{PROSE}\n".encode() * rows))
    seen = []
    batches = DelimitedReader.batches

    def counted(self, *arguments):
        for batch in batches(self, *arguments):
            seen.append(len(batch.rows))
            yield batch

    monkeypatch.setattr(DelimitedReader, "batches", counted)
    open_sources([str(packed)], text="body")
    assert 0 < sum(seen) < rows / 2


def test_a_parquet_file_of_millions_of_equal_texts_is_looked_at_in_part(library_home, open_app, started):
    same = pa.DictionaryArray.from_arrays(pa.array(np.zeros(3_000_000, np.int32)), pa.array([PROSE * 20]))
    content = parquet(pa.table({"body": same, "year": np.zeros(3_000_000, np.int32)}))
    assert len(content) < 1_000_000  # 4 GB of text
    test = upload(open_app("corpora"), "bomb.parquet", content)
    assert {box.label: box.value for box in test.selectbox}["Column of the text"] == "body"
    assert not test.exception


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_five_thousand_columns_are_cut_to_what_can_be_kept(library_home, open_app, kind):
    columns = {f"c{n}": ["x", "y", "z"] for n in range(4_999)} | {"body": [f"{PROSE} {n}." for n in range(3)]}
    content = table(**columns) if kind == "csv" else parquet(pa.table(columns))
    test = upload(open_app("corpora"), f"wide.{kind}", content)
    assert "of 4,999 metadata columns the first 200 are kept" in text_of(test)
    assert not test.exception


def test_doubled_column_names_are_numbered_and_said(library_home, open_app):
    content = f"body,year,year\n{PROSE} 1.,1,2\n{PROSE} 2.,3,4\n".encode()
    test = upload(open_app("corpora"), "twice.csv", content)
    assert "has doubled column names, numbered from the second: year" in text_of(test)
    assert not test.exception


def test_names_with_quotes_and_markup_are_shown_as_they_are_and_lead_nowhere(library_home, open_app, started):
    evil = "<b>**x**</b> 'q' \"r\" $z$"
    content = pd.DataFrame({evil: [f"{PROSE} {n}." for n in range(5)], "=cmd": range(5)}).to_csv(index=False)
    test = upload(open_app("corpora"), f"{EVIL_NAME}.csv", content.encode())
    assert not test.exception
    text = next(box for box in test.selectbox if box.label == "Column of the text")
    assert text.value == evil
    assert not any("evil.example" in str(element.value) for element in [*test.markdown, *test.caption])
    test.text_input[-1].set_value(EVIL_NAME).run()
    next(found for found in test.button if found.key == "start_import").click().run()
    (arguments,) = started
    kept, into = arguments[1], arguments[arguments.index("--into") + 1]
    for path in (kept, into):
        assert path.startswith(str(library_home))
        assert "/../" not in path
        assert not set("<>'\"();") & set(path.removeprefix(str(library_home)))


def test_an_upload_for_which_there_is_no_room_is_a_sentence(library_home, open_app, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(library, "write_bytes", full)
    test = upload(open_app("corpora"), "good.csv", good())
    assert "the upload cannot be kept: No space left on device" in text_of(test)
    assert not test.exception
    monkeypatch.undo()


def test_a_large_upload_is_kept_once_and_taken_away_with_its_last_job(library_home, monkeypatch):
    content = b"body\n" + (PROSE.encode() + b"\n") * 700_000  # 55 MB
    first, second = library.store_upload("big.csv", content), library.store_upload("big.csv", content)
    assert first == second
    assert first.stat().st_size == len(content)
    library.remove_upload(first)
    assert not first.exists()


@pytest.mark.parametrize("name", ["a.csv.gz.exe", "..", "", "x.", ".csv.zip", "a.gz"])
def test_odd_endings_are_refused(library_home, name):
    with pytest.raises(InputError, match="are not read"):
        library.store_upload(name, b"x")
