"""A page with nothing but a map, for the tests and the benchmark of the component: `?case=...&n=...`."""

import json

import numpy as np
import streamlit as st

from app.map_colours import by_category, by_number, one_colour
from app.map_component.mount import draw_map, map_event
from app.map_payload import Drawing, Label, Start, pack, point_flags

EVIL = "<img src=x onerror=alert(1)> **bold** </script> $x^2$ \u202e"


def points(n, seed=0):
    """Clouds of points, uint16 [n] twice."""
    random = np.random.default_rng(seed)
    centres = random.uniform(9_000, 56_000, (12, 2))
    places = centres[random.integers(0, 12, n)] + random.normal(0, 2_500, (n, 2))
    places = np.clip(np.rint(places), 0, 65_534).astype(np.uint16)
    return np.ascontiguousarray(places[:, 0]), np.ascontiguousarray(places[:, 1])


def drawing(case, n):
    """What a case of the tests shows."""
    x, y = points(n)
    flags, colouring, rest = point_flags(n), one_colour(n), {}
    if case == "equal":
        x[:], y[:] = 32_000, 32_000
    elif case == "one":
        x, y, flags, colouring = x[:1], y[:1], flags[:1], one_colour(1)
    elif case == "empty":
        x, y, flags, colouring = x[:0], y[:0], flags[:0], one_colour(0)
    elif case == "rim":
        rest = {"on_the_rim": 7, "notes": ["3 passages have no vector."]}
    elif case == "evil":
        colouring = by_category([EVIL, "plain"] * (n // 2), EVIL)
        rest = {"labels": [Label(EVIL, 32_000, 32_000)], "titles": [f"{EVIL} {i}" for i in range(n)]}
    elif case == "full":
        mask = np.arange(n) % 5 == 0
        hits = [(rank, 37 * rank) for rank in range(1, 13)]
        flags = point_flags(
            n, hits=[point for _, point in hits], tray=np.arange(n) % 1_000 == 7, filtered_out=mask,
            low_trust=np.arange(n) % 7 == 0, placed=np.arange(n) % 11 == 0,
        )  # fmt: skip
        colouring = by_number(x.astype(np.float64), "year")
        rest = {
            "hits": hits,
            "labels": [Label("graphs, nodes", 20_000, 20_000), Label("proteins", 45_000, 40_000)],
        }
    return Drawing("0123abcd", x, y, colouring, flags, **rest)


@st.fragment
def show():
    case, n = st.query_params.get("case", "plain"), int(st.query_params.get("n", "20000"))
    start = Start(tuple(json.loads(st.query_params.get("polygon", "[]"))))
    if "payload" not in st.session_state:
        st.session_state.payload = pack(drawing(case, n), start)
    session = st.session_state
    session.setdefault("commands", 0)
    session.setdefault("picks", [])
    session.setdefault("tray", [])

    def clear():
        session.commands += 1

    def select():
        session.told = map_event("map", session.payload, session.commands).polygon

    event = draw_map(session.payload, key="map", height=600, on_select=select, clear=session.commands)
    session.picks += [] if event.pick is None else [event.pick]
    session.tray += [] if event.tray is None else [event.tray]
    session.runs = session.get("runs", 0) + 1
    st.button("Command", on_click=clear)
    st.button("Again")
    shown = {"polygon": event.polygon, "view": event.view, "picks": session.picks, "tray": session.tray}
    shown["told"] = session.get("told", [])
    with st.container(key="event"):
        st.code(json.dumps(shown | {"runs": session.runs, "bytes": len(session.payload)}), language=None)


if __name__ == "__main__":
    st.set_page_config(layout="wide")
    show()
