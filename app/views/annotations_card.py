"""Tags and notes of the picked hit's document: read by everybody, written where the server lets one write."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from app import mode, session
from app.display import clean_for_display, esc_md
from app.formats import count
from app.rows import shorten
from encoder.errors import Llm2CompError
from indexer.annotations.notes import MOST_CHARACTERS, Note
from indexer.annotations.tags import MOST_TAG

_NEW_TAG, _NEW_NOTE = "new_tag", "new_note"
_CHIP_CHARS = 40
_KNOWN_TAGS = 200
_HELP = (
    "Tags and notes belong to the document and are kept with the corpus: everybody who opens it sees them."
)


def draw_annotations(opened: session.Opened, document_id: str) -> None:
    """Draws the tags as chips, the notes, and the two fields that add to them."""
    tags = tags_by_document(opened).get(document_id, ())
    notes = _notes(opened).get(document_id, [])
    said = ", ".join(shorten(tag, _CHIP_CHARS) for tag in tags) or "none"
    with st.expander(
        f"Tags: {esc_md(said)} · notes: {count(len(notes))}", icon=":material/sell:", key="annotations"
    ):
        st.caption(_HELP)
        can_write = not mode.current().is_read_only
        _draw_tags(opened, document_id, tags, can_write=can_write)
        for note in notes:
            _draw_note(opened, note, can_write=can_write)
        if can_write:
            _draw_new_note(opened, document_id)


def tags_by_document(opened: session.Opened) -> dict[str, tuple[str, ...]]:
    """Document id to its tags; empty where the journal cannot be read."""
    from indexer.annotations import tags

    def read() -> dict[str, tuple[str, ...]]:
        return tags.tags_by_document(tags.tagged_documents(opened.collection))

    try:
        return session.derived(opened, "tags", session.state_beside(opened.collection.path), read)
    except Llm2CompError:
        return {}


def _notes(opened: session.Opened) -> dict[str, list[Note]]:
    from indexer.annotations.notes import read_notes

    def read() -> dict[str, list[Note]]:
        found: dict[str, list[Note]] = {}
        for note in read_notes(opened.collection):
            found.setdefault(note.document_id, []).append(note)
        return found

    try:
        return session.derived(opened, "notes", session.state_beside(opened.collection.path), read)
    except Llm2CompError:
        return {}


def _draw_tags(opened: session.Opened, document_id: str, tags: tuple[str, ...], *, can_write: bool) -> None:
    with st.container(horizontal=True, key="tags"):
        for place, tag in enumerate(tags):
            st.button(
                esc_md(shorten(tag, _CHIP_CHARS)),
                icon=":material/close:" if can_write else ":material/sell:",
                key=f"tag_{place}",
                disabled=not can_write,
                on_click=_change,
                args=(partial(_untag, opened, document_id, tag),),
                help="Take this tag off the document",
            )
    if can_write:
        known = sorted({tag for each in tags_by_document(opened).values() for tag in each} - set(tags))
        st.session_state[_NEW_TAG] = None
        # Options of a selectbox are shown as they are; a new one is typed in the same field.
        st.selectbox(
            "Add a tag",
            known[:_KNOWN_TAGS],
            index=None,
            key=_NEW_TAG,
            accept_new_options=True,
            format_func=clean_for_display,
            placeholder=f"choose one or type a new one, up to {MOST_TAG} characters",
            on_change=_add_tag,
            args=(opened, document_id),
        )


def _draw_note(opened: session.Opened, note: Note, *, can_write: bool) -> None:
    with st.container(border=True, key=f"note_{note.id}"):
        st.text(clean_for_display(note.text))
        said, remove = st.columns([3, 1], vertical_alignment="center")
        said.text(clean_for_display(f"{note.author}, {note.at[:10]}"))
        if can_write:
            remove.button(
                "Remove",
                key=f"remove_note_{note.id}",
                on_click=_change,
                args=(partial(_write_note, opened, note.document_id, "", note.id),),
                type="tertiary",
            )


def _draw_new_note(opened: session.Opened, document_id: str) -> None:
    st.text_area(
        "Write a note",
        key=_NEW_NOTE,
        max_chars=MOST_CHARACTERS,
        height=80,
        placeholder="what should others know?",
    )
    st.button(
        "Keep the note",
        icon=":material/edit_note:",
        key="keep_note",
        on_click=_keep,
        args=(opened, document_id),
    )


def _add_tag(opened: session.Opened, document_id: str) -> None:
    tag = st.session_state[_NEW_TAG]
    if tag:
        _change(partial(_tag, opened, document_id, tag))


def _keep(opened: session.Opened, document_id: str) -> None:
    text = st.session_state[_NEW_NOTE] or ""
    if text.strip() and _is_done(partial(_write_note, opened, document_id, text, "")):
        st.session_state[_NEW_NOTE] = ""


def _change(act: Callable[[], object]) -> None:
    """Does it, or has the sentence shown that says why not."""
    _is_done(act)


def _is_done(act: Callable[[], object]) -> bool:
    """Does it, or has the sentence shown that says why not; returns whether it was done."""
    try:
        mode.check_writable("keep tags and notes")
        act()
    except Llm2CompError as error:
        session.notice(f"Not kept: {error.what}; {error.fix}.")
        return False
    return True


def _tag(opened: session.Opened, document_id: str, tag: str) -> None:
    from indexer.annotations.tags import add_tag

    add_tag(opened.collection, tag, [document_id], author=session.author())


def _untag(opened: session.Opened, document_id: str, tag: str) -> None:
    from indexer.annotations.tags import remove_tag

    remove_tag(opened.collection, tag, [document_id], author=session.author())


def _write_note(opened: session.Opened, document_id: str, text: str, note_id: str) -> None:
    from indexer.annotations.notes import write_note

    write_note(opened.collection, document_id, text, note_id=note_id, author=session.author())
