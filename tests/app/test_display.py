"""Hostile text is shown as what it is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.display import clean_for_display, esc_md, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\0b", "a\u2400b"),
        ("\x1b[31m", "\u241b[31m"),
        ("\x7f", "\u2421"),
        ("\x85", "⟨U+0085⟩"),
        ("user\u202etxt.exe", "user⟨RLO⟩txt.exe"),
        ("\u2066x\u2069", "⟨LRI⟩x⟨PDI⟩"),
        ("a\r\nb\rc\nd\te", "a\nb\nc\nd\te"),
        ("\ud800", "\ufffd"),
        ("café 東京 👩‍👩‍👧", "café 東京 👩‍👩‍👧"),
    ],
)
def test_what_deceives_the_eye_becomes_visible(text, shown):
    assert clean_for_display(text) == shown


@given(st.text(st.characters()))
def test_what_is_shown_can_be_sent_and_holds_no_control(text):
    shown = clean_for_display(text)
    shown.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)


PROBES = [
    "**bold**", "_it_", "`code`", "[l](javascript:alert)", "![i](http://evil.example/i.png)", "<b>x</b>",
    "<img src=x onerror=a>", "<script>x</script>", "$x^2$", ":smile:", ":red[x]", ":material/home:", ":streamlit:",
    "~~x~~", "# h", "- item", "+ item", "1. one", "> q", "->", "<-", "--", ">=", "http://a.b", "www.a.b", "a@b.co",
    "|a|b|\n|-|-|\n|1|2|", "a  \nb", "&lt;", "    code",
]  # fmt: skip


@pytest.mark.parametrize("probe", PROBES)
def test_a_label_keeps_no_markup(probe):
    escaped = esc_md(probe)
    assert "\n" not in escaped
    bare = escaped.replace("\\\\", "")
    for character in r"`*_{}[]()#+-.!|~$:<>&=@/":
        assert not re.search(rf"(?<!\\){re.escape(character)}", bare), character
    assert "www" not in escaped
    # What a reader sees is the text itself, on one line.
    assert re.sub(r"\\(.)", r"\1", escaped).replace("\u2060", "") == one_line(probe)


@given(st.text(st.characters()))
def test_a_label_loses_no_character(text):
    assert re.sub(r"\\(.)", r"\1", esc_md(text)).replace("\u2060", "") == one_line(text).replace("\u2060", "")
