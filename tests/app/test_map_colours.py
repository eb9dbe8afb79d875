"""Colour numbers of columns: closed forms, contrast with the page, and legends that count right."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.map_colours import (
    LEAST_CONTRAST,
    MOST_CATEGORIES,
    MOST_TOPICS,
    ON_DARK,
    ON_LIGHT,
    STEPS,
    Entry,
    by_category,
    by_date,
    by_flag,
    by_number,
    by_similarity,
    by_topic,
    by_trust,
    contrast,
    hues_apart,
    one_colour,
)  # fmt: skip


def test_contrast_is_the_published_formula():
    assert contrast((0, 0, 0), (255, 255, 255)) == 21
    assert contrast((255, 255, 255), (255, 255, 255)) == 1
    assert round(contrast((0x77, 0x77, 0x77), (255, 255, 255)), 2) == 4.48  # the example everybody knows


def test_every_colour_can_be_told_from_the_page():
    for colouring in (by_category("abcdefghij", "letters"), by_number(np.arange(9.0), "n"), one_colour(2)):
        assert all(contrast(colour, ON_LIGHT) >= LEAST_CONTRAST for colour in colouring.light)
        assert all(contrast(colour, ON_DARK) >= LEAST_CONTRAST for colour in colouring.dark)
        assert len(set(colouring.light)) > len(colouring.light) // 2


def test_the_most_frequent_values_get_colours_and_the_others_one_grey():
    values = [letter for place, letter in enumerate("abcdefghijk") for _ in range(20 - place)] + [
        None,
        float("nan"),
    ]
    colouring = by_category(values, "letters")
    entries = colouring.legend.entries
    assert [entry.label for entry in entries] == [*"abcdefgh", "other values", "no value"]
    assert [entry.count for entry in entries] == [*range(20, 12, -1), 12 + 11 + 10, 2]
    assert len(colouring.light) == MOST_CATEGORIES + 2
    assert colouring.numbers[values.index("i")] == colouring.numbers[values.index("k")] == 9
    assert colouring.numbers[-1] == colouring.numbers[-2] == 0


@given(st.lists(st.sampled_from(["x", "y", "z", None, "<b>", ""]), max_size=60), st.randoms())
def test_colours_of_categories_do_not_depend_on_the_order_of_points(values, random):
    shuffled = list(enumerate(values))
    random.shuffle(shuffled)
    straight = by_category(values, "v")
    mixed = by_category([value for _, value in shuffled], "v")
    assert [straight.numbers[place] for place, _ in shuffled] == mixed.numbers.tolist()
    assert straight.legend == mixed.legend
    assert sum(entry.count for entry in straight.legend.entries) == len(values)


def test_an_order_given_is_kept_and_values_that_are_not_there_are_left_out():
    colouring = by_category(["a", "b", "b", "c"], "v", order=["c", "nosuch", "a"])
    assert [(entry.label, entry.colour) for entry in colouring.legend.entries] == [
        ("c", 1),
        ("a", 2),
        ("other values", 3),
    ]
    assert colouring.numbers.tolist() == [2, 3, 3, 1]


def test_numbers_run_from_the_first_to_the_last_step():
    colouring = by_number(np.array([0.0, 0.5, 1.0, np.nan, np.inf]), "n", ends=(0.0, 1.0))
    assert colouring.numbers.tolist() == [1, 128, STEPS, 0, 0]
    assert colouring.legend.entries == (Entry("no value", 0, 2),)
    assert colouring.legend.ends == ("0", "1")
    assert len(colouring.light) == len(colouring.dark) == STEPS + 1


@given(st.lists(st.floats(width=64), max_size=50))
def test_larger_numbers_never_get_a_lower_step(values):
    numbers = by_number(np.array(values, np.float64), "n").numbers
    known = sorted(
        (value, int(number)) for value, number in zip(values, numbers, strict=True) if np.isfinite(value)
    )
    steps = [number for _, number in known]
    assert steps == sorted(steps) and all(1 <= step <= STEPS for step in steps)
    assert all(
        (number == 0) != bool(np.isfinite(value)) for value, number in zip(values, numbers, strict=True)
    )


def test_a_far_value_does_not_push_the_others_into_one_colour():
    values = np.append(np.arange(1_000.0), 1e9)
    colouring = by_number(values, "n")
    assert len(set(colouring.numbers.tolist())) > 200
    assert colouring.legend.ends == ("\u2264 10", "\u2265 990")


def test_one_value_alone_is_the_middle_and_none_at_all_is_no_scale():
    assert by_number(np.array([7, 7]), "n").numbers.tolist() == [128, 128]
    assert by_number(np.array([7, 7]), "n").legend.ends == ("7", "7")
    empty = by_number(np.array([np.nan]), "n")
    assert empty.numbers.tolist() == [0] and empty.legend.ends == ()
    assert by_number(np.zeros(0), "n").numbers.shape == (0,)


def test_dates_are_ordered_and_written_as_days():
    days = np.array(["2001-01-01", "NaT", "1960-05-05", "2020-12-31"], "datetime64[D]")
    colouring = by_date(days, "published")
    assert colouring.numbers[1] == 0 and colouring.numbers[2] < colouring.numbers[0] < colouring.numbers[3]
    assert colouring.legend.ends == ("1960-05-05", "2020-12-31")


def test_flags_are_yes_no_and_neither():
    colouring = by_flag([True, False, None, True], "peer reviewed")
    assert colouring.numbers.tolist() == [1, 2, 0, 1]
    assert [(entry.label, entry.count) for entry in colouring.legend.entries] == [
        ("yes", 2),
        ("no", 1),
        ("no value", 1),
    ]


def test_trust_has_one_scale_for_all_maps_and_similarity_its_own():
    trust = by_trust(np.array([0, 0.5, np.nan], np.float32))
    assert trust.numbers.tolist() == [1, 128, 0] and trust.legend.ends == ("0%", "100%")
    near = by_similarity(np.array([0.2, 0.4], np.float32), "rivers")
    assert near.numbers.tolist() == [1, STEPS] and near.legend.ends == ("0.200", "0.400")


def test_topics_picked_are_coloured_else_the_largest():
    topics = np.array([5] * 3 + [2] * 9 + [-1] * 4 + [7], np.int32)
    largest = by_topic(topics, {2: "graphs", 5: "proteins"})
    assert [(e.label, e.colour, e.count) for e in largest.legend.entries] == [
        ("graphs", 1, 9), ("proteins", 2, 3), ("topic 7", 3, 1), ("no topic", 0, 4),
    ]  # fmt: skip
    picked = by_topic(topics, {7: "bees"}, picked=[7, 99])
    assert picked.numbers.tolist() == [2] * 12 + [0] * 4 + [1]
    assert [entry.label for entry in picked.legend.entries] == ["bees", "other topics", "no topic"]


def test_many_topics_all_have_a_colour_and_the_legend_lists_the_largest():
    topics = np.repeat(np.arange(30, dtype=np.int32), np.arange(30, 0, -1))
    colouring = by_topic(topics, {})
    legend = colouring.legend
    assert colouring.numbers.tolist() == (topics + 1).tolist() and len(colouring.light) == 31
    assert [entry.label for entry in legend.entries] == [f"topic {n}" for n in range(MOST_CATEGORIES)]
    assert [entry.colour for entry in legend.unlisted] == list(range(MOST_CATEGORIES + 1, 31))
    assert legend.rest == Entry("22 more, not listed", 0, sum(range(1, 23)))
    assert sum(entry.count for entry in (*legend.entries, *legend.unlisted)) == len(topics)
    assert by_topic(np.zeros(0, np.int32), {}).legend.entries == ()


def test_more_topics_than_numbers_leave_the_smallest_grey():
    topics = np.repeat(np.arange(300, dtype=np.int32), np.arange(300, 0, -1))
    colouring = by_topic(topics, {}, places=np.zeros((len(topics), 2), np.uint16))
    assert colouring.numbers.max() == MOST_TOPICS + 1
    assert colouring.legend.entries[-1].label == "other topics"
    assert colouring.legend.entries[-1].count == sum(range(1, 101))


@given(st.integers(1, 60), st.integers(0, 9))
def test_a_colour_comes_again_only_where_every_other_is_nearer(n, seed):
    middles = np.random.default_rng(seed).uniform(0, 65_535, (n, 2))
    hues = hues_apart(n, 12, middles)
    assert hues[:12] == list(range(min(n, 12)))
    for place in range(12, n):
        away = np.square(middles[:place] - middles[place]).sum(axis=1)
        nearest = [min(d for d, h in zip(away, hues, strict=False) if h == hue) for hue in range(12)]
        assert nearest[hues[place]] == max(nearest)


def test_topics_side_by_side_differ_in_colour_where_they_lie_known():
    # A row of 40 topics, all as large: the thirteenth takes the colour of the first, farthest off, and so on.
    topics = np.repeat(np.arange(40, dtype=np.int32), 3)
    places = np.stack([topics * 1_000, np.zeros_like(topics)], axis=1).astype(np.uint16)
    colouring = by_topic(topics, {}, places=places)
    for palette in (colouring.light, colouring.dark):
        assert len(set(palette[1:13])) == 12
        assert all(one != other for one, other in zip(palette[1:], palette[2:], strict=False))
        page = ON_LIGHT if palette is colouring.light else ON_DARK
        assert all(contrast(colour, page) >= LEAST_CONTRAST for colour in palette)
