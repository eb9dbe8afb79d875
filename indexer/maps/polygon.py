"""Polygons on a map: which points lie inside, and the text of a polygon in a link.

Everything is integers on the map's own grid, so that the same polygon selects the same rows on every machine.
"""

import base64
import binascii
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GRID = 65_535  # greatest coordinate
LEAST_VERTICES, MOST_VERTICES = 3, 64
_VERTEX_BYTES = 4
_MOST_CHARACTERS = 4 * -(-MOST_VERTICES * _VERTEX_BYTES // 3)


def inside(x: NDArray[np.uint16], y: NDArray[np.uint16], polygon: Sequence[int]) -> NDArray[np.bool_]:
    """Which points lie inside, by the even-odd rule: where a polygon crosses itself, what is enclosed twice is out.

    An edge holds its lower end and not its upper one, so that polygons that share an edge share no point.

    Args:
        x: uint16 [N].
        y: uint16 [N].
        polygon: x0, y0, x1, y1, ... of 3 to 64 vertices, each 0 to 65,535.

    Returns:
        bool [N].

    Raises:
        ValueError: it is no such polygon.
    """
    corners = _checked(polygon).reshape(-1, 2)
    is_inside = np.zeros(x.size, np.bool_)
    (left, low), (right, high) = corners.min(axis=0), corners.max(axis=0)
    near = np.flatnonzero((x >= left) & (x <= right) & (y >= low) & (y < high))
    # By height, an edge concerns one stretch of the points: 64 edges then cost little more than one.
    near = near[np.argsort(y[near], kind="stable")]
    xs, ys = x[near].astype(np.int64), y[near].astype(np.int64)
    crossed = np.zeros(near.size, np.bool_)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y1 == y2:
            continue
        if y1 > y2:
            x1, y1, x2, y2 = x2, y2, x1, y1
        first, last = np.searchsorted(ys, (y1, y2))
        part = slice(int(first), int(last))
        crossed[part] ^= (xs[part] - x1) * (y2 - y1) < (x2 - x1) * (ys[part] - y1)
    is_inside[near] = crossed
    return is_inside


def encode_polygon(polygon: Sequence[int]) -> str:
    """The polygon as text for a link: base64url of little-endian 16-bit numbers, without padding.

    Args:
        polygon: x0, y0, x1, y1, ... of 3 to 64 vertices, each 0 to 65,535.

    Raises:
        ValueError: it is no such polygon.
    """
    return base64.urlsafe_b64encode(_checked(polygon).astype("<u2").tobytes()).decode().rstrip("=")


def decode_polygon(text: str) -> tuple[int, ...]:
    """The polygon of a link: x0, y0, x1, y1, ...

    Args:
        text: of `encode_polygon`.

    Raises:
        ValueError: it is anything else, however near to it.
    """
    if not 0 < len(text) <= _MOST_CHARACTERS:
        raise ValueError(f"a polygon has 1 to {_MOST_CHARACTERS} characters, not {len(text)}")
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("a polygon is written in letters, digits, - and _") from error
    if len(content) % _VERTEX_BYTES:
        raise ValueError("a polygon has whole vertices")
    polygon = tuple(np.frombuffer(content, "<u2").tolist())
    if encode_polygon(polygon) != text:  # + and / for - and _, or bits left over: one polygon, one text
        raise ValueError("a polygon is written in one way only")
    return polygon


def _checked(polygon: Sequence[int]) -> NDArray[np.int64]:
    if len(polygon) % 2 or not LEAST_VERTICES <= len(polygon) // 2 <= MOST_VERTICES:
        raise ValueError(f"a polygon has {LEAST_VERTICES} to {MOST_VERTICES} vertices of two numbers each")
    if any(isinstance(value, bool) or not isinstance(value, int | np.integer) for value in polygon):
        raise ValueError("a polygon has whole numbers")
    if any(not 0 <= value <= GRID for value in polygon):
        raise ValueError(f"a polygon has numbers of 0 to {GRID}")
    return np.asarray(polygon, np.int64)
