"""The verdict names healthy and collapsed spaces rightly, says why, and holds back when rows are few."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from encoder.spectrum import diagnose, examine, judge
from encoder.spectrum.duplicates import Duplicates
from encoder.spectrum.neighbourhood import Hubness
from encoder.spectrum.reference import isotropic
from encoder.spectrum.verdict import Band

DIMENSION = 64
HEALTHY = {
    "equal": np.ones(DIMENSION),
    "slowly falling": np.arange(1, DIMENSION + 1) ** -0.3,
    "falling": np.arange(1, DIMENSION + 1) ** -0.5,
}
COLLAPSED = {
    "six directions": np.r_[np.ones(6), np.zeros(DIMENSION - 6)],
    "one strong direction": np.r_[20.0, np.ones(DIMENSION - 1)],
    "one direction": np.r_[1.0, np.zeros(DIMENSION - 1)],
    "six above noise": np.r_[np.ones(6), np.full(DIMENSION - 6, 0.03)],
}


def _rows(scales, n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, len(scales))) * scales


def _states(verdict):
    return {reason.measure: reason.state for reason in verdict.reasons}


@pytest.mark.parametrize("kind", HEALTHY)
@pytest.mark.parametrize("n", [64, 100, 1000])
def test_a_healthy_space_is_healthy_however_few_rows_are_enough(kind, n):
    for seed in range(10):
        verdict = judge(diagnose(_rows(HEALTHY[kind], n, seed)))
        assert verdict.state == "healthy"
        assert verdict.sentence.startswith("Healthy: effective rank ")
        assert verdict.advice == ()


@pytest.mark.parametrize("kind", HEALTHY)
@pytest.mark.parametrize("n", [0, 1, 2, 10, 49, 50, 63])
def test_with_fewer_rows_than_dimensions_a_healthy_space_cannot_be_told(kind, n):
    for seed in range(10):
        assert judge(diagnose(_rows(HEALTHY[kind], n, seed))).state == "cannot tell"


@pytest.mark.parametrize("kind", COLLAPSED)
@pytest.mark.parametrize("n", [300, 3000])
def test_a_collapse_is_named(kind, n):
    for seed in range(5):
        verdict = judge(diagnose(_rows(COLLAPSED[kind], n, seed)))
        assert verdict.state == "collapsed"
        assert "(healthy: at " in verdict.sentence
        assert verdict.reasons[0].state == "collapsed"
        assert verdict.advice


@pytest.mark.parametrize("kind", ["six directions", "one strong direction", "one direction"])
def test_a_collapse_shows_in_fewer_rows_than_dimensions(kind):
    assert judge(diagnose(_rows(COLLAPSED[kind], 60))).state == "collapsed"


def test_the_sentence_has_what_failed_and_the_limits_that_the_table_has():
    scales = np.r_[7.0, np.ones(13), np.zeros(370)]
    found = diagnose(_rows(scales, 2000))
    verdict = judge(found)
    random = isotropic(found.n, 384)
    band = next(reason.band for reason in verdict.reasons if reason.measure == "first_direction")
    assert verdict.sentence == (
        f"Collapsed: effective rank {found.effective_rank_centred:.0f} of 384 "
        f"(healthy: at least {0.5 * random.measures.effective_rank:.0f}); "
        f"{found.n90} directions hold 90% of the variance (healthy: at least {0.3 * random.measures.n90:.0f}); "
        f"the first direction carries {found.first_direction:.0%} (healthy: at most {band.watch:.0%})."
    )


def test_what_is_healthy_does_not_speak_in_a_bad_verdict():
    rows = _rows(HEALTHY["equal"], 2000) * 0.01
    rows[:, 0] += 24  # a cone: all point the same way, and differ in every direction
    verdict = judge(diagnose(rows))
    assert verdict.sentence == "Collapsed: mean cosine 1.00 (healthy: at most 0.50)."
    strong = judge(diagnose(_rows(np.r_[20.0, np.ones(DIMENSION - 1)], 2000)))
    assert strong.sentence.startswith("Collapsed: the first direction carries ")
    assert "effective rank" not in strong.sentence


def test_a_third_of_the_directions_is_to_be_watched():
    verdict = judge(diagnose(_rows(np.r_[np.ones(20), np.zeros(44)], 2000)))
    assert verdict.state == "watch"
    assert _states(verdict)["rank_share"] == "watch"


def test_a_mean_alone_is_to_be_watched_and_centred():
    rows = _rows(HEALTHY["equal"], 2000)
    rows[:, 0] += 24
    verdict = judge(diagnose(rows))
    assert (verdict.state, verdict.reasons[0].measure) == ("watch", "mean_cosine")
    assert verdict.sentence == "Watch: mean cosine 0.90 (healthy: at most 0.50)."
    assert verdict.remedies == {"Take the mean away.": "centre"}


def test_a_mean_with_a_collapse_is_not_mended_by_centring():
    rows = _rows(COLLAPSED["six directions"], 2000)
    rows[:, 0] += 8
    verdict = judge(diagnose(rows))
    assert verdict.state == "collapsed"
    assert not any("Take the mean away" in advice for advice in verdict.advice)
    assert any("Centring alone will not help." in advice for advice in verdict.advice)


def test_rows_all_alike_are_collapsed_with_and_without_noise():
    same = judge(diagnose(np.ones((100, DIMENSION))))
    assert (same.state, same.sentence) == ("collapsed", "Collapsed: all vectors are the same.")
    assert same.advice == (
        "Mend the encoder or train it anew: it gives every text the same vector. Unless all of them are of one text.",
    )
    assert set(same.remedies.values()) == {""}  # without their mean nothing is left of them
    noisy = judge(diagnose(1 + 1e-4 * _rows(HEALTHY["equal"], 1000)))
    assert noisy.state == "collapsed"
    assert "mean cosine 1.00" in noisy.sentence


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (np.zeros((0, 8)), "Cannot tell: there are no vectors."),
        (np.full((3, 8), np.nan), "Cannot tell: none of 3 vectors has a direction."),
        (np.ones((1, 8)), "Cannot tell: 1 vector is too few for 8 dimensions; give at least 50."),
        (np.ones((49, 8)), "Cannot tell: 49 vectors are too few for 8 dimensions; give at least 50."),
        (
            _rows(np.ones(100), 80),
            "Cannot tell: 80 vectors are too few for 100 dimensions; give at least 100.",
        ),
    ],
)
def test_few_rows_are_said_to_be_few(rows, sentence):
    verdict = judge(diagnose(rows))
    assert (verdict.state, verdict.sentence) == ("cannot tell", sentence)


@pytest.mark.parametrize("dimension", [2, 3, 5])
def test_few_dimensions_are_not_taken_for_a_collapse(dimension):
    assert judge(diagnose(_rows(np.ones(dimension), 2000))).state == "healthy"


def _hubness(skewness, antihubs):
    return Hubness(10, np.full(2000, 10), skewness, antihubs, 900, (), 0)


def _share(share):
    return Duplicates(1000, int(1000 * share), 1, ())


@pytest.mark.parametrize(
    ("given", "measure", "words"),
    [
        ({"hubness": _hubness(5.1, 0.0)}, "hub_skewness", "hubs (skewness 5.1, healthy: at most 5)"),
        ({"hubness": _hubness(1.0, 0.16)}, "antihub_share", "16% of the vectors are near to no other"),
        ({"equal": _share(0.06)}, "equal_share", "6% of the vectors are equal to another"),
        ({"near": _share(0.21)}, "near_share", "21% of the vectors nearly equal another"),
    ],
)
def test_what_is_seen_beside_the_spectrum_is_to_be_watched(given, measure, words):
    verdict = judge(diagnose(_rows(HEALTHY["equal"], 500)), **given)
    assert (verdict.state, verdict.reasons[0].measure) == ("watch", measure)
    assert words in verdict.sentence
    assert len(verdict.advice) == 1


@pytest.mark.parametrize("n", [100, 3000])
def test_rows_all_alike_but_for_rounding_are_one_point(n):
    row = np.random.default_rng(n).standard_normal(DIMENSION)
    rows = row + 1e-6 * np.random.default_rng(1).standard_normal((n, DIMENSION))
    found = examine(rows.astype(np.float32)).verdict
    assert found.sentence == "Collapsed: all vectors are the same."
    assert len(found.advice) == 1 and found.advice[0].startswith("Mend the encoder")
    assert set(found.remedies.values()) == {""}


def test_equal_rows_are_counted_though_their_advice_is_not_given():
    found = examine(np.ones((100, DIMENSION))).verdict
    assert _states(found) == {
        "mean_cosine": "collapsed",
        "broken_rows": "healthy",
        "equal_share": "watch",
    } | {name: state for name, state in _states(found).items() if name == "near_share"}
    assert len(found.advice) == 1


def test_hubs_without_a_mean_are_not_to_be_centred():
    rows = _rows(HEALTHY["equal"], 500)
    assert judge(diagnose(rows), hubness=_hubness(5.1, 0.0)).remedies == {
        "Look at the hubs: what is boilerplate can go.": ""
    }
    rows[:, 0] += 5
    said = judge(diagnose(rows), hubness=_hubness(5.1, 0.0)).remedies
    assert said == {
        "Look at the hubs: what is boilerplate can go; for the others take the mean away.": "centre"
    }


def test_what_is_usual_is_healthy():
    verdict = judge(
        diagnose(_rows(HEALTHY["equal"], 500)),
        hubness=_hubness(3.0, 0.05),
        equal=_share(0.01),
        near=_share(0.1),
    )
    assert verdict.state == "healthy"
    assert set(_states(verdict).values()) == {"healthy"}


def test_broken_rows_are_to_be_watched():
    rows = _rows(HEALTHY["equal"], 500)
    rows[3], rows[5, 1] = 0, np.inf
    verdict = judge(diagnose(rows))
    assert verdict.state == "watch"
    assert verdict.reasons[0].sentence == "1 vectors are zero and 1 hold no finite numbers."
    assert verdict.sentence.endswith("0.4% of the vectors are broken (healthy: at most 0.1%).")


def test_a_band_says_from_where_on():
    high, low = Band(False, 0.5, 0.9), Band(True, 0.5)
    assert [high.state(value) for value in (0.5, 0.51, 0.9, 0.91)] == [
        "healthy",
        "watch",
        "watch",
        "collapsed",
    ]
    assert [low.state(value) for value in (0.5, 0.49, 0.0)] == ["healthy", "watch", "watch"]
    assert (str(high), str(low)) == ("at most 0.5", "at least 0.5")


@given(st.sampled_from([*HEALTHY, *COLLAPSED]), st.integers(0, 30))
def test_rotation_order_and_length_do_not_matter(kind, seed):
    scales = (HEALTHY | COLLAPSED)[kind][:16]
    rows = _rows(scales, 80, seed)
    random = np.random.default_rng(seed)
    other = (rows @ ortho_group.rvs(16, random_state=seed))[random.permutation(80)] * random.uniform(
        1, 9, (80, 1)
    )
    assert judge(diagnose(rows)).state == judge(diagnose(other)).state


@given(st.integers(0, 60), st.integers(1, 6), st.integers(0, 99))
def test_any_rows_get_a_word_and_a_sentence(n, dimension, seed):
    random = np.random.default_rng(seed)
    rows = random.integers(-1, 2, (n, dimension)).astype(float)
    verdict = examine(rows).verdict
    assert verdict.sentence.startswith(verdict.state.capitalize() + ": ")
    assert verdict.sentence.endswith(".")
    json.dumps(asdict(verdict), allow_nan=False)
    order = {"collapsed": 0, "watch": 1, "cannot tell": 2, "healthy": 3}
    ranks = [order[reason.state] for reason in verdict.reasons]
    assert ranks == sorted(ranks)
