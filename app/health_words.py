"""Measures of an embedding space in words: labels, explanations, values with intervals; for terminal, file and page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.curves import Layer
from app.formats import count
from encoder.spectrum.diagnosis import Diagnosis
from encoder.spectrum.examination import Examination, by_shown_names
from encoder.spectrum.intervals import Interval
from encoder.spectrum.verdict import Finding, State, rows_for_verdict
from encoder.spectrum.what_if import Gain, Share, WhatIf

if TYPE_CHECKING:
    from encoder.temperature import Sweep

DASH = "\u2013"
STATE_ICONS: dict[State, str] = {
    "healthy": "check_circle",
    "watch": "visibility",
    "collapsed": "error",
    "cannot tell": "help",
}
STATE_WORDS: dict[State, str] = {
    "healthy": "**Healthy**",
    "watch": "**Watch**",
    "collapsed": "**Collapsed**",
    "cannot tell": "**Cannot tell**",
}
# What each measure is, in a sentence; in the order of the evidence.
MEASURES: dict[str, tuple[str, str]] = {
    "effective_rank": (
        "Effective rank",
        "How many directions the vectors use, without their mean: exp of the entropy of the spectrum.",
    ),
    "effective_rank_with_mean": (
        "Effective rank with the mean",
        "The same, with the direction that all vectors share.",
    ),
    "n90": ("Directions for 90 %", "The fewest directions that hold 90 % of the variance."),
    "first_direction": ("First direction", "Share of the variance that the strongest direction carries."),
    "participation_ratio": (
        "Participation ratio",
        "A stricter count of directions that strong ones dominate; without the mean.",
    ),
    "iso_score": ("IsoScore", "1 when all directions carry the same, 0 when one carries all."),
    "mean_cosine": (
        "Mean cosine",
        "How alike two vectors are on average; near 1, all point the same way.",
    ),
    "uniformity": ("Uniformity", "How evenly vectors fill the sphere; lower is more even, 0 is one point."),
    "intrinsic_dimension": (
        "Intrinsic dimension",
        "How many numbers tell neighbours apart (TwoNN); far fewer than the vectors have.",
    ),
    "hub_skewness": (
        "Hub skewness",
        "0 when every passage is near to equally many; high when a few are near to all.",
    ),
    "antihub_share": (
        "Near to none",
        "Passages that are among the 10 nearest of no other: hardly ever found.",
    ),
    "equal_share": ("Exact duplicates", "Passages whose vector is the same as another's."),
    "near_share": ("Near duplicates", "Sampled passages with another at a cosine of 0.98 or more."),
    "outliers": ("Outliers", "Sampled passages that are far from all others."),
    "zero_rows": ("Zero vectors", "Rows without a direction; they were left out."),
    "non_finite_rows": ("Broken vectors", "Rows that hold NaN or an infinity; they were left out."),
    "norm_spread": ("Spread of lengths", "Standard deviation of the vectors' lengths, over their mean."),
    "ann_recall": ("Recall of the index", "Share of the exact 10 nearest that the index returns."),
}
_SHARES = {"first_direction", "antihub_share", "equal_share", "near_share", "norm_spread", "ann_recall"}
_COUNTS = {"n90", "outliers", "zero_rows", "non_finite_rows"}
# Measure of a finding to the line of the evidence that it judges.
_JUDGED = {"rank_share": "effective_rank", "n90_share": "n90"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """A line of the evidence.

    Attributes:
        measure: its name in the JSON.
        label: for people.
        help: what it is, in a sentence.
        value: as text; a dash where it is not defined.
        interval: 95 %, as text; empty where there is none.
        healthy: what would be, as text; empty where nothing is said of it.
        state: of the verdict on it; None where it is not judged.
        is_outside: whether the interval is seen not to hold the value.
    """

    measure: str
    label: str
    help: str
    value: str
    interval: str
    healthy: str
    state: State | None
    is_outside: bool = False

    @property
    def is_measured(self) -> bool:
        """Whether there is a value."""
        return self.value != DASH


def evidence(found: Examination, measures: dict[str, float | str | None]) -> list[Evidence]:
    """The measures with intervals and bands, in their order.

    Args:
        found: the examination.
        measures: its values by name, and more beside.
    """
    intervals = _intervals(found)
    return evidence_of(measures, intervals, found.verdict.reasons)


def evidence_of(
    measures: dict[str, float | str | None],
    intervals: dict[str, Interval | None],
    reasons: Sequence[Finding],
) -> list[Evidence]:
    """Lines of the evidence for the measures that there are.

    Args:
        measures: values by name.
        intervals: by name, as far as there are any.
        reasons: of the verdict.
    """
    judged = {_JUDGED.get(reason.measure, reason.measure): reason for reason in reasons}
    lines = []
    for name, (label, help_text) in MEASURES.items():
        if name not in measures:
            continue
        value, reason = measures[name], judged.get(name)
        lines.append(
            Evidence(
                measure=name,
                label=label,
                help=help_text,
                value=shown(name, value),
                interval=_interval(name, intervals.get(name)),
                healthy=_band(name, reason, value),
                state=None if reason is None else reason.state,
                is_outside=_is_outside(name, value, intervals.get(name)),
            )
        )
    return lines


def interval_note(lines: Sequence[Evidence]) -> str:
    """What an interval means that its value is not in; empty where every value is."""
    if not any(line.is_outside for line in lines):
        return ""
    return "An interval is of the value that many more rows would give, so the value of these rows can lie outside it."


def not_measured(lines: Sequence[Evidence]) -> str:
    """Names the measures without a value, in a sentence; empty when all have one."""
    names = ", ".join(line.label for line in lines if not line.is_measured)
    return f"Not measured here: {names}." if names else ""


def missing(found: Examination) -> list[str]:
    """What it takes to say more, one sentence each: rows for a verdict, rows for intervals; empty when nothing lacks."""
    n, needed = found.diagnosis.n, rows_for_verdict(found.diagnosis)
    sentences = []
    if found.verdict.state == "cannot tell" and n < needed:
        sentences.append(
            f"A verdict takes {count(needed)} vectors, as many as there are dimensions and 50 at least: "
            f"{count(needed - n)} more than there are."
        )
    # Of no rows the sentence above says enough.
    return [*sentences, *([found.intervals.refused] if found.intervals.refused and n else [])]


def shown(measure: str, value: float | str | None) -> str:
    """A value as text; a dash where there is none."""
    if value is None or isinstance(value, str):
        return value or DASH
    if measure in _COUNTS:
        return count(value)
    if measure in _SHARES:
        return f"{value:.1%}".replace("-0.0%", "0.0%").replace("%", " %")
    if measure == "mean_cosine":
        return f"{value:.3f}".replace("-0.000", "0.000")
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def _interval(measure: str, interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"{shown(measure, interval.low)} to {shown(measure, interval.high)}"


def _is_outside(measure: str, value: float | str | None, interval: Interval | None) -> bool:
    """Whether an interval does not hold a value, and not by rounding that nobody sees."""
    if interval is None or value is None or isinstance(value, str) or interval.low <= value <= interval.high:
        return False
    return shown(measure, value) not in (shown(measure, interval.low), shown(measure, interval.high))


def _intervals(found: Examination) -> dict[str, Interval | None]:
    intervals: dict[str, Interval | None] = by_shown_names(found.intervals.of)
    dimension = found.surroundings.intrinsic_dimension
    if dimension is not None:
        intervals["intrinsic_dimension"] = Interval(
            dimension.value, dimension.value, dimension.low, dimension.high
        )
    return intervals


def _band(measure: str, reason: Finding | None, value: float | str | None) -> str:
    if reason is None:
        return ""
    side = "at least" if reason.band.is_low_bad else "at most"
    if measure != reason.measure:  # a share of what random vectors have is judged, and the count is shown
        return (
            f"{side} {reason.band.watch * float(value) / reason.value:.0f}" if value and reason.value else ""
        )
    return f"{side} {shown(measure, reason.band.watch)}"


def label_of(measure: str) -> str:
    """What a measure is called; one that is no evidence has its name in words."""
    return MEASURES.get(measure, (measure.replace("_", " ").capitalize(), ""))[0]


def layer_of(name: str, diagnosis: Diagnosis) -> Layer:
    """The spectra of a space as a curve of that name."""
    return Layer(name, diagnosis.singular_values, diagnosis.eigenvalues)


def random_layer(found: Examination) -> Layer:
    """The spectra that as many random rows would have; centred and raw are all but the same for them."""
    import numpy as np

    values = found.reference.eigenvalues
    return Layer("random directions", np.sqrt(values), values, is_reference=True)


TRIAL_COLUMNS = (
    "What if",
    "Numbers",
    "Effective rank",
    "First direction",
    "Mean cosine",
    "Same neighbours",
    "Known items found first",
    "Change",
)


def trial_cells(trial: WhatIf) -> list[str]:
    """One line of the what-if table, under `TRIAL_COLUMNS`."""
    diagnosis = trial.diagnosis
    return [
        "as it is" if trial.spec == "none" else trial.spec,
        count(trial.dimension),
        shown("effective_rank", diagnosis.effective_rank_centred),
        shown("first_direction", diagnosis.first_direction),
        shown("mean_cosine", diagnosis.mean_cosine),
        DASH if trial.spec == "none" else _share(trial.overlap),
        _share(trial.recall_at_1),
        DASH if trial.spec == "none" else _gain(trial.gain_at_1),
    ]


TEMPERATURE_COLUMNS = (
    "Temperature",
    "Mean cosine",
    "Effective rank",
    "Longest less shortest",
    "Halves found",
    "Change",
)
TEMPERATURE_HELP = (
    "The temperature divides all scores of attention; 1 is as trained, below 1 is sharper. Longest less shortest: mean "
    "cosine among the longest passages minus that among the shortest, above 0 long ones crowd. Halves found: first halves "
    "of passages that find their second half among the first 10. Nothing is stored; an encoder takes a temperature by "
    "?temperature= after its name."
)


def temperature_cells(sweep: "Sweep") -> list[list[str]]:
    """The lines of the table of temperatures, under `TEMPERATURE_COLUMNS`."""
    return [
        [
            f"{row.temperature:g}",
            shown("mean_cosine", row.mean_cosine),
            shown("effective_rank", row.effective_rank_centred),
            shown("mean_cosine", row.lengths.collapse),
            shown("first_direction", row.recall),
            _gain(row.gain) if at else DASH,
        ]
        for at, row in enumerate(sweep.rows)
    ]


def temperature_sentence(sweep: "Sweep") -> str:
    """On how many texts the temperatures were tried."""
    return f"Tried on {count(sweep.n)} passages, {count(sweep.halves)} of them long enough to be cut in two."


def gain_words(gain: Gain | None) -> str:
    """Whether a trial finds more, in a word or two."""
    if gain is None:
        return "not known"
    if gain.low > 0:
        return "finds more"
    return "finds less" if gain.high < 0 else "may be chance"


def _share(share: Share | None) -> str:
    if share is None:
        return DASH
    return f"{share.value:.0%} ({share.low:.0%} to {share.high:.0%})".replace("%", " %")


def _gain(gain: Gain | None) -> str:
    if gain is None:
        return DASH
    return f"{100 * gain.value:+.1f} points: {gain_words(gain)}"
