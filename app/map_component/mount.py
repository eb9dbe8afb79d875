"""Puts the map on a page and reads back what the user did with it: outline, picked point, view.

Nothing that came with the data is formatted into HTML, CSS or JavaScript; those are files of this package. What comes
back from a browser is checked like any other input.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from app.map_payload import Start, read_head, read_polygon, read_view, with_start

_HERE = Path(__file__).parent
_SCRIPTS = ("payload.js", "polygon.js", "drawing.js", "overlay.js", "input.js", "main.js")


def script() -> str:
    """The component's JavaScript as one module."""
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS)


_component = st.components.v2.component(
    "llm2comp.map",
    html=(_HERE / "component.html").read_text(encoding="utf-8"),
    css=(_HERE / "component.css").read_text(encoding="utf-8"),
    js=script(),
)


@dataclass(frozen=True, slots=True)
class MapEvent:
    """What the user has done with the map.

    Attributes:
        polygon: outline as x0, y0, x1, y1, ... in grid units; empty for none. Stays until it is changed.
        view: centre x, centre y in grid units and zoom; None for the whole map. Stays until it is changed.
        pick: number of the point that was opened in this run, None for none.
        tray: number of the point to put into the tray in this run, None for none.
    """

    polygon: tuple[int, ...] = ()
    view: tuple[float, float, float] | None = None
    pick: int | None = None
    tray: int | None = None


def draw_map(
    payload: bytes,
    *,
    key: str,
    height: int = 640,
    on_select: Callable[[], None] | None = None,
    on_pick: Callable[[], None] | None = None,
    on_view: Callable[[], None] | None = None,
    clear: int = 0,
) -> MapEvent:
    """Draws the map and returns what the user has done with it; mount it within a fragment.

    The browser keeps outline and view over reruns; those of the payload's start count until the user has made their
    own, and again when `clear` changes. Keep the bytes as they are from run to run: unchanged, they are not sent again.
    In a callback, `map_event(key, payload, clear)` tells what happened.

    Args:
        payload: of `app.map_payload.pack`.
        key: of the widget.
        height: of the whole component in pixels.
        on_select: called before the rerun when an outline was drawn or removed.
        on_pick: the same when a point was opened, or is to go into the tray.
        on_view: the same when the map was moved.
        clear: a counter; another number drops the user's outline and view and takes the payload's start.
    """
    if clear:
        payload = with_start(payload, _commanded(payload, clear))
    result = _component(
        key=key,
        data=payload,
        height=height,
        on_polygon_change=on_select or _nothing,
        on_view_change=on_view or _nothing,
        on_pick_change=on_pick or _nothing,
        on_tray_change=on_pick or _nothing,
    )
    return read_event(result, payload)


def map_event(key: str, payload: bytes, clear: int = 0) -> MapEvent:
    """What `draw_map` will return, for a callback of it; arguments as there."""
    if clear:
        payload = with_start(payload, _commanded(payload, clear))
    return read_event(st.session_state.get(key) or {}, payload)


def read_event(result: Any, payload: bytes) -> MapEvent:
    """The checked event of what a browser sent; what is not understood counts as not sent."""
    head = read_head(payload)
    start = head.start
    outline, view = _own(result, "polygon", head.stamp), _own(result, "view", head.stamp)
    polygon = start.polygon
    if outline is not None:
        polygon = () if outline == [] else (read_polygon(outline) or start.polygon)
    return MapEvent(
        polygon=polygon,
        view=start.view if view is None else (read_view(view) or start.view),
        pick=_point(result.get("pick"), head.n),
        tray=_point(result.get("tray"), head.n),
    )


def _commanded(payload: bytes, clear: int) -> Start:
    start = read_head(payload).start
    return Start(start.polygon, start.view, (start.command + clear) % 2**32)


def _own(result: Any, name: str, stamp: str) -> Any:
    """What the user did on this map since the last command; what they did before no longer counts."""
    sent = result.get(name)
    return sent.get(name) if isinstance(sent, dict) and sent.get("stamp") == stamp else None


def _point(value: object, n: int) -> int | None:
    return value if type(value) is int and 0 <= value < n else None


def _nothing() -> None:
    """For events that nobody waits for: Streamlit passes on only those with a callback."""
