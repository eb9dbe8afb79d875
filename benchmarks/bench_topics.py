"""How long do topics take, stage by stage, and what is asked of them afterwards?"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import report
from machine import describe

from indexer.collection import Collection
from indexer.derived import build_folder
from indexer.maps.build import build_map
from indexer.maps.stored import list_maps
from indexer.progress import JobProgress
from indexer.search import Searcher
from indexer.topics import build_topics, topic_column
from indexer.topics.describe import texts_of
from indexer.topics.keyphrases import contrast
from indexer.topics.phrase_table import read_phrases

_SELECTED = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--collection", type=Path, metavar="DIR", required=True, help="is copied, not changed"
    )
    parser.add_argument("--rounds", type=int, default=3, help="repetitions of each (default: 3)")
    report.add_out(parser, "topics")
    args = parser.parse_args()
    head = describe("llm2comp", "numpy", "faiss-cpu", "fast_hdbscan")
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "copy"
        shutil.copytree(args.collection, copy)
        searcher = Searcher(Collection.open(copy))
        if not list_maps(searcher.collection):
            build_map(searcher)
        rows = [row for method in ("kmeans", "hdbscan") for row in _method(searcher, method, args.rounds)]
        passages = searcher.snapshot.rows
    note = (
        f"A collection of {passages:,} passages that has a map. Medians of {args.rounds} repetitions in one process; "
        "the first brings in what a stage imports and compiles."
    )
    header = ["method", "what", "median", "longest"]
    report.publish("Topics", [head, note, report.table(header, rows)], args.out)


def _method(searcher: Searcher, method: str, rounds: int) -> list[list[str]]:
    """Rows of the table: each stage, all of them, and what is asked of the topics."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, seconds in _once(searcher, method).items():
            times.setdefault(name, []).append(seconds)
    return [
        [method, name, f"{median(seconds):.3f} s", f"{max(seconds):.3f} s"] for name, seconds in times.items()
    ]


def _once(searcher: Searcher, method: str) -> dict[str, float]:
    stages: list[tuple[str, float]] = []

    def note(progress: JobProgress) -> None:
        stages.append((progress.stage, time.perf_counter()))

    began = time.perf_counter()
    run = build_topics(searcher, method=method, report=note)
    ended = time.perf_counter()
    times: dict[str, float] = {}
    for (stage, at), (_, until) in zip(stages, [*stages[1:], ("", ended)], strict=True):
        times[stage] = times.get(stage, 0.0) + until - at
    times[f"all: {len(run.topics)} topics"] = ended - began
    snapshot = searcher.snapshot
    table = read_phrases(build_folder(searcher.collection, "topics", run.build.id))
    number = min(_SELECTED, run.row_ids.size)
    some = np.sort(np.random.default_rng(0).choice(run.row_ids, number, replace=False))
    began = time.perf_counter()
    topic_column(searcher, run.id)
    times["the topic of every passage"] = time.perf_counter() - began
    began = time.perf_counter()
    contrast(list(texts_of(snapshot, some)), table)
    times[f"key phrases of {number:,} selected passages"] = time.perf_counter() - began
    return times


if __name__ == "__main__":
    main()
