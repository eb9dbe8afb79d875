"""The tray keeps passages in order, each with how it first got there, and never too many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tray import MOST_ROWS, Origin, Tray, add, origins, remove
from encoder.errors import InputError

ROWS = st.lists(st.integers(0, 40), max_size=30)
BY_QUERY, BY_TOPIC = Origin("query", "roads", 3), Origin("topic", "rivers", 3)


@given(ROWS, ROWS)
def test_what_comes_first_stays_first_and_keeps_its_origin(first, second):
    tray = add(add(Tray(), first, BY_QUERY), second, BY_TOPIC)
    assert tray.rows == tuple(dict.fromkeys([*first, *second]))
    assert all(tray.entries[row] == BY_QUERY for row in first)
    assert all(tray.entries[row] == BY_TOPIC for row in set(second) - set(first))
    assert sum(number for _, number in origins(tray)) == len(tray)


@given(ROWS, ROWS)
def test_removing_leaves_the_others_in_order(rows, gone):
    left = remove(add(Tray(), rows, BY_QUERY), gone)
    assert left.rows == tuple(row for row in dict.fromkeys(rows) if row not in gone)


def test_a_tray_is_never_changed_in_place():
    before = add(Tray(), [1], BY_QUERY)
    add(before, [2], BY_QUERY)
    remove(before, [1])
    assert before.rows == (1,)
    with pytest.raises(TypeError):
        before.entries[5] = BY_TOPIC


def test_more_than_the_most_is_refused_and_nothing_added():
    full = add(Tray(), range(MOST_ROWS), BY_QUERY)
    assert len(add(full, [5], BY_TOPIC)) == MOST_ROWS
    with pytest.raises(InputError, match="would hold 10.001 passages, and 10.000 is the most") as caught:
        add(full, [MOST_ROWS], BY_TOPIC)
    assert caught.value.where == "tray"
    assert caught.value.fix == "add fewer, or save what it holds as a set and clear it"


def test_origins_are_counted_in_the_order_in_which_they_came():
    tray = add(add(Tray(), [3, 1], BY_TOPIC), [2, 1], BY_QUERY)
    assert origins(tray) == [(BY_TOPIC, 2), (BY_QUERY, 1)]
