"""Equal and nearly equal rows are counted, grouped and named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.spectrum.duplicates import DuplicateGroup, exact_duplicates, near_duplicates
from encoder.spectrum.neighbourhood import nearest


def _near(rows, cosine=0.98, k=10):
    rows = np.asarray(rows, float)
    unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return near_duplicates(nearest(unit, k), np.arange(len(unit)), cosine=cosine)


def test_equal_hashes_are_groups_the_largest_first():
    hashes = np.array([5, 9, 5, 7, 9, 9, 1], np.uint64)
    found = exact_duplicates(hashes, np.arange(100, 107))
    assert (found.rows, found.repeated, found.groups) == (7, 5, 2)
    assert found.largest == (DuplicateGroup(3, (101, 104, 105)), DuplicateGroup(2, (100, 102)))
    assert found.share == pytest.approx(5 / 7)


@given(st.lists(st.integers(0, 6), max_size=40))
def test_counts_are_those_of_a_loop(values):
    found = exact_duplicates(np.array(values, np.uint64), np.arange(len(values)))
    sizes = [values.count(value) for value in set(values) if values.count(value) > 1]
    assert (found.repeated, found.groups) == (sum(sizes), len(sizes))
    assert sorted(group.size for group in found.largest) == sorted(sizes)


def test_of_a_large_group_only_the_first_rows_are_named():
    (group,) = exact_duplicates(np.zeros(5000, np.uint64), np.arange(5000)).largest
    assert (group.size, group.positions) == (5000, tuple(range(100)))


def test_only_the_largest_groups_are_listed_and_all_are_counted():
    found = exact_duplicates(np.repeat(np.arange(50, dtype=np.uint64), 2), np.arange(100))
    assert (found.groups, found.repeated, len(found.largest)) == (50, 100, 20)


def test_no_rows_are_no_duplicates():
    found = exact_duplicates(np.zeros(0, np.uint64), np.zeros(0, np.int64))
    assert (found.rows, found.repeated, found.groups, found.largest, found.share) == (0, 0, 0, (), None)


def test_close_rows_are_near_and_others_are_not():
    angle = np.array([0, 0.19, 1.0, 2.0, 2.1, 2.2, 4.0])  # cos 0.19 is 0.982, cos 0.2 is 0.980067
    found = _near(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    assert (found.rows, found.repeated, found.groups) == (7, 5, 2)
    assert found.largest == (DuplicateGroup(3, (3, 4, 5)), DuplicateGroup(2, (0, 1)))


def test_a_chain_of_close_rows_is_one_group():
    angle = np.arange(30) * 0.1
    found = _near(np.stack([np.cos(angle), np.sin(angle)], axis=1), cosine=0.99, k=2)
    assert (found.groups, found.largest[0].size) == (1, 30)


def test_how_many_are_repeated_is_that_of_all_pairs():
    rows = np.random.default_rng(0).standard_normal((400, 3))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -1)
    assert _near(rows, cosine=0.999, k=1).repeated == int((cosines >= 0.999).any(axis=1).sum())
