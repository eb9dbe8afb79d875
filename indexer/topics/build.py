"""Makes a topics run: groups, their stability, what the vectors and the texts say of them, and the stored build."""

import sys
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.errors import InputError
from indexer.derived import write_build
from indexer.maps.stored import neighbour_map
from indexer.progress import JobProgress, Report, silent
from indexer.query.snapshot import Snapshot
from indexer.search import Searcher
from indexer.topics import clusters, describe, quality
from indexer.topics.describe import Assignment
from indexer.topics.keyphrases import topic_keyphrases
from indexer.topics.phrase_table import PhraseTable, count_phrases, write_phrases
from indexer.topics.stored import KIND, NOISE, StoredTopics, Topic, read_run, unit_rows, write_files

METHODS = ("hdbscan", "kmeans")
STABILITY_RUNS = 2  # beside the run itself: three seeds in all
STABILITY_SHARE = 0.8  # of the passages, where the map is the same each time
MOST_PHRASE_ROWS = 100_000
MIN_SAMPLES = 5
_BLOCK = 8192


@dataclass(frozen=True, slots=True)
class _Found:
    """What a method found: the groups of each row, and how stable they are."""

    topics: NDArray[np.int32]
    stability: NDArray[np.float64]
    recipe: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Grouped:
    """After the first stage: the assignment, what the method found, and how the run is made again."""

    assignment: Assignment
    found: _Found
    recipe: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Described:
    """After the second stage: the topics, and what they were counted from."""

    measures: quality.Measured
    table: PhraseTable
    topics: list[Topic]


def build_topics(
    searcher: Searcher,
    *,
    method: str = "",
    count: int | None = None,
    min_size: int | None = None,
    map_id: str = "",
    seed: int = 0,
    report: Report = silent,
) -> StoredTopics:
    """A new run over the newest publication, stored.

    Args:
        searcher: of the collection.
        method: "hdbscan" (dense regions of a map, the rest is noise) or "kmeans" (every passage has a topic);
            hdbscan where there is a map by UMAP when empty.
        count: topics of k-means; about the root of half the passages, 4 to 100, when None.
        min_size: fewest passages of an hdbscan topic; grows with the collection when None.
        map_id: map for hdbscan; the newest by UMAP when empty, else the newest.
        seed: of everything random.
        report: told how far it is.

    Raises:
        InputError: the method, a number or the map is impossible.
        CollectionError: it cannot be written.
    """
    searcher = searcher.held()  # the map is brought to the version that is grouped
    # On a PCA map everything lies upon everything: its dense regions are no topics.
    map_id = map_id or neighbour_map(searcher.collection)
    method = method or ("hdbscan" if map_id else "kmeans")
    _check(method, count, min_size, seed)
    started = time.monotonic()
    grouped = _grouped(searcher, (method, map_id), count=count, min_size=min_size, seed=seed, report=report)
    return _stored(searcher, grouped, _described(searcher.snapshot, grouped, seed, report), started)


def _grouped(
    searcher: Searcher,
    how: tuple[str, str],
    *,
    count: int | None,
    min_size: int | None,
    seed: int,
    report: Report,
) -> _Grouped:
    """The first stage: which rows belong together, by the method and map in `how`."""
    method, map_id = how
    snapshot = searcher.snapshot
    row_ids = snapshot.row_ids()
    report(JobProgress("grouping", passages=0))
    groups = clusters.group_equal(block for _, block in snapshot.vector_blocks(row_ids, _BLOCK))
    if method == "kmeans":
        found = _kmeans(snapshot, row_ids, groups, count=count, seed=seed, report=report)
    else:
        found = _hdbscan(
            searcher, row_ids, groups, min_size=min_size, map_id=map_id, seed=seed, report=report
        )
    recipe = {"method": method, "seed": seed, **found.recipe, "versions": _versions(method)}
    return _Grouped(Assignment(row_ids, found.topics, groups, range(found.stability.size)), found, recipe)


def _described(snapshot: Snapshot, grouped: _Grouped, seed: int, report: Report) -> _Described:
    """The second stage: what the vectors and the texts say of each group."""
    assignment = grouped.assignment
    report(JobProgress("comparing", passages=assignment.row_ids.size))
    measures = describe.measured(snapshot, assignment)
    report(JobProgress("counting phrases", passages=assignment.row_ids.size))
    table, counts, sizes = _phrases(snapshot, assignment, seed)
    stability = dict(enumerate(grouped.found.stability.round(4).tolist()))
    topics = describe.describe(assignment, measures, topic_keyphrases(counts, sizes, table), stability)
    return _Described(measures, table, topics)


def _stored(searcher: Searcher, grouped: _Grouped, described: _Described, started: float) -> StoredTopics:
    """The last stage: the build on disk, and what is read back of it."""
    assignment = grouped.assignment

    def write(folder: Path) -> None:
        write_files(
            folder,
            assignment.row_ids,
            assignment.stored_numbers,
            closeness=described.measures.closeness,
            means=described.measures.means,
            topics=described.topics,
        )
        write_phrases(folder, described.table)

    facts = {
        "rows": int(assignment.row_ids.size),
        "topics": len(described.topics),
        "noise": int((assignment.topics == NOISE).sum()),
        "without_direction": int((assignment.groups == NOISE).sum()),
        "different_vectors": int(assignment.groups.max(initial=-1)) + 1,
        "phrase_rows": described.table.passages,
        "seconds": round(time.monotonic() - started, 2),
    }
    build = write_build(
        searcher.collection,
        KIND,
        version=searcher.snapshot.publication.number,
        recipe=grouped.recipe,
        facts=facts,
        write=write,
    )
    return read_run(searcher.collection, build.id)


def _check(method: str, count: int | None, min_size: int | None, seed: int) -> None:
    if method not in METHODS:
        raise InputError(f"there is no method {method[:40]!r}", "--method", f"choose {' or '.join(METHODS)}")
    if count is not None and (method != "kmeans" or not 1 <= count <= clusters.MOST_KMEANS_TOPICS):
        raise InputError(
            f"a count of {count} topics is impossible with {method}",
            "-n",
            f"choose 1 to {clusters.MOST_KMEANS_TOPICS:,} with --method kmeans; hdbscan takes --min-size",
        )
    if min_size is not None and (method != "hdbscan" or min_size < 2):
        raise InputError(
            f"topics of at least {min_size} passages are impossible with {method}",
            "--min-size",
            "choose 2 or more with --method hdbscan; kmeans takes -n",
        )
    if not 0 <= seed < 2**31 - 1000:
        raise InputError(f"the seed {seed} is impossible", "--seed", "choose 0 to 2,000,000,000")


def _kmeans(
    snapshot: Snapshot,
    row_ids: NDArray[np.uint64],
    groups: NDArray[np.int64],
    *,
    count: int | None,
    seed: int,
    report: Report,
) -> _Found:
    first = clusters.first_rows(groups)
    count = min(count or clusters.default_count(first.size), first.size)
    if not count:
        return _Found(np.full(row_ids.size, NOISE, np.int32), np.zeros(0), {"count": 0})
    runs = []
    for run in range(1 + STABILITY_RUNS):
        report(JobProgress("k-means", passages=row_ids.size, fraction=(run + 1) / (1 + STABILITY_RUNS)))
        runs.append(_kmeans_run(snapshot, row_ids[first], count, seed + run)[groups])
        runs[-1][groups == NOISE] = NOISE
    topics = clusters.by_size(runs[0])
    n_topics = int(topics.max(initial=-1)) + 1
    overlaps = [quality.best_overlaps(topics, other, n_topics) for other in runs[1:]]
    recipe = {
        "count": count,
        "rounds": 25,
        "stability": "best overlap with k-means from two other seeds, mean",
    }
    return _Found(topics, np.mean(overlaps, axis=0), recipe)


def _kmeans_run(snapshot: Snapshot, rows: NDArray[np.uint64], count: int, seed: int) -> NDArray[np.int32]:
    """The group of each of some rows with different vectors, int32 [U]."""
    rng = np.random.default_rng(seed)
    size = min(rows.size, clusters.sample_size(count))
    sample = rows[np.sort(rng.choice(rows.size, size, replace=False))]
    centroids = clusters.kmeans_centroids(unit_rows(snapshot.vectors(sample)), count, seed=seed)
    blocks = snapshot.vector_blocks(rows, _BLOCK)
    return np.concatenate([clusters.nearest_centroids(unit_rows(block), centroids) for _, block in blocks])


def _hdbscan(
    searcher: Searcher,
    row_ids: NDArray[np.uint64],
    groups: NDArray[np.int64],
    *,
    min_size: int | None,
    map_id: str,
    seed: int,
    report: Report,
) -> _Found:
    from indexer.maps.points import current_points
    from indexer.maps.stored import open_map

    stored = open_map(searcher.collection, map_id)
    points = current_points(stored, searcher.snapshot)
    first = clusters.first_rows(groups)
    at = np.searchsorted(points.row_ids, row_ids[first])
    on_map = np.isin(row_ids[first], points.row_ids)
    places = np.stack([points.x[at[on_map]], points.y[at[on_map]]], axis=1).astype(np.float64)
    min_size = min_size or clusters.default_min_size(places.shape[0])
    report(JobProgress("finding dense regions", passages=row_ids.size))
    of_group = np.full(first.size + 1, NOISE, np.int32)  # the last for rows without a direction
    of_group[:-1][on_map] = clusters.density_groups(places, min_size=min_size, min_samples=MIN_SAMPLES)
    topics = clusters.by_size(of_group[groups])
    n_topics = int(topics.max(initial=-1)) + 1
    overlaps = []
    for run in range(STABILITY_RUNS):
        report(JobProgress("stability", passages=row_ids.size, fraction=(run + 1) / STABILITY_RUNS))
        overlaps.append(_again(places, on_map, (topics, groups, n_topics), min_size, seed + 1 + run))
    recipe = {
        "map": stored.id,
        "min_size": min_size,
        "min_samples": MIN_SAMPLES,
        "stability": "best overlap on the same map with two random 80 % of the passages, mean",
    }
    return _Found(topics, np.mean(overlaps, axis=0), recipe)


def _again(
    places: NDArray[np.float64],
    on_map: NDArray[np.bool_],
    found: tuple[NDArray[np.int32], NDArray[np.int64], int],
    min_size: int,
    seed: int,
) -> NDArray[np.float64]:
    """How much of each topic comes back from a random share of the map's places [U, 2], float64 [C]."""
    topics, groups, n_topics = found
    rng = np.random.default_rng(seed)
    kept = rng.random(places.shape[0]) < STABILITY_SHARE
    least = max(2, round(min_size * STABILITY_SHARE))
    of_group = np.full(on_map.size + 1, NOISE, np.int32)
    was_seen = np.zeros(on_map.size + 1, np.bool_)
    seen = np.flatnonzero(on_map)[kept]
    was_seen[seen] = True
    of_group[seen] = clusters.density_groups(places[kept], min_size=least, min_samples=MIN_SAMPLES)
    return quality.best_overlaps(topics, of_group[groups], n_topics, was_seen[groups])


def _phrases(
    snapshot: Snapshot, found: Assignment, seed: int
) -> tuple[PhraseTable, NDArray[np.int64], NDArray[np.int64]]:
    """Phrase table, counts int64 [C, P], and how many passages of each topic were counted, int64 [C]."""
    chosen = np.arange(found.row_ids.size)
    if chosen.size > MOST_PHRASE_ROWS:
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.choice(chosen.size, MOST_PHRASE_ROWS, replace=False))
    topics = found.topics[chosen].astype(np.int64)
    texts = describe.texts_of(snapshot, found.row_ids[chosen])
    rule = snapshot.collection.settings.words
    table, counts = count_phrases(texts, topics, rule=rule, n_topics=len(found.numbers))
    return table, counts, np.bincount(topics[topics >= 0], minlength=len(found.numbers)).astype(np.int64)


def _versions(method: str) -> dict[str, str]:
    """Versions of what decides the result."""
    found = {"python": sys.version.split()[0], "numpy": np.__version__}
    names = (
        ("fast-hdbscan", "scikit-learn")
        if method == "hdbscan"
        else ("faiss-cpu", "faiss-gpu", "scikit-learn")
    )
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
