"""JSON lines, arrays and wrapped arrays."""

import datetime as dt
import gzip
import json

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.errors import InputError
from indexer.sources import open_sources

PROSE = "A quiet village wakes up to find that the river has moved during the night"
RECORDS = [
    {
        "_id": "a",
        "headline": "First",
        "body": f"{PROSE} 1.",
        "year": 2001,
        "tags": ["x", "y"],
        "day": "2020-01-02",
    },
    {"_id": "b", "headline": "Second", "body": f"{PROSE} 2.", "year": 2002.5, "tags": [], "meta": {"n": 1}},
    {"_id": "c", "headline": "Third", "body": None, "day": "2021-03-04", "flag": True},
]


def documents(source):
    return [document for batch in source.batches() for document in batch]


def as_lines(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def write(path, content):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", as_lines(RECORDS)),
        ("a.json", as_lines(RECORDS)),
        ("a.json", json.dumps(RECORDS)),
        ("a.json", json.dumps(RECORDS, indent=2)),
        ("a.json", json.dumps({"version": 1, "tags": ["x"], "data": RECORDS}, indent=1)),
        ("a.json", json.dumps({"rows": RECORDS, "after": 2})),
        ("a.json", "\n".join(json.dumps(record, indent=2) for record in RECORDS)),
        ("a", as_lines(RECORDS)),
        ("a.jsonl", "\ufeff" + as_lines(RECORDS)),
        ("a.jsonl.gz", gzip.compress(as_lines(RECORDS).encode())),
        ("a.jsonl.zst", zstandard.compress(as_lines(RECORDS).encode())),
        ("a.jsonl.zst", b"".join(zstandard.compress(as_lines([record]).encode()) for record in RECORDS)),
    ],
)
def test_every_shape_of_json_gives_the_same_documents(tmp_path, name, content):
    source = open_sources([write(tmp_path / name, content)])
    assert source.guessed == {"text": "body", "title": "headline", "id": "_id"}
    types = {"year": "float64", "tags": "list<string>", "day": "date", "meta": "string", "flag": "bool"}
    assert source.columns == types
    found = documents(source)
    assert [(d.id, d.title, d.text) for d in found] == [
        ("a", "First", f"{PROSE} 1."),
        ("b", "Second", f"{PROSE} 2."),
    ]
    assert found[0].metadata == {
        "year": 2001.0,
        "tags": ["x", "y"],
        "day": dt.date(2020, 1, 2),
        "meta": None,
        "flag": None,
    }
    assert found[1].metadata["meta"] == '{"n": 1}'
    assert source.counts["empty"] == 1


def test_mixed_types_under_a_key_become_text(tmp_path):
    records = [{"text": f"{PROSE} {i}", "v": value} for i, value in enumerate([1, "two", True, [3], 2.5])]
    source = open_sources([write(tmp_path / "a.jsonl", as_lines(records))])
    assert source.columns == {"v": "string"}
    assert [d.metadata["v"] for d in documents(source)] == ["1", "two", "true", "[3]", "2.5"]


def test_numbers_too_large_for_the_store_are_null_and_counted(tmp_path):
    records = [{"text": f"{PROSE} {i}", "v": value} for i, value in enumerate([1, 2**70])]
    source = open_sources([write(tmp_path / "a.jsonl", as_lines(records))])
    assert [d.metadata["v"] for d in documents(source)] == [1, None]
    assert source.misfits == {"v": 1}


def test_lone_surrogates_become_replacement_characters(tmp_path):
    source = open_sources([write(tmp_path / "a.jsonl", as_lines([{"text": f"{PROSE} \ud800 \U0001f600"}]))])
    assert documents(source)[0].text == f"{PROSE} \ufffd \U0001f600"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id": 2, "text": ', "the line is not JSON"),
        (b'["a", "list"]', "the line is JSON but no object"),
        (b'{"id": 2, "text": "caf\xe9 au lait"}', "byte 23 of the line is not UTF-8"),
        (b"[" * 5000, "the line is not JSON"),
    ],
)
def test_a_bad_line_is_named_or_skipped(tmp_path, line, message):
    good = [as_lines([{"id": i, "text": f"{PROSE} {i}"}]).encode() for i in range(5)]
    path = write(tmp_path / "a.jsonl", b"".join([*good[:2], line + b"\n", *good[2:]]))
    with pytest.raises(InputError, match=message) as caught:
        open_sources([path])
    assert caught.value.where.endswith("a.jsonl line 3")
    source = open_sources([path], on_bad_row="skip")
    assert len(documents(source)) == 5
    assert source.counts["bad"] == 1
    assert message in source.bad_rows[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "one"}, {"text": "two"', "is not JSON that can be read"),
        ('[{"text": "one"},, nonsense' + " " * 100 + "]", "is not JSON that can be read"),
        ('{"data": [{"text": "one"}', "the file ends in the middle of its array"),
        ("[]", "has no rows"),
    ],
)
def test_a_damaged_array_is_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        documents(open_sources([write(tmp_path / "a.json", content)]))


def test_items_of_an_array_that_are_no_objects_are_bad_rows(tmp_path):
    path = write(tmp_path / "a.json", json.dumps([{"text": PROSE}, 7, {"text": f"{PROSE}!"}]))
    with pytest.raises(InputError, match="the item is no object: 7"):
        open_sources([path])
    source = open_sources([path], on_bad_row="skip")
    assert len(documents(source)) == 2


def test_a_broken_byte_in_an_array_is_a_bad_row(tmp_path):
    content = json.dumps([{"text": PROSE}, {"text": "caf@ " + PROSE}]).encode().replace(b"@", b"\xe9")
    source = open_sources([write(tmp_path / "a.json", content)], on_bad_row="skip")
    assert len(documents(source)) == 1
    assert "row 2: the row holds bytes that are not UTF-8" in source.bad_rows[0]


@pytest.mark.parametrize("is_array", [True, False])
def test_an_array_longer_than_the_buffer_is_read_whole(tmp_path, is_array, monkeypatch):
    monkeypatch.setattr("indexer.sources.json_stream._CHUNK", 64)
    records = [{"id": i, "text": f"{PROSE} \u00e9 {i}" * (1 + i % 4), "n": i * 1.5} for i in range(300)]
    content = (
        json.dumps(records, ensure_ascii=False) if is_array else json.dumps({"x": "y" * 99, "data": records})
    )
    found = documents(open_sources([write(tmp_path / "a.json", content)]))
    assert [(d.id, d.text, d.metadata["n"]) for d in found] == [
        (str(r["id"]), r["text"], r["n"]) for r in records
    ]


@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"version": "1", "n": 2, "data": rows}])
def test_an_array_on_one_line_of_megabytes_is_an_array(tmp_path, wrap):
    records = [{"id": i, "text": f"{PROSE} {i} " * 100} for i in range(200)]
    found = documents(open_sources([write(tmp_path / "a.json", json.dumps(wrap(records)))]))
    assert [d.id for d in found] == [str(i) for i in range(200)]


def test_a_first_object_of_megabytes_on_its_line_is_a_row(tmp_path):
    records = [{"id": i, "text": f"{PROSE} {i} " * 20_000, "tags": [{"a": 1}]} for i in range(2)]
    found = documents(open_sources([write(tmp_path / "a.jsonl", as_lines(records))]))
    assert [len(d.text) for d in found] == [len(r["text"]) for r in records]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=4), min_size=1, max_size=8), st.booleans()
)
def test_any_objects_can_be_read(tmp_path_factory, records, is_array):
    records = [record | {"body": f"{PROSE} {i}"} for i, record in enumerate(records)]
    path = tmp_path_factory.mktemp("json") / ("a.json" if is_array else "a.jsonl")
    path.write_text(json.dumps(records) if is_array else as_lines(records))
    source = open_sources([path], text="body")
    found = documents(source)
    assert [d.text for d in found] == [record["body"] for record in records]
    for document in found:
        assert set(document.metadata) == set(source.columns)
        json.dumps([str(v) for v in document.metadata.values()], ensure_ascii=False).encode()


@pytest.mark.parametrize("wrap", ["[{}]", '{{"data": [{}]}}'])
def test_a_number_of_too_many_digits_is_kept_as_text(tmp_path, wrap):
    number = "9" * 5000
    items = ", ".join(f'{{"text": "{PROSE} {i}", "n": {n}}}' for i, n in enumerate(["1", number, "-3"]))
    source = open_sources([write(tmp_path / "a.json", wrap.format(items))])
    assert [d.metadata["n"] for d in documents(source)] == ["1", number, "-3"]
