"""Development sets of the study: seeded parts of the given ones, small enough for hundreds of evaluations.

A set keeps its kind and its name; what is drawn follows from seed 0 and the set alone, so every encoder of every seed
is asked the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scale import Scale

from train.evaluation.tasks import (
    ClassificationTask,
    ClusteringTask,
    RetrievalTask,
    StsTask,
    Task,
    read_tasks,
)

_SEED = 0


def read_parts(place: Path, scale: Scale) -> list[Task]:
    """The sets of a folder, of each at most what the scale allows.

    Raises:
        InputError: nothing is there, or a set cannot be read.
    """
    return [part_of(task, scale) for task in read_tasks(place)]


def part_of(task: Task, scale: Scale) -> Task:
    """A part of a set, rows in their order; of a retrieval set all that answers the drawn queries is kept."""
    if isinstance(task, StsTask):
        rows = _draw(len(task.left), scale.sts_pairs)
        return replace(
            task,
            left=_take(task.left, rows),
            right=_take(task.right, rows),
            grades=_take(task.grades, rows),
        )
    if isinstance(task, ClusteringTask):
        rows = _draw(len(task.texts), scale.cluster_texts)
        return replace(task, texts=_take(task.texts, rows), labels=_take(task.labels, rows))
    if isinstance(task, ClassificationTask):
        train = _draw(len(task.train_texts), scale.train_texts)
        test = _draw(len(task.test_texts), scale.test_texts)
        return replace(
            task,
            train_texts=_take(task.train_texts, train),
            train_labels=_take(task.train_labels, train),
            test_texts=_take(task.test_texts, test),
            test_labels=_take(task.test_labels, test),
        )
    return _retrieval(task, scale)


def probe_texts(tasks: Sequence[Task], most: int) -> list[str]:
    """Different texts for spectra: documents of the retrieval sets, or where there are too few the other texts."""
    ordered = sorted(tasks, key=lambda task: task.kind != "retrieval")
    texts = list(dict.fromkeys(text for task in ordered for text in task.texts if text.strip()))
    documents = list(
        dict.fromkeys(
            text for task in tasks if task.kind == "retrieval" for text in task.texts if text.strip()
        )
    )
    pool = documents if len(documents) >= most else texts
    return [pool[row] for row in _draw(len(pool), most)]


def describe(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Name, kind, measure and size of each set."""
    return [
        {"name": task.name, "kind": task.kind, "metric": task.metric, "size": _size(task)} for task in tasks
    ]


def _size(task: Task) -> str:
    if isinstance(task, StsTask):
        return f"{len(task.left):,} pairs"
    if isinstance(task, RetrievalTask):
        return f"{len(task.queries):,} queries, {len(task.documents):,} documents"
    if isinstance(task, ClassificationTask):
        return f"{len(task.train_texts):,} texts to learn from, {len(task.test_texts):,} to judge by"
    return f"{len(task.texts):,} texts"


def _retrieval(task: RetrievalTask, scale: Scale) -> RetrievalTask:
    queries = _draw(len(task.queries), scale.queries)
    answers = {name for row in queries for name in task.judgements[row]}
    others = [row for row, name in enumerate(task.document_ids) if name not in answers]
    filling = [others[row] for row in _draw(len(others), max(0, scale.documents - len(answers)))]
    kept = sorted(filling + [row for row, name in enumerate(task.document_ids) if name in answers])
    return replace(
        task,
        queries=_take(task.queries, queries),
        judgements=_take(task.judgements, queries),
        documents=_take(task.documents, kept),
        document_ids=_take(task.document_ids, kept),
    )


def _draw(count: int, most: int) -> list[int]:
    """Numbers below `count`, at most so many, rising."""
    return sorted(np.random.default_rng(_SEED).permutation(count)[:most].tolist())


def _take(values: Sequence[Any], rows: Sequence[int]) -> tuple[Any, ...]:
    return tuple(values[row] for row in rows)
