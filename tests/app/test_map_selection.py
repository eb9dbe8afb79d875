"""What the map page works out without a browser: samples, colours, labels, the view of a link."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.map_payload import GRID_MAX, Label
from app.map_selection import (
    around,
    colour_of,
    colours,
    drawn,
    is_among,
    link_view,
    minutes_for,
    places_of,
    sampled,
    start_view,
    topic_labels,
    typical_first,
)
from app.view_state import ViewState, decode, encode

ids = st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=40).map(sorted)


@given(ids, st.lists(st.integers(0, 2**64 - 1), max_size=20), st.data())
def test_places_are_where_the_rows_stand(rows, others, data):
    some = data.draw(st.permutations(rows))[: len(rows) // 2] + others
    found = places_of(np.array(rows, np.uint64), some)
    assert found == [(place, rows.index(row)) for place, row in enumerate(some) if row in rows]


@given(ids, ids)
def test_among_is_membership(rows, some):
    found = is_among(np.array(rows, np.uint64), np.array(some, np.uint64))
    assert found.tolist() == [row in some for row in rows]


@given(st.integers(0, 60), st.integers(0, 20), st.integers(0, 2**31))
def test_a_sample_holds_what_must_be_drawn_and_repeats(count, most, seed):
    rows = np.arange(count, dtype=np.uint64) * 3
    always = [int(rows[-1])] if count else []
    at = drawn(rows, [*always, 10**9], seed=seed, most=most)
    assert np.array_equal(at, drawn(rows, [*always, 10**9], seed=seed, most=most))
    assert (np.diff(at) > 0).all() and set(at.tolist()) <= set(range(count))
    assert at.size == count if count <= most else most <= at.size <= most + 1
    assert not always or count - 1 in at


def test_all_points_are_drawn_while_there_are_few():
    assert drawn(np.arange(5, dtype=np.uint64), [], seed=0, most=5).tolist() == [0, 1, 2, 3, 4]


@given(
    st.none()
    | st.tuples(st.integers(0, 65_535), st.integers(0, 65_535), st.integers(50, 20_000)).map(
        lambda v: (float(v[0]), float(v[1]), v[2] / 100)
    )
)
def test_a_view_survives_the_link(view):
    kept = link_view(view)
    again, bad = decode(encode(ViewState(map_view=kept)))
    assert not bad and again.map_view == kept
    assert link_view(start_view(again.map_view)) == kept


@pytest.mark.parametrize("view", [(32_768, 32_768, 1), (32_767.5, 32_767.5, 1.0), None])
def test_the_whole_map_is_nothing_in_a_link(view):
    assert link_view(view) == ()
    assert start_view(()) is None


@pytest.mark.parametrize("kept", [(1, 2, 3), (1, 2, 1_000_000)])
def test_a_zoom_that_no_map_has_shows_the_whole(kept):
    assert start_view(kept) is None


def test_columns_keep_their_names_and_computed_things_step_aside():
    found = colours(["topic", "trust", "year"], has_topics=True, has_query=True)
    assert [colour.name for colour in found] == [
        "derived.topic", "derived.trust", "similarity", "none", "topic", "trust", "year",
    ]  # fmt: skip
    by_name = {colour.name: colour for colour in found}
    assert by_name["topic"].computed is None and by_name["derived.topic"].computed == "topic"
    assert [c.name for c in colours([], has_topics=False, has_query=False)] == ["trust", "none"]


def test_a_colour_that_is_not_offered_gives_way():
    some = colours(["year"], has_topics=True, has_query=False)
    assert colour_of("year", some).name == "year"
    assert colour_of("similarity", some).computed == colour_of("", some).computed == "topic"
    assert colour_of("gone", colours([], has_topics=False, has_query=False)).computed == "none"


def test_labels_stand_on_a_point_of_their_topic():
    x = np.array([0, 100, 100, 200, 9, 9], np.uint16)
    y = np.array([0, 0, 200, 100, 9, 9], np.uint16)
    topics = np.array([3, 3, 3, 3, -1, 7], np.int32)
    labels = topic_labels(x, y, topics, {3: "graphs, nodes, networks that grow and grow"})
    assert labels[0] == Label("graphs, nodes", 100, 0, 4.0)  # nearest to the median (100, 50)
    assert labels[1] == Label("topic 7", 9, 9, 1.0)


def test_the_most_typical_is_nearest_to_the_mean():
    vectors = np.array([[0, 1], [1, 0], [0.8, 0.6], [0, 0]], np.float32)
    assert typical_first(vectors).tolist() == [2, 1, 0, 3]
    assert typical_first(vectors[:0]).tolist() == []


@given(st.integers(0, 50), st.integers(1, 60))
def test_a_sample_of_rows_is_of_them_and_ascends(count, most):
    rows = np.arange(count, dtype=np.uint64) * 7
    found = sampled(rows, most)
    assert found.size == min(count, most) and (np.diff(found) > 0).all() and np.isin(found, rows).all()


def test_a_waiting_time_grows_with_the_corpus():
    assert [minutes_for(n) for n in (100, 27_139, 100_000, 300_000)] == [1, 1, 2, 4]


@given(st.lists(st.tuples(st.integers(0, GRID_MAX), st.integers(0, GRID_MAX)), min_size=1, max_size=30))
def test_a_view_around_points_shows_them_all_with_a_margin(points):
    x, y = np.array(points, np.uint16).T
    kept = around(x, y)
    if not kept:  # the whole map: they are too far apart for less
        extent = max(int(np.ptp(x)), int(np.ptp(y)))
        assert extent > GRID_MAX / 2
        return
    cx, cy, hundredths = kept
    assert start_view(kept) is not None and 100 < hundredths < 2_000
    seen = GRID_MAX / 0.92 / (hundredths / 100) / 2  # from the middle to the nearer edges
    assert max(np.abs(x - float(cx)).max(), np.abs(y - float(cy)).max()) <= 0.61 * seen


def test_a_view_around_nothing_is_the_whole_map():
    assert around(np.zeros(0, np.uint16), np.zeros(0, np.uint16)) == ()
