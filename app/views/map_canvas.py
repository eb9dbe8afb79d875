"""The map itself: the component, kept in step with the view, within a fragment so that moving it draws nothing else."""

from functools import partial

import streamlit as st

from app import session
from app.map_component.mount import draw_map, map_event
from app.map_payload import Start, with_start
from app.map_scene import Scene
from app.map_selection import link_view, start_view
from app.tray import Origin

_KEY = "map"
_START = "map_start"  # what the browser was last told to show
_WHOLE_PAGE = "map_whole_page"  # the lists beside the map are to be drawn anew
HEIGHT_PX = 680


def draw_canvas(opened: session.Opened, scene: Scene) -> None:
    """Draws the map; an outline, a picked point or a point for the tray draw the whole page anew."""
    st.session_state.pop(_WHOLE_PAGE, None)
    st.fragment(_draw)(opened, scene)


def _draw(opened: session.Opened, scene: Scene) -> None:
    if st.session_state.pop(_WHOLE_PAGE, False):
        st.rerun()
    payload = _told(scene.payload)
    draw_map(
        payload,
        key=_KEY,
        height=HEIGHT_PX,
        on_select=partial(_take_outline, scene.map_id, payload),
        on_pick=partial(_take_point, opened, scene, payload),
        on_view=partial(_take_view, payload),
    )
    session.push()


def _told(payload: bytes) -> bytes:
    """The payload with the start that makes the browser show what the view says, if it does not do so already.

    The view changes in other ways than by hand on the map: by a link, a chip, or undo.
    """
    view = session.view()
    start = st.session_state.get(_START, Start())
    ready = with_start(payload, start)
    shown = map_event(_KEY, ready)
    wanted = start_view(view.map_view)
    if (shown.polygon, link_view(shown.view)) != (view.polygon, link_view(wanted)):
        start = Start(view.polygon, wanted, start.command + 1)
        st.session_state[_START] = start
        ready = with_start(payload, start)
    return ready


def _take_outline(map_id: str, payload: bytes) -> None:
    polygon = map_event(_KEY, payload).polygon
    # An outline means something on its own map only, so from here on the view names it.
    session.change(polygon=polygon, map=map_id if polygon else session.view().map)
    st.session_state[_WHOLE_PAGE] = True


def _take_view(payload: bytes) -> None:
    session.set_quietly(map_view=link_view(map_event(_KEY, payload).view))


def _take_point(opened: session.Opened, scene: Scene, payload: bytes) -> None:
    event = map_event(_KEY, payload)
    if event.pick is not None:
        row = scene.row_ids[event.pick : event.pick + 1]
        session.change(row=opened.searcher.snapshot.store.take(row, ["id"])["id"].to_pylist()[0])
    if event.tray is not None:
        session.add_to_tray(opened, [int(scene.row_ids[event.tray])], Origin("row", version=opened.version))
    st.session_state[_WHOLE_PAGE] = True
