"""A task and a way to embed texts -> one score, times 100, higher is better.

The protocol is fixed, so that scores of different days compare: settings of the classifier and of the
clustering, seeds included, are part of it.
Shapes: N texts, D embedding dimension, Q queries, K best documents.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.cluster import MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import v_measure_score

from encoder.errors import InputError
from encoder.metrics import ndcg_at_k
from train.evaluation.tasks import ClassificationTask, ClusteringTask, RetrievalTask, StsTask, Task

# Texts and their role, "query" or "document", to rows [N, D] of any length.
Embed = Callable[[Sequence[str], str], NDArray[np.float32]]

DEPTH = 10
CLUSTERING_SEEDS = (0, 1, 2)
_QUERIES_AT_A_TIME = 256  # so many rows of scores exist at a time


def score_task(task: Task, embed: Embed) -> float:
    """The score of a task, 0 to 100 (a correlation may be below 0).

    Raises:
        InputError: a vector holds NaN or infinity.
    """
    return 100.0 * _SCORERS[type(task)](task, embed)


def ranking_score(task: RetrievalTask, scores_of: Callable[[int, int], NDArray[np.floating]]) -> float:
    """Mean nDCG@10 of a retrieval task, times 100; ties go by the order of the documents.

    Args:
        task: whose documents are ranked.
        scores_of: the scores [Q, N] of all documents for the queries from one number to another.
    """
    gains = []
    for start in range(0, len(task.queries), _QUERIES_AT_A_TIME):
        scores_QN = scores_of(start, min(start + _QUERIES_AT_A_TIME, len(task.queries)))
        for number, scores_N in enumerate(scores_QN, start):
            ranking = [task.document_ids[row] for row in best_rows(scores_N, DEPTH)]
            gains.append(ndcg_at_k(ranking, task.judgements[number], DEPTH))
    return 100.0 * float(np.mean(gains))


def best_rows(scores: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """Numbers of the k highest scores, falling; of equal ones the first stands first.

    Args:
        scores: [N] floating.
        k: how many, from 1.

    Returns:
        int64 [min(k, N)].
    """
    if len(scores) <= k:
        return np.argsort(-scores, kind="stable")
    least = np.partition(scores, -k)[-k]
    candidates = np.flatnonzero(scores >= least)
    return candidates[np.argsort(-scores[candidates], kind="stable")][:k]


def unit_rows(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """The rows scaled to length 1, float32 [N, D]; a row of zeros stays zero.

    Args:
        vectors: [N, D].

    Raises:
        InputError: one of them holds NaN or infinity.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    finite_N = np.isfinite(vectors).all(axis=1)
    if not finite_N.all():
        raise InputError(
            f"the vectors of {np.count_nonzero(~finite_N):,} of {len(vectors):,} texts hold NaN or infinity",
            "the encoder",
            "use another checkpoint, or --dtype float32",
        )
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))


def _sts(task: StsTask, embed: Embed) -> float:
    vectors = unit_rows(embed(task.texts, "document"))
    cosine_N = (vectors[: len(task.left)] * vectors[len(task.left) :]).sum(axis=1)
    if np.ptp(cosine_N) == 0:
        return 0.0  # collapsed: the correlation is not defined, and nothing was told apart
    return float(spearmanr(cosine_N, np.array(task.grades)).statistic)


def _retrieval(task: RetrievalTask, embed: Embed) -> float:
    queries_QD = unit_rows(embed(task.queries, "query"))
    documents_ND = unit_rows(embed(task.documents, "document"))
    return ranking_score(task, lambda start, end: queries_QD[start:end] @ documents_ND.T) / 100.0


def _classification(task: ClassificationTask, embed: Embed) -> float:
    vectors = unit_rows(embed(task.texts, "document"))
    train, test = vectors[: len(task.train_texts)], vectors[len(task.train_texts) :]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 300 steps are the protocol, converged or not
        model = LogisticRegression(C=10, max_iter=300).fit(train, np.array(task.train_labels))
    return float(model.score(test, np.array(task.test_labels)))


def _clustering(task: ClusteringTask, embed: Embed) -> float:
    vectors = unit_rows(embed(task.texts, "document"))
    clusters = len(set(task.labels))
    found = [
        MiniBatchKMeans(clusters, random_state=seed, n_init=3, batch_size=1024).fit_predict(vectors)
        for seed in CLUSTERING_SEEDS
    ]
    return float(np.mean([v_measure_score(task.labels, labels) for labels in found]))


_SCORERS: dict[type, Callable[[Any, Embed], float]] = {
    StsTask: _sts,
    RetrievalTask: _retrieval,
    ClassificationTask: _classification,
    ClusteringTask: _clustering,
}
