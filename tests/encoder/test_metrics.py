"""Ranking measures: worked examples, bounds, and another library's nDCG."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from encoder.errors import ShapeError, UsageError
from encoder.metrics import average_precision, mean_reciprocal_rank, ndcg_at_k, recall_at_k, reciprocal_rank

MEASURES = (recall_at_k, ndcg_at_k, reciprocal_rank, average_precision)


@st.composite
def judged_rankings(draw):
    """A ranking of some of the ids 0 to 19, and gains of some, of which one is above 0."""
    ranking = draw(st.lists(st.integers(0, 19), unique=True, max_size=20))
    gains = draw(st.dictionaries(st.integers(0, 19), st.integers(-1, 3), max_size=20))
    return ranking, gains | {draw(st.integers(0, 19)): draw(st.integers(1, 3))}


def test_recall_counts_the_relevant_among_the_first_k():
    gains = {"a": 1, "b": 2, "c": 1, "d": 0}
    assert recall_at_k(["a", "d", "b", "c"], gains, 3) == pytest.approx(2 / 3)
    assert recall_at_k(["a", "d", "b", "c"], gains, 1) == pytest.approx(1 / 3)


def test_ndcg_weighs_grades_and_ranks():
    gains = {"a": 3, "b": 1}
    best = 3 + 1 / np.log2(3)
    assert ndcg_at_k(["b", "a"], gains) == pytest.approx((1 + 3 / np.log2(3)) / best)
    assert ndcg_at_k(["x", "a"], gains) == pytest.approx((3 / np.log2(3)) / best)


def test_ndcg_of_the_best_k_is_one_even_when_more_are_relevant():
    assert ndcg_at_k(["a", "b"], {"a": 1, "b": 1, "c": 1}, 2) == pytest.approx(1)


def test_reciprocal_rank_is_that_of_the_first_relevant():
    assert reciprocal_rank(["x", "y", "a", "b"], {"a": 1, "b": 5}) == pytest.approx(1 / 3)
    assert reciprocal_rank(["x"], {"a": 1}) == 0


def test_mean_reciprocal_rank_is_over_queries():
    assert mean_reciprocal_rank([["a"], ["x", "b"]], [{"a": 1}, {"b": 1}]) == pytest.approx(0.75)


def test_average_precision_counts_what_is_not_ranked_as_nothing():
    # Relevant at ranks 1 and 3 of three relevant in all: (1/1 + 2/3) / 3.
    assert average_precision(["a", "x", "b"], {"a": 1, "b": 1, "c": 1}) == pytest.approx(5 / 9)


@given(judged_rankings())
def test_measures_lie_between_0_and_1(given_):
    for measure in MEASURES:
        assert 0 <= measure(*given_) <= 1


@given(judged_rankings(), st.permutations(range(20)))
def test_measures_do_not_depend_on_what_the_ids_are(given_, names):
    ranking, gains = given_
    renamed = [f"d{names[item]}" for item in ranking], {f"d{names[item]}": g for item, g in gains.items()}
    for measure in MEASURES:
        assert measure(*renamed) == measure(ranking, gains)


@given(judged_rankings())
def test_moving_a_relevant_id_up_never_lowers_a_measure(given_):
    ranking, gains = given_
    better = sorted(ranking, key=lambda item: -max(0, gains.get(item, 0)))
    for measure in MEASURES:
        assert measure(better, gains) >= measure(ranking, gains) - 1e-12


@given(
    st.permutations(range(12)),
    st.lists(st.integers(0, 3), min_size=12, max_size=12).filter(any),
    st.integers(1, 15),
)
def test_ndcg_is_that_of_scikit_learn_without_ties(ranking, gains, k):
    scores = np.empty((1, 12))
    scores[0, ranking] = -np.arange(12)
    expected = ndcg_score(np.array([gains]), scores, k=k)
    assert ndcg_at_k(ranking, dict(enumerate(gains)), k) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_query_without_a_relevant_id_has_no_measure(measure):
    with pytest.raises(ShapeError, match="nothing is relevant"):
        measure(["a"], {"a": 0, "b": -1})


@pytest.mark.parametrize("measure", MEASURES)
def test_an_id_cannot_be_ranked_twice(measure):
    with pytest.raises(ShapeError, match="ranked twice"):
        measure(["a", "b", "a"], {"a": 1})


@pytest.mark.parametrize("measure", [recall_at_k, ndcg_at_k])
def test_k_is_at_least_one(measure):
    with pytest.raises(UsageError, match="k is 0"):
        measure(["a"], {"a": 1}, 0)


@pytest.mark.parametrize(("rankings", "judgements"), [([], []), ([["a"]], [{"a": 1}, {"a": 1}])])
def test_a_mean_needs_as_many_judgements_as_rankings_and_one_query(rankings, judgements):
    with pytest.raises(ShapeError, match=f"{len(rankings)} rankings and {len(judgements)} judgements"):
        mean_reciprocal_rank(rankings, judgements)
