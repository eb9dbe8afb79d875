"""The evidence on the page Health: the spectrum in three views, the numbers that matter, all measures as a table."""

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from app import health_session, library, session
from app.charts import PLOTLY_CONFIG, line_figure
from app.curves import VIEWS, Layer, View, chart_text, spectrum_chart
from app.display import clean_for_display, esc_md, one_line
from app.formats import count
from app.health_session import is_dark
from app.health_words import DASH, MEASURES, evidence, layer_of, missing, not_measured, shown
from app.views.messages import show_error
from encoder.errors import Llm2CompError
from encoder.spectrum.diagnosis import diagnosis_to_json
from encoder.spectrum.examination import by_shown_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from encoder.spectrum.diagnosis import Diagnosis
    from indexer.health.report import HealthReport

_VIEW, _CENTRED, _OTHER = "health_view", "health_centred", "health_other"
_VIEW_NAMES: dict[View, str] = {
    "singular values": "Singular values",
    "eigenvalues": "Eigenvalues",
    "energy": "Energy",
}
_VIEW_HELP = (
    "Singular values: both axes logarithmic, shows faint directions. Eigenvalues: linear, shows strong ones. "
    "Energy: the share of the variance that the first directions hold together."
)
_CENTRED_HELP = (
    "Without the mean of all vectors. With it, the first direction is mostly what all passages share."
)
_NUMBERS = (
    "effective_rank",
    "first_direction",
    "mean_cosine",
    "intrinsic_dimension",
    "hub_skewness",
    "antihub_share",
    "equal_share",
    "ann_recall",
)
_CHART_PX = 360
_CHOOSER_PX = 250


def draw_spectrum(opened: session.Opened, first: health_session.FirstLook) -> None:
    """The spectrum beside that of random directions, and of another corpus."""
    # They go on to a second line where there is little room, instead of being cut.
    controls = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    st.session_state.setdefault(_VIEW, VIEWS[0])
    st.session_state.setdefault(_CENTRED, True)
    view = controls.segmented_control(
        "Spectrum", VIEWS, key=_VIEW, format_func=_VIEW_NAMES.__getitem__, help=_VIEW_HELP
    )
    is_centred = controls.toggle("Centred", key=_CENTRED, help=_CENTRED_HELP)
    layers = [layer_of(_name(), first.diagnosis)]
    with controls:
        other = _draw_other(opened)
    if other:
        number = health_session.version_of(other)
        try:
            layers.append(
                health_session.version_layer(opened, number) if number else health_session.other_layer(other)
            )
        except Llm2CompError as error:
            show_error(error)
    reference = first.reference.eigenvalues
    layers.append(Layer("random directions", reference**0.5, reference, is_reference=True))
    chart = spectrum_chart(layers, view or VIEWS[0], is_centred=is_centred)
    text = clean_for_display(chart_text(chart))
    st.plotly_chart(
        line_figure(chart, is_dark=is_dark(), height=_CHART_PX),
        config=PLOTLY_CONFIG,
        key="health_spectrum",
        alt=text,
    )


def draw_ordered(layers: "Sequence[Layer]", sentence: str, key: str) -> None:
    """Spectra of what has an order, in the view that is chosen above, and what has to be said of them.

    Args:
        layers: to draw; none where there are too few rows.
        sentence: below them.
        key: of the chart.
    """
    if layers:
        view = st.session_state.get(_VIEW) or VIEWS[0]
        chart = spectrum_chart(layers, view, is_centred=st.session_state.get(_CENTRED, True))
        st.plotly_chart(
            line_figure(chart, is_dark=is_dark(), height=_CHART_PX),
            config=PLOTLY_CONFIG,
            key=key,
            alt=chart_text(chart),
        )
    st.caption(esc_md(sentence))


def _name() -> str:
    entry = session.entry()
    return entry.key if entry else "this corpus"


def _draw_other(opened: session.Opened) -> str:
    """What to lay over: another corpus, or an older version of this one; empty for none."""
    versions = [health_session.version_key(number) for number in health_session.older_versions(opened)]
    others = [*versions, *(entry.key for entry in library.known() if entry.key != _name())]
    chosen = session.view().other
    st.session_state[_OTHER] = chosen if chosen in others else None
    st.selectbox(
        "Lay over",
        others,
        key=_OTHER,
        format_func=_other_name,
        on_change=_take_other,
        placeholder="another corpus or version" if others else "there is no other corpus",
        disabled=not others,
        width=_CHOOSER_PX,
        help="Another corpus: the same texts by another encoder, or by another stage of training. Or an older version "
        "of this one, of the same encoder: the last three are kept, and those of the last hour. A rebuild with "
        "another encoder or transformation keeps none; copy the corpus before it.",
    )
    return chosen


def _other_name(key: str) -> str:
    number = health_session.version_of(key)
    return f"version {count(number)} of this corpus" if number else one_line(key)


def _take_other() -> None:
    session.change(other=st.session_state[_OTHER] or "")


def draw_numbers(diagnosis: "Diagnosis", report: "HealthReport | None") -> None:
    """The numbers that matter most; a dash where they are still being found."""
    known = _early(diagnosis) if report is None else report.measures()
    intervals = {} if report is None else {line.measure: line for line in evidence(report.examination, known)}
    # What cannot be told of so few passages is left out; until all is looked at, it may still come.
    names = [name for name in _NUMBERS if report is None or known.get(name) is not None]
    for start in range(0, len(names), 2):
        for column, name in zip(st.columns(2), names[start : start + 2], strict=False):
            label, help_text = MEASURES[name]
            value = shown(name, known.get(name))
            if name == "effective_rank":
                value += f" of {count(diagnosis.dimension)}"
            line = intervals.get(name)
            beside = f" Healthy: {esc_md(line.healthy)}." if line and line.healthy else ""
            column.metric(label, value, help=help_text + beside, border=True)


def _early(diagnosis: "Diagnosis") -> "dict[str, float | str | None]":
    """The numbers that the spectrum alone tells, under the names that they will have."""
    told = by_shown_names(diagnosis_to_json(diagnosis)) | {"first_direction": diagnosis.first_direction}
    return {name: told.get(name) for name in _NUMBERS}


def draw_evidence(report: "HealthReport") -> None:
    """All measures, with intervals and what would be healthy."""
    found = report.examination
    every = evidence(found, report.measures())
    lines = [
        {
            "Measure": line.label,
            "Value": line.value,
            "With more passages (95 %)": line.interval or DASH,
            "Healthy": line.healthy or DASH,
            "State": line.state or "",
            "What it is": line.help,
        }
        for line in every
        if line.is_measured
    ]
    said = [*missing(found), not_measured(every)]
    if any(said):
        st.text(" ".join(filter(None, said)))
    st.dataframe(
        pd.DataFrame(lines),
        hide_index=True,
        height="content",
        key="health_measures",
        column_config={
            "With more passages (95 %)": st.column_config.TextColumn(
                help="Where the measure would end with ever more passages of the same kind, 95 % sure."
            ),
            "Healthy": st.column_config.TextColumn(help="From healthy encoders; outside it, look closer."),
            "What it is": st.column_config.TextColumn(width="large"),
        },
    )
    around = found.surroundings
    st.caption(
        f"Neighbours among {count(len(around.positions))} passages; seed {count(found.diagnosis.seed)}. "
        f"Recall of the index: {esc_md(report.origin.recall_note)}. "
        "An interval is of the value that many more passages would give, so the value at hand can lie outside it."
    )
