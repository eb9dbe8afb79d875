"""How long topics take, per stage, on a collection that exists.

python benchmarks/bench_topics.py COLLECTION
"""

import sys
import time

import numpy as np

from indexer.collection import Collection
from indexer.derived import build_folder
from indexer.progress import JobProgress
from indexer.search import Searcher
from indexer.topics import build_topics, topic_column
from indexer.topics.describe import texts_of
from indexer.topics.edits import remove_topics
from indexer.topics.keyphrases import contrast
from indexer.topics.phrase_table import read_phrases


def main(path: str) -> None:
    searcher = Searcher(Collection.open(path))
    stages: list[tuple[str, float]] = []

    def report(progress: JobProgress) -> None:
        stages.append((progress.stage, time.perf_counter()))

    started = time.perf_counter()
    run = build_topics(searcher, method="kmeans", report=report)
    ended = time.perf_counter()
    print(f"| step | seconds ({run.row_ids.size:,} passages, {len(run.topics)} topics) |\n|---|---|")
    for (stage, at), (_, until) in zip(stages, [*stages[1:], ("", ended)], strict=True):
        print(f"| {stage} | {until - at:.2f} |")
    print(f"| all | {ended - started:.2f} |")
    table = read_phrases(build_folder(searcher.collection, "topics", run.build.id))
    some = np.sort(np.random.default_rng(0).choice(run.row_ids, min(2000, run.row_ids.size), replace=False))
    for name, work in (
        ("the topic of every row", lambda: topic_column(searcher, run.id)),
        (
            f"key phrases of {some.size:,} selected passages",
            lambda: contrast(list(texts_of(searcher.snapshot, some)), table),
        ),
    ):
        started = time.perf_counter()
        work()
        print(f"| {name} | {time.perf_counter() - started:.3f} |")
    remove_topics(searcher.collection, run.id)


if __name__ == "__main__":
    main(sys.argv[1])
