"""What to do about a verdict, in the words of where it is read: on the command line, in a file, on the page.

The verdict names the transformation that may help; how it is tried and kept depends on whether there are texts behind
the vectors, and whether it was tried already.
"""

from shlex import quote
from typing import TYPE_CHECKING

from app.health_words import gain_words
from app.program import command
from encoder.spectrum.verdict import is_one_point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from encoder.spectrum.verdict import Verdict
    from encoder.spectrum.what_if import WhatIf
    from indexer.health.report import HealthReport

_DONE_TO_VECTORS = {
    "centre": "subtract their mean from documents and questions alike, and make them unit length again",
    "drop:1": "take it out of documents and questions alike, and make them unit length again",
}


def advice_for_command(report: "HealthReport", place: str = "") -> list[str]:
    """What to do, with the options and commands that do it.

    Args:
        report: whose verdict it is.
        place: of the collection, as commands find it; its name if empty.
    """
    place = quote(place or report.origin.name)
    return _with_remedies(report.examination.verdict, lambda remedy: _by_command(report, remedy, place))


def advice_for_page(verdict: "Verdict") -> list[str]:
    """What to do, with the part of the page where it is tried and saved."""
    return _with_remedies(
        verdict, lambda remedy: f"Try {remedy} under What if, and save it there if it helps."
    )


def trial_notes(trials: "Sequence[WhatIf]") -> list[str]:
    """Of the transformations that leave nothing, a sentence each."""
    return [
        f"{trial.spec} leaves nothing to tell vectors apart by: all of them are the same then."
        for trial in trials
        if trial.spec != "none" and is_one_point(trial.diagnosis)
    ]


def _with_remedies(verdict: "Verdict", say: "Callable[[str], str]") -> list[str]:
    """Every piece of advice, with what is said of its transformation at the first that names it."""
    lines: list[str] = []
    told: set[str] = set()
    for text, remedy in verdict.remedies.items():
        lines.append(f"{text} {say(remedy)}" if remedy and remedy not in told else text)
        told.add(remedy)
    return lines


def _by_command(report: "HealthReport", remedy: str, place: str) -> str:
    """How a transformation is tried, or, once it was, what it did and how it is kept."""
    trial = _tried(report.what_if, remedy)
    if trial is None:
        return f"Try it with --what-if {remedy}."
    if report.is_of_file:
        return f"See {trial.spec} under What if; to keep it, {_DONE_TO_VECTORS[remedy]}."
    found = gain_words(trial.gain_at_1)
    if found == "finds less":
        return f"But {trial.spec}, as tried here, finds less: leave the vectors as they are."
    if found == "may be chance":
        return f"But {trial.spec}, as tried here, makes no sure difference to what is found."
    return f"See {trial.spec} under What if; to keep it: {command()} rebuild {place} --transform {trial.spec}"


def _tried(trials: "Sequence[WhatIf]", remedy: str) -> "WhatIf | None":
    """The trial of a transformation, alone or with others."""
    step = remedy.partition(":")[0]
    alone = [trial for trial in trials if trial.spec.partition(":")[0] == step]
    within = [trial for trial in trials if step in (part.partition(":")[0] for part in trial.spec.split("+"))]
    return next(iter([*alone, *within]), None)
