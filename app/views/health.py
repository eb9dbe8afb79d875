"""The page Health: a verdict on the vectors first, then the evidence, then what to do and what that would change."""

import json
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import health_session, library, session
from app.display import clean_for_display, esc_md, one_line
from app.formats import count, plural
from app.health_advice import advice_for_page
from app.health_words import STATE_ICONS, STATE_WORDS
from app.views.demo import start_demo
from app.views.health_evidence import draw_evidence, draw_numbers, draw_spectrum
from app.views.health_length import draw_lengths
from app.views.health_memory import draw_memory
from app.views.health_rows import draw_duplicates, draw_hubs, draw_outliers
from app.views.health_what_if import draw_what_if
from app.views.messages import show_empty_library, show_error
from encoder.errors import Llm2CompError
from encoder.spectrum.verdict import LEAST_ROWS

if TYPE_CHECKING:
    from encoder.spectrum.verdict import Verdict
    from indexer.health.report import HealthReport

_CLOSER = "health_closer"
_PARTS = {
    "evidence": "All measures",
    "what_if": "What if",
    "hubs": "Hubs",
    "duplicates": "Duplicates",
    "outliers": "Outliers",
    "length": "Length",
    "memory": "Memory tokens",
}


def page() -> None:
    """Draws the whole page."""
    st.title("Health", anchor=False)
    if not library.known():
        show_empty_library(start_demo)
        return
    opened = session.opened()
    with st.spinner("Looking at the vectors …"):
        first = health_session.first_look(opened)
    # Two places: a browser that draws a shorter card over a longer one keeps what is beyond its end.
    early, card = st.empty(), st.container()
    _draw_verdict(early, first.verdict, first)
    if not first.examined:
        st.text("There are no passages to look at; take off what narrows the view.")
        return
    # So wide that no label of a number is cut beside an open sidebar on a screen of 1,400.
    chart, side = st.columns([11, 9], gap="medium")
    with chart:
        if first.diagnosis.n < LEAST_ROWS:
            st.text(
                f"The spectrum of {plural(first.diagnosis.n, 'vector')} says nothing; it takes {LEAST_ROWS} at least."
            )
        else:
            draw_spectrum(opened, first)
    early_numbers, numbers = side.empty(), side.container()
    with early_numbers.container():
        draw_numbers(first.diagnosis, None)
    part = _draw_choice()
    below = st.container()
    with below, st.spinner("Looking for neighbours, duplicates and outliers …", show_time=True):
        report = health_session.full_report(opened)
    early.empty()
    early_numbers.empty()
    _draw_verdict(card, report.examination.verdict, first, report=report)
    with numbers:
        draw_numbers(report.examination.diagnosis, report)
    with below:
        _draw_part(opened, report, part)


def _draw_verdict(
    card: DeltaGenerator,
    verdict: "Verdict",
    first: health_session.FirstLook,
    *,
    report: "HealthReport | None" = None,
) -> None:
    """The word with icon and colour, the sentence, what was looked at, and what to do."""
    state = verdict.state
    with card.container(border=True, key="verdict" if report else "first_verdict"):
        word, text, files = st.columns([2, 8, 2], vertical_alignment="center")
        # Colour alone says nothing: icon and word say the same.
        with word.container(key=f"state_{state.replace(' ', '_')}{'' if report else '_first'}"):
            st.markdown(STATE_WORDS[state])
        with text:
            sentence = verdict.sentence.partition(": ")[2] or verdict.sentence
            st.markdown(f":material/{STATE_ICONS[state]}: **{esc_md(_capital(sentence))}**")
            st.text(clean_for_display(_looked_at(first)))
        _draw_reasons(verdict)
        if report is None:
            st.caption("From the spectrum alone; neighbours and duplicates follow.")
        else:
            with files:
                _draw_files(report)


def _draw_reasons(verdict: "Verdict") -> None:
    """Why, and what to do, side by side."""
    reasons = [
        reason.sentence for reason in verdict.reasons if reason.state not in ("healthy", "cannot tell")
    ]
    advice = advice_for_page(verdict)
    if not reasons and not advice:
        if verdict.state == "healthy":
            st.caption(
                "Nothing needs doing. A verdict is on the shape of the space, not on what is found in it."
            )
        return
    for column, title, lines in zip(
        st.columns(2, gap="medium"), ("Why", "What to do"), (reasons, advice), strict=True
    ):
        if lines:
            column.caption(title)
            column.text("\n".join(f"• {line}" for line in lines))


def _draw_files(report: "HealthReport") -> None:
    """The report to take along."""
    with st.popover("Report", icon=":material/download:", width="stretch", key="health_files"):
        name = one_line(report.origin.name)  # of a collection that may come from elsewhere
        st.download_button(
            "HTML file",
            data=partial(_html, report),
            file_name=f"health-{name}.html",
            mime="text/html",
            key="health_html",
            on_click="ignore",
            width="stretch",
        )
        st.download_button(
            "JSON",
            data=partial(_json, report),
            file_name=f"health-{name}.json",
            mime="application/json",
            key="health_json",
            on_click="ignore",
            width="stretch",
        )
        st.caption("The HTML file needs no network and runs no script.")


def _html(report: "HealthReport") -> bytes:
    from app.health_html import health_html

    return health_html(report).encode()


def _json(report: "HealthReport") -> bytes:
    from indexer.health.report import report_to_json

    return json.dumps(report_to_json(report), ensure_ascii=False, indent=1).encode("utf-8", "replace")


def _looked_at(first: health_session.FirstLook) -> str:
    if first.examined == first.chosen:
        return first.sentence
    return f"{first.sentence}; {count(first.examined)} of them, drawn at random, were measured (the command diagnose measures all)"


def _draw_choice() -> str:
    """The part that is drawn below; only that one is computed."""
    st.session_state.setdefault(_CLOSER, "evidence")
    chosen = st.segmented_control(
        "Look closer", list(_PARTS), key=_CLOSER, format_func=_PARTS.__getitem__, width="stretch"
    )
    return chosen or "evidence"


def _draw_part(opened: session.Opened, report: "HealthReport", part: str) -> None:
    drawers = {
        "evidence": lambda: draw_evidence(report),
        "what_if": lambda: draw_what_if(opened),
        "hubs": lambda: draw_hubs(opened, report),
        "duplicates": lambda: draw_duplicates(opened, report),
        "outliers": lambda: draw_outliers(opened, report),
        "length": lambda: draw_lengths(opened),
        "memory": lambda: draw_memory(opened),
    }
    try:
        drawers[part]()
    except Llm2CompError as error:
        show_error(error)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
