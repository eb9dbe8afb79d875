"""The score files of a work folder -> one table of figures, and mean and deviation over seeds. Measures nothing.

What has no file has no figure: a mean is over the seeds that are there, and says how many.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from plan import BACKBONE, DONE_FILE, PARTS, Step, in_order, make_plan
from scale import Scale

from encoder.errors import InputError

FORMAT = 1
KINDS = ("sts", "retrieval", "classification", "clustering")


@dataclass(frozen=True)
class Spread:
    """A figure over seeds."""

    mean: float
    deviation: float | None  # of the sample; None for one seed
    seeds: int

    def __str__(self) -> str:
        return self.to_digits(1)

    def to_digits(self, digits: int) -> str:
        """With so many digits behind the point."""
        deviation = "" if self.deviation is None else f" ± {self.deviation:.{digits}f}"
        return f"{self.mean:.{digits}f}{deviation}"


def spread(values: Iterable[float | None]) -> Spread | None:
    """Mean and deviation of what is there; None where nothing is."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(mean(known), stdev(known) if len(known) > 1 else None, len(known))


@dataclass(frozen=True)
class Results:
    """All that was measured, as `results.json` holds it."""

    content: dict[str, Any]

    @property
    def seeds(self) -> range:
        """Of the plan."""
        return range(self.content["seeds"])

    @property
    def scale(self) -> dict[str, Any]:
        """The sizes."""
        return self.content["scale"]

    def record(self, name: str) -> dict[str, Any] | None:
        """What was measured of the encoder of a step; None before."""
        return self.content["encoders"].get(name)

    def value(self, name: str, what: str) -> float | None:
        """A figure of an encoder: "mean" over all sets, a kind, a set, or a measure of space or continuation."""
        found = self.record(name) or {}
        for group in ("means", "scores", "space", "continuation"):
            if what in found.get(group, {}):
                return found[group][what]
        return None

    def over_seeds(self, name_of: Callable[[int], str], what: str) -> Spread | None:
        """A figure over the seeds that are there."""
        return spread(self.value(name_of(seed), what) for seed in self.seeds)

    def differences(
        self, first: Callable[[int], str], second: Callable[[int], str], what: str
    ) -> list[float]:
        """The first's figure less the second's, seed by seed where both are there."""
        pairs = [(self.value(first(seed), what), self.value(second(seed), what)) for seed in self.seeds]
        return [a - b for a, b in pairs if a is not None and b is not None]


def collect(work: Path, scale: Scale, seeds: int, poolings: Sequence[str]) -> Results:
    """What the work folder holds.

    Raises:
        InputError: it holds no study, or one of another scale.
    """
    path = work / "study.json"
    if not path.exists():
        raise InputError("there is no study", str(work), "begin it: --data DIR --eval SETS")
    claim = json.loads(path.read_text(encoding="utf-8"))
    if claim["scale"]["name"] != scale.name:
        raise InputError(
            f"the study there has the scale {claim['scale']['name']}",
            str(work),
            "give or leave out --small as when it was begun",
        )
    plan = make_plan(scale, seeds, poolings)
    kinds = {each["name"]: each["kind"] for each in claim["described"]}
    encoders, seconds, commits = {}, 0.0, set()
    for step in in_order(plan):
        seconds += _seconds(work / step.name / DONE_FILE)
        score = work / "scores" / f"{step.file_name}.json"
        if score.exists():
            found = json.loads(score.read_text(encoding="utf-8"))
            seconds += found["processor_seconds"]
            commits.add(found.get("commit", "not recorded"))
            encoders[step.name] = _record(step, found, kinds)
    return Results(
        {
            "format": FORMAT,
            "seeds": seeds,
            "scale": claim["scale"],
            "sets": claim["described"],
            "data": claim["data"],
            "processor_seconds": round(seconds),
            "complete": {part: _count(plan[part], encoders) for part in PARTS},
            "commits": sorted(commits),
            "backbone": _measures(work / BACKBONE / DONE_FILE),
            "encoders": encoders,
        }
    )


def _record(step: Step, found: dict[str, Any], kinds: dict[str, str]) -> dict[str, Any]:
    scores = found["scores"]
    means = {
        kind: mean(score for name, score in scores.items() if kinds[name] == kind)
        for kind in KINDS
        if kind in kinds.values()
    }
    return {
        "kind": step.kind,
        "seed": step.seed,
        "objective": step.objective,
        "n_memory": step.n_memory,
        "pairs": step.pairs,
        "means": {"mean": round(mean(scores.values()), 3)}
        | {kind: round(value, 3) for kind, value in means.items()},
        "scores": scores,
        "space": found["space"],
        "continuation": found.get("continuation", {}),
    }


def _count(steps: Sequence[Step], encoders: dict[str, Any]) -> dict[str, int]:
    scored = {step.name for step in steps if step.is_scored}
    return {"done": len(scored & encoders.keys()), "of": len(scored)}


def _seconds(path: Path) -> float:
    return json.loads(path.read_text(encoding="utf-8"))["processor_seconds"] if path.exists() else 0.0


def _measures(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8"))["measures"] if path.exists() else None
