"""Folders of evaluation sets: what is read, and what is refused."""

import pytest

from encoder.errors import InputError, UsageError
from tests.train.evaluation import sets
from train.evaluation.tasks import content_sha256, read_tasks


def test_the_kind_of_a_set_is_told_by_its_columns(tmp_path):
    tasks = read_tasks(sets.write_all(tmp_path))
    assert [(task.kind, task.name) for task in tasks] == [
        ("sts", "pairs"),
        ("retrieval", "roads"),
        ("classification", "topics"),
        ("clustering", "groups"),
    ]


def test_pairs_are_those_of_the_test_splits(tmp_path):
    sets.write_sts(tmp_path)
    (task,) = read_tasks(tmp_path)
    assert task.grades == (5.0, 3.5, 2.0, 0.0)
    assert len(task.left) == len(task.right) == 4
    assert task.texts == task.left + task.right


def test_a_document_is_title_and_text_and_a_query_needs_a_judgement(tmp_path):
    sets.write_retrieval(tmp_path)
    (task,) = read_tasks(tmp_path)
    assert task.documents[:2] == (
        "Roads tolls and taxes pay for the roads",
        "a bridge carries a road over water",
    )
    assert task.queries == ("who pay for the roads", "flour and salt for bread")
    assert task.judgements == ({"d1": 2.0, "d2": 1.0}, {"d3": 1.0})


def test_ids_that_are_numbers_count_as_text(tmp_path):
    sets.write_retrieval(
        tmp_path, corpus=[(1, "", "a"), (2, "", "b")], queries=[(7, "a")], qrels=[(7, 2, 1, "test")]
    )
    (task,) = read_tasks(tmp_path)
    assert task.judgements == ({"2": 1.0},)


def test_classification_keeps_its_two_parts_apart(tmp_path):
    sets.write_classification(tmp_path)
    (task,) = read_tasks(tmp_path)
    assert set(task.train_texts).isdisjoint(task.test_texts)
    assert len(task.train_texts) == len(task.train_labels)
    assert task.texts == task.train_texts + task.test_texts


@pytest.mark.parametrize("place", ["pairs.parquet", "roads"])
def test_a_single_set_can_be_named(tmp_path, place):
    sets.write_all(tmp_path)
    assert [task.name for task in read_tasks(tmp_path / place)] == [place.partition(".")[0]]


def test_only_the_sets_asked_for_are_looked_at(tmp_path):
    sets.write_all(tmp_path)
    (tmp_path / "broken.parquet").write_text("no parquet")
    assert [task.name for task in read_tasks(tmp_path, ["groups", "pairs"])] == ["pairs", "groups"]


def test_the_hash_of_a_task_is_of_what_decides_its_score(tmp_path):
    for folder in ("a", "b", "c"):
        sets.write_retrieval(tmp_path / folder)
    sets.write_retrieval(tmp_path / "c", qrels=[("q1", "d1", 1, "test")])
    (tmp_path / "b" / "roads").rename(tmp_path / "b" / "streets")
    first, renamed, changed = (content_sha256(read_tasks(tmp_path / folder)[0]) for folder in "abc")
    assert first == renamed != changed


def test_a_task_that_is_not_there_is_answered_with_the_nearest(tmp_path):
    sets.write_all(tmp_path)
    with pytest.raises(UsageError, match="there is no task pair") as raised:
        read_tasks(tmp_path, ["pair"])
    assert raised.value.fix == "did you mean pairs?"
    with pytest.raises(UsageError) as raised:
        read_tasks(tmp_path, ["xyz"])
    assert raised.value.fix == "use one of groups, pairs, roads, topics"


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_tasks(tmp_path / "nowhere")


def test_a_folder_without_a_set_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there is no evaluation set here"):
        read_tasks(tmp_path)


def test_columns_of_no_kind_of_task_are_refused(tmp_path):
    sets.write(tmp_path / "odd.parquet", ("body", "year"), [("a", 1)])
    with pytest.raises(InputError, match="the columns are body, year; no kind of task has these"):
        read_tasks(tmp_path)


def test_a_missing_column_is_named(tmp_path):
    sets.write(tmp_path / "pairs.parquet", ("sentence1", "sentence2", "split"), [("a", "b", "test")])
    with pytest.raises(InputError, match="the column score is missing"):
        read_tasks(tmp_path)


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "broken.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="cannot be read as parquet"):
        read_tasks(tmp_path)


def test_a_missing_value_is_named_by_its_row(tmp_path):
    sets.write_clustering(tmp_path, [("a", "x"), (None, "y")])
    with pytest.raises(InputError, match="row 1 has no text"):
        read_tasks(tmp_path)


@pytest.mark.parametrize("score", ["high", float("nan"), True])
def test_a_score_must_be_a_number(tmp_path, score):
    sets.write_sts(tmp_path, [("a", "b", score, "test")])
    with pytest.raises(InputError, match="the column score holds .*, expected a number"):
        read_tasks(tmp_path)


def test_pairs_without_a_test_split_are_refused(tmp_path):
    sets.write_sts(tmp_path, [("a", "b", 1.0, "dev")])
    with pytest.raises(InputError, match="no pair whose split begins with test"):
        read_tasks(tmp_path)


def test_pairs_of_one_grade_are_refused(tmp_path):
    sets.write_sts(tmp_path, [("a", "b", 1.0, "test"), ("a", "c", 1.0, "test")])
    with pytest.raises(InputError, match="all its scores are equal"):
        read_tasks(tmp_path)


@pytest.mark.parametrize("split", ["train", "test"])
def test_classification_needs_both_parts(tmp_path, split):
    sets.write_classification(tmp_path, [row for row in sets.LABELLED if row[2] != split])
    with pytest.raises(InputError, match=f"no row whose split is {split}"):
        read_tasks(tmp_path)


def test_one_label_is_nothing_to_learn(tmp_path):
    sets.write_classification(tmp_path, [("a", "x", "train"), ("b", "x", "test")])
    with pytest.raises(InputError, match="the training rows have a single label"):
        read_tasks(tmp_path)


def test_one_label_is_nothing_to_group(tmp_path):
    sets.write_clustering(tmp_path, [("a", "x"), ("b", "x")])
    with pytest.raises(InputError, match="fewer than two labels"):
        read_tasks(tmp_path)


def test_a_retrieval_set_needs_its_three_files(tmp_path):
    sets.write_retrieval(tmp_path)
    (tmp_path / "roads" / "queries.parquet").unlink()
    with pytest.raises(InputError, match=r"queries\.parquet is missing"):
        read_tasks(tmp_path)


@pytest.mark.parametrize(
    ("judgement", "said"),
    [(("q1", "d9", 1, "test"), "corpus_id 'd9'"), (("q9", "d1", 1, "test"), "query_id 'q9'")],
)
def test_a_judgement_of_what_does_not_exist_is_refused(tmp_path, judgement, said):
    sets.write_retrieval(tmp_path, qrels=[*sets.QRELS, judgement])
    with pytest.raises(InputError, match=f"{said} does not exist"):
        read_tasks(tmp_path)


def test_an_id_that_stands_twice_is_refused(tmp_path):
    sets.write_retrieval(tmp_path, corpus=[*sets.CORPUS, ("d1", "", "again")])
    with pytest.raises(InputError, match="the id 'd1' stands there twice"):
        read_tasks(tmp_path)


def test_a_retrieval_set_needs_a_judgement(tmp_path):
    sets.write_retrieval(tmp_path, qrels=[("q1", "d1", 0, "test"), ("q1", "d1", 1, "train")])
    with pytest.raises(InputError, match="no judgement above 0 whose split is test"):
        read_tasks(tmp_path)
