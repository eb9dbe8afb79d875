"""Making maps: the job that lays one out and its progress, and the offers to start it."""

import contextlib
import time
from pathlib import Path

import streamlit as st

from app import jobs, mode, session
from app.display import clean_for_display, esc_md
from app.formats import count, duration, plural
from app.map_selection import minutes_for
from app.map_session import OpenMap, map_list
from app.views.map_controls import recipe_line
from encoder.errors import InputError, Llm2CompError
from indexer.maps.layouts import LEAST_UMAP_POINTS, check_umap

_NEIGHBOURS, _LEAST, _SEED = "map_neighbours", "map_least_distance", "map_seed"
_PUT_AWAY = "map_jobs_put_away"  # ids of failed jobs whose message was read
# Words of each stage of the job, and how far along it begins: shares of the time of a middling corpus.
_STAGES = {
    "reading": ("Reading the vectors", 0.02),
    "neighbours": ("Finding the nearest of each passage", 0.05),
    "layout": ("Laying out by neighbours", 0.4),
    "trust": ("Measuring trust", 0.9),
    "placing": ("Placing the others", 0.95),
    "writing": ("Writing the map", 0.99),
}


def draw_jobs(opened: session.Opened) -> None:
    """Draws the newest job that makes a map of this corpus, while it works or where it has failed."""
    job = jobs.newest("map", opened.collection.path)
    if job is None:
        return
    state = jobs.status(job)
    if state in jobs.ALIVE:
        st.fragment(_draw_progress, run_every="1s")(opened.collection.path, job.id)
    elif state in ("failed", "lost") and job.id not in st.session_state.get(_PUT_AWAY, ()):
        _draw_failure(job)


def draw_first(opened: session.Opened) -> None:
    """Offers a map of a corpus that has none and is too large to map while somebody waits."""
    rows = opened.searcher.snapshot.rows
    with st.container(border=True, key="no_map"):
        st.subheader("No map yet", anchor=False)
        st.text(
            f"A map shows all {plural(rows, 'passage')} as points; those with a similar meaning lie together."
        )
        _draw_start(opened, is_primary=True)


def draw_offer(opened: session.Opened, shown: OpenMap) -> None:
    """Offers a better map than the one that is shown, where there is one or one should be made."""
    builds = map_list(opened)
    if builds and builds[0].id != shown.stored.id:
        with st.container(horizontal=True, vertical_alignment="center", key="map_newer"):
            st.text(f"There is a newer map: {recipe_line(builds[0])}")
            st.button(
                "Show it",
                key="show_newer",
                on_click=session.change,
                kwargs={"map": "", "polygon": (), "map_view": ()},
                help="An outline on the map that you see now is dropped: it means nothing on another.",
            )
    elif sentence := _reason(shown):
        _draw_offer(opened, sentence)


def draw_new(opened: session.Opened, shown: OpenMap) -> None:
    """Offers one more map, of other settings, where nothing else does and there is something to lay out."""
    if not mode.current().is_read_only and _can_differ(shown) and not _reason(shown):
        with st.popover("New map", icon=":material/add:", type="tertiary", key="map_new"):
            _draw_start(opened, is_primary=False)


def _reason(shown: OpenMap) -> str:
    """Why another map should be made; empty where none need be."""
    facts, points = shown.stored.build.facts, shown.points
    if points.needs_refit:
        return f"{points.placed_share:.0%} of the points were only placed beside their neighbours: lay the map out anew."
    is_quick = facts.get("drawn_by") == "pca" and shown.stored.build.recipe.get("method") == "pca"
    if not is_quick or not _can_differ(shown):
        return ""
    share = facts.get("pca_share")
    part = f", {share:.0%} of it" if isinstance(share, float) else ""
    return (
        f"This quick map (PCA) shows the two directions of greatest variance{part}: what lies together may still "
        "differ. Laid out by neighbours, subjects come apart."
    )


def _can_differ(shown: OpenMap) -> bool:
    """Whether another layout could show more; of a handful of different passages PCA shows all."""
    distinct = shown.stored.build.facts.get("distinct")
    return isinstance(distinct, int) and distinct >= LEAST_UMAP_POINTS


def _draw_offer(opened: session.Opened, sentence: str) -> None:
    if mode.current().is_read_only or _is_working(opened.collection.path):
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="map_offer"):
        st.text(sentence, width="stretch")
        _draw_start(opened, is_primary=True)


def _draw_start(opened: session.Opened, *, is_primary: bool) -> None:
    if mode.current().is_read_only:
        st.text("This server only shows; whoever may write to the corpus makes maps.")
        return
    try:
        check_umap()
    except Llm2CompError as error:
        st.text(f"{error.what}. To lay out by neighbours:")
        st.code(error.fix, language=None)
        return
    rows = opened.searcher.snapshot.rows
    with st.container(horizontal=True, vertical_alignment="center", width="content"):
        st.button(
            f"Lay out by neighbours (UMAP), about {count(minutes_for(rows))} min",
            icon=":material/scatter_plot:",
            key="make_map",
            type="primary" if is_primary else "secondary",
            disabled=_is_working(opened.collection.path),
            on_click=_start,
            args=(opened,),
        )
        with st.popover("Options", type="tertiary"):
            _draw_options()


def _draw_options() -> None:
    st.number_input(
        "Neighbours", 2, 200, 15, key=_NEIGHBOURS, help="That each passage is kept near: more show the whole, "
        "fewer the detail."
    )  # fmt: skip
    st.number_input(
        "Least distance",
        0.0,
        0.99,
        0.1,
        0.05,
        key=_LEAST,
        help="How close points may lie: small for tight groups.",
    )
    st.number_input(
        "Seed", 0, 2**31 - 1, 0, key=_SEED, help="Of the random choices; the same one repeats the map."
    )


def _start(opened: session.Opened) -> None:
    options: list[str] = []
    for name, option, usual in (
        (_NEIGHBOURS, "--neighbours", 15),
        (_LEAST, "--min-dist", 0.1),
        (_SEED, "--seed", 0),
    ):
        value = st.session_state.get(name)
        if value is not None and value != usual:
            options += [option, str(value)]
    try:
        jobs.start_once("map", opened.collection.path, options)
    except Llm2CompError as error:
        session.notice(f"Not started: {error.what}; {error.fix}.")


def _is_working(path: Path) -> bool:
    job = jobs.newest("map", path)
    return job is not None and jobs.status(job) in jobs.ALIVE


def _draw_progress(path: Path, watched: str) -> None:
    jobs.start_waiting()
    job = jobs.newest("map", path)  # read anew: one that waited when the page was drawn may have begun
    if job is None or job.id != watched:
        st.rerun()
    state = jobs.status(job)
    if state not in jobs.ALIVE:
        if state == "done":
            session.notice("The new map is ready.")
        st.rerun()
    progress = jobs.progress(job)
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="map_job"):
        words, share = _STAGES.get(progress.stage, ("Starting", 0.0))
        parts = ["Waiting for another job" if state == "queued" else words]
        if progress.total:
            parts.append(f"{count(progress.done)} of {count(progress.total)}")
        if state != "queued":
            parts.append(f"{duration(time.time() - job.started_at)} so far")
        st.progress(share, text=esc_md(f"New map: {' · '.join(parts)}"))
        if not mode.current().is_read_only:
            st.button("Cancel", icon=":material/stop:", key="cancel_map", on_click=_cancel, args=(job,))


def _cancel(job: jobs.Job) -> None:
    with contextlib.suppress(InputError):  # another page was faster
        jobs.cancel(job)


def _draw_failure(job: jobs.Job) -> None:
    with st.container(border=True, key="map_failed"):
        st.markdown(":material/error: **The map could not be made**")
        st.code(clean_for_display(jobs.log_tail(job)) or "(its log is empty)", language=None, wrap_lines=True)
        with st.container(horizontal=True):
            if not mode.current().is_read_only:
                st.button("Try again", key="retry_map", on_click=_retry, args=(job,))
            st.button("Put away", key="put_away_map", on_click=_put_away, args=(job.id,))


def _retry(job: jobs.Job) -> None:
    with contextlib.suppress(InputError):
        jobs.resume(job)


def _put_away(identifier: str) -> None:
    st.session_state[_PUT_AWAY] = {*st.session_state.get(_PUT_AWAY, ()), identifier}
