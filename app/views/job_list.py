"""The jobs, polled once a second while one of them works: progress, cancel, resume, the end of the log."""

from collections.abc import Callable
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import jobs, mode, session
from app.display import clean_for_display, esc_md
from app.formats import count, duration
from encoder.errors import InputError

_SHOWN_JOBS = 5
_Colour = Literal["blue", "orange", "green", "red", "gray"]
_WORDS: dict[jobs.State, tuple[str, _Colour]] = {
    "queued": ("Waiting", "gray"),
    "running": ("Running", "blue"),
    "silent": ("No sign of life", "orange"),
    "done": ("Done", "green"),
    "failed": ("Failed", "red"),
    "cancelled": ("Cancelled", "gray"),
    "lost": ("Lost", "red"),
}
_HELP: dict[jobs.State, str] = {
    "lost": "Its process is gone without a word. Resume: what it had finished is not done again.",
    "queued": "One job works at a time; this one starts by itself, also with this page closed.",
}


def draw_jobs() -> None:
    """Draws the newest jobs and those that work; the page is drawn anew once the last working one has ended."""
    shown = _shown_jobs()
    if not shown:
        return
    st.subheader("Jobs", anchor=False)
    works = any(state in jobs.ALIVE for _, state in shown)
    st.fragment(_draw_list, run_every="1s" if works else None)(works)


def _draw_list(was_working: bool) -> None:
    jobs.start_waiting()
    shown = _shown_jobs()
    if was_working and not any(state in jobs.ALIVE for _, state in shown):
        st.rerun()  # the cards show what the job has made
    for job, state in shown:
        _draw_job(job, state)


def _shown_jobs() -> list[tuple[jobs.Job, jobs.State]]:
    """The newest jobs, and every older one that still works: it must be possible to cancel it."""
    found = [(job, jobs.status(job)) for job in jobs.all_jobs()]
    return [
        (job, state) for place, (job, state) in enumerate(found) if place < _SHOWN_JOBS or state in jobs.ALIVE
    ]


def _draw_job(job: jobs.Job, state: jobs.State) -> None:
    word, colour = _WORDS[state]
    with st.container(border=True, key=f"job_{job.id}"):
        title, badge, first, second = st.columns([6, 2, 2, 2], vertical_alignment="center")
        title.markdown(f"**{esc_md(job.title)}**")
        badge.badge(word, color=colour, help=_HELP.get(state))
        if state in jobs.WORKING:
            _draw_progress(job)
        if mode.current().is_read_only:
            pass
        elif state in jobs.ALIVE:
            _draw_cancel(job, first)
        else:
            if state in jobs.RESUMABLE:
                _draw_resume(job, first)
            _draw_remove(job, second)
        if state == "queued":
            return
        if state == "done" and job.arguments[:1] == ("rebuild",):
            st.text(clean_for_display(_result(jobs.log_tail(job))))
        with st.expander("Log", expanded=state == "failed"):
            st.code(clean_for_display(job.reason or jobs.log_tail(job)) or "(empty)", language=None)


def _result(log: str) -> str:
    """What a rebuild said at its end: the new version, and what went with the old vectors."""
    lines = log.splitlines()
    starts = [at for at, line in enumerate(lines) if line.startswith("version ")]
    return "\n".join(lines[starts[-1] :]) if starts else ""


def _draw_cancel(job: jobs.Job, place: DeltaGenerator) -> None:
    place.button(
        "Cancel" if job.cancelled_at is None else "Stop now",
        icon=":material/stop:",
        key=f"cancel_{job.id}",
        on_click=_ask,
        args=(jobs.cancel, job),
        help="What is finished stays; resume goes on from there.",
        width="stretch",
    )


def _draw_resume(job: jobs.Job, place: DeltaGenerator) -> None:
    place.button(
        "Resume",
        icon=":material/replay:",
        key=f"resume_{job.id}",
        on_click=_ask,
        args=(jobs.resume, job),
        width="stretch",
    )


def _draw_remove(job: jobs.Job, place: DeltaGenerator) -> None:
    place.button(
        "Remove",
        icon=":material/close:",
        key=f"forget_{job.id}",
        on_click=jobs.forget,
        args=(job,),
        help="Removes it from this list; the corpus stays.",
        width="stretch",
    )


def _ask(act: Callable[[jobs.Job], jobs.Job], job: jobs.Job) -> None:
    try:
        act(job)
    except jobs.NotKeptError as error:
        session.notice(f"Not done: {error.what}; {error.fix}.")
    except InputError:
        pass  # another page was faster; the list drawn next shows what it did


def _draw_progress(job: jobs.Job) -> None:
    progress = jobs.progress(job)
    share = min(1.0, progress.done / progress.total) if progress.total else 0.0
    parts = [esc_md(progress.stage) if progress.stage else "starting"]
    if progress.total:
        parts.append(f"{count(progress.done)} of {count(progress.total)}")
    elif progress.done:
        parts.append(count(progress.done))
    if progress.rate:
        parts.append(f"{count(progress.rate)} a second")
    if progress.seconds_left is not None:
        parts.append(f"{duration(progress.seconds_left)} left")
    st.progress(share, text=" · ".join(parts))
