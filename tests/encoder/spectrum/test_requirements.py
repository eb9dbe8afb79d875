"""Conditions on measures are read strictly, and say what does not hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.errors import UsageError
from encoder.spectrum import Requirement, check, parse_requirement

MEASURES = {"effective_rank": 42.5, "mean_cosine": None, "n90": 7, "state": "watch"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("effective_rank>=50", Requirement("effective_rank", ">=", 50.0)),
        (" mean_cosine <\t.5 ", Requirement("mean_cosine", "<", 0.5)),
        ("uniformity<=-2e0", Requirement("uniformity", "<=", -2.0)),
        ("n90=7", Requirement("n90", "==", 7.0)),
        ("state!=collapsed", Requirement("state", "!=", "collapsed")),
        ("state==cannot-tell", Requirement("state", "==", "cannot tell")),
        ("state = cannot tell", Requirement("state", "==", "cannot tell")),
    ],
)
def test_a_requirement_is_read(text, expected):
    assert parse_requirement(text) == expected


@pytest.mark.parametrize(
    "text", ["", "effective_rank", ">=3", "a>=", "A>=3", "a b>3", "a=>3", "é>3", "a>3" + "0" * 300]
)
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(UsageError, match="not a measure, a comparison and a bound") as raised:
        parse_requirement(text)
    assert raised.value.fix == "write it like 'effective_rank>=50' or 'state!=collapsed', in quotes"


@pytest.mark.parametrize("bound", ["many", "nan", "inf", "1_000", "0x10", "5 0", "1e9999", "1e999", "٣"])
def test_a_bound_that_is_no_number_is_refused(bound):
    with pytest.raises(UsageError, match="is no number"):
        parse_requirement(f"effective_rank>={bound}")


@pytest.mark.parametrize("text", ["state>healthy", "state==good", "state>=3"])
def test_a_state_is_one_of_four_words(text):
    with pytest.raises(
        UsageError, match="A state can be or not be one of healthy, watch, collapsed, cannot tell."
    ):
        parse_requirement(text)


@given(
    st.floats(allow_nan=False, allow_infinity=False, width=32), st.floats(-1e3, 1e3), st.sampled_from("<>")
)
def test_a_comparison_is_that_of_numbers(value, bound, sign):
    requirement = Requirement("x", sign, bound)
    holds = value < bound if sign == "<" else value > bound
    assert (check({"x": value}, [requirement]) == []) == holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("effective_rank>=50", "effective_rank>=50 does not hold: effective_rank is 42.5"),
        ("mean_cosine<0.5", "mean_cosine<0.5 does not hold: mean_cosine is not defined"),
        ("n90!=7", "n90!=7 does not hold: n90 is 7"),
        ("state==healthy", "state==healthy does not hold: state is watch"),
        ("state!=watch", "state!=watch does not hold: state is watch"),
    ],
)
def test_what_does_not_hold_is_said(text, said):
    assert [str(failure) for failure in check(MEASURES, [parse_requirement(text)])] == [said]


@pytest.mark.parametrize(
    "text", ["effective_rank>=42.5", "n90==7", "n90<8", "state!=collapsed", "state==watch"]
)
def test_what_holds_is_not_mentioned(text):
    assert check(MEASURES, [parse_requirement(text)]) == []


def test_failures_keep_the_order_of_the_requirements():
    texts = ["n90>8", "effective_rank>1", "effective_rank<1"]
    failures = check(MEASURES, [parse_requirement(text) for text in texts])
    assert [str(failure.requirement) for failure in failures] == ["n90>8", "effective_rank<1"]


def test_a_measure_that_there_is_not_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match="There is no measure 'rank'.") as raised:
        check(MEASURES, [parse_requirement("rank>3")])
    assert raised.value.fix == "choose one of effective_rank, mean_cosine, n90, state"
    assert raised.value.where == "requirement 'rank>3'"
