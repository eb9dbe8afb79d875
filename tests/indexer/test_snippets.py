"""Marks stand where the words are, windows show most of them."""

import time

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from indexer.query.snippets import best_window, mark_words


def marked(text, *words):
    return [text[start:end] for start, end in mark_words(text, words)]


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        (
            "Split a string, splitting Strings.",
            ["split", "string"],
            ["Split", "string", "splitting", "Strings"],
        ),
        ("str and string", ["str"], ["str"]),
        ("class classes classy", ["class"], ["class", "classes"]),
        ("libraries of a library", ["Library"], ["libraries", "library"]),
        ("caches, cached, caching, cache", ["cache"], ["caches", "cached", "caching", "cache"]),
        ("Café cafe CAFÉ", ["café"], ["Café", "cafe", "CAFÉ"]),
        ("in inner pin", ["in"], ["in"]),
        ("東京都に住む", ["東京"], ["東京"]),
        ("STRASSE Straße", ["straße"], ["STRASSE", "Straße"]),
        ("nothing here", [], []),
        ("", ["a"], []),
        ("a.b(a)", ["a"], ["a", "a"]),
    ],
)
def test_the_forms_of_a_word_are_marked(text, words, expected):
    assert marked(text, *words) == expected


@settings(max_examples=200, deadline=None)
@given(text=st.text(), words=st.lists(st.text(min_size=1, max_size=4), max_size=4), width=st.integers(1, 30))
def test_marks_are_apart_and_windows_fit(text, words, width):
    spans = mark_words(text, words)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(one[1] <= other[0] for one, other in zip(spans, spans[1:], strict=False))
    start, end = best_window(text, spans, width)
    assert 0 <= start <= end <= len(text)
    assert end - start <= width
    assert end > start or not text


def test_the_window_shows_the_most_marks():
    text = "fox " + "x " * 50 + "a fox met a fox near the dog " + "y " * 50
    spans = mark_words(text, ["fox", "dog"])
    start, end = best_window(text, spans, 40)
    assert text[start:end].count("fox") == 2
    assert "dog" in text[start:end]
    assert text[start - 1] == " "


def test_a_text_without_marks_is_shown_from_its_beginning():
    assert best_window("one two three four", [], 9) == (0, 7)
    assert best_window("short", [], 9) == (0, 5)


def test_a_megabyte_is_marked_in_one_pass():
    began = time.perf_counter()
    text = "fox box " * 125_000 + "x" * 10**6
    spans = mark_words(text, [f"word{n}" for n in range(256)] + ["fox", "東京"])
    assert len(spans) == 125_000
    start, end = best_window(text, spans, 100)
    assert end - start <= 100
    assert time.perf_counter() - began < 20  # quadratic would be hours
