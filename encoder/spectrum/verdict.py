"""A word for an embedding space, the reasons for it, and what to do.

A rank is judged beside that of random directions of the same number of rows and dimensions, since few rows have few
directions however good the encoder is. A collapse shows in few rows already: 50 rows on 5 directions are 5 directions.
That a space is healthy can be seen only with as many rows as dimensions, else the answer is "cannot tell".

A verdict is on the shape of a space and not on its meaning: a decoder with random weights spreads its texts well, and
is called healthy. Whether near rows mean the same, only judged queries can tell.

The bands, and what was measured for them on up to 8,000 passages of arXiv articles (27,139 for the bundled encoder).
"Tiny" are three stages of a run of minutes, which did collapse; "random" is mean pooling of 6 random layers of 384:

    measure           watch    collapsed    bundled  MiniLM-L6  random  tiny: compress, simcse, contrastive
    rank share        < 0.5    < 0.2        0.83     0.78       0.68    0.10, 0.14, 0.14
    n90 share         < 0.3    < 0.15       0.60     0.55       0.33    0.04, 0.04, 0.04
    first direction   > 0.25   > 0.5        0.10     0.07       0.05    0.50, 0.37, 0.51
    mean cosine       > 0.5    > 0.98       0.29     0.19       0.38    0.88, 0.57, 0.99
    hub skewness      > 5                   2.9      2.8        1.7     0.3, 0.4, 0.6
    antihub share     > 0.15                0.03     0.02       0.04    0.01, 0.01, 0.01
    exact repeats     > 0.05                0        0          0       0, 0, 0
    near repeats      > 0.2                 0        0          0.09    1.00, 0.81, 1.00
    broken rows       > 0.001               0        0          0       0, 0, 0

Rank share and n90 share are of random directions. The effective rank counts singular values and so still counts faint
directions; n90, the fewest directions with 90 % of the variance, tells a few strong ones above faint noise.
The first direction's band counts from the share that a direction of random rows has, which matters below 20 dimensions.
"""

from dataclasses import dataclass, replace
from typing import Literal

from encoder.spectrum.diagnosis import Diagnosis
from encoder.spectrum.duplicates import NEAR_COSINE, Duplicates
from encoder.spectrum.neighbourhood import Hubness
from encoder.spectrum.reference import isotropic

State = Literal["healthy", "watch", "collapsed", "cannot tell"]
STATES: tuple[State, ...] = ("healthy", "watch", "collapsed", "cannot tell")
LEAST_ROWS = 50  # fewer rows say nothing, not even of a collapse

_LOW_RANK, _COLLAPSED_RANK = 0.5, 0.2
_LOW_N90, _COLLAPSED_N90 = 0.3, 0.15
_STRONG_FIRST, _COLLAPSED_FIRST = 0.25, 0.5
_HIGH_COSINE, _COLLAPSED_COSINE = 0.5, 0.98
_SOME_MEAN = 0.1  # a mean cosine below which there is hardly a mean to take away
_HIGH_SKEWNESS = 5.0
_MANY_ANTIHUBS = 0.15
_MANY_EQUAL, _MANY_NEAR = 0.05, 0.2
_MANY_BROKEN = 0.001
_ONE_POINT = 1e-9  # variance of unit rows below which only rounding tells them apart
_ORDER: dict[State, int] = {"collapsed": 0, "watch": 1, "cannot tell": 2, "healthy": 3}

_TRAIN = "Train the encoder on with a contrastive stage: more steps, larger batches, or a lower temperature."


@dataclass(frozen=True, slots=True)
class Band:
    """From where on a measure is no longer healthy; the value itself still is."""

    is_low_bad: bool
    watch: float
    collapsed: float | None = None

    def state(self, value: float) -> State:
        """The word for a value."""
        if self.collapsed is not None and self._beyond(value, self.collapsed):
            return "collapsed"
        return "watch" if self._beyond(value, self.watch) else "healthy"

    def _beyond(self, value: float, limit: float) -> bool:
        return value < limit if self.is_low_bad else value > limit

    def __str__(self) -> str:
        return f"{'at least' if self.is_low_bad else 'at most'} {self.watch:.3g}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one measure says."""

    measure: str
    value: float
    band: Band
    state: State
    sentence: str
    advice: str  # what to do; empty when it is healthy
    remedy: str = ""  # the transformation that may help, to be tried first; empty where none does


@dataclass(frozen=True, slots=True)
class Verdict:
    """The word for a space, why, and what to do."""

    state: State
    sentence: str
    reasons: tuple[Finding, ...]  # every measure that was judged, the worst first

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do, the most urgent first, each once."""
        return tuple(self.remedies)

    @property
    def remedies(self) -> dict[str, str]:
        """Every piece of advice, and the transformation it speaks of; empty where it speaks of none."""
        said = {reason.advice: reason.remedy for reason in self.reasons if reason.advice}
        # What another piece of advice begins with, it says as well.
        return {
            one: remedy
            for one, remedy in said.items()
            if not any(other != one and other.startswith(one) for other in said)
        }


def judge(
    diagnosis: Diagnosis,
    *,
    hubness: Hubness | None = None,
    equal: Duplicates | None = None,
    near: Duplicates | None = None,
) -> Verdict:
    """The word for a space.

    Args:
        diagnosis: of its rows.
        hubness: of a sample of them; None: not looked at.
        equal: rows that are equal.
        near: rows of a sample that are nearly equal.
    """
    findings = [*_of_rows(diagnosis), *_of_duplicates(equal, near)]
    if is_one_point(diagnosis):  # that they are equal to each other follows
        findings = [*_of_one_point(diagnosis), *(replace(finding, advice="") for finding in findings)]
    else:
        findings = [*_of_spectrum(diagnosis), *_of_hubs(hubness, diagnosis.mean_cosine), *findings]
    reasons = tuple(sorted(findings, key=lambda finding: _ORDER[finding.state]))
    worst = reasons[0].state if reasons else "cannot tell"
    if diagnosis.n < LEAST_ROWS or (diagnosis.n < diagnosis.dimension and worst != "collapsed"):
        return Verdict("cannot tell", _too_few(diagnosis), reasons)
    return Verdict(worst, f"{worst.capitalize()}: {_evidence(diagnosis, reasons, worst)}.", reasons)


def is_one_point(diagnosis: Diagnosis) -> bool:
    """Whether all vectors, two at least, are the same but for rounding."""
    return diagnosis.n > 1 and float(diagnosis.eigenvalues.sum()) < _ONE_POINT


def _finding(
    measure: str, value: float | None, band: Band, sentence: str, advice: str, *, remedy: str = ""
) -> list[Finding]:
    """One finding, or none where there is no value."""
    if value is None:
        return []
    state = band.state(value)
    if state == "healthy":
        advice = remedy = ""
    return [Finding(measure, value, band, state, sentence, advice, remedy)]


def _of_one_point(diagnosis: Diagnosis) -> list[Finding]:
    """Of vectors that are all the same; nothing is left of them without their mean."""
    if diagnosis.n < LEAST_ROWS:
        return []
    return _finding(
        "mean_cosine",
        diagnosis.mean_cosine,
        Band(False, _HIGH_COSINE, _COLLAPSED_COSINE),
        f"All {diagnosis.n:,} vectors are the same: no transformation can tell them apart.",
        "Mend the encoder or train it anew: it gives every text the same vector. Unless all of them are of one text.",
    )


def _of_spectrum(diagnosis: Diagnosis) -> list[Finding]:
    """Of rank, first direction and mean, as far as there are rows enough to speak of them."""
    if diagnosis.n < LEAST_ROWS:
        return []
    reference = isotropic(diagnosis.n, diagnosis.dimension)
    expected = reference.measures.effective_rank
    rank, cosine, first = diagnosis.effective_rank_centred, diagnosis.mean_cosine, diagnosis.first_direction
    found: list[Finding] = []
    if rank is not None and expected is not None:
        has_wide_mean = cosine is not None and cosine > _HIGH_COSINE
        found += _finding(
            "rank_share",
            rank / expected,
            Band(True, _LOW_RANK, _COLLAPSED_RANK),
            f"The vectors use {rank:.0f} directions where as many random ones would use {expected:.0f}.",
            f"{_TRAIN} Centring alone will not help." if has_wide_mean else _TRAIN,
        )
    n90, expected_n90 = diagnosis.n90, reference.measures.n90
    if n90 and expected_n90:
        found += _finding(
            "n90_share",
            n90 / expected_n90,
            Band(True, _LOW_N90, _COLLAPSED_N90),
            f"{n90} direction{' holds' if n90 == 1 else 's hold'} 90% of the variance; random vectors need {expected_n90}.",
            _TRAIN,
        )
    random_share = reference.first_direction or 0.0
    if first is not None and random_share < 1:
        watch, collapsed = (
            random_share + limit * (1 - random_share) for limit in (_STRONG_FIRST, _COLLAPSED_FIRST)
        )
        found += _finding(
            "first_direction",
            first,
            Band(False, watch, collapsed),
            f"The first direction carries {first:.0%} of the variance.",
            "Take the strongest direction away; where that finds no more, train the encoder on.",
            remedy="drop:1",
        )
    if cosine is not None:
        found += _of_mean(cosine, is_rank_fine=not any(finding.state == "collapsed" for finding in found))
    return found


def _of_mean(cosine: float, *, is_rank_fine: bool) -> list[Finding]:
    return _finding(
        "mean_cosine",
        cosine,
        Band(False, _HIGH_COSINE, _COLLAPSED_COSINE),
        f"Two vectors have a cosine of {cosine:.2f} on average"
        + (": all point the same way." if cosine > _HIGH_COSINE else "."),
        "Take the mean away." if is_rank_fine else _TRAIN,
        remedy="centre" if is_rank_fine else "",
    )


def _of_hubs(hubness: Hubness | None, cosine: float | None) -> list[Finding]:
    if hubness is None or len(hubness.counts) < LEAST_ROWS:
        return []
    advice, remedy = "Look at the hubs: what is boilerplate can go.", ""
    if cosine is not None and cosine > _SOME_MEAN:
        advice, remedy = f"{advice[:-1]}; for the others take the mean away.", "centre"
    found = _finding(
        "hub_skewness",
        hubness.skewness,
        Band(False, _HIGH_SKEWNESS),
        f"One row is among the {hubness.k} nearest of {hubness.most:,} others.",
        advice,
        remedy=remedy,
    )
    share = hubness.antihub_share
    return found + _finding(
        "antihub_share",
        share,
        Band(False, _MANY_ANTIHUBS),
        f"{share or 0:.1%} of the vectors are among the {hubness.k} nearest of no other: they are hardly found.",
        advice,
        remedy=remedy,
    )


def _of_rows(diagnosis: Diagnosis) -> list[Finding]:
    broken = diagnosis.zero_rows + diagnosis.non_finite_rows
    given = broken + diagnosis.n
    return _finding(
        "broken_rows",
        broken / given if given else None,
        Band(False, _MANY_BROKEN),
        f"{diagnosis.zero_rows:,} vectors are zero and {diagnosis.non_finite_rows:,} hold no finite numbers.",
        "Look at the texts of these vectors (empty ones?) and at the encoder's precision.",
    )


def _of_duplicates(equal: Duplicates | None, near: Duplicates | None) -> list[Finding]:
    found: list[Finding] = []
    if equal is not None:
        found += _finding(
            "equal_share",
            equal.share,
            Band(False, _MANY_EQUAL),
            f"{equal.repeated:,} of {equal.rows:,} vectors are equal to another, in {equal.groups:,} groups.",
            "Remove what is there twice, or mend what makes different texts equal.",
        )
    if near is not None and near.rows >= LEAST_ROWS:
        found += _finding(
            "near_share",
            near.share,
            Band(False, _MANY_NEAR),
            f"{near.repeated:,} of {near.rows:,} sampled vectors have another at a cosine of {NEAR_COSINE} or more.",
            "Look at the largest groups: what is there twice can go; different texts so close are told apart by few digits.",
        )
    return found


def rows_for_verdict(diagnosis: Diagnosis) -> int:
    """Rows from which on a space of so many dimensions can be called healthy; a collapse shows in fewer."""
    return max(LEAST_ROWS, diagnosis.dimension)


def _too_few(diagnosis: Diagnosis) -> str:
    if not diagnosis.n:
        broken = diagnosis.zero_rows + diagnosis.non_finite_rows
        return f"Cannot tell: {f'none of {broken:,} vectors has a direction' if broken else 'there are no vectors'}."
    needed = rows_for_verdict(diagnosis)
    vectors = "1 vector is" if diagnosis.n == 1 else f"{diagnosis.n:,} vectors are"
    return f"Cannot tell: {vectors} too few for {diagnosis.dimension:,} dimensions; give at least {needed:,}."


def _evidence(diagnosis: Diagnosis, reasons: tuple[Finding, ...], worst: State) -> str:
    """What is as bad as the verdict, each with what would be healthy; of a healthy space rank and first direction."""
    if is_one_point(diagnosis):
        return "all vectors are the same"
    if worst == "healthy":
        rank, first = diagnosis.effective_rank_centred or 0.0, diagnosis.first_direction or 0.0
        return (
            f"effective rank {rank:.0f} of {diagnosis.dimension:,}; the first direction carries {first:.0%}"
        )
    return "; ".join(_short(reason, diagnosis) for reason in reasons if reason.state == worst)


def _short(finding: Finding, diagnosis: Diagnosis) -> str:
    """A measure that is not healthy, and what would be."""
    value, limit = finding.value, finding.band.watch
    if finding.measure in ("rank_share", "n90_share"):
        return _short_count(finding, diagnosis)
    texts = {
        "first_direction": f"the first direction carries {value:.0%} (healthy: at most {limit:.0%})",
        "mean_cosine": f"mean cosine {value:.2f} (healthy: at most {limit:.2f})",
        "hub_skewness": f"hubs (skewness {value:.1f}, healthy: at most {limit:.0f})",
        "antihub_share": f"{value:.0%} of the vectors are near to no other (healthy: at most {limit:.0%})",
        "broken_rows": f"{value:.1%} of the vectors are broken (healthy: at most {limit:.1%})",
        "equal_share": f"{value:.0%} of the vectors are equal to another (healthy: at most {limit:.0%})",
        "near_share": f"{value:.0%} of the vectors nearly equal another (healthy: at most {limit:.0%})",
    }
    return texts[finding.measure]


def _short_count(finding: Finding, diagnosis: Diagnosis) -> str:
    """Of a share of what random directions have: the counts themselves."""
    is_rank = finding.measure == "rank_share"
    counted = float((diagnosis.effective_rank_centred if is_rank else diagnosis.n90) or 0)
    least = f"healthy: at least {finding.band.watch * counted / finding.value:.0f}"
    if is_rank:
        return f"effective rank {counted:.0f} of {diagnosis.dimension:,} ({least})"
    directions = "direction holds" if counted == 1 else "directions hold"
    return f"{counted:.0f} {directions} 90% of the variance ({least})"
