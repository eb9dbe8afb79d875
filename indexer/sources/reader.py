"""Reader: one file or table as columns of raw values, the half that knows a format; documents are made elsewhere."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from encoder.errors import InputError
from indexer.sources.source import MetadataType, OnBadRow

SAMPLE_ROWS = 1000
SAMPLE_CHARS = 2000
_SENTENCES = 20


@dataclass(slots=True)
class RawBatch:
    """Some rows of one reader, by column.

    Attributes:
        columns: column name to one value a row.
        rows: where each row stands, for messages.
    """

    columns: dict[str, list[Any]]
    rows: list[str]


@dataclass(slots=True)
class ColumnSurvey:
    """What a look at a column found.

    Attributes:
        type: None where only nulls were seen.
        form: how the cells of a text file spell that type (`cells.py`); "" where values come typed.
        values: up to 1,000 values that are not null, texts cut to 2,000 characters.
        n_rows: how many rows `values` was taken from, nulls included.
        is_unique: no null and no value twice among all rows looked at; only said of columns named like an id.
    """

    type: MetadataType | None
    form: str = ""
    values: list[Any] = field(default_factory=list)
    n_rows: int = 0
    is_unique: bool = False


@dataclass(slots=True)
class Survey:
    """What a look at a reader found.

    Attributes:
        columns: in the order of the file.
        bytes_read: how much of the file the look took.
        notes: sentences for people.
    """

    columns: dict[str, ColumnSurvey]
    bytes_read: int = 0
    notes: list[str] = field(default_factory=list)


class RowLog:
    """What to do with a bad row, and what was done."""

    def __init__(self, on_bad_row: OnBadRow) -> None:
        self.on_bad_row = on_bad_row
        self.count = 0
        self.sentences: list[str] = []

    def clear(self) -> None:
        """Forget what was counted: a new reading begins."""
        self.count = 0
        self.sentences.clear()

    def pass_over(self, what: str, where: str) -> None:
        """Count what could not be read; nobody asked for it by name, so it never stops the reading."""
        self.count += 1
        if len(self.sentences) < _SENTENCES:
            self.sentences.append(f"{where}: {what}")

    def add(self, what: str, where: str, fix: str = "mend the row") -> None:
        """Count a bad row, or stop there.

        Raises:
            InputError: bad rows stop the reading.
        """
        if self.on_bad_row == "stop":
            raise InputError(what=what, where=where, fix=f"{fix}, or leave such rows out: --on-bad-row skip")
        self.pass_over(what, where)


class Reader(ABC):
    """One file or table.

    Attributes:
        label: how it is called in messages.
        size: bytes, or rows where bytes say nothing; weighs the readers of a source against each other.
        unread: folders and files beside it that belong to the source and may not be looked at.
        keeps: what must live as long as the reader, a temporary file.
        roles: "text", "title" and "id" to column, where the format itself says so; empty where they are guessed.
    """

    label: str
    size: int
    keeps: Any = None
    unread: Sequence[str] = ()
    roles: Mapping[str, str] = {}

    @abstractmethod
    def survey(self, max_bytes: int, log: RowLog) -> Survey:
        """Columns with types and sample values, from the first 1,000 rows and at most `max_bytes` more.

        Raises:
            InputError: it cannot be read, or has no rows.
        """

    @abstractmethod
    def batches(self, names: Sequence[str], rows: int, log: RowLog) -> Iterator[RawBatch]:
        """The named columns (all of them the reader's own) from the first row on, at most `rows` at a time.

        Raises:
            InputError: it is damaged.
        """

    @abstractmethod
    def fraction_read(self) -> float:
        """Share that the latest `batches` has read, 0 to 1."""
