"""Hits become rows, snippets and marked pieces."""

from datetime import date, datetime

from hypothesis import given
from hypothesis import strategies as st

from app.rows import metadata_rows, pieces, query_words, shorten, snippet, table_row
from indexer.hits import Hit

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf"]), min_size=1, max_size=300)


def hit(**fields):
    values = {"title": "A\ntitle", "text": "some text", "span": (0, 9), "metadata": {}}
    return Hit(1, "d#0", "d", 0.5, 0.4, None, **(values | fields))


def test_only_words_that_tell_are_marked():
    assert query_words('roads of the "big city" -rivers') == ["roads", "big", "city"]


def test_a_row_is_on_one_line():
    row = table_row(hit(text="a\x1b\nb"), [])
    assert row == {"rank": 1, "score": 0.5, "title": "A title", "passage": "a␛ b"}
    assert table_row(hit(title=""), [])["title"] == "(no title)"


def test_a_snippet_shows_the_words_asked_for():
    text = "filler " * 100 + "the river bridge stands here " + "filler " * 100
    shown = snippet(text, ["river", "bridge"])
    assert "river bridge" in shown
    assert shown.startswith("… ")
    assert shown.endswith("…")


@given(st.text(), st.integers(5, 40))
def test_a_shortened_line_is_no_longer_than_asked(line, width):
    assert len(shorten(line, width)) <= width + 1


@given(TEXT, st.data())
def test_pieces_put_together_are_the_text(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    words = data.draw(st.lists(st.sampled_from(text.split() or ["x"]), max_size=3))
    cut = pieces(text, (start, end), words)
    assert "".join(piece.text for piece in cut) == text
    assert "".join(piece.text for piece in cut if piece.in_passage) == text[start:end]
    assert all(piece.in_passage for piece in cut if piece.is_match)


def test_a_long_document_is_cut_around_its_passage():
    text = "a" * 5_000 + "PASSAGE" + "b" * 5_000
    cut = pieces(text, (5_000, 5_007), [], limit=1_000)
    assert [piece.text for piece in cut if piece.in_passage] == ["PASSAGE"]
    assert cut[0].text == "… "
    assert cut[-1].text == " …"
    assert 900 < sum(len(piece.text) for piece in cut) < 1_100


def test_metadata_is_shown_as_text():
    fields = {
        "d": date(2024, 1, 2),
        "t": datetime(2024, 1, 2),
        "l": ["a", "b"],
        "b": True,
        "n": None,
        "f\x00": 1.5,
    }
    assert metadata_rows(fields) == [
        {"field": "d", "value": "2024-01-02"},
        {"field": "t", "value": "2024-01-02"},
        {"field": "l", "value": "a, b"},
        {"field": "b", "value": "yes"},
        {"field": "f␀", "value": "1.5"},
    ]
