"""The import form: a file by upload or by its path, its columns, a name, and the job that indexes it."""

import contextlib
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from app import jobs, library, mode, session
from app.display import clean_for_display, one_line
from app.theme import DEMO_TEXT
from app.views.demo import start_demo
from app.views.messages import show_error
from encoder.errors import InputError, Llm2CompError

_PATH_TAB = ":material/folder_open: Path on this machine"
_UPLOAD_TAB = ":material/upload: Upload"
_DEMO_TAB = ":material/science: Demo"
_ROLE_LABELS = {"text": "Column of the text", "title": "Column of the title", "id": "Column of the id"}
_KEPT_SURVEYS = 16


@dataclass(frozen=True, slots=True)
class _Surveyed:
    """What a look at a source found: roles to columns, the other columns, and sentences for people."""

    guessed: dict[str, str]
    columns: list[str]
    notes: list[str]


def draw_import(*, demo_first: bool) -> None:
    """Draws the form; an error of the source is shown where it was named.

    Args:
        demo_first: whether the demo corpus is the first thing offered, as in an empty library.
    """
    if mode.current().is_read_only:
        st.text("This server only shows: nothing is imported here.")
        return
    with st.container(border=True, key="import"):
        first = _DEMO_TAB if demo_first else _PATH_TAB
        by_path, by_upload, demo = st.tabs([_PATH_TAB, _UPLOAD_TAB, _DEMO_TAB], default=first)
        with demo:
            st.text(DEMO_TEXT)
            st.button(
                "Build the demo corpus",
                icon=":material/play_arrow:",
                type="primary",
                on_click=start_demo,
                key="build_demo",
            )
        with by_path:
            typed = _ask_path()
        with by_upload:
            upload = _ask_upload()
        try:
            source, name = _chosen_source(typed, upload)
            if source is not None:
                _draw_columns(source, name)
        except Llm2CompError as error:
            show_error(error)


def _ask_path() -> str:
    """What was typed; nothing where people of other machines sign in: any file of the server would be theirs to read."""
    if mode.current().sign_in is not None:
        st.text("On a server that people sign in to, files are uploaded. Whoever runs it can import others:")
        st.code("llm2comp index FILE --into DIR", language=None)
        return ""
    return st.text_input(
        "File or folder",
        key="import_path",
        placeholder="a parquet, csv, tsv, jsonl or json file, or a folder of txt, md, html, pdf",
        help="Read where it lies; nothing is copied.",
    )


def _ask_upload() -> Any:
    """What was uploaded; a larger file the browser refuses before it sends any of it, and here stands what to do."""
    upload = st.file_uploader(
        "File", key="import_upload", help="Copied into the library's folder, then read from there."
    )
    st.caption(
        f"Up to {library.MOST_UPLOAD_MB} MB. A larger file is too large for the browser: index it where it lies, with "
        "this command, on the machine of the server."
    )
    # Whoever signs in from elsewhere need not know where things lie here.
    is_own = mode.current().sign_in is None
    into = shlex.quote(str(library.collections_folder() / "NAME")) if is_own else "DIR"
    st.code(f"llm2comp index FILE --into {into}", language=None)
    return upload


def _chosen_source(typed: str, upload: Any) -> tuple[Path | None, str]:
    """The source's path and a name for it; no path while nothing was named.

    Raises:
        InputError: there is nothing at the path, or files of this kind are not read.
    """
    if upload is not None:
        stored = st.session_state.setdefault(session.UPLOADS, {})
        kept = stored.get(upload.file_id)
        if kept is None or not kept.exists():  # once an upload, not at each run of the page
            stored[upload.file_id] = library.store_upload(upload.name, upload.getvalue())
        return stored[upload.file_id], Path(upload.name).name.split(".")[0]
    if not typed.strip():
        return None, ""
    path = _existing(typed.strip())
    return path, path.name.split(".")[0]


def _existing(typed: str) -> Path:
    """The file or folder that a typed path means.

    Raises:
        InputError: there is none, or the path is impossible.
    """
    path = Path(typed)
    # Besides what the system says: a NUL, and the home folder of nobody.
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        path = path.expanduser().resolve()
        if path.exists():
            return path
    raise InputError(
        f"there is nothing at {path}", "File or folder", "check the path; it is one of the server's"
    )


def _draw_columns(source: Path, name: str) -> None:
    named = st.session_state.get(f"named_text_{source}") or None
    try:
        opened = _survey(str(source), _stamp(source), named)
    except InputError as error:
        show_error(error)
        st.text_input("Name of the column that holds the text", key=f"named_text_{source}")
        return
    st.caption("Reads")
    st.code(clean_for_display(str(source)), language=None, wrap_lines=True)
    for note in opened.notes:
        st.text(clean_for_display(note))
    chosen = _choose_roles(opened.guessed, opened.columns, source)
    title = st.text_input("Name of the corpus", value=_offered_name(name), key=f"import_name_{source}")
    if title.strip() and library.collection_path(title).exists():
        st.caption(
            "There is a corpus of this name: the import adds to it, and what it knows already costs nothing."
        )
    elif title.strip() and library.is_taken(title):
        st.caption(
            "Another corpus, in a folder elsewhere, has this name; two of one name are hard to tell apart."
        )
    is_ready = bool(title.strip())
    label = "Start the import"
    if st.button(
        label, icon=":material/play_arrow:", type="primary", disabled=not is_ready, key="start_import"
    ):
        given = {"text": named} if named else {}
        _start(source, title, given | chosen)


def _offered_name(name: str) -> str:
    shown = one_line(name)
    try:
        return library.free_name(shown)
    except InputError:  # nothing of a file's name need be fit for a folder
        return shown


@st.cache_data(max_entries=_KEPT_SURVEYS, show_spinner="Looking at the source …")
def _survey(source: str, stamp: tuple[int, int, int], text: str | None) -> _Surveyed:
    """Looked at once for each state of the source, not at each run of the page: a look may read 50 MB.

    Raises:
        InputError: the source cannot be read, or its text column is not obvious.
    """
    from indexer.sources import open_sources

    opened = open_sources([source], text=text)
    return _Surveyed(dict(opened.guessed), list(opened.columns), list(opened.notes))


def _stamp(source: Path) -> tuple[int, int, int]:
    """How many files, how large, and when one of them was changed last."""
    try:
        states = [path.stat() for path in (source, *(source.rglob("*") if source.is_dir() else ()))]
    except OSError:
        return 0, 0, time.time_ns()  # something moves in it: look again
    return len(states), sum(state.st_size for state in states), max(state.st_mtime_ns for state in states)


def _choose_roles(guessed: dict[str, str], columns: list[str], source: Path) -> dict[str, str]:
    """Draws a choice of column for each role; returns those that differ from the guess."""
    if len(guessed) + len(columns) < 2:
        return {}
    chosen = {}
    for role, place in zip(_ROLE_LABELS, st.columns(len(_ROLE_LABELS)), strict=True):
        guess = guessed.get(role, "")
        none = [] if role == "text" else [""]
        options = list(dict.fromkeys([guess, *guessed.values(), *columns, *none]))
        picked = place.selectbox(
            _ROLE_LABELS[role],
            options,
            format_func=lambda option: one_line(option) or "none",
            key=f"import_{role}_{source}",
        )
        if picked != guess:
            chosen[role] = picked
    return chosen


def _start(source: Path, title: str, columns: dict[str, str]) -> None:
    into = library.collection_path(title)
    # An upload lies at another path each time, so that its documents seem to come from another source.
    arguments = ["index", str(source), "--into", str(into), "--take-over"]
    # With "=", a column that begins with a dash is not taken for an option.
    arguments += [f"--{role}={column}" for role, column in columns.items()]
    jobs.start(f"Import {one_line(title)}", arguments, into)
    st.session_state[session.GO_TO] = "corpora"
    st.rerun()
