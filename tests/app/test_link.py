"""Values of a link: each survives its own writing, and nothing else is read."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import link

ROW = st.integers(0, 2**64 - 1)


@given(st.lists(ROW, min_size=1, max_size=link.MOST_TRAY_ROWS, unique=True))
def test_row_ids_keep_their_order(rows):
    assert link.read_rows(link.write_rows(rows)) == tuple(rows)


@given(st.lists(st.integers(0, 99_999), min_size=50, max_size=50, unique=True))
def test_fifty_rows_of_a_hundred_thousand_stay_short(rows):
    assert len(link.write_rows(rows)) <= 200
    assert len(link.write_rows(sorted(rows))) <= 134


@given(st.one_of(st.text(), st.binary(max_size=300).map(lambda b: base64.urlsafe_b64encode(b).decode())))
def test_only_what_would_be_written_is_read_as_rows(value):
    try:
        rows = link.read_rows(value)
    except ValueError:
        return
    assert link.write_rows(rows) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "AA==",  # padded
        "gA",  # breaks off
        "AAA",  # twice the same row
        "gAA",  # zero in two bytes
        "AQ",  # below zero
        base64.urlsafe_b64encode(b"\xff" * 200).decode(),
        link.write_rows(range(51)),
        link.write_rows([2**64]),
    ],
)
def test_bad_rows_are_refused(value):
    with pytest.raises(ValueError):
        link.read_rows(value)


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30),
        min_size=1,
        max_size=20,
    )
)
def test_texts_survive(texts):
    assert link.read_texts(link.write_texts(texts)) == tuple(texts)


@pytest.mark.parametrize("value", ["", ",", "a,", "%ff", "a b", "%", "%00", ",".join("a" * 21), "a" * 20_001])
def test_bad_texts_are_refused(value):
    with pytest.raises(ValueError):
        link.read_texts(value)


@pytest.mark.parametrize(
    "value", ["", ".", "1.", "01", "-2", "-0", "+1", "1.1", "٣", "1,2", ".".join(map(str, range(101)))]
)
def test_bad_topics_are_refused(value):
    with pytest.raises(ValueError):
        link.read_topics(value)


def test_topics_are_read_in_their_order():
    assert link.read_topics("12.-1.0") == (12, -1, 0)


@pytest.mark.parametrize("value", ["", "1.2", "1.2.3.4", "-1.0.100", "65536.0.100", "0.0.0", "0.0.1000001"])
def test_bad_map_views_are_refused(value):
    with pytest.raises(ValueError):
        link.read_map_view(value)


def test_a_map_view_is_three_numbers():
    assert link.read_map_view("65535.0.250") == (65_535, 0, 250)


@pytest.mark.parametrize("value", ["", "../../etc", "a/b", "a.b", "a" * 65, "ä", "a\n"])
def test_the_id_of_something_saved_is_never_a_path(value):
    with pytest.raises(ValueError):
        link.read_saved_id(value)


@pytest.mark.parametrize("value", ["", "0123456", "012345678", "0123456G", "ABCDEF01", "0123456\n"])
def test_a_short_id_is_eight_hex_digits(value):
    with pytest.raises(ValueError):
        link.read_short_id(value)
