import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from encoder.errors import ShapeError
from train.compression.sequences import predicted_tokens, runs, split_texts, take_tokens, whole_texts

LENGTHS, SPLITS = np.array([5, 3]), np.array([[1, 4], [2, 1]])
IDS = torch.tensor([[10, 11, 12, 13, 14], [20, 21, 22, 0, 0]])


def test_each_split_of_each_text_is_a_sequence():
    found = split_texts(LENGTHS, SPLITS, is_end_judged=False)
    assert found.text_P.tolist() == [0, 0, 1, 1]
    assert found.context_P.tolist() == found.start_P.tolist() == [1, 4, 2, 1]
    assert found.end_P.tolist() == [5, 5, 3, 3]
    assert found.rows_P.tolist() == [4, 1, 1, 2]


def test_the_prediction_after_the_last_token_counts_where_it_is_asked_for():
    assert split_texts(LENGTHS, SPLITS, is_end_judged=True).rows_P.tolist() == [5, 2, 2, 3]


def test_reconstruction_reads_and_predicts_the_whole_text():
    found = whole_texts(LENGTHS)
    assert predicted_tokens(IDS, found).tolist() == [10, 11, 12, 13, 14, 20, 21, 22]
    assert found.context_P.tolist() == [5, 3]


def test_the_judged_places_predict_the_continuation():
    found = split_texts(LENGTHS, SPLITS, is_end_judged=False)
    assert predicted_tokens(IDS, found).tolist() == [11, 12, 13, 14, 14, 22, 21, 22]


def test_taken_tokens_are_the_texts_own():
    tokens, real = take_tokens(IDS, np.array([0, 1]), np.array([2, 1]), np.array([5, 3]))
    assert tokens[real].tolist() == [12, 13, 14, 21, 22]
    assert real.tolist() == [[True, True, True], [True, True, False]]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), min_size=1, max_size=8))
def test_runs_are_the_ranges_one_after_another(pairs):
    start, count = np.array(pairs).T
    assert runs(start, count).tolist() == [n for first, many in pairs for n in range(first, first + many)]


@pytest.mark.parametrize("splits", [[[0], [1]], [[5], [1]], [[1], [3]]])
def test_a_split_outside_of_its_text_is_refused(splits):
    with pytest.raises(ShapeError, match=r"do not all lie within texts of \[5, 3\] tokens"):
        split_texts(LENGTHS, np.array(splits), is_end_judged=True)
