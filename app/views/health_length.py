"""Length on the page Health: whether long passages crowd together, over the corpus and with the same texts cut."""

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from app import health_session, session
from app.charts import PLOTLY_CONFIG, bar_figure
from app.display import esc_md
from app.formats import count
from app.health_curves import length_layers, length_name, length_sentence
from app.health_session import is_dark
from app.health_words import (
    TEMPERATURE_COLUMNS,
    TEMPERATURE_HELP,
    shown,
    temperature_cells,
    temperature_sentence,
)
from app.views.health_evidence import draw_ordered

if TYPE_CHECKING:
    from encoder.spectrum.length_bias import LengthReport

_CUT, _TEMPERATURES = "health_cut_asked", "health_temperatures_asked"


def draw_lengths(opened: session.Opened) -> None:
    """Mean cosine and rank by length in tokens, and what length alone does."""
    with st.spinner("Counting tokens …", show_time=True):
        found = health_session.lengths(opened)
    st.text(found.sentence)
    if len(found.bins) > 1:
        _draw_bins(found)
    _draw_cut(opened)
    _draw_temperatures(opened)


def _draw_bins(found: "LengthReport") -> None:
    chart, table = st.columns([2, 3], gap="medium")
    labels = [length_name(each) for each in found.bins]
    with chart:
        figure = bar_figure(
            labels,
            [each.mean_cosine or 0.0 for each in found.bins],
            x_label="mean cosine of two passages of that length",
            is_dark=is_dark(),
        )
        st.plotly_chart(figure, config=PLOTLY_CONFIG, key="health_lengths", alt=found.sentence)
    rows = [
        {
            "Tokens": length_name(each).removesuffix(" tokens"),
            "Passages": each.n,
            "Mean cosine": shown("mean_cosine", each.mean_cosine),
            "Effective rank": shown("effective_rank", each.effective_rank),
            "Share": shown("first_direction", each.row_share),
            "Share of neighbours": shown("first_direction", each.neighbour_share),
        }
        for each in found.bins
    ]
    with table:
        st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            height="content",
            key="health_length_table",
            column_config={
                "Effective rank": st.column_config.TextColumn(
                    help=f"Of {count(found.rank_rows)} passages of each length: fewer show fewer directions."
                ),
                "Share of neighbours": st.column_config.TextColumn(
                    help="Of all nearest neighbours. Above its share, passages of this length attract."
                ),
            },
        )
    draw_ordered(length_layers(found), length_sentence(found), "health_length_spectra")


def _draw_cut(opened: session.Opened) -> None:
    st.caption(
        "Long passages may also be about other things. The same texts, cut shorter, tell what length alone does."
    )
    asked = (str(opened.collection.path), opened.version)
    if st.button(
        "Cut the same texts",
        icon=":material/content_cut:",
        key="health_cut",
        help=f"Encodes {health_session.CUT_TEXTS} passages at up to five lengths; about half a minute.",
    ):
        st.session_state[_CUT] = asked
    if st.session_state.get(_CUT) != asked:
        return
    with st.spinner("Encoding …", show_time=True):
        found = health_session.cut_lengths(opened)
    if not found:
        st.text("Too few passages are long enough to be cut.")
        return
    rows = [
        {
            "Tokens": each.tokens,
            "Texts": each.n,
            "Mean cosine": shown("mean_cosine", each.mean_cosine),
            "Effective rank": shown("effective_rank", each.effective_rank),
        }
        for each in found
    ]
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, height="content", width="content", key="health_cut_table"
    )


def _draw_temperatures(opened: session.Opened) -> None:
    st.caption(
        "Attention mixes the tokens of a long text more. A temperature below 1 sharpens it, without training."
    )
    asked = (str(opened.collection.path), opened.version)
    if st.button(
        "Try temperatures",
        icon=":material/thermostat:",
        key="health_temperatures",
        help=f"Encodes {health_session.TEMPERATURE_TEXTS} passages at four temperatures, whole and in halves; about half "
        "a minute, in which no question is answered.",
    ):
        st.session_state[_TEMPERATURES] = asked
    if st.session_state.get(_TEMPERATURES) != asked:
        return
    with st.spinner("Encoding …", show_time=True):
        found = health_session.temperatures(opened)
    st.dataframe(
        pd.DataFrame(temperature_cells(found), columns=list(TEMPERATURE_COLUMNS)),
        hide_index=True,
        height="content",
        width="content",
        key="health_temperature_table",
    )
    st.caption(f"{esc_md(temperature_sentence(found))} {TEMPERATURE_HELP}")
