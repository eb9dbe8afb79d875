"""What-if on the page Health: transformations tried on a sample, their hits side by side, one saved by a rebuild."""

from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from app import health_session, jobs, mode, session
from app.charts import PLOTLY_CONFIG, line_figure
from app.curves import chart_text, spectrum_chart
from app.display import one_line
from app.health_advice import trial_notes
from app.health_session import is_dark
from app.health_words import TRIAL_COLUMNS, gain_words, layer_of, trial_cells
from app.rows import TITLE_CHARS, shorten
from app.views.job_list import draw_jobs
from app.views.messages import show_error
from encoder.errors import Llm2CompError

if TYPE_CHECKING:
    from encoder.spectrum.what_if import WhatIf

_ASKED, _OWN, _KNOWN, _QUERY = "what_if_asked", "what_if_own", "what_if_known", "what_if_query"
_NONE = "none"
_SIDE_HITS = 8
_CHANGES = {"same": "", "up": "▲", "down": "▼", "new": "new", "gone": "gone"}
_STEPS_HELP = (
    "centre takes the mean away; drop:1 the strongest direction; whiten makes directions equal; cut:128 keeps the first "
    "128 numbers, pca:128 the strongest 128 directions. Join them by + in this order."
)


def draw_what_if(opened: session.Opened) -> None:
    """Trials, the picked one in detail, and the button that saves it."""
    st.text("What a change to all vectors would do, tried on a sample; nothing is stored until you save it.")
    _draw_form()
    asked = st.session_state.get(_ASKED)
    if asked is None:
        return
    specs, has_known_items = asked
    try:
        with st.spinner("Trying …", show_time=True):
            found = health_session.trials(opened, specs, has_known_items=has_known_items)
    except Llm2CompError as error:
        show_error(error)
        return
    picked = _draw_trials(found)
    if picked is not None:
        _draw_picked(opened, found[0], picked)


def _draw_form() -> None:
    own, known, start = st.columns([5, 4, 2], vertical_alignment="bottom")
    own.text_input("A change of your own", key=_OWN, placeholder="centre+drop:2", help=_STEPS_HELP)
    known.checkbox(
        f"Also see what is found ({health_session.KNOWN_ITEMS} known items)",
        key=_KNOWN,
        help="Asks for passages by their titles, or first sentences, and counts how often the right one comes first. "
        "Encodes them once, about ten seconds.",
    )
    start.button(
        "Try", icon=":material/science:", key="what_if_try", type="primary", on_click=_ask, width="stretch"
    )


def _ask() -> None:
    own = st.session_state.get(_OWN, "").replace(" ", "").strip()
    usual = ("centre", "centre+drop:1", "centre+drop:3", "whiten")
    specs = tuple(dict.fromkeys([*usual, *([own] if own and own != _NONE else [])]))
    st.session_state[_ASKED] = (specs, bool(st.session_state.get(_KNOWN)))


def _draw_trials(found: "tuple[WhatIf, ...]") -> "WhatIf | None":
    """The table of trials; the one that is picked, None where it is the space as it is."""
    specs = [trial.spec for trial in found]
    wanted = session.view().what_if
    start = specs.index(wanted) if wanted in specs else 0
    event = st.dataframe(
        pd.DataFrame([trial_cells(trial) for trial in found], columns=list(TRIAL_COLUMNS)),
        key=f"trials_{abs(hash(tuple(specs)))}",
        hide_index=True,
        height="content",
        on_select="rerun",
        selection_mode="single-row-required",
        selection_default={"selection": {"rows": [start]}},
        column_config={
            "Same neighbours": st.column_config.TextColumn(
                help="Of the 10 nearest neighbours, how many stay; 95 % interval."
            ),
            "Known items found first": st.column_config.TextColumn(
                help="Questions whose right passage comes first; 95 % interval."
            ),
            "Change": st.column_config.TextColumn(
                help="Against the vectors as they are, in percentage points, question by question."
            ),
        },
    )
    for note in trial_notes(found):
        st.text(note)
    rows = event.selection.rows
    at = rows[0] if rows and rows[0] < len(found) else start
    chosen = "" if specs[at] == _NONE else specs[at]
    if wanted != chosen and (wanted in specs or chosen):
        session.change(what_if=chosen)
    return found[at] if chosen else None


def _draw_picked(opened: session.Opened, now: "WhatIf", trial: "WhatIf") -> None:
    chart, hits = st.columns(2, gap="medium")
    with chart:
        layers = [layer_of("as it is", now.diagnosis), layer_of(trial.spec, trial.diagnosis)]
        spectrum = spectrum_chart(layers, "singular values", is_centred=True)
        st.plotly_chart(
            line_figure(spectrum, is_dark=is_dark(), height=320),
            config=PLOTLY_CONFIG,
            key="what_if_spectrum",
            alt=chart_text(spectrum),
        )
    with hits:
        _draw_side_by_side(opened, trial.spec)
    _draw_save(opened, trial)


def _draw_side_by_side(opened: session.Opened, spec: str) -> None:
    from indexer.side_by_side import fit_to, hits_side_by_side

    st.session_state.setdefault(_QUERY, session.view().query)
    query = st.text_input(
        "The same query before and after", key=_QUERY, placeholder="Ask in your own words"
    ).strip()
    if not query:
        st.caption("Type a query to see its hits side by side.")
        return
    where = session.view().filter or None

    def make() -> Any:
        transform = session.derived(
            opened, "transform", spec, lambda: fit_to(opened.searcher, spec), place="health"
        )
        return session.encode_alone(
            lambda: hits_side_by_side(opened.searcher, query, transform, _SIDE_HITS, where)
        )

    try:
        with st.spinner("Searching …", show_time=True):
            # A filter may name tags and topics, which change without a new version.
            beside = session.state_beside(opened.collection.path) if where else ()
            key = (spec, query, where, beside)
            found = session.derived(opened, "side by side", key, make, place="health")
    except Llm2CompError as error:
        show_error(error)
        return
    before, after = st.columns(2)
    for column, title, rows in ((before, "Now", found.now), (after, "After", found.transformed)):
        column.caption(title)
        column.dataframe(
            pd.DataFrame(
                [
                    {
                        "#": hit.rank,
                        "": _CHANGES[hit.change],
                        "Title": shorten(one_line(hit.title or hit.text), TITLE_CHARS),
                    }
                    for hit in rows
                ]
            ),
            hide_index=True,
            height="content",
            key=f"side_{title}",
            column_config={
                "#": st.column_config.NumberColumn(width=36),
                "": st.column_config.TextColumn(width=52, help="Beside the other list."),
            },
        )


def _draw_save(opened: session.Opened, trial: "WhatIf") -> None:
    if mode.current().is_read_only:
        st.caption(
            "This server only shows; whoever owns the corpus saves a change by: llm2comp rebuild DIR --transform STEPS"
        )
        return
    advice = {
        "finds less": "It finds less than the vectors as they are.",
        "not known": "Whether it finds more was not looked at.",
    }
    words = advice.get(gain_words(trial.gain_at_1), "")
    if words:
        st.text(words)
    st.button(
        "Save with the corpus and rebuild",
        icon=":material/save:",
        key="what_if_save",
        on_click=_save,
        args=(opened, trial.spec),
        help="Changes all vectors of the corpus and makes a new version; seconds, nothing is encoded again. Queries pass the "
        "same change. Going back embeds every passage again. Maps and topics must be made anew.",
    )
    if any(
        job.arguments[:2] == ("rebuild", str(opened.collection.path)) and jobs.status(job) in jobs.ALIVE
        for job in jobs.all_jobs()
    ):
        draw_jobs()


def _save(opened: session.Opened, spec: str) -> None:
    try:
        jobs.start_once("rebuild", opened.collection.path, ["--transform", spec])
        session.notice(f"The corpus is being rebuilt with {spec}; see Corpora for the job.")
    except Llm2CompError as error:
        session.notice(f"Not started: {error.what}; {error.fix}.")
