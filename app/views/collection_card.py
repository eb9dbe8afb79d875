"""What was made from a corpus, on its card: maps, topics, what people wrote; the jobs that make more; the export."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from app import jobs, mode, session
from app.display import clean_for_display, esc_md, one_line
from app.formats import ago, count, duration, parse_moment, plural
from encoder.errors import Llm2CompError
from indexer.collection import Collection
from indexer.derived import Build

_KINDS = {"map": "Maps", "topics": "Topics"}
_METHODS = {"umap": "UMAP", "pca": "PCA", "kmeans": "k-means", "hdbscan": "HDBSCAN"}
# Seconds for a passage on one core, and before the first: umap compiles itself at the first use.
_UMAP_S, _UMAP_START_S = 0.0008, 40
_KMEANS_S, _KMEANS_START_S = 0.001, 10
_CHECK_S, _INDEX_S = 0.0001, 0.0002
_MOST_DOWNLOADED = 200_000  # passages; the server holds such a file in memory
_MIME = {
    "parquet": "application/vnd.apache.parquet",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv",
}


def draw_builds(key: str, path: Path, info: dict[str, Any]) -> None:
    """Draws the panel of one corpus.

    Args:
        key: of the corpus.
        path: its folder.
        info: what `info` says.
    """
    collection = Collection.open(path)
    builds = _builds(collection)
    runs = len(builds["topics"])
    said = f"{plural(len(builds['map']), 'map')} · {count(runs)} {'run' if runs == 1 else 'runs'} of topics"
    with st.expander(f"{said}, jobs and export", icon=":material/build:", key=f"builds_{key}"):
        for kind, found in builds.items():
            _draw_kind(key, collection, kind, found)
        for line in _written(collection):
            st.text(line)
        if not mode.current().is_read_only:
            _draw_jobs(key, path, int(info["passages"]))
        _draw_export(key, path, int(info["passages"]))


def _builds(collection: Collection) -> dict[str, list[Build]]:
    from indexer.maps.stored import list_maps
    from indexer.topics.versions import list_runs

    return {"map": list_maps(collection), "topics": list_runs(collection)}


def _draw_kind(key: str, collection: Collection, kind: str, found: list[Build]) -> None:
    st.caption(_KINDS[kind])
    if not found:
        st.text("none yet")
    for build in found:
        words, remove = st.columns([4, 1], vertical_alignment="center")
        words.text(build_line(build))
        if not mode.current().is_read_only:
            remove.button(
                "Remove",
                key=f"remove_{key}_{kind}_{build.id}",
                on_click=_remove,
                args=(collection, kind, build.id),
                help="Links that name it no longer show it. The passages stay.",
                type="tertiary",
            )


def build_line(build: Build) -> str:
    """A map or a topics run in a line: what it is, of what, when, and its id. Its recipe may come from elsewhere."""
    recipe, facts = build.recipe, build.facts
    made = parse_moment(build.created_at)
    method = str(recipe.get("method", "?"))
    parts = [_METHODS.get(method, one_line(method))]
    if build.kind == "topics":
        parts.append(f"{one_line(str(facts.get('topics', '?')))} topics")
    if isinstance(facts.get("rows"), int):
        parts.append(plural(facts["rows"], "passage"))
    parts.append(f"version {count(build.version)}")
    if made is not None:
        parts.append(ago(made))
    return " · ".join([*parts, build.id])


def _written(collection: Collection) -> list[str]:
    """What people wrote about the corpus, counted."""
    from indexer.annotations import notes, searches, sets, tags

    readers = (
        ("saved set", "saved sets", sets.list_sets),
        ("saved search", "saved searches", searches.list_searches),
        ("tag", "tags", tags.list_tags),
        ("note", "notes", notes.read_notes),
    )
    try:
        counts = [(one, many, len(read(collection))) for one, many, read in readers]
    except Llm2CompError as error:
        return [clean_for_display(error.what)]
    return [", ".join(f"{count(number)} {one if number == 1 else many}" for one, many, number in counts)]


def _draw_jobs(key: str, path: Path, passages: int) -> None:
    # What each does, the verb and its options, and how long it takes on one core.
    offers = (
        ("Lay out a map", ":material/map:", "map", (), _UMAP_START_S + _UMAP_S * passages),
        ("Find topics", ":material/category:", "topics", (), _KMEANS_START_S + _KMEANS_S * passages),
        ("Rebuild the index", ":material/replay:", "rebuild", (), 5 + _INDEX_S * passages),
        ("Check every file", ":material/fact_check:", "verify", (), 2 + _CHECK_S * passages),
    )
    with st.container(horizontal=True, key=f"jobs_{key}"):
        for label, icon, verb, options, seconds in offers:
            st.button(
                esc_md(label),
                icon=icon,
                key=f"job_{verb}_{key}",
                on_click=_start,
                args=(verb, path, options),
                disabled=not passages,
                help=f"About {duration(seconds)} for {plural(passages, 'passage')} on one core; see it above.",
            )


def _draw_export(key: str, path: Path, passages: int) -> None:
    with st.popover("Export all passages", icon=":material/download:", key=f"export_all_{key}"):
        if passages > _MOST_DOWNLOADED:
            st.caption(f"More than {count(_MOST_DOWNLOADED)} passages are exported by the command:")
        else:
            for ending, mime in _MIME.items():
                st.download_button(
                    ending,
                    data=partial(exported, path, ending),
                    file_name=f"passages.{ending}",
                    mime=mime,
                    key=f"export_{key}_{ending}",
                    on_click="ignore",
                    disabled=not passages,
                    width="stretch",
                )
            st.caption("With vectors, or to a file on the server:")
        st.code("llm2comp export DIR --out FILE", language=None)


def exported(path: Path, kind: str) -> bytes:
    """All passages of a collection as the bytes of a parquet, jsonl or csv file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"passages.{kind}"
        Collection.open(path).export(file)
        return file.read_bytes()


def _start(verb: str, path: Path, options: tuple[str, ...]) -> None:
    try:
        jobs.start_once(verb, path, options)
    except Llm2CompError as error:
        session.notice(f"Not started: {error.what}; {error.fix}.")


def _remove(collection: Collection, kind: str, identifier: str) -> None:
    from indexer.derived import remove_build
    from indexer.topics.edits import remove_topics

    try:
        mode.check_writable("remove maps and topics")
        if kind == "topics":
            remove_topics(collection, identifier)  # with the edits that people made of it
        else:
            remove_build(collection, kind, identifier)
    except Llm2CompError as error:
        session.notice(f"Not removed: {error.what}; {error.fix}.")
