"""Journals: what was added is read back, by many writers, whatever else lies in the file."""

import errno
import json
import os
from datetime import datetime

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from encoder.errors import CollectionError, InputError
from indexer.annotations import journal, parsed_journals
from tests.indexer.making import new_collection, run_child

GOOD = '{"format":1,"at":"2026-01-01T00:00:00+00:00","author":"ada","n":1}'


@pytest.fixture
def collection(tmp_path):
    return new_collection(tmp_path / "c")[0]


def write_raw(collection, content):
    file = collection.path / "views" / "tags.jsonl"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    return file


def test_records_come_back_in_order_with_format_time_and_author(collection):
    first = journal.append(collection, "tags", {"n": 1, "text": "ä\n\u2028日本"}, author="ada")
    journal.append(collection, "tags", {"n": 2, "author": "bob"})
    journal.append(collection, "tags", {"n": 3})
    records = journal.read(collection, "tags")
    assert [record["n"] for record in records] == [1, 2, 3]
    assert [record["author"] for record in records] == ["ada", "bob", journal.user_name()]
    assert records[0] == first and first["format"] == 1
    assert datetime.fromisoformat(first["at"]).utcoffset().total_seconds() == 0
    assert journal.read(collection, "notes") == []


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(JSON, min_size=1, max_size=4))
def test_any_json_value_comes_back(collection, values):
    journal.append_all(collection, "notes", [{"value": value} for value in values])
    assert [r["value"] for r in journal.read(collection, "notes")[-len(values) :]] == values


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"{",
        b"[1]",
        b"null",
        GOOD.replace('"format":1', '"format":2').encode(),
        GOOD.replace('"format":1', '"format":true').encode(),
        GOOD.replace("2026-01-01T00:00:00+00:00", "yesterday").encode(),
        GOOD.replace("+00:00", "").encode(),
        GOOD.replace('"ada"', "5").encode(),
        GOOD.replace('"ada"', '"' + "a" * 201 + '"').encode(),
        GOOD.replace('"n":1', '"n":NaN').encode(),
        GOOD.replace('"n":1', '"n":1e999').encode(),
        GOOD.replace('"n":1', '"n":"\\ud800"').encode(),
        GOOD.replace('"n":1', '"n":' + "9" * 5000).encode(),
        GOOD.replace('"n":1', '"n":' + "[" * 30_000).encode(),
        GOOD.replace('"n":1', '"n":"' + "x" * 64_000 + '"').encode(),
    ],
)
def test_a_line_that_is_not_ours_is_left_out_and_counted(collection, line):
    write_raw(
        collection, GOOD.encode() + b"\n" + line + b"\n\n" + GOOD.replace('"n":1', '"n":2').encode() + b"\n"
    )
    found = journal.read_journal(collection, "tags")
    assert [record["n"] for record in found.records] == [1, 2]
    assert found.left_out == 1


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300))
def test_any_content_is_read_without_an_error_and_can_be_added_to(collection, content):
    write_raw(collection, content)
    before = len(journal.read(collection, "tags"))
    journal.append(collection, "tags", {"n": 7})
    records = journal.read(collection, "tags")
    assert len(records) == before + 1 and records[-1]["n"] == 7


def test_what_follows_a_torn_line_is_whole(collection):
    write_raw(collection, GOOD.encode() + b"\n" + GOOD[:20].encode())
    journal.append(collection, "tags", {"n": 2})
    found = journal.read_journal(collection, "tags")
    assert [record["n"] for record in found.records] == [1, 2] and found.left_out == 1


def test_a_full_disk_leaves_the_journal_as_it_was(collection, monkeypatch):
    journal.append(collection, "tags", {"n": 1})
    file = collection.path / "views" / "tags.jsonl"
    before = file.read_bytes()
    real = os.pwrite

    def half(handle, content, at):
        if at > len(before):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, content[:10], at)

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(CollectionError, match="the disk is full"):
        journal.append(collection, "tags", {"n": 2})
    assert file.read_bytes() == before


def test_a_full_journal_is_refused_and_a_longer_one_read_as_far_as_allowed(collection, monkeypatch):
    journal.append(collection, "tags", {"n": 1})
    size = (collection.path / "views" / "tags.jsonl").stat().st_size
    monkeypatch.setattr(journal, "MOST_BYTES", size + 10)
    with pytest.raises(CollectionError, match="more is not read again"):
        journal.append(collection, "tags", {"n": 2})
    monkeypatch.setattr(journal, "MOST_BYTES", 64 << 20)
    journal.append(collection, "tags", {"n": 2})
    monkeypatch.setattr(journal, "MOST_BYTES", size + 10)
    found = journal.read_journal(collection, "tags")
    assert [record["n"] for record in found.records] == [1] and found.left_out == 1


@pytest.mark.parametrize("place", ["views", "views/tags.jsonl"])
def test_links_are_neither_read_nor_written(collection, tmp_path, place):
    elsewhere = tmp_path / "elsewhere"
    if place == "views":
        elsewhere.mkdir()
    else:
        elsewhere.write_text(GOOD + "\n")
        (collection.path / "views").mkdir()
    (collection.path / place).symlink_to(elsewhere)
    for call in (
        lambda: journal.read(collection, "tags"),
        lambda: journal.append(collection, "tags", {"n": 1}),
    ):
        with pytest.raises(CollectionError, match="is a link"):
            call()
    assert elsewhere.is_dir() or elsewhere.read_text() == GOOD + "\n"


def test_a_pipe_in_the_place_of_a_journal_is_refused(collection):
    (collection.path / "views").mkdir()
    os.mkfifo(collection.path / "views" / "tags.jsonl")
    with pytest.raises(CollectionError, match="no plain file"):
        journal.read(collection, "tags")
    with pytest.raises(CollectionError, match="no plain file"):
        journal.append(collection, "tags", {"n": 1})


@pytest.mark.parametrize("name", ["../x", "", "Tags", "a/b", "a" * 33, "a\x00"])
def test_a_name_that_is_none_is_refused(collection, name):
    with pytest.raises(InputError, match="is no name of a journal"):
        journal.read(collection, name)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (float("nan"), "cannot be written down"),
        ("\ud800", "cannot be written down"),
        ({1, 2}, "cannot be written"),
        ("x" * 70_000, "is too large"),
    ],
)
def test_what_cannot_be_kept_is_refused_before_anything_is_written(collection, value, what):
    with pytest.raises(InputError, match=what):
        journal.append_all(collection, "tags", [{"n": 1}, {"n": value}])
    assert journal.read(collection, "tags") == []


def test_two_processes_write_whole_lines(collection):
    code = (
        "import sys; from indexer.collection import Collection; from indexer.annotations import journal\n"
        "c = Collection.open(sys.argv[1])\n"
        "for n in range(60): journal.append_all(c, 'tags', [{'n': n, 'x': 'y' * 3000}, {'n': n}], author=sys.argv[2])"
    )
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda who: run_child(code, collection.path, who), "ab"))
    assert [child.stderr for child in done] == ["", ""]
    found = journal.read_journal(collection, "tags")
    assert found.left_out == 0 and len(found.records) == 240
    for who in "ab":
        assert [r["n"] for r in found.records if r["author"] == who] == [n for n in range(60) for _ in "12"]
    pairs = list(zip(found.records[::2], found.records[1::2], strict=True))
    assert all((one["author"], one["n"]) == (two["author"], two["n"]) for one, two in pairs)  # added together


def test_the_state_changes_with_every_record(collection):
    seen = [journal.state(collection, "tags")]
    for n in range(3):
        journal.append(collection, "tags", {"n": n})
        seen.append(journal.state(collection, "tags"))
    assert seen[0] == (0, 0) and len(set(seen)) == 4


def test_a_journal_is_plain_json_lines(collection):
    journal.append(collection, "tags", {"n": "é"}, author="ada")
    lines = (collection.path / "views" / "tags.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0])["n"] == "é" and "é" in lines[0]


def line(n, **more):
    return json.dumps({**json.loads(GOOD), "n": n, **more}).encode() + b"\n"


def numbers(collection):
    found = journal.read_journal(collection, "tags")
    return [record["n"] for record in found.records], found.left_out


@pytest.fixture
def parsed(monkeypatch):
    """The lines that were parsed."""
    lines, real = [], journal._record
    monkeypatch.setattr(journal, "_record", lambda one: lines.append(one) or real(one))
    return lines


def test_only_new_lines_are_parsed(collection, parsed):
    journal.append_all(collection, "tags", [{"n": n} for n in range(50)])
    assert numbers(collection) == (list(range(50)), 0) and len(parsed) == 50
    assert numbers(collection) == (list(range(50)), 0) and len(parsed) == 50
    journal.append(collection, "tags", {"n": 50})
    assert numbers(collection) == (list(range(51)), 0) and len(parsed) == 51
    journal.append(collection, "notes", {"n": 7})
    assert [record["n"] for record in journal.read(collection, "notes")] == [7]
    assert numbers(collection) == (list(range(51)), 0) and len(parsed) == 52


def test_what_a_caller_does_to_its_list_is_its_own_affair(collection):
    journal.append(collection, "tags", {"n": 1})
    journal.read(collection, "tags").clear()
    assert numbers(collection) == ([1], 0)


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (line(1), ([1], 0)),
        (b"", ([], 0)),
        (line(1) + line(2) + line(3), ([1, 2, 3], 0)),
        (line(1) + line(9), ([1, 9], 0)),  # as long as before
        (line(9) + line(2) + line(3), ([9, 2, 3], 0)),  # longer, and not what was there with something added
        (line(1) + b"damaged\n" + line(3), ([1, 3], 1)),
        (line(1) + line(2) + line(3, format=2), ([1, 2], 1)),
        (line(1) + line(2) + line(3)[:-5], ([1, 2], 1)),
    ],
)
def test_a_file_that_was_cut_or_changed_or_replaced_is_noticed(collection, content, expected, in_place):
    file = write_raw(collection, line(1) + line(2))
    assert numbers(collection) == ([1, 2], 0)
    if in_place:
        file.write_bytes(content)
    else:
        (file.parent / "new").write_bytes(content)
        (file.parent / "new").replace(file)
    assert numbers(collection) == expected == numbers(collection)
    file.unlink()
    assert numbers(collection) == ([], 0)


def test_a_line_without_its_end_is_parsed_again_when_it_has_one(collection):
    file = write_raw(collection, line(1) + line(2)[:-1])
    assert numbers(collection) == ([1, 2], 0)
    file.write_bytes(line(1) + line(2)[:-1] + b"x\n" + line(3))
    assert numbers(collection) == ([1, 3], 1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.sampled_from([line(1), line(2), b"{", b"\n", b"\n\n", GOOD.encode()]), max_size=8))
def test_read_bit_by_bit_or_at_once_it_is_the_same(collection, parts):
    for end in range(len(parts) + 1):
        write_raw(collection, b"".join(parts[:end]))
        by_and_by = journal.read_journal(collection, "tags")
        parsed_journals._kept.clear()
        assert journal.read_journal(collection, "tags") == by_and_by


def test_a_file_that_has_not_changed_for_a_while_is_not_even_read(collection, monkeypatch):
    file = write_raw(collection, line(1))
    os.utime(file, ns=(0, 0))
    monkeypatch.setattr(parsed_journals, "_SETTLED_NS", -1)
    assert numbers(collection) == ([1], 0)
    monkeypatch.setattr(parsed_journals, "_parsed", lambda *_: pytest.fail("it was read again"))
    assert numbers(collection) == ([1], 0)


def test_what_was_not_asked_for_longest_is_let_go(collection, monkeypatch, parsed):
    monkeypatch.setattr(parsed_journals, "_MOST_KEPT_BYTES", 160)
    for name in ("tags", "notes", "sets"):
        journal.append(collection, name, {"n": 1})
        journal.read(collection, name)
    assert len(parsed) == 3 and len(parsed_journals._kept) < 3
    assert [record["n"] for record in journal.read(collection, "tags")] == [1] and len(parsed) == 4
