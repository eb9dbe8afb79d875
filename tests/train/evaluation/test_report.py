"""Reports as tables, Markdown and JSON."""

import json

import pytest

from train.evaluation.candidates import Candidate
from train.evaluation.evaluate import Column, Evaluation
from train.evaluation.measured import Effort
from train.evaluation.report import measure_table, notes, score_table, to_json, to_markdown
from train.evaluation.tasks import ClusteringTask, StsTask

TASKS = [
    StsTask("pairs", ("a", "b"), ("c", "d"), (1.0, 2.0)),
    ClusteringTask("groups", ("a", "b"), ("x", "y")),
]
PROVENANCE = {
    "command": "llm2comp eval mine",
    "date": "2026-01-02 03:04 UTC",
    "versions": {"python": "3.11"},
    "instruction": None,
    "own_instructions": False,
}


def column(title, scores, absent="", kind="encoder", **more):
    card = (
        {"dimension": 256, "n_memory": 8, "computed_on": "cpu float32", "fingerprint": "0123abcdef"}
        if kind == "encoder"
        else {}
    )
    return Column(Candidate(title, "", kind), absent, scores, card=card, **more)


def spectrum(**values):
    names = (
        "effective_rank",
        "effective_rank_centred",
        "rank_me",
        "mean_cosine",
        "uniformity",
        "slot_similarity_mean",
    )
    return dict.fromkeys(names) | values


@pytest.fixture
def evaluation():
    mine = column(
        "mine",
        {"pairs": 70.04, "groups": 40.0},
        effort=Effort(texts=2000, tokens=30_000, truncated=7, seconds=2.0),
        spectrum=spectrum(effective_rank=12.34, mean_cosine=0.5),
    )
    columns = [
        mine,
        column("other", {"pairs": 69.96, "groups": 50.0}),
        column("bm25", {"groups": 10.0}, kind="baseline"),
        column("minilm", {}, "not installed", "baseline"),
    ]
    return Evaluation(TASKS, columns, 2000)


def texts(table):
    return {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}


def test_a_row_is_a_task_with_its_kind_and_metric(evaluation):
    table = score_table(evaluation)
    assert table.titles == ("task", "kind", "metric", "mine", "other", "bm25", "minilm")
    assert texts(table)["pairs"] == ["sts", "Spearman of cosine", "70.0", "70.0", "-", "not installed"]


def test_means_are_over_all_tasks_and_over_those_that_all_have(evaluation):
    rows = texts(score_table(evaluation))
    assert rows["mean of 2"][2:] == ["55.0", "60.0", "-", "not installed"]
    assert rows["mean of 1 that all have"][2:] == ["40.0", "50.0", "10.0", "not installed"]


def test_there_is_one_mean_when_all_have_all(evaluation):
    evaluation.columns = evaluation.columns[:2]
    assert list(texts(score_table(evaluation))) == ["pairs", "groups", "mean of 2"]


def test_what_is_shown_as_equal_is_equally_good(evaluation):
    best = {
        row[0].text: [
            title for title, cell in zip(score_table(evaluation).titles, row, strict=True) if cell.is_best
        ]
        for row in score_table(evaluation).rows
    }
    assert best["pairs"] == ["mine", "other"]
    assert best["groups"] == ["other"]


def test_a_single_column_has_no_best(evaluation):
    evaluation.columns = evaluation.columns[:1]
    assert not any(cell.is_best for row in score_table(evaluation).rows for cell in row)


def test_measures_stand_in_a_column_for_each_encoder(evaluation):
    table = measure_table(evaluation)
    assert table.titles == ("embedding space", "mine", "other")
    rows = texts(table)
    assert rows["effective rank"] == ["12.3", "-"]
    assert rows["mean cosine"] == ["0.500", "-"]
    assert rows["fingerprint"] == ["0123abcd", "0123abcd"]
    assert rows["memory tokens"] == ["8", "8"]
    assert rows["tokens/s"] == ["15,000", "-"]
    assert rows["texts cut"] == ["7", "0"]


def test_markdown_has_both_tables_and_what_it_was_made_with(evaluation):
    page = to_markdown(evaluation, PROVENANCE)
    assert "| pairs | sts | Spearman of cosine | **70.0** | **70.0** | - | not installed |" in page
    assert "| --- | --- | --- | ---: | ---: | ---: | ---: |" in page
    assert "| effective rank | 12.3 | - |" in page
    assert "- Measured 2026-01-02 03:04 UTC with python 3.11 by `llm2comp eval mine`." in page


def test_names_cannot_break_a_markdown_table(evaluation):
    evaluation.columns[0] = column("a|b\n*c* _d e_f", {"pairs": 1.0, "groups": 1.0})
    page = to_markdown(evaluation, PROVENANCE)
    assert "| task | kind | metric | a\\|b \\*c\\* \\_d e_f | other |" in page


def test_a_report_of_baselines_alone_has_no_space_to_show():
    evaluation = Evaluation(TASKS, [column("lsa", {"pairs": 1.0, "groups": 2.0}, kind="baseline")], 0)
    assert "Embedding space" not in to_markdown(evaluation, PROVENANCE)


def test_json_holds_everything_unrounded(evaluation):
    content = json.loads(json.dumps(to_json(evaluation, PROVENANCE)))
    assert content["format"] == 1
    assert content["command"] == "llm2comp eval mine"
    assert content["tasks"][0] == {
        "name": "pairs",
        "kind": "sts",
        "metric": "Spearman of cosine",
        "source": "folder",
    }
    mine, _, bm25, minilm = content["columns"]
    assert mine["scores"]["pairs"] == 70.04
    assert mine["mean"] == pytest.approx(55.02)
    assert mine["effort"]["truncated"] == 7
    assert mine["effort"]["tokens_per_s"] == 15_000
    assert (bm25["mean"], bm25["shared_mean"], bm25["encoder"]) == (None, 10.0, None)
    assert minilm["absent"] == "not installed"


def test_notes_say_what_one_must_know(evaluation):
    evaluation.columns[1].kept = 2
    evaluation.columns[1].candidate = Candidate("untrained mean", "hf:org/base?pooling=mean", "pooling")
    evaluation.columns[2].absent = "not possible: it reads one way"
    said = "\n".join(notes(evaluation, {**PROVENANCE, "instruction": "find", "load": "load average 2.0"}))
    assert "instruction 'find'" in said
    assert "bm25: not possible: it reads one way." in said
    assert "Scores kept from before, with their speed: 2." in said
    assert "poolings of hf:org/base as it is" in said
    assert "on cpu float32, load average 2.0; texts" in said
