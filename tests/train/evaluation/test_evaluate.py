"""Candidates on tasks: scores, means, measures of the space, what is kept, and what is refused."""

from importlib.metadata import version

import numpy as np
import pytest

from encoder.errors import CheckpointError, InputError, UnsupportedBackboneError, UsageError
from tests.train.evaluation import sets
from train.evaluation import evaluate as module
from train.evaluation.candidates import Candidate
from train.evaluation.evaluate import Column, Evaluation, Settings, evaluate, sample_texts
from train.evaluation.tasks import ClusteringTask, read_tasks

WORDS = Candidate("words", "st:words", "encoder")


@pytest.fixture
def tasks(tmp_path):
    return read_tasks(sets.write_all(tmp_path / "sets"))


@pytest.fixture
def loaded(monkeypatch, word_embedder):
    """Specs that were loaded; each is the word encoder."""
    specs = []

    def load(spec, **options):
        specs.append(spec)
        word_embedder.card = {"name": spec, "dimension": 32, "fingerprint": "f", "computed_on": "cpu float32"}
        return word_embedder

    monkeypatch.setattr(module, "load_encoder", load)
    return specs


def run(candidates, tasks, moments=None, **settings):
    return evaluate(candidates, tasks, Settings(**settings), (moments or []).append)


def test_every_candidate_is_scored_on_what_it_can_do(tasks, loaded):
    found = run([WORDS, Candidate("lsa", "", "baseline"), Candidate("bm25", "", "baseline")], tasks)
    assert [sorted(column.scores) for column in found.columns] == [
        ["groups", "pairs", "roads", "topics"],
        ["groups", "pairs", "roads", "topics"],
        ["roads"],
    ]
    assert found.shared == ["roads"]
    assert loaded == ["st:words"]


def test_a_mean_is_over_all_tasks_or_there_is_none():
    column = Column(WORDS, scores={"a": 10.0, "b": 20.0})
    assert column.mean(["a", "b"]) == 15.0
    assert column.mean(["a", "c"]) is None
    assert column.mean([]) is None


def test_a_column_without_scores_does_not_empty_the_shared_tasks(tasks):
    names = {task.name: 1.0 for task in tasks}
    full, absent = Column(WORDS, scores=names), Column(WORDS, absent="not installed")
    assert Evaluation(tasks, [full, absent], 0).shared == list(names)


def test_what_encoding_took_is_counted(tasks, loaded):
    found = run([WORDS], [task for task in tasks if task.kind == "sts"])
    effort = found.columns[0].effort
    assert effort.texts == 8
    assert effort.seconds > 0


def test_minilm_without_its_package_is_a_column_that_says_so(tasks, loaded):
    found = run([WORDS, Candidate("minilm", "", "baseline")], tasks)
    assert found.columns[1].absent == "not installed"
    assert found.columns[1].scores == {}
    assert loaded == ["st:words"]


def test_a_pooling_that_a_backbone_refuses_is_no_failure(tasks, monkeypatch):
    def refuse(spec, **options):
        raise UnsupportedBackboneError("mamba reads one way", spec, "choose another")

    monkeypatch.setattr(module, "load_encoder", refuse)
    found = run([Candidate("untrained bidirectional_mean", "st:x", "pooling")], tasks)
    assert found.columns[0].absent == "not possible: mamba reads one way"
    with pytest.raises(UnsupportedBackboneError, match="mamba reads one way"):
        run([WORDS], tasks)


def test_the_space_is_measured_on_the_texts_of_the_tasks(tasks, loaded, word_embedder):
    found = run([WORDS], tasks)
    spectrum = found.columns[0].spectrum
    assert spectrum["n"] == found.spectrum_texts == len(sample_texts(tasks, 2000))
    assert 1 < spectrum["effective_rank"] < 32
    assert "singular_values" not in spectrum


def test_memory_states_are_measured_where_there_are_some(tasks, loaded, word_embedder):
    states = np.zeros((1, 4, 32), np.float32)
    states[0, :, 0] = 1
    word_embedder.n_memory = 4
    word_embedder.encode_memory = lambda texts: np.repeat(states, len(texts), axis=0)
    found = run([WORDS], tasks)
    assert found.columns[0].spectrum["slot_similarity_mean"] == pytest.approx(1)
    assert found.columns[0].spectrum["mean_cosine"] == pytest.approx(1)


def test_a_sample_is_drawn_evenly_from_the_tasks_and_never_twice():
    big = ClusteringTask("big", tuple(f"big {n % 50}" for n in range(500)), ("a", "b"))
    small = ClusteringTask("small", tuple(f"small {n}" for n in range(60)), ("a", "b"))
    sample = sample_texts([big, small], 40)
    assert len(set(sample)) == len(sample) == 40
    assert sum(text.startswith("big") for text in sample) == 20
    assert sample == sample_texts([big, small], 40)


def test_a_sample_of_few_texts_is_all_of_them():
    task = ClusteringTask("t", ("a", "b", "a"), ("x", "y", "x"))
    assert sorted(sample_texts([task], 10)) == ["a", "b"]


def test_one_moment_a_score_says_which_and_how_much(tasks, loaded):
    moments = []
    found = evaluate([WORDS], tasks, Settings(), moments.append)
    done = [moment for moment in moments if moment.is_done]
    assert [(moment.candidate, moment.number, moment.tasks) for moment in done] == [
        ("words", number, 4) for number in (1, 2, 3, 4)
    ]
    assert {moment.task: moment.score for moment in done} == found.columns[0].scores
    assert max(moment.texts for moment in moments) > 0


def test_a_stopped_evaluation_goes_on_with_what_was_kept(tasks, loaded, word_embedder, tmp_path):
    work = tmp_path / "work"
    whole = run([WORDS], tasks, work=work)
    before = word_embedder.n_encoded
    again = run([WORDS], tasks, work=work)
    assert word_embedder.n_encoded == before
    assert again.columns[0].scores == whole.columns[0].scores
    assert again.columns[0].effort == whole.columns[0].effort
    assert again.columns[0].spectrum == whole.columns[0].spectrum
    assert (whole.columns[0].kept, again.columns[0].kept) == (0, 4)


def test_what_was_kept_is_of_one_instruction_and_one_content(tasks, loaded, word_embedder, tmp_path):
    work = tmp_path / "work"
    run([WORDS], tasks, work=work)
    assert run([WORDS], tasks, work=work, instruction="find").columns[0].kept == 0
    sets.write_clustering(tmp_path / "sets", sets.LABELLED[:-1])
    assert run([WORDS], read_tasks(tmp_path / "sets"), work=work).columns[0].kept == 3


def test_what_was_kept_is_of_one_way_to_measure(tasks, loaded, tmp_path, monkeypatch):
    work = tmp_path / "work"
    run([WORDS], tasks, work=work)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_PROTOCOL", module._PROTOCOL + 1)
        assert run([WORDS], tasks, work=work).columns[0].kept == 0
    for name in ("scikit-learn", "scipy"):
        with monkeypatch.context() as patch:
            patch.setattr(
                module, "version", lambda asked, name=name: "0" if asked == name else version(asked)
            )
            assert run([WORDS], tasks, work=work).columns[0].kept == 0
    assert run([WORDS], tasks, work=work).columns[0].kept == 4


def test_a_kept_file_that_was_cut_short_is_measured_again(tasks, loaded, tmp_path):
    work = tmp_path / "work"
    run([WORDS], tasks, work=work)
    for file in work.iterdir():
        file.write_bytes(file.read_bytes()[:20])
    assert run([WORDS], tasks, work=work).columns[0].kept == 0


def test_a_folder_that_cannot_keep_scores_is_named(tasks, loaded, tmp_path):
    work = tmp_path / "work"
    work.write_text("a file")
    with pytest.raises(InputError, match="scores cannot be kept"):
        run([WORDS], tasks, work=work)


def test_an_encoder_that_is_not_there_is_said_before_anything_is_scored(tasks, tmp_path):
    moments = []
    candidates = [Candidate("lsa", "", "baseline"), Candidate("gone", str(tmp_path / "gone"), "encoder")]
    with pytest.raises(CheckpointError, match="gone does not exist"):
        evaluate(candidates, tasks, Settings(), moments.append)
    assert moments == []


def test_two_candidates_of_one_name_are_refused(tasks):
    with pytest.raises(UsageError, match="two candidates are called words"):
        run([WORDS, WORDS], tasks)


def test_two_tasks_of_one_name_are_refused(tasks):
    with pytest.raises(UsageError, match="two tasks are called pairs"):
        run([WORDS], [*tasks, tasks[0]])
