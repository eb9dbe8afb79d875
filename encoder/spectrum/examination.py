"""All measures of an embedding space at once, from one pass over its rows: for commands and pages.

Pages that want the first word early take the steps apart: `gather`, `diagnosis_of`, `judge`, then `spectrum_intervals` and
`look_around`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.spectrum.diagnosis import MOST_PAIR_ROWS, Diagnosis, diagnosis_of, diagnosis_to_json
from encoder.spectrum.duplicates import Duplicates, exact_duplicates
from encoder.spectrum.gathering import Blocks, gather
from encoder.spectrum.intervals import Intervals, spectrum_intervals
from encoder.spectrum.norms import Norms, norms_of
from encoder.spectrum.reference import Reference, isotropic
from encoder.spectrum.surroundings import Surroundings, look_around
from encoder.spectrum.verdict import Verdict, judge

Report = Callable[[str, float], None]
_CENTRED, _WITH_MEAN = "_centred", "_with_mean"


@dataclass(frozen=True, eq=False)
class Examination:
    """What is known of an embedding space. Positions count all rows that were given, from 0."""

    diagnosis: Diagnosis
    intervals: Intervals
    norms: Norms
    equal: Duplicates
    surroundings: Surroundings
    reference: Reference
    verdict: Verdict

    def measures(self) -> dict[str, float | str | None]:
        """Single values by name, `state` among them: what requirements are on."""
        plain = diagnosis_to_json(self.diagnosis)
        found = by_shown_names({name: value for name, value in plain.items() if not isinstance(value, list)})
        around = self.surroundings
        dimension = around.intrinsic_dimension
        return found | {
            "first_direction": self.diagnosis.first_direction,
            "hub_skewness": around.hubness.skewness,
            "antihub_share": around.hubness.antihub_share,
            "largest_hub": around.hubness.most,
            "intrinsic_dimension": None if dimension is None else dimension.value,
            "outliers": around.outliers.count,
            "equal_share": self.equal.share,
            "near_share": around.near.share,
            "norm_spread": self.norms.spread,
            "state": self.verdict.state,
        }


def by_shown_names(told: dict[str, Any]) -> dict[str, Any]:
    """The same under the names by which people see it: a measure without the mean has the plain name.

    A diagnosis calls the raw one `effective_rank` and the one without the mean `effective_rank_centred`, as papers do.
    Tables and pages show the latter as "Effective rank", and so whoever asks for `effective_rank` must get that one.

    Args:
        told: values by name; dictionaries and lists within are gone through as well.
    """
    renamed = {}
    for name, value in told.items():
        plain = name.removesuffix(_CENTRED)
        shown = plain if name.endswith(_CENTRED) else name + _WITH_MEAN if name + _CENTRED in told else name
        renamed[shown] = _within(value)
    return renamed


def _within(value: Any) -> Any:
    if isinstance(value, dict):
        return by_shown_names(value)
    return [_within(each) for each in value] if isinstance(value, list | tuple) else value


def _nothing(_stage: str, _fraction: float) -> None:
    """Shows nothing."""


def examine(
    embeddings: Blocks,
    *,
    memory: NDArray[np.floating] | None = None,
    most_pair_rows: int = MOST_PAIR_ROWS,
    seed: int = 0,
    report: Report = _nothing,
) -> Examination:
    """All measures of an embedding space.

    Args:
        embeddings: [N, D] floating, of any length, N may be 0; or blocks of such rows.
        memory: [N, M, D] floating, memory states of the same or of other texts.
        most_pair_rows: rows whose pairs and neighbours are looked at; drawn at random from more.
        seed: for that draw and for the groups of the intervals.
        report: is told a stage and the share of it that is done.

    Raises:
        ShapeError: embeddings are not [N, D] with D > 0, blocks differ in D, or memory is not [N, M, D].
    """
    report("spectrum", 0.0)
    gathering = gather(embeddings, most_pair_rows, seed=seed, in_detail=True)
    diagnosis = diagnosis_of(gathering, memory=memory)
    report("intervals", 0.0)
    found = spectrum_intervals(gathering)
    equal = exact_duplicates(gathering.hashes, gathering.positions)
    around = look_around(gathering, report=lambda fraction: report("neighbours", fraction))
    return Examination(
        diagnosis=diagnosis,
        intervals=found,
        norms=norms_of(gathering.norms),
        equal=equal,
        surroundings=around,
        reference=isotropic(diagnosis.n, diagnosis.dimension),
        verdict=judge(diagnosis, hubness=around.hubness, equal=equal, near=around.near),
    )


def examination_to_json(examination: Examination) -> dict[str, Any]:
    """The fields of the diagnosis and, beside them, everything else in types that JSON knows; no neighbour lists."""
    around = examination.surroundings
    hubness, verdict = asdict(around.hubness), examination.verdict
    del hubness["counts"]
    return diagnosis_to_json(examination.diagnosis) | {
        "state": verdict.state,
        "verdict": {
            "sentence": verdict.sentence,
            "reasons": [asdict(reason) for reason in verdict.reasons],
            "advice": list(verdict.advice),
        },
        "first_direction": examination.diagnosis.first_direction,
        "intervals": asdict(examination.intervals),
        "norms": asdict(examination.norms),
        "duplicates": {"equal": asdict(examination.equal), "near": asdict(around.near)},
        "hubness": hubness,
        "intrinsic_dimension": None
        if around.intrinsic_dimension is None
        else asdict(around.intrinsic_dimension),
        "outliers": asdict(around.outliers),
        "reference": {
            "eigenvalues": examination.reference.eigenvalues.tolist(),
            "effective_rank": examination.reference.measures.effective_rank,
            "first_direction": examination.reference.first_direction,
        },
    }
