"""Inside a polygon against a scalar oracle, and polygons as text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.maps.polygon import MOST_VERTICES, decode_polygon, encode_polygon, inside

coordinates = st.one_of(st.integers(0, 12), st.integers(0, 65_535), st.sampled_from([0, 32_768, 65_535]))
polygons = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=MOST_VERTICES).map(
    lambda corners: [value for corner in corners for value in corner]
)


def oracle(x, y, polygon):
    """The rule of the crossing number as it is written in books, in whole numbers of any size."""
    corners = list(zip(polygon[::2], polygon[1::2], strict=True))
    crossed = False
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
        if (y1 > y) != (y2 > y):
            left, right = (x - x1) * (y2 - y1), (x2 - x1) * (y - y1)
            if (left < right) if y2 > y1 else (left > right):
                crossed = not crossed
    return crossed


@given(polygons, st.lists(st.tuples(coordinates, coordinates), max_size=60))
def test_the_same_points_as_one_by_one(polygon, points):
    points += list(zip(polygon[::2], polygon[1::2], strict=True))  # corners lie on edges: the hard case
    x, y = np.array(points, np.uint16).T
    assert inside(x, y, polygon).tolist() == [oracle(a, b, polygon) for a, b in points]


def test_a_star_is_hollow():
    star = [50, 0, 80, 100, 0, 40, 100, 40, 20, 100]
    x, y = np.array([[50, 50], [50, 20], [0, 0]], np.uint16).T
    assert inside(x, y, star).tolist() == [False, True, False]


def test_two_halves_share_no_point_and_miss_none():
    x, y = (axis.ravel().astype(np.uint16) for axis in np.meshgrid(np.arange(11), np.arange(11)))
    whole = inside(x, y, [0, 0, 10, 0, 10, 10, 0, 10])
    lower, upper = inside(x, y, [0, 0, 10, 0, 10, 10]), inside(x, y, [0, 0, 10, 10, 0, 10])
    assert whole.sum() == 100
    assert not (lower & upper).any()
    assert np.array_equal(lower | upper, whole)


def test_many_points_and_all_corners():
    rng = np.random.default_rng(0)
    polygon = rng.integers(0, 65_536, 128).tolist()
    x, y = rng.integers(0, 65_536, (2, 3000)).astype(np.uint16)
    assert inside(x, y, polygon).tolist() == [
        oracle(int(a), int(b), polygon) for a, b in zip(x, y, strict=True)
    ]


def test_no_points():
    assert inside(np.zeros(0, np.uint16), np.zeros(0, np.uint16), [0, 0, 9, 0, 9, 9]).shape == (0,)


@given(polygons)
def test_text_and_back(polygon):
    text = encode_polygon(polygon)
    assert decode_polygon(text) == tuple(polygon)
    assert len(text) <= 342
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text(max_size=400))
def test_any_text_is_a_polygon_or_a_value_error(text):
    try:
        polygon = decode_polygon(text)
    except ValueError:
        return
    assert encode_polygon(polygon) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1 to 344 characters, not 0"),
        ("A" * 345, "not 345"),
        ("AAAAAAAAAAAAAAA ", "letters, digits"),
        ("AAAAAAAAAAAAAAA=", "whole vertices|one way"),
        ("AAAA", "whole vertices"),
        ("AAAAAAAAAAA", "3 to 64 vertices"),
        ("AAAAAAAAAAAAAAA/", "letters, digits|one way"),
        ("AAAAAAAAAAAAAAAB" + "AB", "whole vertices|one way"),
    ],
)
def test_what_is_no_polygon(text, message):
    with pytest.raises(ValueError, match=message):
        decode_polygon(text)


@pytest.mark.parametrize(
    ("polygon", "message"),
    [
        ([0, 0, 1, 1], "3 to 64"),
        ([0, 0, 1, 1, 2], "3 to 64"),
        ([0] * 130, "3 to 64"),
        ([0, 0, 1, 1, 2, -1], "0 to 65535"),
        ([0, 0, 1, 1, 2, 65_536], "0 to 65535"),
        ([0, 0, 1, 1, 2, 10**30], "0 to 65535"),
        ([0, 0, 1, 1, 2, 0.5], "whole numbers"),
        ([0, 0, 1, 1, 2, True], "whole numbers"),
    ],
)
def test_numbers_that_are_no_polygon(polygon, message):
    for use in (encode_polygon, lambda p: inside(np.zeros(1, np.uint16), np.zeros(1, np.uint16), p)):
        with pytest.raises(ValueError, match=message):
            use(polygon)
