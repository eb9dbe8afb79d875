"""The dialog that lists the keys, also opened by typing "?"."""

import pandas as pd
import streamlit as st

_KEYS = (
    ("Ctrl+K", "Search: put the cursor into the search field"),
    ("Enter", "Search: ask"),
    ("Arrow keys", "Map: move; list of hits: pick"),
    ("+ and -", "Map: zoom"),
    ("0", "Map: show the whole map"),
    ("n and p", "Map: next and previous hit"),
    ("Enter", "Map: pick the point"),
    ("t", "Map: put the picked passage into the tray"),
    ("Esc", "Map: clear the outline; elsewhere: close what is open"),
    ("?", "This list"),
)


@st.dialog("Keyboard")
def open_shortcuts() -> None:
    """Shows the list."""
    st.dataframe(
        pd.DataFrame(_KEYS, columns=["Key", "What it does"]),
        hide_index=True,
        height="content",
        key="key_list",
    )
    st.caption("Those of the map work once it has the focus: click it, or reach it with Tab.")
