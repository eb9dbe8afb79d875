"""Two diagnoses side by side: another encoder, another stage, another version of a collection."""

from dataclasses import dataclass

from encoder.spectrum.diagnosis import Diagnosis

# By the name that people see (see `examination.by_shown_names`), the field of a diagnosis.
COMPARED = {
    "effective_rank": "effective_rank_centred",
    "effective_rank_with_mean": "effective_rank",
    "rank_me": "rank_me",
    "participation_ratio": "participation_ratio_centred",
    "participation_ratio_with_mean": "participation_ratio",
    "stable_rank": "stable_rank_centred",
    "n90": "n90",
    "n99": "n99",
    "iso_score": "iso_score",
    "first_direction": "first_direction",
    "mean_cosine": "mean_cosine",
    "uniformity": "uniformity",
}


@dataclass(frozen=True, slots=True)
class Compared:
    """One measure of both."""

    measure: str
    first: float | None
    second: float | None

    @property
    def difference(self) -> float | None:
        """The second less the first; None where one is not defined."""
        return None if self.first is None or self.second is None else self.second - self.first


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both diagnoses, measure by measure, and what has to be known to read them."""

    measures: tuple[Compared, ...]
    notes: tuple[str, ...]  # plain sentences; empty when the two can be compared as they are


def compare(first: Diagnosis, second: Diagnosis) -> Comparison:
    """Two diagnoses side by side, and whether their ranks may be compared."""
    notes = []
    if first.n != second.n:
        notes.append(
            f"The first has {first.n:,} rows, the second {second.n:,}: fewer rows show fewer directions. "
            "Compare ranks at equal numbers of rows."
        )
    if first.dimension != second.dimension:
        notes.append(
            f"The first has {first.dimension:,} dimensions, the second {second.dimension:,}: read ranks as "
            "shares of them."
        )
    measures = tuple(
        Compared(name, _value(first, field), _value(second, field)) for name, field in COMPARED.items()
    )
    return Comparison(measures, tuple(notes))


def _value(diagnosis: Diagnosis, name: str) -> float | None:
    value = getattr(diagnosis, name)
    return None if value is None else float(value)
