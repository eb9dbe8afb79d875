"""Finding topics: the job that does it, its progress on the page, and what the page says before there are any."""

from typing import Any

import streamlit as st

from app import jobs, mode, session
from app.display import clean_for_display, esc_md
from app.formats import count, duration, plural
from app.topic_session import runs_of
from encoder.errors import Llm2CompError
from indexer.topics.versions import AUTOMATIC_NAME

# Measured on one core: 27,139 passages of 256 numbers took 9 s by k-means, 17 s by dense regions.
_START_S, _PASSAGES_A_SECOND = 3, {"kmeans": 4_500, "hdbscan": 1_900}
_METHODS = {"kmeans": "Every passage gets a topic", "hdbscan": "Dense regions of the map"}
_METHOD_HELP = (
    "Every passage gets a topic: k-means on the vectors. Dense regions of the map: HDBSCAN, which leaves passages "
    "between the regions without a topic."
)
_METHOD, _COUNT, _LEAST, _SEED = "find_method", "find_count", "find_least", "find_seed"
_FAILED = ("failed", "lost")


def draw_first(opened: session.Opened) -> None:
    """What the page says before there are topics."""
    with st.container(border=True, key="no_topics"):
        st.subheader("No topics yet", anchor=False)
        st.text(
            "Topics are groups of passages about the same thing, named by the phrases that set them apart."
        )
        if mode.current().is_read_only:
            st.text("This server only shows. Whoever owns the corpus finds topics with this command:")
            st.code("llm2comp topics DIR", language=None)
            return
        passages = opened.searcher.snapshot.rows
        if not passages:
            st.text("The corpus holds no passages to find them in.")
            return
        with st.container(horizontal=True):
            _draw_start(opened, is_primary=True)
            with st.popover("Options", icon=":material/tune:"):
                _draw_options(opened)
        method = _method(opened)
        seconds = _START_S + passages / _PASSAGES_A_SECOND[method]
        st.caption(
            f"About {duration(seconds)} for {plural(passages, 'passage')}; you can leave the page meanwhile."
        )


def draw_find(opened: session.Opened) -> None:
    """The button that finds topics anew, with its options."""
    with st.popover("Find again", icon=":material/refresh:", width="stretch", key="find_again"):
        _draw_options(opened)
        _draw_start(opened, is_primary=False)
        st.caption("What was found before stays in the list of runs.")


def _has_map(opened: session.Opened) -> bool:
    from indexer.maps.stored import neighbour_map

    # Crowds of a map by PCA are no topics.
    key = session.state_beside(opened.collection.path)
    return session.derived(opened, "has map", key, lambda: bool(neighbour_map(opened.collection)))


def _method(opened: session.Opened) -> str:
    chosen = st.session_state.get(_METHOD)
    return chosen or ("hdbscan" if _has_map(opened) else "kmeans")


def _draw_options(opened: session.Opened) -> None:
    if _has_map(opened):
        st.radio(
            "How",
            list(_METHODS),
            index=1,
            key=_METHOD,
            format_func=_METHODS.__getitem__,
            help=_METHOD_HELP,
        )
    else:
        st.text(
            "Every passage gets a topic (k-means).\nWith a map by UMAP, dense regions of it can be topics too."
        )
    if _method(opened) == "kmeans":
        st.number_input("Topics", 0, 2_000, 0, key=_COUNT, help="0: by the size of the corpus, 4 to 100.")
    else:
        st.number_input(
            "Fewest passages of a topic", 0, 1_000_000, 0, key=_LEAST, help="0: by the size of the corpus."
        )
    st.number_input("Seed", 0, 2_000_000_000, 0, key=_SEED, help="Another seed gives other topics.")


def _draw_start(opened: session.Opened, *, is_primary: bool) -> None:
    st.button(
        "Find topics",
        icon=":material/category:",
        key="find_topics",
        type="primary" if is_primary else "secondary",
        on_click=_start,
        args=(opened,),
    )


def _start(opened: session.Opened) -> None:
    method = _method(opened)
    options = ["--method", method, "--seed", str(int(st.session_state.get(_SEED) or 0))]
    name, option = (_COUNT, "-n") if method == "kmeans" else (_LEAST, "--min-size")
    if wanted := int(st.session_state.get(name) or 0):
        options += [option, str(wanted)]
    try:
        jobs.start_once("topics", opened.collection.path, options)
    except Llm2CompError as error:
        session.notice(f"Not started: {error.what}; {error.fix}.")


def draw_finding(opened: session.Opened) -> bool:
    """Draws the job that finds topics in this corpus; says whether one is at work."""
    job, state = _newest(opened)
    if job is None:
        return False
    if state in jobs.ALIVE:
        st.fragment(_draw_progress, run_every="1s")(opened, job.id)
        return True
    if state in _FAILED and job.exit_code != 0:
        _draw_failed(job)
    return False


def _newest(opened: session.Opened) -> tuple[jobs.Job | None, jobs.State]:
    """The newest job of ours; its state is "done" where there is none."""
    job = jobs.newest("topics", opened.collection.path)
    return job, "done" if job is None else jobs.status(job)


def _draw_progress(opened: session.Opened, watched: str) -> None:
    jobs.start_waiting()
    job, state = _newest(opened)
    if job is None or job.id != watched or state not in jobs.ALIVE:
        if state == "done" and job is not None and job.id == watched:
            _look_at_newest(opened)
        st.rerun()
    with st.container(border=True, key="finding"):
        text, button = st.columns([7, 1], vertical_alignment="center")
        if state == "queued":
            text.text("Waiting for another job to end, then topics are found.")
        else:
            progress = jobs.progress(job)
            parts = [f"Finding topics: {esc_md(progress.stage) or 'starting'}"]
            if progress.done:
                parts.append(f"{count(progress.done)} passages")
            share = min(1.0, progress.done / progress.total) if progress.total else 0.0
            text.progress(share, text=" · ".join(parts))
        if not mode.current().is_read_only:
            button.button(
                "Cancel", icon=":material/stop:", key="cancel_finding", on_click=_ask, args=(jobs.cancel, job)
            )


def _look_at_newest(opened: session.Opened) -> None:
    runs = runs_of(opened)
    if runs:
        session.change(topics_run=runs[0]["id"], topics_version=AUTOMATIC_NAME, topics=())
        session.notice(f"Found {plural(int(runs[0]['facts'].get('topics', 0)), 'topic')}.")


def _draw_failed(job: jobs.Job) -> None:
    with st.container(border=True, key="finding_failed"):
        st.markdown(":material/error: **Topics could not be found**")
        st.code(clean_for_display(jobs.log_tail(job)) or "(its log is empty)", language=None, wrap_lines=True)
        if not mode.current().is_read_only:
            with st.container(horizontal=True):
                st.button("Try again", key="retry_finding", on_click=_ask, args=(jobs.resume, job))
                st.button("Dismiss", key="forget_finding", on_click=_ask, args=(jobs.forget, job))


def _ask(act: Any, job: jobs.Job) -> None:
    try:
        act(job)
    except Llm2CompError as error:
        session.notice(f"{error.what}; {error.fix}.")
