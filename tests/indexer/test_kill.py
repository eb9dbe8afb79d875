"""A real job under `kill -9`; the long version is `benchmarks/kill_test.py`."""

import pytest

from benchmarks.kill_test import Outcome, differences, kill_often, rows_of
from tests.indexer.making import new_collection, numbered


@pytest.mark.slow
def test_a_job_killed_at_random_moments_loses_and_doubles_nothing(tmp_path):
    outcome = kill_often(tmp_path, kills=4, documents=800, spec="words", seed=3)
    assert isinstance(outcome, Outcome) and len(outcome.rows) == 4
    assert outcome.differences == []


def test_the_comparison_sees_what_is_lost_doubled_or_changed(tmp_path):
    collection, _ = new_collection(tmp_path / "c", numbered(3))
    whole = rows_of(collection.path)
    (first, number), row = next(iter(whole.items()))
    assert differences(whole, whole, collection.path) == []
    lost = {key: value for key, value in whole.items() if key != (first, number)}
    assert f"lost: {first}" in differences(whole, lost, collection.path)
    assert f"too much: {first}" in differences(lost, whole, collection.path)
    assert f"doubled: {first}" in differences(whole, {**whole, (first, 99): row}, collection.path)
    changed = {**whole, (first, number): {**row, "m_year": 7}}
    assert f"changed: {first}" in differences(whole, changed, collection.path)
