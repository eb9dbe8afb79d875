"""The bytes of a map: a second reader, hand-written here, gets back what was packed; what does not fit is refused."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.map_colours import Colouring, Legend, by_category, one_colour
from app.map_component.mount import MapEvent, read_event
from app.map_payload import (
    FILTERED_OUT,
    HEAD_BYTES,
    HIT,
    IN_TRAY,
    LOW_TRUST,
    PICKED,
    PLACED,
    Drawing,
    Label,
    Start,
    pack,
    point_flags,
    read_head,
    read_polygon,
    read_view,
    with_start,
)  # fmt: skip
from encoder.errors import InputError, ShapeError

TRIANGLE = (0, 0, 65_535, 0, 9, 65_535)


def drawing(n=5, **changes):
    numbers = np.arange(n, dtype=np.uint16)
    given = {
        "map_id": "0123abcd",
        "x": numbers * 3,
        "y": numbers + 7,
        "colouring": one_colour(n),
        "flags": point_flags(n),
    }
    return Drawing(**given | changes)


def unpack(payload):
    """A reader of its own, with the offsets written out: no code is shared with the writer."""
    version, n = struct.unpack_from("<II", payload, 0)
    command, n_hits, n_colours, n_words = struct.unpack_from("<IIII", payload, 40)
    view, n_corners = struct.unpack_from("<3f", payload, 56), struct.unpack_from("<I", payload, 68)[0]
    at, parts = 336, []
    for kind, count in (
        ("<u2", n),
        ("<u2", n),
        ("u1", n),
        ("u1", n),
        ("<u4", 2 * n_hits),
        ("u1", 6 * n_colours),
        ("u1", n_words),
    ):
        parts.append(np.frombuffer(payload, kind, count, at))
        at += parts[-1].nbytes + -parts[-1].nbytes % 4
    assert at == len(payload)
    return {
        "version": version, "map_id": payload[8:24].rstrip(b"\0").decode(), "box": struct.unpack_from("<4f", payload, 24),
        "command": command, "view": view, "polygon": struct.unpack_from(f"<{2 * n_corners}H", payload, 80),
        "x": parts[0], "y": parts[1], "colour": parts[2], "flags": parts[3], "hits": parts[4].reshape(-1, 2),
        "palettes": parts[5].reshape(2, -1, 3), "words": json.loads(parts[6].tobytes()),
    }  # fmt: skip


@given(
    st.integers(0, 40).flatmap(
        lambda n: st.tuples(
            *(st.lists(st.integers(0, 65_535), min_size=n, max_size=n) for _ in range(2)),
            st.lists(st.integers(0, 31), min_size=n, max_size=n),
            st.lists(st.sampled_from(["a", "b", None, "\u202e<b>"]), min_size=n, max_size=n),
            st.lists(st.tuples(st.integers(1, 9), st.integers(0, n - 1)), max_size=6) if n else st.just([]),
        )
    )
)
def test_what_is_packed_is_read_back(arrays):
    x, y, flags, values, hits = arrays
    colouring = by_category(values, "kind")
    given_drawing = Drawing(
        "abc", np.array(x, np.uint16), np.array(y, np.uint16), colouring, np.array(flags, np.uint8), hits=hits,
        box=(-1.5, 0.0, 2.0, 8.0), labels=[Label("graphs", 3, 4, 0.5)],
    )  # fmt: skip
    read = unpack(pack(given_drawing, Start(TRIANGLE, (5.0, 6.0, 2.5), 9)))
    assert (read["version"], read["map_id"], read["command"]) == (1, "abc", 9)
    assert read["box"] == (-1.5, 0.0, 2.0, 8.0)
    assert read["polygon"] == TRIANGLE and read["view"] == (5.0, 6.0, 2.5)
    assert read["x"].tolist() == x and read["y"].tolist() == y and read["flags"].tolist() == flags
    assert read["colour"].tolist() == colouring.numbers.tolist()
    assert [tuple(pair) for pair in read["hits"].tolist()] == hits
    assert [tuple(map(tuple, half)) for half in read["palettes"].tolist()] == [
        colouring.light,
        colouring.dark,
    ]
    assert read["words"]["labels"] == [["graphs", 3, 4, 0.5]]


def test_a_point_costs_six_bytes_and_a_million_fit_the_message():
    n = 1_000_000
    empty = len(pack(drawing(0)))
    big = Drawing("m", np.zeros(n, np.uint16), np.zeros(n, np.uint16), one_colour(n), np.zeros(n, np.uint8))
    assert len(pack(big)) - empty == 6 * n
    assert len(pack(big)) <= 6_500_000


def test_the_same_map_is_the_same_bytes_and_another_is_told_by_its_digest():
    assert pack(drawing()) == pack(drawing())
    moved = drawing()
    moved.x[0] += 1
    assert pack(moved)[72:80] != pack(drawing())[72:80]
    renamed = drawing(notes=["another sentence"])
    assert pack(renamed)[72:80] != pack(drawing())[72:80]


def test_another_start_changes_the_head_only():
    payload = pack(drawing())
    started = with_start(payload, Start(TRIANGLE, (1.0, 2.0, 3.0), 4))
    assert started[HEAD_BYTES:] == payload[HEAD_BYTES:] and started[72:80] == payload[72:80]
    assert read_head(started).start == Start(TRIANGLE, (1.0, 2.0, 3.0), 4)
    assert read_head(started).stamp == "0123abcd:4"
    assert with_start(started, Start()) == payload
    assert read_head(payload).n == 5 and read_head(payload).start == Start()


def test_hostile_words_are_cut_and_cleaned_but_not_changed_otherwise():
    evil = "<script>\x07\u202e\ud800" + "a" * 900
    words = unpack(pack(drawing(1, titles=[evil], labels=[Label(evil, 1, 1)], notes=["b\nc"])))["words"]
    assert (
        words["titles"][0].startswith("<script>\u2407\u27e8RLO\u27e9\ufffdaaa")
        and len(words["titles"][0]) == 160
    )
    assert len(words["labels"][0][0]) == 60 and words["notes"] == ["b c"]


def test_flags_are_one_bit_each():
    mask = np.array([True, False, False])
    flags = point_flags(3, hits=[2], tray=mask, filtered_out=~mask, low_trust=mask, placed=mask)
    assert flags.tolist() == [2 + 8 + 16, 4, 4 + 1]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"y": np.zeros(4, np.uint16)}, r"y are uint16 \[4\], not uint16 \[5\]"),
        ({"x": np.zeros(5, np.float32)}, r"x are float32 \[5\], not uint16 \[5\]"),
        ({"flags": np.zeros(5, np.int64)}, r"flags are int64 \[5\], not uint8 \[5\]"),
        ({"colouring": one_colour(4)}, r"colour numbers are uint8 \[4\]"),
        ({"colouring": Colouring(np.full(5, 3, np.uint8), ((0, 0, 0),), ((0, 0, 0),), Legend(""))}, "colour 3 is not in a palette of 1"),
        ({"colouring": Colouring(np.zeros(5, np.uint8), ((0, 0, 0),), (), Legend(""))}, "palettes differ"),
        ({"titles": ["a"]}, "1 titles for 5 points"),
        ({"hits": [(1, 5)]}, "a hit is not one of the 5 points"),
        ({"map_id": "x" * 17}, "map id 'x+' is too long"),
        ({"box": (0.0, 0.0, float("nan"), 1.0)}, "box is not four numbers"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_belong_together_are_refused(changes, what):
    with pytest.raises(ShapeError, match=what) as caught:
        pack(drawing(**changes))
    assert caught.value.where == "the map's drawing" and "one entry a point" in caught.value.fix


def test_masks_and_hits_that_are_none_of_the_map_are_refused():
    with pytest.raises(ShapeError, match=r"a mask has shape \(2,\), the map has 3 points"):
        point_flags(3, tray=np.ones(2, bool))
    with pytest.raises(ShapeError, match="hit 3 is not one of the 3 points"):
        point_flags(3, hits=[3])
    with pytest.raises(ShapeError, match="pick -1 is not one of the 3 points"):
        point_flags(3, picked=-1)


def test_the_picked_point_has_a_bit_of_its_own():
    assert point_flags(3, hits=[1], picked=1).tolist() == [0, HIT | PICKED, 0]
    assert PICKED not in (HIT, IN_TRAY, FILTERED_OUT, LOW_TRUST, PLACED)


def test_more_than_a_message_should_carry_is_refused():
    with pytest.raises(InputError, match="1\u202f001 hits are more than the 1\u202f000 a map shows"):
        pack(drawing(hits=[(1, 0)] * 1_001))
    n = 5_001
    with pytest.raises(InputError, match="5\u202f001 titles are more than the 5\u202f000") as caught:
        pack(drawing(n, titles=["a"] * n))
    assert caught.value.fix == "show a sample"


def test_a_start_that_is_no_outline_or_view_is_refused():
    for polygon in ((1, 2), (1, 2, 3, 4, 5, 70_000), tuple(range(130)), (1, 2, 3, 4, 5, 6, 7)):
        with pytest.raises(InputError, match="not 3 to 64 corners with coordinates from 0 to 65535"):
            pack(drawing(), Start(polygon))
    with pytest.raises(InputError, match="the map's view is not three numbers"):
        pack(drawing(), Start(view=(1.0, 2.0, float("nan"))))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.sampled_from(["stamp", "polygon", "view", "x"]), inner),
    max_leaves=12,
)  # fmt: skip


@given(anything, anything, anything, anything)
def test_whatever_a_browser_sends_becomes_a_valid_event(polygon, view, pick, tray):
    payload = pack(drawing(), Start(TRIANGLE))
    sent = {"stamp": "0123abcd:0"}
    for result in (
        {"polygon": polygon, "view": view, "pick": pick, "tray": tray},
        {"polygon": {**sent, "polygon": polygon}, "view": {**sent, "view": view}},
    ):
        event = read_event(result, payload)
        assert event.polygon == () or read_polygon(event.polygon) == event.polygon
        assert event.view is None or read_view(event.view) == event.view
        assert event.pick is None or 0 <= event.pick < 5
        assert event.tray is None or 0 <= event.tray < 5


def test_what_the_user_did_counts_until_the_next_command():
    payload = pack(drawing(), Start(TRIANGLE))
    square = [1, 1, 9, 1, 9, 9, 1, 9]
    did = {
        "polygon": {"stamp": "0123abcd:0", "polygon": square},
        "view": {"stamp": "0123abcd:0", "view": [3, 4, 2.5]},
        "pick": 4,
        "tray": True,
    }
    assert read_event(did, payload) == MapEvent(tuple(square), (3.0, 4.0, 2.5), 4, None)
    commanded = with_start(payload, Start((), None, 1))
    assert read_event({key: did[key] for key in ("polygon", "view")}, commanded) == MapEvent()
    cleared = {"polygon": {"stamp": "0123abcd:0", "polygon": []}}
    assert read_event({}, payload).polygon == TRIANGLE and read_event(cleared, payload).polygon == ()


def test_only_outlines_on_the_grid_are_read():
    assert read_polygon(list(TRIANGLE)) == TRIANGLE
    for bad in (None, "012345", [0.0] * 6, [True] * 6, [1, 2, 3, 4], [-1, 0, 0, 0, 0, 0], [1] * 130):
        assert read_polygon(bad) is None
    assert read_view([0, 65_535, 1]) == (0.0, 65_535.0, 1.0)
    for bad in (None, [1, 2], [1, 2, 0], [1, 2, float("inf")], ["1", 2, 3], [True, 2, 3], [-1, 2, 3]):
        assert read_view(bad) is None
