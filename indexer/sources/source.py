"""Source: what the indexing job needs of a corpus, whatever it is stored in; no format here."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from typing import Literal

from indexer.documents import Document

# As Python values: str, int, float, bool, datetime.date, datetime.datetime (naive UTC), list[str].
MetadataType = Literal["string", "int64", "float64", "bool", "date", "timestamp", "list<string>"]
OnBadRow = Literal["stop", "skip"]


class Source(ABC):
    """A corpus that can be read in batches, from the start, as often as one likes.

    Attributes:
        name: short label for people, stored with the rows; the same for the same files.
        columns: metadata column to type, in the order of the files.
        guessed: which column is the "text", "title" and "id", guessed or given; a role without column is absent.
        counts: grows while reading, begins at zero with each `batches`: "read" (rows seen), "documents" (handed out),
            "empty" (null or blank text, kept out), "bad" (skipped rows), "misfit" (values that did not fit
            the type of their column and became null).
        misfits: "misfit" by column.
        bad_rows: a sentence for each of the first 20 skipped rows.
        skips_bad_rows: whether a bad row is skipped and counted, or stops the reading.
        is_lasting: whether `name` names the same source in another process too; a pipe or a table in memory has no
            such name.
        notes: sentences for people about what was decided while opening (columns left out, renamed, ...).
    """

    name: str
    columns: dict[str, MetadataType]
    guessed: dict[str, str]
    counts: Counter[str]
    misfits: Counter[str]
    bad_rows: list[str]
    skips_bad_rows: bool
    notes: list[str]
    is_lasting: bool = True

    @abstractmethod
    def batches(self, rows: int = 2048) -> Iterator[list[Document]]:
        """Documents from the first on, at most `rows` in a list, no list empty.

        Raises:
            InputError: a file is damaged, or a row is bad and bad rows stop the reading.
        """

    @abstractmethod
    def fraction_read(self) -> float | None:
        """Share of the source that is read, 0 to 1, by bytes or rows; None where the size is not known."""
