"""A view survives its link, and a bad link is read as far as it goes."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.link import MOST_ZOOM
from app.topic_charts import MEASURES
from app.view_state import _KEYS, MOST_HITS, ViewState, decode, encode, is_linkable
from indexer.hits import MODES
from indexer.topics.tables import STEPS

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
SHORT_ID = st.one_of(st.just(""), st.text("0123456789abcdef", min_size=8, max_size=8))
TEXTS = st.lists(TEXT.filter(bool), max_size=20).map(tuple)
GRID = st.integers(0, 65_535)
OUTLINE = st.integers(3, 64).flatmap(lambda n: st.lists(GRID, min_size=2 * n, max_size=2 * n)).map(tuple)
VIEWS = st.builds(
    ViewState,
    corpus=TEXT,
    version=st.integers(0, 10**9 - 1),
    encoder=SHORT_ID,
    query=TEXT,
    mode=st.sampled_from(MODES),
    k=st.integers(1, MOST_HITS),
    filter=TEXT,
    row=TEXT,
    like=TEXT,
    more=TEXTS,
    less=TEXTS,
    page=st.integers(1, MOST_HITS),
    map=SHORT_ID,
    colour=TEXT,
    map_view=st.one_of(st.just(()), st.tuples(GRID, GRID, st.integers(1, MOST_ZOOM))),
    polygon=st.one_of(st.just(()), OUTLINE),
    topics_run=SHORT_ID,
    topics_version=TEXT,
    topics=st.lists(st.integers(-1, 99_999), max_size=100, unique=True).map(tuple),
    part=st.sampled_from(["", "time"]),
    by=TEXT,
    over=TEXT,
    step=st.sampled_from(["", *STEPS]),
    measure=st.sampled_from(list(MEASURES)),
    scope=st.sampled_from(["", "tray"]),
    set=st.from_regex(r"([0-9A-Za-z_-]{1,64})?", fullmatch=True),
    tray=st.lists(st.integers(0, 2**64 - 1), max_size=50, unique=True).map(tuple),
    what_if=TEXT,
    other=TEXT,
)


@given(VIEWS)
def test_a_view_survives_its_link(view):
    assert decode(encode(view)) == (view, ())


@given(st.dictionaries(st.sampled_from([*_KEYS.values(), "zzz"]), st.text()))
def test_any_link_gives_a_view_that_survives_its_own_link(parameters):
    view, bad = decode(parameters)
    assert set(bad) <= set(parameters)
    assert decode(encode(view)) == (view, ())


def test_every_field_has_a_key_of_its_own():
    assert set(_KEYS) == {field.name for field in fields(ViewState)}
    assert len(set(_KEYS.values())) == len(_KEYS)


def test_defaults_are_not_written():
    assert encode(ViewState()) == {}
    assert encode(ViewState(query="a", k=10)) == {"q": "a", "k": "10"}


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", " 7", "1_0", "٣", "10001", "1e3", "9" * 400, "x"])
def test_a_bad_number_is_named_and_the_rest_applies(value):
    assert decode({"k": value, "q": "bridge"}) == (ViewState(query="bridge"), ("k",))


def test_all_bad_values_are_named_and_unknown_keys_ignored():
    view, bad = decode({"m": "z", "k": "x", "p": "0", "q": "a\0b", "zzz": "1", "f": "year = 1"})
    assert (view, bad) == (ViewState(filter="year = 1"), ("q", "m", "k", "p"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("v", "0"),
        ("e", "ABCDEF01"),
        ("map", "../../x"),
        ("vw", "1.2"),
        ("pl", "AAAA"),
        ("pl", "!"),
        ("ti", "1"),
        ("t", "1.1"),
        ("sc", "everything"),
        ("tp", "values"),
        ("ts", "hour"),
        ("tm", "share"),  # the default has no other name
        ("s", "../x"),
        ("tr", "AAA"),
        ("xm", ","),
        ("xl", "%ff"),
        ("view", "kept for the session"),
    ],
)
def test_a_bad_value_of_each_kind_is_named(key, value):
    view, bad = decode({key: value, "q": "a"})
    assert view == ViewState(query="a")
    assert bad == (() if key == "view" else (key,))


def test_a_text_that_no_browser_can_show_is_bad():
    assert decode({"q": "\ud800"}) == (ViewState(), ("q",))


def test_a_view_too_long_for_a_link_is_told():
    assert is_linkable(encode(ViewState(query="a" * 1_900)))
    assert not is_linkable(encode(ViewState(query="ä" * 1_900)))


def test_a_whole_view_of_usual_size_fits_a_link():
    outline = tuple(range(0, 65_536, 512))
    view = ViewState(
        query="a" * 200, polygon=outline, tray=tuple(range(7, 50_000, 1_000)), filter="year > 2000"
    )
    assert is_linkable(encode(view))
