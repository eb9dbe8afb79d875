"""Memory tokens on the page Health: which say the same, what each adds, and what merging them would change."""

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from app import health_session, session
from app.charts import PLOTLY_CONFIG, heat_figure
from app.health_curves import slot_layers, slot_sentence
from app.health_words import shown
from app.views.health_evidence import draw_ordered

if TYPE_CHECKING:
    from encoder.spectrum.slots import SlotReport
    from indexer.health.memory import MemoryLook

_ASKED, _KIND = "health_memory_asked", "health_memory_kind"
_KINDS = {
    "within_centred": "Without what each always has",
    "within": "In the same text",
    "across": "In different texts",
}
_KIND_HELP = (
    "Mean cosine of two memory states. Without what each always has: what differs from text to text, which is what "
    "tells texts apart."
)


def draw_memory(opened: session.Opened) -> None:
    """A button, since passages are encoded again; then what the memory tokens say."""
    asked = (str(opened.collection.path), opened.version)
    if st.session_state.get(_ASKED) != asked:
        st.text(
            "An encoder of this kind reads a text into a few memory tokens; their mean is the vector. Here one sees "
            "whether each adds something."
        )
        st.button(
            f"Look at {health_session.MEMORY_TEXTS} passages",
            icon=":material/memory:",
            key="health_memory",
            on_click=_ask,
            args=(asked,),
            help="Encodes them again, with the encoder of the corpus; about ten seconds.",
        )
        return
    with st.spinner("Encoding …", show_time=True):
        look = health_session.memory(opened)
    st.text(look.slots.sentence)
    kind = _ask_kind()  # above both: its three names are wider than half of a page beside an open tray
    heat, table = st.columns([2, 3], gap="medium")
    with heat:
        _draw_heat(look.slots, kind)
    with table:
        _draw_slots(look.slots)
        _draw_merged(look)
    draw_ordered(slot_layers(look.slots), slot_sentence(look.slots), "health_slot_spectra")


def _ask(asked: tuple[str, int]) -> None:
    st.session_state[_ASKED] = asked


def _ask_kind() -> str:
    st.session_state.setdefault(_KIND, "within_centred")
    kind = st.segmented_control(
        "Likeness of memory tokens", list(_KINDS), key=_KIND, format_func=_KINDS.__getitem__, help=_KIND_HELP
    )
    return kind or "within_centred"


def _draw_heat(slots: "SlotReport", kind: str) -> None:
    values = getattr(slots, kind)
    if values is None:
        st.text("There are too few passages for this.")
        return
    names = [str(number) for number in range(1, len(values) + 1)]
    figure = heat_figure(names, names, values.tolist(), value_label="cosine")
    st.plotly_chart(figure, config=PLOTLY_CONFIG, key="health_slots", alt=slots.sentence)


def _draw_slots(slots: "SlotReport") -> None:
    rows = [
        {
            "Token": number,
            "Length": shown("norm", slot.norm),
            "Same in every text": shown("first_direction", slot.constant_share),
            "Effective rank": shown("effective_rank", slot.effective_rank_centred),
            "Kept without it": shown("first_direction", slot.overlap),
        }
        for number, slot in enumerate(slots.slots, 1)
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height="content",
        key="health_slot_table",
        column_config={
            "Length": st.column_config.TextColumn(help="Longer states count more in the mean."),
            "Same in every text": st.column_config.TextColumn(help="100 %: it tells no two texts apart."),
            "Kept without it": st.column_config.TextColumn(
                help="Neighbours kept. 100 %: leaving this memory token out changes no answer."
            ),
        },
    )


def _draw_merged(look: "MemoryLook") -> None:
    st.caption("Merging memory states that are alike in a text, each cluster counting once:")
    rows = [
        {
            "Clusters": merged.clusters,
            "Effective rank": shown("effective_rank", merged.effective_rank),
            "Neighbours kept": shown("first_direction", merged.overlap),
        }
        for merged in look.merged
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, height="content", width="content", key="health_merged")
