"""The corpora page: what there is, how it gets in, and the jobs that work on it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import streamlit as st

from app import library, mode, session
from app.display import clean_for_display, esc_md
from app.formats import ago, count, parse_moment, plural, size
from app.views.collection_card import draw_builds
from app.views.import_form import draw_import
from app.views.job_list import draw_jobs
from encoder.errors import Llm2CompError

_CARDS_A_ROW = 2
_COLOURS: dict[str, Literal["green", "orange", "gray", "red"]] = {
    "Ready": "green",
    "Behind": "orange",
    "Empty": "gray",
    "Damaged": "red",
}


def page() -> None:
    """Draws the whole page."""
    st.title("Corpora", anchor=False)
    draw_jobs()
    entries = library.known()
    if not entries:
        offer = "" if mode.current().is_read_only else " Build the demo corpus, or import a file of your own."
        st.text(f"No corpus yet.{offer}")
    for first in range(0, len(entries), _CARDS_A_ROW):
        for column, entry in zip(
            st.columns(_CARDS_A_ROW), entries[first : first + _CARDS_A_ROW], strict=False
        ):
            with column:
                _draw_card(entry)
    st.subheader("Import", anchor=False)
    draw_import(demo_first=not entries)


def health_word(info: dict[str, Any], findings: Sequence[Any]) -> tuple[str, str]:
    """One word for how a collection stands, and the sentence behind it.

    Args:
        info: what `info` says.
        findings: of a quick `verify`.
    """
    if findings:
        return "Damaged", f"{plural(len(findings), 'finding')}; see them with: llm2comp verify DIR"
    if not info["version"]:
        return "Empty", "Nothing was published yet; the import did not finish."
    if info.get("unpublished_rows"):
        return "Behind", f"{plural(info['unpublished_rows'], 'passage')} added since are not searched yet."
    return "Ready", "Everything that was added can be searched."


def _draw_card(entry: library.Entry) -> None:
    with st.container(border=True, key=f"card_{entry.key}"):
        name, open_button = st.columns([3, 1], vertical_alignment="center")
        name.subheader(esc_md(entry.key), anchor=False)
        try:
            info, found = session.describe(entry.path), session.findings(entry.path)
        except Llm2CompError as error:
            st.markdown(":red-badge[:material/error: Cannot be opened]")
            st.text(clean_for_display(error.what))
            st.code(clean_for_display(error.fix), language=None, wrap_lines=True)
            return
        open_button.button(
            "Search",
            icon=":material/search:",
            key=f"open_{entry.key}",
            on_click=_open_in_search,
            args=(entry.key,),
            disabled=not info["version"],
            width="stretch",
        )
        _draw_facts(info, found)
        if info["version"]:
            draw_builds(entry.key, entry.path, info)
        st.caption("Folder")
        st.code(clean_for_display(str(entry.path)), language=None, wrap_lines=True)


def _draw_facts(info: dict[str, Any], found: Sequence[Any]) -> None:
    word, sentence = health_word(info, found)
    published = parse_moment(info.get("published_at"))
    st.badge(word, color=_COLOURS[word], help=esc_md(sentence))
    for finding in found:
        st.text(clean_for_display(finding.what))
        st.code(clean_for_display(finding.fix), language=None, wrap_lines=True)
    documents, passages, volume = st.columns(3)
    documents.metric("Documents", count(info["documents"]), help="Records of the sources.")
    passages.metric("Passages", count(info["passages"]), help="Pieces that are searched.")
    volume.metric("On disk", size(info["bytes"]))
    parts = (
        f"Encoder {esc_md(str(info['encoder']))}, {count(info['dimension'])} numbers a passage",
        f"index {esc_md(str(info['index'] or 'none'))}",
        f"version {count(info['version'])}",
        _freshness(published),
    )
    st.caption(" · ".join(part for part in parts if part))


def _freshness(published: datetime | None) -> str:
    return f"published {ago(published)}" if published else ""


def _open_in_search(key: str) -> None:
    session.change(corpus=key, query="", filter="", like="")
    st.session_state[session.GO_TO] = "search"
