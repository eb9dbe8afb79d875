"""A view survives its link, and a bad link is read as far as it goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.view_state import MOST_HITS, ViewState, decode, encode, is_linkable
from indexer.hits import MODES

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
VIEWS = st.builds(
    ViewState,
    corpus=TEXT,
    query=TEXT,
    mode=st.sampled_from(MODES),
    k=st.integers(1, MOST_HITS),
    filter=TEXT,
    row=TEXT,
    like=TEXT,
    page=st.integers(1, MOST_HITS),
)


@given(VIEWS)
def test_a_view_survives_its_link(view):
    assert decode(encode(view)) == (view, ())


@given(st.dictionaries(st.sampled_from("cqmkfrlpvez"), st.text(), max_size=11))
def test_any_link_gives_a_view_that_survives_its_own_link(parameters):
    view, bad = decode(parameters)
    assert set(bad) <= set(parameters)
    assert decode(encode(view)) == (view, ())


def test_defaults_are_not_written():
    assert encode(ViewState()) == {}
    assert encode(ViewState(query="a", k=10)) == {"q": "a", "k": "10"}


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", " 7", "1_0", "٣", "10001", "1e3", "9" * 400, "x"])
def test_a_bad_number_is_named_and_the_rest_applies(value):
    assert decode({"k": value, "q": "bridge"}) == (ViewState(query="bridge"), ("k",))


def test_all_bad_values_are_named_and_unknown_keys_ignored():
    view, bad = decode({"m": "z", "k": "x", "p": "0", "q": "a\0b", "zzz": "1", "f": "year = 1"})
    assert (view, bad) == (ViewState(filter="year = 1"), ("q", "m", "k", "p"))


def test_a_text_that_no_browser_can_show_is_bad():
    assert decode({"q": "\ud800"}) == (ViewState(), ("q",))


def test_a_view_too_long_for_a_link_is_told():
    assert is_linkable(encode(ViewState(query="a" * 1_900)))
    assert not is_linkable(encode(ViewState(query="ä" * 1_900)))
