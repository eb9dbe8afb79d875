"""Conditions on measures, such as `effective_rank>=50`, for checks that say yes or no."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from encoder.errors import UsageError
from encoder.spectrum.verdict import STATES

_FORM = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(>=|<=|==|!=|=|>|<)\s*([^\s<>=!](?:.*\S)?)\s*", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_LONGEST = 200
_WHERE = "requirement {!r}"


@dataclass(frozen=True, slots=True)
class Requirement:
    """A condition on one measure."""

    measure: str
    sign: str
    bound: float | str  # a word for the state

    def __str__(self) -> str:
        bound = self.bound if isinstance(self.bound, str) else f"{self.bound:g}"
        return f"{self.measure}{self.sign}{bound}"


@dataclass(frozen=True, slots=True)
class Failure:
    """A condition that does not hold."""

    requirement: Requirement
    value: float | str | None  # None: the measure is not defined here

    def __str__(self) -> str:
        value = (
            self.value
            if isinstance(self.value, str)
            else f"{self.value:.6g}"
            if self.value is not None
            else None
        )
        return f"{self.requirement} does not hold: {self.requirement.measure} is {value or 'not defined'}"


def parse_requirement(text: str) -> Requirement:
    """The condition that a text such as `mean_cosine<0.5` or `state!=collapsed` says.

    Raises:
        UsageError: it says none.
    """
    found = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise UsageError(
            "The requirement is not a measure, a comparison and a bound.",
            _WHERE.format(text[:_LONGEST]),
            "write it like 'effective_rank>=50' or 'state!=collapsed', in quotes",
        )
    measure, sign, bound = found.groups()
    sign = "==" if sign == "=" else sign
    if measure == "state":
        return _state_requirement(text, sign, bound)
    if not _NUMBER.fullmatch(bound) or not isfinite(float(bound)):
        raise UsageError(
            f"The bound {bound!r} is no number.", _WHERE.format(text), f"write it like '{measure}{sign}50'"
        )
    return Requirement(measure, sign, float(bound))


def _state_requirement(text: str, sign: str, bound: str) -> Requirement:
    word = bound.replace("-", " ").replace("_", " ")
    if word not in STATES or sign not in ("==", "!="):
        raise UsageError(
            f"A state can be or not be one of {', '.join(STATES)}.",
            _WHERE.format(text),
            "write it like 'state!=collapsed' or 'state==healthy'",
        )
    return Requirement("state", sign, word)


def check(measures: Mapping[str, float | str | None], requirements: Sequence[Requirement]) -> list[Failure]:
    """The conditions that do not hold, in their order; a measure that is not defined fulfils none.

    Args:
        measures: values by name.
        requirements: conditions on them.

    Raises:
        UsageError: a condition is on a measure that there is not.
    """
    failures = []
    for requirement in requirements:
        if requirement.measure not in measures:
            raise UsageError(
                f"There is no measure {requirement.measure!r}.",
                _WHERE.format(str(requirement)),
                f"choose one of {', '.join(sorted(measures))}",
            )
        value = measures[requirement.measure]
        if not _holds(value, requirement):
            failures.append(Failure(requirement, value))
    return failures


def _holds(value: float | str | None, requirement: Requirement) -> bool:
    if value is None:
        return False
    if isinstance(value, str) or isinstance(requirement.bound, str):
        return (value == requirement.bound) == (requirement.sign == "==")
    return _COMPARE[requirement.sign](value, requirement.bound)
