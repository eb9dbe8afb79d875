"""Why this hit: a panel of plain sentences, with each passage of the document and each memory token on a click."""

from typing import Any

import pandas as pd
import streamlit as st

from app import session
from app.display import clean_for_display
from app.formats import count, plural
from app.reasons import explain, memory_shares
from app.why import fusion_rule, sentences, share_sentence
from encoder.errors import Llm2CompError
from indexer.hits import Hit, SearchResult
from indexer.query.explain import Explanation

_SHOWN_PASSAGES = 50
_KEPT = "explained"  # the last explanation of this session, with what it explains
_FUSION_HELP = (
    "Weight × closeness in meaning, scaled to 0 to 1 among the candidates, + the rest × scaled BM25."
)
_SHARES_HELP = (
    "The hit's vector is the mean of its memory tokens, so the score by meaning is a sum over them. "
    "The passage is encoded once more for it."
)


def draw_why(opened: session.Opened, result: SearchResult, hit: Hit) -> None:
    """Draws the switch, and under it the explanation of the picked hit while it is on."""
    if not st.toggle(
        "Why this hit?", key="why", help="Rank and score by meaning and by words, and how they add up."
    ):
        return
    with st.container(border=True, key="why_panel"):
        try:
            found = _explained(opened, result, hit)
        except Llm2CompError as error:
            st.text(clean_for_display(f"{error.what}: {error.fix}"))
            return
        for sentence in sentences(hit, found):
            st.text(clean_for_display(sentence))
        if rule := fusion_rule(found):
            st.caption("As arithmetic", help=_FUSION_HELP)
            st.code(rule, language=None, wrap_lines=True)
        _draw_passages(found)
        if found.dense is not None:
            _draw_shares(opened, hit)


def _explained(opened: session.Opened, result: SearchResult, hit: Hit) -> Explanation:
    asked = (
        opened.collection.settings.uuid,
        opened.version,
        hit.id,
        session.answer_key(opened, session.view()),
    )
    kept = st.session_state.get(_KEPT)
    if kept is None or kept[0] != asked:
        with st.spinner("Comparing it with every passage …", show_time=True):
            st.session_state[_KEPT] = kept = (asked, explain(opened, result, hit))
    return kept[1]


def _draw_passages(found: Explanation) -> None:
    if len(found.passages) < 2:
        return
    st.caption(
        f"The {plural(len(found.passages), 'passage')} of the document, by closeness in meaning to the query"
    )
    ranked = sorted(found.passages, key=lambda passage: -(passage.score or 0.0))[:_SHOWN_PASSAGES]
    rows = [
        {
            "score": passage.score,
            "characters": f"{count(passage.span[0])} to {count(passage.span[1])}",
            "shown": "shown" if passage.is_shown else "",
        }
        for passage in ranked
    ]
    st.dataframe(
        pd.DataFrame(rows),
        key="why_passages",
        hide_index=True,
        height=min(240, 38 + 35 * len(rows)),
        column_config={
            "score": st.column_config.NumberColumn("Meaning", format="%.3f"),
            "characters": st.column_config.TextColumn("Characters of the document"),
            "shown": st.column_config.TextColumn(""),
        },
    )


def _draw_shares(opened: session.Opened, hit: Hit) -> None:
    if not st.button("Memory tokens", icon=":material/memory:", key="why_shares", help=_SHARES_HELP):
        return
    try:
        with st.spinner("Encoding the passage …", show_time=True):
            shares = memory_shares(opened, hit)
    except Llm2CompError as error:
        st.text(clean_for_display(f"{error.what}: {error.fix}"))
        return
    st.text(share_sentence(shares))
    rows: list[dict[str, Any]] = [
        {"memory token": number, "adds": share} for number, share in enumerate(shares, 1)
    ]
    largest = max(map(abs, shares), default=0.0)
    st.dataframe(
        pd.DataFrame(rows),
        key="why_memory",
        hide_index=True,
        height="content",
        column_config={
            "memory token": st.column_config.NumberColumn("Memory token", width="small"),
            "adds": st.column_config.ProgressColumn(
                "Adds to the score", format="%.3f", min_value=min(0.0, *shares), max_value=largest or 1.0
            ),
        },
    )
