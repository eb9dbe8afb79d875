"""The bytes that a map is sent to the browser in: 6 a point, and the same input always gives the same bytes.

Little endian: a head of fixed size (`_HEAD`, then the outline's 64 corners), then x u16 [N], y u16 [N], colour u8 [N],
flags u8 [N], hits u32 [H, 2] (rank, point), both palettes u8 [C, 3], and words as JSON in UTF-8; each part begins at a
multiple of 4. The body is content: the head's digest names it, so the browser rebuilds nothing when only the head
changes. `map_component/payload.js` is the reader. Python sends polygons on the grid of the points, so that what the
browser shows and what the server selects is decided by the same integers.
"""

import hashlib
import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.display import one_line
from app.formats import count
from app.map_colours import Colouring
from encoder.errors import InputError, ShapeError

VERSION = 1
GRID_MAX = 65_535
MOST_POINTS = 1_000_000
MOST_HITS = 1_000
MOST_TITLES = 5_000
MOST_LABELS = 200
MOST_CORNERS, FEWEST_CORNERS = 64, 3

HIT, IN_TRAY, FILTERED_OUT, LOW_TRUST, PLACED, PICKED = 1, 2, 4, 8, 16, 32  # bits of a flag

_HEAD = struct.Struct("<II16s4fIIII3fI8s")
HEAD_BYTES = _HEAD.size + 4 * MOST_CORNERS
_LABEL_CHARS, _TITLE_CHARS = 60, 160


@dataclass(frozen=True, slots=True)
class Label:
    """Words written on the map.

    Attributes:
        text: any text; shown as it is, never read as markup.
        x: grid units.
        y: grid units.
        weight: where two labels would overlap, the heavier one is written.
    """

    text: str
    x: int
    y: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Start:
    """What the map opens with; read again by the browser only when `command` has changed.

    Attributes:
        polygon: outline as x0, y0, x1, y1, ... in grid units; empty for none.
        view: centre x, centre y in grid units, and zoom; None for the whole map.
        command: a counter; a new number makes the browser drop its own outline and view and take these.
    """

    polygon: tuple[int, ...] = ()
    view: tuple[float, float, float] | None = None
    command: int = 0


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything a map shows.

    Attributes:
        map_id: at most 16 ASCII characters.
        x: uint16 [N], grid units, to the right.
        y: uint16 [N], grid units, upwards.
        colouring: the colour number of each point, and what the numbers mean.
        flags: uint8 [N], of `point_flags`.
        box: left, bottom, right, top of the grid in the map's own units; gives the aspect.
        hits: (rank from 1, point number), best first.
        labels: words on the map.
        titles: one a point, for at most 5,000 points; empty for none.
        on_the_rim: how many points lie farther out than the box and are drawn on its rim.
        notes: our own sentences to show under the map, for instance how many points were left out.
    """

    map_id: str
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    colouring: Colouring
    flags: NDArray[np.uint8]
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    hits: Sequence[tuple[int, int]] = ()
    labels: Sequence[Label] = ()
    titles: Sequence[str] = ()
    on_the_rim: int = 0
    notes: Sequence[str] = ()


def point_flags(
    n: int,
    *,
    hits: Iterable[int] = (),
    tray: NDArray[np.bool_] | None = None,
    filtered_out: NDArray[np.bool_] | None = None,
    low_trust: NDArray[np.bool_] | None = None,
    placed: NDArray[np.bool_] | None = None,
    picked: int | None = None,
) -> NDArray[np.uint8]:
    """The flags of N points, uint8 [N].

    Args:
        n: how many points.
        hits: numbers of the points that are hits.
        tray: bool [N], points in the tray; None for none, as below.
        filtered_out: bool [N], points that the filter leaves out: grey, never hidden.
        low_trust: bool [N], points to fade.
        placed: bool [N], points that were placed beside their neighbours after the map was made.
        picked: number of the point in hand; None for none.

    Raises:
        ShapeError: a mask is not [N], or a hit or the picked point is no point.
    """
    flags = np.zeros(n, np.uint8)
    masks = ((IN_TRAY, tray), (FILTERED_OUT, filtered_out), (LOW_TRUST, low_trust), (PLACED, placed))
    for bit, mask in masks:
        if mask is not None:
            _check(mask.shape == (n,), f"a mask has shape {mask.shape}, the map has {n} points")
            flags[mask] |= bit
    for name, bit, points in (("hit", HIT, hits), ("pick", PICKED, () if picked is None else (picked,))):
        for point in points:
            _check(0 <= point < n, f"{name} {point} is not one of the {n} points")
            flags[point] |= bit
    return flags


def pack(drawing: Drawing, start: Start | None = None) -> bytes:
    """The bytes of a map, about 6 a point (uint16 [N] twice, uint8 [N] twice).

    Raises:
        ShapeError: the arrays do not belong together.
        InputError: there are more points, hits or titles than one message should carry, or a bad start.
    """
    _check_arrays(drawing)
    n, colouring = len(drawing.x), drawing.colouring
    palette = np.array([*colouring.light, *colouring.dark], np.uint8).reshape(-1, 3)
    words = _words(drawing)
    parts = (
        drawing.x.astype("<u2").tobytes(),
        drawing.y.astype("<u2").tobytes(),
        colouring.numbers.tobytes(),
        drawing.flags.tobytes(),
        np.array(drawing.hits, "<u4").tobytes(),
        palette.tobytes(),
        words,
    )
    body = b"".join(part + bytes(-len(part) % 4) for part in parts)
    map_id = drawing.map_id.encode("ascii")
    head = _HEAD.pack(
        VERSION, n, map_id, *drawing.box, 0, len(drawing.hits), len(colouring.light), len(words), 0, 0, 0, 0,
        hashlib.blake2b(body, digest_size=8).digest(),
    )  # fmt: skip
    return with_start(head + bytes(4 * MOST_CORNERS) + body, start or Start())


def with_start(payload: bytes, start: Start) -> bytes:
    """The same map with another start: keep the payload, change the start.

    Raises:
        InputError: the outline is not 3 to 64 corners on the grid, or the view is not numbers.
    """
    fields = list(_HEAD.unpack_from(payload))
    polygon = read_polygon(start.polygon) if start.polygon else ()
    if polygon is None:
        raise InputError(
            "the outline is not 3 to 64 corners with coordinates from 0 to 65535",
            f"an outline of {len(start.polygon)} numbers",
            "draw it on the map, or use a link as the map wrote it",
        )
    view = read_view(start.view) if start.view else (0.0, 0.0, 0.0)
    if view is None:
        raise InputError(
            "the map's view is not three numbers", str(start.view), "leave it out for the whole map"
        )
    fields[7] = start.command % 2**32
    fields[11:15] = [*view, len(polygon) // 2]
    corners = np.zeros(2 * MOST_CORNERS, "<u2")
    corners[: len(polygon)] = polygon
    return _HEAD.pack(*fields) + corners.tobytes() + payload[HEAD_BYTES:]


@dataclass(frozen=True, slots=True)
class Head:
    """What the server itself reads back from a payload.

    Attributes:
        n: number of points.
        start: as packed.
        stamp: of map and command; what a browser did under another stamp no longer counts.
    """

    n: int
    start: Start
    stamp: str


def read_head(payload: bytes) -> Head:
    """The number of points and the start of a payload of `pack`."""
    fields = _HEAD.unpack_from(payload)
    corners = np.frombuffer(payload, "<u2", count=2 * fields[14], offset=_HEAD.size)
    view = (fields[11], fields[12], fields[13]) if fields[13] > 0 else None
    stamp = f"{fields[2].rstrip(bytes(1)).decode()}:{fields[7]}"
    return Head(fields[1], Start(tuple(corners.tolist()), view, fields[7]), stamp)


def read_polygon(value: object) -> tuple[int, ...] | None:
    """An outline as x0, y0, x1, y1, ...; None for what is none. What comes from a browser may be anything."""
    if not isinstance(value, list | tuple) or len(value) % 2:
        return None
    if not FEWEST_CORNERS <= len(value) // 2 <= MOST_CORNERS:
        return None
    if not all(type(number) is int and 0 <= number <= GRID_MAX for number in value):
        return None
    return tuple(value)


def read_view(value: object) -> tuple[float, float, float] | None:
    """Centre x, centre y and zoom; None for what is not three numbers in range."""
    if not isinstance(value, list | tuple) or len(value) != 3:
        return None
    if not all(type(number) in (int, float) for number in value):
        return None
    x, y, zoom = value
    if not (0 <= x <= GRID_MAX and 0 <= y <= GRID_MAX and 0.1 <= zoom <= 1_000):
        return None  # also every NaN
    return (float(x), float(y), float(zoom))


def _check_arrays(drawing: Drawing) -> None:
    n = len(drawing.x)
    for name, array, dtype in (
        ("x", drawing.x, np.uint16),
        ("y", drawing.y, np.uint16),
        ("colour numbers", drawing.colouring.numbers, np.uint8),
        ("flags", drawing.flags, np.uint8),
    ):
        fits = array.shape == (n,) and array.dtype == dtype
        _check(fits, f"{name} are {array.dtype} {list(array.shape)}, not {np.dtype(dtype)} [{n}]")
    colouring = drawing.colouring
    _check(len(colouring.light) == len(colouring.dark) <= 256, "the two palettes differ in length")
    top = int(colouring.numbers.max(initial=0))
    _check(top < len(colouring.light), f"colour {top} is not in a palette of {len(colouring.light)}")
    _check(len(drawing.titles) in (0, n), f"{len(drawing.titles)} titles for {n} points")
    _check(all(0 <= point < n for _, point in drawing.hits), f"a hit is not one of the {n} points")
    _check(drawing.map_id.isascii() and len(drawing.map_id) <= 16, f"map id {drawing.map_id!r} is too long")
    _check(bool(np.isfinite(drawing.box).all()), "the map's box is not four numbers")
    for name, number, most in (
        ("points", n, MOST_POINTS),
        ("hits", len(drawing.hits), MOST_HITS),
        ("titles", len(drawing.titles), MOST_TITLES),
        ("labels", len(drawing.labels), MOST_LABELS),
    ):
        if number > most:
            raise InputError(
                f"{count(number)} {name} are more than the {count(most)} a map shows",
                drawing.map_id,
                "show a sample",
            )


def _check(fits: bool, what: str) -> None:
    if not fits:
        raise ShapeError(what, "the map's drawing", "give arrays of one map, one entry a point")


def _words(drawing: Drawing) -> bytes:
    legend = drawing.colouring.legend
    words = {
        "title": _cut(legend.title, _LABEL_CHARS),
        "range": [_cut(end, _LABEL_CHARS) for end in legend.ends],
        "entries": [[_cut(e.label, _LABEL_CHARS), e.colour, e.count] for e in legend.entries],
        "unlisted": [[_cut(e.label, _LABEL_CHARS), e.colour, e.count] for e in legend.unlisted],
        "rest": [_cut(legend.rest.label, _LABEL_CHARS), legend.rest.count] if legend.rest else [],
        "labels": [[_cut(w.text, _LABEL_CHARS), w.x, w.y, float(w.weight)] for w in drawing.labels],
        "titles": [_cut(title, _TITLE_CHARS) for title in drawing.titles],
        "rim": int(drawing.on_the_rim),
        "notes": [_cut(note, 2 * _TITLE_CHARS) for note in drawing.notes],
    }
    return json.dumps(words, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _cut(text: str, most: int) -> str:
    line = one_line(text[: 4 * most])
    return line if len(line) <= most else line[: most - 1] + "\u2026"
