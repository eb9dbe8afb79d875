"""Public tasks: names, and tasks in memory that mteb and our own protocol must score alike."""

import sys

import numpy as np
import pytest

from encoder.errors import InputError, MissingExtraError, UsageError
from tests.train.evaluation import sets
from train.evaluation.candidates import Candidate
from train.evaluation.evaluate import Settings, evaluate
from train.evaluation.measured import MeasuredEncoder
from train.evaluation.public_tasks import PRESETS, PublicTask, fetch_data, find_public_tasks, score_public
from train.evaluation.scoring import score_task
from train.evaluation.tasks import read_tasks

pytest.importorskip("mteb")

from datasets import Dataset, DatasetDict
from mteb.abstasks import AbsTaskRetrieval, AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata

_FACTS = {
    "description": "In memory, for tests.",
    "reference": None,
    "dataset": {"path": "NA", "revision": "1"},
    "category": "t2t",
    "modalities": ["text"],
    "eval_splits": ["test"],
    "eval_langs": ["eng-Latn"],
    "date": None,
    "domains": [],
    "task_subtypes": [],
    "license": None,
    "annotations_creators": None,
    "dialect": [],
    "sample_creation": None,
    "bibtex_citation": "",
}


class Pairs(AbsTaskSTS):
    metadata = TaskMetadata(name="Pairs", type="STS", main_score="cosine_spearman", **_FACTS)

    def load_data(self, **options):
        rows = [row[:3] for row in sets.PAIRS if row[3].startswith("test")]
        columns = dict(zip(("sentence1", "sentence2", "score"), zip(*rows, strict=True), strict=True))
        self.dataset = DatasetDict({"test": Dataset.from_dict({key: list(v) for key, v in columns.items()})})
        self.data_loaded = True


class Roads(AbsTaskRetrieval):
    metadata = TaskMetadata(
        name="Roads", type="Retrieval", main_score="ndcg_at_10", prompt={"query": "Find the text"}, **_FACTS
    )

    def load_data(self, **options):
        judged = [row for row in sets.QRELS if row[3] == "test"]
        asked = {row[0] for row in judged}
        self.dataset = {
            "default": {
                "test": {
                    "corpus": Dataset.from_list(
                        [{"id": id_, "title": title or "", "text": text} for id_, title, text in sets.CORPUS]
                    ),
                    "queries": Dataset.from_list(
                        [{"id": id_, "text": text} for id_, text in sets.QUERIES if id_ in asked]
                    ),
                    "relevant_docs": {
                        query: {row[1]: row[2] for row in judged if row[0] == query} for query in asked
                    },
                    "top_ranked": None,
                }
            }
        }
        self.data_loaded = True


class Spy:
    """Stands for an encoder: the word encoder, and what it was asked."""

    def __init__(self, embedder):
        self._embedder = embedder
        self.asked = []

    def __getattr__(self, name):
        return getattr(self._embedder, name)

    def encode_query(self, texts, *, instruction=None, stats=None):
        self.asked.append(("query", instruction, list(texts)))
        return self._embedder.encode_query(texts)

    def encode_document(self, texts, *, progress=None, stats=None):
        self.asked.append(("document", None, list(texts)))
        return self._embedder.encode_document(texts)


@pytest.fixture
def spy(word_embedder):
    return Spy(word_embedder)


def test_the_preset_of_the_paper_has_its_14_tasks():
    tasks = find_public_tasks(["paper14"])
    assert [task.name for task in tasks] == list(PRESETS["paper14"])
    assert [task.kind for task in tasks].count("retrieval") == 3
    assert tasks[6].task.hf_subsets == ["en-en"]
    assert tasks[11].kind == "pair classification"


def test_a_task_asked_for_twice_is_one():
    assert [task.name for task in find_public_tasks(["SICK-R", "sts7"])][0] == "SICK-R"
    assert len(find_public_tasks(["SICK-R", "sts7"])) == 7


def test_a_benchmark_of_mteb_is_its_tasks():
    assert len(find_public_tasks(["MTEB(eng, v2)"])) > 30


@pytest.mark.parametrize(
    ("name", "said", "fix"),
    [
        ("paper15", "mteb has no task paper15", "did you mean paper14?"),
        ("Scifact", "mteb has no task Scifact", "did you mean SciFact?"),
        ("STS17:xx", "the task STS17 has no part xx", "en-en"),
        ("MTEB(none)", r"mteb has no benchmark MTEB\(none\)", "MTEB"),
    ],
)
def test_a_name_that_mteb_does_not_have_is_refused(name, said, fix):
    with pytest.raises(UsageError, match=said) as raised:
        find_public_tasks([name])
    assert fix in raised.value.fix


def test_public_tasks_without_mteb_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(MissingExtraError, match="mteb, which is not installed") as raised:
        find_public_tasks(["SICK-R"])
    assert raised.value.fix == "pip install 'llm2comp[eval]'"


def test_data_that_cannot_be_had_is_one_clear_error(monkeypatch):
    task = Pairs()
    monkeypatch.setattr(
        task, "load_data", lambda **_: (_ for _ in ()).throw(ConnectionError("Couldn't reach it\nmore"))
    )
    with pytest.raises(
        InputError, match="the data of Pairs cannot be had: Couldn't reach it\nwhere"
    ) as raised:
        fetch_data(PublicTask("Pairs", task))
    assert "--data DIR" in raised.value.fix


@pytest.mark.parametrize("kind", ["sts", "retrieval"])
def test_mteb_and_our_protocol_agree(tmp_path, word_embedder, kind):
    ours = next(task for task in read_tasks(sets.write_all(tmp_path)) if task.kind == kind)
    public = PublicTask("public", Pairs() if kind == "sts" else Roads())
    score = score_public(public, MeasuredEncoder(word_embedder))
    assert score == pytest.approx(score_task(ours, MeasuredEncoder(word_embedder)), abs=1e-3)
    assert (public.kind, public.metric) == (kind, public.task.metadata.main_score)


def test_queries_are_encoded_as_queries_and_the_rest_as_documents(spy):
    task = PublicTask("Roads", Roads())
    score_public(task, MeasuredEncoder(spy, instruction="look for"))
    assert sorted(asked[:2] for asked in spy.asked) == [("document", None), ("query", "look for")]
    assert sorted(task.texts) == sorted(
        f"{title} {text}".strip() if title else text for _, title, text in sets.CORPUS
    )


def test_texts_of_pairs_are_documents_without_instruction(spy):
    score_public(PublicTask("Pairs", Pairs()), MeasuredEncoder(spy, instruction="look for"))
    assert {asked[:2] for asked in spy.asked} == {("document", None)}


def test_instructions_of_mteb_go_before_queries_or_before_all_texts(spy):
    score_public(PublicTask("Roads", Roads()), MeasuredEncoder(spy), own_instructions=True)
    assert {asked[:2] for asked in spy.asked} == {("query", "Find the text"), ("document", None)}
    spy.asked.clear()
    score_public(PublicTask("Pairs", Pairs()), MeasuredEncoder(spy), own_instructions=True)
    assert {asked[:2] for asked in spy.asked} == {("query", "Retrieve semantically similar text.")}


def test_vectors_that_are_all_equal_score_nothing(spy):
    spy.encode_document = lambda texts, **_: np.ones((len(texts), 32), np.float32) / np.sqrt(32)
    assert score_public(PublicTask("Pairs", Pairs()), MeasuredEncoder(spy)) == 0.0


def test_public_tasks_stand_beside_others_and_are_kept(monkeypatch, tmp_path, word_embedder):
    word_embedder.card = {"name": "words", "dimension": 32}
    monkeypatch.setattr("train.evaluation.evaluate.load_encoder", lambda spec, **_: word_embedder)
    candidates = [Candidate("words", "st:words", "encoder"), Candidate("bm25", "", "baseline")]

    def run():
        tasks = [*read_tasks(sets.write_all(tmp_path / "sets")), PublicTask("Pairs", Pairs())]
        return evaluate(candidates, tasks, Settings(work=tmp_path / "work"), lambda moment: None)

    first, again = run(), run()
    assert first.columns[0].scores["Pairs"] == pytest.approx(first.columns[0].scores["pairs"], abs=1e-3)
    assert list(first.columns[1].scores) == ["roads"]
    assert again.columns[0].kept == 5
    assert again.columns[0].spectrum == first.columns[0].spectrum
