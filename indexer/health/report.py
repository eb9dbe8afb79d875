"""What an examination found, with the passages behind its positions; plain values, nothing drawn."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from encoder.spectrum.examination import Examination, by_shown_names, examination_to_json
from encoder.spectrum.length_bias import LengthReport, length_report_to_json
from encoder.spectrum.slots import SlotReport, slot_report_to_json
from encoder.spectrum.what_if import WhatIf
from encoder.temperature import Sweep, sweep_to_json

FORMAT = 2


@dataclass(frozen=True, slots=True)
class NamedRow:
    """A row and how to find it again.

    Attributes:
        position: among the rows examined, from 0.
        value: what it is listed for: rows that have it among their neighbours, robust z, size of its group.
        row_id: of the collection; None for a file.
        passage_id: empty for a file.
        title: may be empty; hostile, as is the text.
        text: the beginning of the passage.
    """

    position: int
    value: float
    row_id: int | None = None
    passage_id: str = ""
    title: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class NamedGroup:
    """Rows that say the same: how many, and the first of them."""

    size: int
    rows: tuple[NamedRow, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """The rows that an examination points at.

    Attributes:
        hubs: by falling number of rows that have them among their nearest.
        outliers: by falling distance to their neighbours.
        equal: groups of equal vectors, largest first.
        near: groups of nearly equal vectors in the sample, largest first.
    """

    hubs: tuple[NamedRow, ...]
    outliers: tuple[NamedRow, ...]
    equal: tuple[NamedGroup, ...]
    near: tuple[NamedGroup, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """What was examined.

    Attributes:
        name: of the collection or the file; hostile.
        sentence: which rows, in plain words; hostile, since it quotes filters.
        encoder: name of the encoder; empty for a file.
        transform: that the vectors have passed; empty for none.
        version: published one; 0 for a file.
        index: kinds of the index; empty for a file.
        recall: ann recall@10 of the index, measured when it was built; 1 for an exact one, None for a file.
        recall_note: what that number is, in plain words.
    """

    name: str
    sentence: str
    encoder: str = ""
    transform: str = ""
    version: int = 0
    index: str = ""
    recall: float | None = None
    recall_note: str = ""


@dataclass(frozen=True, eq=False)
class HealthReport:
    """Everything that is known of an embedding space and of the texts behind it."""

    origin: Origin
    examination: Examination
    listed: Listed
    lengths: LengthReport | None = None  # None where there are no texts, or no encoder to count their tokens
    memory: SlotReport | None = None
    temperatures: Sweep | None = None
    what_if: tuple[WhatIf, ...] = ()  # "none" first; empty where nothing was tried
    notes: tuple[str, ...] = ()  # what could not be looked at, and why

    @property
    def is_of_file(self) -> bool:
        """Whether these are vectors of a file: rows from 0 without texts, encoder or versions."""
        return not self.origin.encoder

    def measures(self) -> dict[str, float | str | None]:
        """Single values by name: what requirements are on."""
        return self.examination.measures() | {"ann_recall": self.origin.recall}


def report_to_json(report: HealthReport) -> dict[str, Any]:
    """The fields of the diagnosis at the top, `state` among them, and everything else beside, in types that JSON knows.

    Measures have the names by which tables show them and requirements ask for them, see `by_shown_names`.
    """
    told = {
        "format": FORMAT,
        "of": asdict(report.origin),
        **examination_to_json(report.examination),
        "measures": report.measures(),
        "rows": asdict(report.listed),
        "lengths": None if report.lengths is None else length_report_to_json(report.lengths),
        "memory": None if report.memory is None else slot_report_to_json(report.memory),
        "temperatures": None if report.temperatures is None else sweep_to_json(report.temperatures),
        "what_if": what_if_to_json(report.what_if),
        "notes": list(report.notes),
    }
    return by_shown_names(told)


def what_if_to_json(trials: Sequence[WhatIf]) -> list[dict[str, Any]]:
    """One dictionary a trial: its measures in numbers, no spectra."""
    return [
        {
            "spec": trial.spec,
            "dimension": trial.dimension,
            "effective_rank_centred": trial.diagnosis.effective_rank_centred,
            "first_direction": trial.diagnosis.first_direction,
            "mean_cosine": trial.diagnosis.mean_cosine,
            **{
                name: None if value is None else asdict(value)
                for name in ("overlap", "recall_at_1", "recall_at_10", "gain_at_1", "gain_at_10")
                for value in [getattr(trial, name)]
            },
        }
        for trial in trials
    ]
