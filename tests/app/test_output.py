"""Tables fit and are harmless, JSON parses, progress is shown where it helps."""

import datetime as dt
import io
import json
import math
import unicodedata

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from app.output import Progress, print_json, print_table, write_lines, write_note
from app.table import Marked, TableColumn

COLUMNS = [TableColumn("rank", "right"), TableColumn("title"), TableColumn("text", wraps=True)]


def shown_width(text):
    """Terminal columns of a text: two for wide characters, none for those that lie on or between others."""
    kinds = [
        (unicodedata.category(sign) in {"Mn", "Me", "Cf"}, unicodedata.east_asian_width(sign))
        for sign in text
    ]
    return sum(0 if is_thin else 2 if kind in "WF" else 1 for is_thin, kind in kinds)


class Stream(io.StringIO):
    def __init__(self, *, terminal=False, encoding="utf-8"):
        super().__init__()
        self._terminal, self._encoding = terminal, encoding

    def isatty(self):
        return self._terminal

    @property
    def encoding(self):
        return self._encoding


def table(rows, columns=COLUMNS, width=60, **options):
    stream = Stream(**options)
    print_table(columns, rows, width=width, stream=stream)
    return stream.getvalue().splitlines()


def test_a_table_is_cut_and_wrapped_to_its_width():
    lines = table(
        [["1", "A title that is much too long for this table", "one two three four five six " * 8]], width=40
    )
    assert lines[0].split() == ["rank", "title", "text"]
    assert len(lines) == 4
    assert all(shown_width(line) <= 40 for line in lines)
    assert "…" in lines[1] and lines[3].endswith("…")
    assert lines[1].startswith("   1  A title")


def test_a_narrow_table_takes_no_more_than_it_needs():
    assert table([["1", "a", "b"]]) == ["rank  title  text", "   1  a      b"]


def test_marks_are_bold_on_a_terminal_only():
    row = ["1", "t", Marked("find the fox here", ((9, 12),))]
    assert "\x1b" not in "".join(table([row]))
    assert "find the \x1b[1mfox\x1b[0m here" in table([row], terminal=True)[1]


def test_control_and_bidi_characters_are_made_visible():
    (line,) = table([["1", "a\x1b[31mred\x00", "x\u202ey\r\nz"]], terminal=True)[1:]
    assert "␛[31mred␀" in line
    assert "\x1b[31m" not in line and "\u202e" not in line
    assert "x⟨RLO⟩y z" in line


def test_wide_characters_take_two_columns():
    lines = table([["1", "日本語" * 10, "e\u0301" * 5], ["2", "b", "c"]], width=30)
    assert all(shown_width(line) <= 30 for line in lines)


@settings(max_examples=150, deadline=None)
@given(
    cells=st.lists(st.tuples(st.text(), st.text(), st.text(max_size=300)), max_size=4),
    width=st.integers(30, 100),
    terminal=st.booleans(),
)
def test_any_text_fits(cells, width, terminal):
    for line in table(cells, width=width, terminal=terminal):
        assert shown_width(line.replace("\x1b[1m", "").replace("\x1b[0m", "")) <= width


def test_what_the_stream_cannot_write_becomes_a_question_mark():
    assert table([["1", "é日", "x"]], encoding="ascii")[1] == "   1  ??    x"


def test_thousands_stay_apart_where_the_stream_has_no_thin_space():
    stream = Stream(encoding="ascii")
    write_lines(["12\u202f345 passages, caf\u00e9"], stream=stream)
    assert stream.getvalue() == "12 345 passages, caf?\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_json_parses_whatever_it_holds(encoding):
    stream = Stream(encoding=encoding)
    value = {
        "a": math.nan,
        "b": [math.inf, 1.5, "é日\x00\x1b"],
        "c": dt.date(2024, 5, 1),
        "d": (1,),
        "e": "x\ud800",
    }
    print_json(value, stream=stream)
    stream.getvalue().encode(encoding)
    assert json.loads(stream.getvalue()) == {
        "a": None, "b": [None, 1.5, "é日\x00\x1b"], "c": "2024-05-01", "d": [1], "e": "x\ud800",
    }  # fmt: skip


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def run(steps, **options):
    clock, stream = Clock(), Stream(terminal=options.pop("terminal", False))
    with Progress("indexing", unit="passages", stream=stream, clock=clock, **options) as progress:
        for seconds, done in steps:
            clock.now = seconds
            progress.update(done)
    return stream.getvalue()


def test_a_file_gets_a_line_every_ten_seconds():
    lines = run([(second, second * 100) for second in range(1, 26)], total=10_000).splitlines()
    assert lines == [
        "indexing: 10%, 1\u202f000 of 10\u202f000 passages, 100/s, 1 min 30 s left",
        "indexing: 20%, 2\u202f000 of 10\u202f000 passages, 100/s, 1 min 20 s left",
        "indexing: 2\u202f500 passages in 25 s",
    ]


def test_a_terminal_gets_a_bar_on_one_line():
    text = run([(1, 500), (1.01, 501), (2, 1000)], total=1000, terminal=True)
    assert text.count("\n") == 1
    assert "█" * 12 + "░" * 12 + " 50%" in text
    assert "501" not in text


def test_an_unknown_total_shows_no_time_left():
    assert run([(10, 5)]).splitlines()[0] == "indexing: 5 passages, 0.5/s"


def test_quiet_shows_nothing():
    assert run([(10, 5), (30, 9)], total=9, quiet=True) == ""


def test_a_failure_leaves_no_claim_of_success():
    stream = Stream()
    with pytest.raises(KeyError), Progress("indexing", stream=stream, clock=Clock()):
        raise KeyError
    assert stream.getvalue() == ""


def test_lines_go_to_stdout_and_notes_to_stderr(capsys):
    write_lines(["one", "two\ud800"])
    write_note("by the way")
    out, err = capsys.readouterr()
    assert out == "one\ntwo\ufffd\n"
    assert err == "by the way\n"
