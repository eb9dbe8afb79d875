"""The map as a picture to take along; PNG of what is on screen is a button of the map itself."""

from functools import partial

import streamlit as st

from app import session
from app.map_colours import Colouring
from app.map_files import MOST_TITLES, Picture, to_html, to_png, to_svg
from app.map_session import OpenMap
from app.map_table import notes_of

_WRITERS = {
    "svg": ("SVG, to print and to edit", to_svg, "image/svg+xml"),
    "png": ("PNG, the whole map", to_png, "image/png"),
    "html": ("HTML, a page of its own that needs no network", to_html, "text/html"),
}


def draw_picture_files(opened: session.Opened, shown: OpenMap, colours: Colouring) -> None:
    """Draws the popover with the files."""
    with st.popover("Save the map", icon=":material/download:", key="map_files", type="tertiary"):
        for ending, (label, _, mime) in _WRITERS.items():
            st.download_button(
                label,
                data=partial(picture_file, opened, shown, colours, ending),
                file_name=f"map.{ending}",
                mime=mime,
                key=f"map_file_{ending}",
                on_click="ignore",
                width="stretch",
            )
        st.caption("With the colours that you see, the legend, and how the map was made. For the part on screen, use "
                   "PNG above the map.")  # fmt: skip


def picture_file(opened: session.Opened, shown: OpenMap, colours: Colouring, ending: str) -> bytes:
    """The whole map as the bytes of a file.

    Args:
        opened: the collection.
        shown: the map.
        colours: of its points.
        ending: "svg", "png" or "html".
    """
    points = shown.points
    titles: list[str] = []
    if ending == "html" and 0 < points.row_ids.size <= MOST_TITLES:
        taken = opened.searcher.snapshot.store.take(points.row_ids, ["title"])
        titles = [title or "" for title in taken["title"].to_pylist()]
    picture = Picture(
        points.x,
        points.y,
        colours,
        f"Map of {opened.collection.settings.name}",
        notes_of(opened.searcher, shown.stored, points),
        titles,
    )
    return _WRITERS[ending][1](picture)
