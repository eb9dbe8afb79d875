"""TableSource: readers of any format as one Source; columns merged, values typed, empty texts kept out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from encoder.errors import InputError
from indexer.documents import Document
from indexer.sources.columns import choose_columns, require_column
from indexer.sources.reader import SAMPLE_ROWS, ColumnSurvey, RawBatch, Reader, RowLog, Survey
from indexer.sources.source import MetadataType, OnBadRow, Source
from indexer.sources.values import Converter, as_text

# So much is looked at in whole before reading, so that types are exact; beyond it the first rows must do.
_SURVEY_BYTES = 50_000_000
_METADATA_COLUMNS = 200


class TableSource(Source):
    """One or more readers, read one after the other.

    A column that is missing in one reader is null there. Where readers disagree about a type: whole numbers and
    numbers make numbers, dates and times make times, all else makes strings.

    Args:
        name: the label of the whole.
        readers: at least one.
        roles: what was asked for: "text", "title", "id" to column or None.
        metadata: the columns to keep, None for all.
        on_bad_row: what to do with a bad row.

    Raises:
        InputError: a reader cannot be read, or the columns do not fit what was asked for.
    """

    def __init__(
        self,
        name: str,
        readers: Sequence[Reader],
        *,
        roles: Mapping[str, str | None],
        metadata: Sequence[str] | None,
        on_bad_row: OnBadRow,
    ) -> None:
        self.name = name
        self.counts, self.misfits, self.notes = Counter(), Counter(), []
        self._readers = readers
        self._log = RowLog(on_bad_row)
        self.skips_bad_rows = on_bad_row == "skip"
        self.bad_rows = self._log.sentences
        self._surveys: list[Survey] = []
        merged = self._survey_all()
        known = readers[0].roles if all(reader.roles for reader in readers) else {}
        if known and all(name is None for name in roles.values()):
            self.guessed = dict(known)
        else:
            self.guessed = choose_columns(merged, name, **_with_known(roles, known))
        self._require_text_everywhere()
        self.columns = self._metadata_columns(merged, metadata)
        self._current = 0

    def _survey_all(self) -> dict[str, ColumnSurvey]:
        """Look at each reader; their columns, merged in the order in which they first come."""
        merged: dict[str, ColumnSurvey] = {}
        left = _SURVEY_BYTES
        for reader in self._readers:
            survey = reader.survey(left, self._log)
            left = max(0, left - survey.bytes_read)
            self.notes += [note for note in survey.notes if note not in self.notes]
            if reader.unread:
                self.notes.append(
                    f"{len(reader.unread)} folders may not be read, the first: {reader.unread[0]}"
                )
            merge_columns(merged, survey)
            self._surveys.append(survey)
        self._log.clear()
        return merged

    def _require_text_everywhere(self) -> None:
        text = self.guessed["text"]
        for reader, survey in zip(self._readers, self._surveys, strict=True):
            if text not in survey.columns:
                raise InputError(
                    what=f"there is no column {text!r} in {reader.label}, which is the text in the other files",
                    where=f"{reader.label}; its columns are: {', '.join(list(survey.columns)[:40])}",
                    fix="index files of different columns one by one, each with its own --text",
                )

    def _metadata_columns(
        self, merged: Mapping[str, ColumnSurvey], wanted: Sequence[str] | None
    ) -> dict[str, MetadataType]:
        if wanted is not None:
            for name in wanted:
                require_column(name, merged, self.name, "--metadata")
            return {name: merged[name].type or "string" for name in dict.fromkeys(wanted)}
        used = set(self.guessed.values())
        names = [name for name in merged if name not in used]
        if len(names) > _METADATA_COLUMNS:
            self.notes.append(
                f"of {len(names):,} metadata columns the first {_METADATA_COLUMNS} are kept; --metadata names others"
            )
        return {name: merged[name].type or "string" for name in names[:_METADATA_COLUMNS]}

    def batches(self, rows: int = 2048) -> Iterator[list[Document]]:
        """Documents from the first on, at most `rows` in a list, no list empty.

        Raises:
            InputError: a file is damaged, or a row is bad and bad rows stop the reading.
        """
        self.counts.clear()
        self.misfits.clear()
        self._log.clear()
        for place in (place for reader in self._readers for place in reader.unread):
            self._log.pass_over("it may not be read", place)
        self.counts["bad"] = self._log.count
        needed = [*self.guessed.values(), *self.columns]
        for number, (reader, survey) in enumerate(zip(self._readers, self._surveys, strict=True)):
            self._current = number
            converters = {
                name: Converter(type_, survey.columns[name].form)
                for name, type_ in self.columns.items()
                if name in survey.columns
            }
            names = [name for name in dict.fromkeys(needed) if name in survey.columns]
            for batch in reader.batches(names, rows, self._log):
                documents = self._documents(batch, converters)
                self.counts["bad"] = self._log.count
                if documents:
                    yield documents
            self.counts["bad"] = self._log.count

    def _documents(self, batch: RawBatch, converters: Mapping[str, Converter]) -> list[Document]:
        n = len(batch.rows)
        texts = self._role(batch, "text", n)
        titles = self._role(batch, "title", n)
        ids = self._role(batch, "id", n)
        nothing = [None] * n
        names = list(self.columns)
        typed = [self._typed(name, batch, converters) or nothing for name in names]
        records = zip(*typed, strict=True) if typed else [()] * n
        documents = [
            Document(
                id=id_,
                title=(title or "").strip(),
                text=text,
                metadata=dict(zip(names, record, strict=True)),
                row=row,
            )
            for text, title, id_, record, row in zip(texts, titles, ids, records, batch.rows, strict=True)
            if text and not text.isspace()
        ]
        self.counts["read"] += n
        self.counts["empty"] += n - len(documents)
        self.counts["documents"] += len(documents)
        return documents

    def _typed(self, name: str, batch: RawBatch, converters: Mapping[str, Converter]) -> list[Any] | None:
        converter = converters.get(name)
        if converter is None:
            return None
        before = converter.misfits
        values = converter(batch.columns[name])
        if converter.misfits > before:
            self.counts["misfit"] += converter.misfits - before
            self.misfits[name] += converter.misfits - before
        return values

    def _role(self, batch: RawBatch, role: str, n: int) -> list[str | None]:
        values = batch.columns.get(self.guessed.get(role, ""))
        if values is None or (role == "id" and "id" not in self.guessed):
            return [None] * n
        return [value if type(value) is str else as_text(value) for value in values]

    def fraction_read(self) -> float | None:
        """Share of the source that is read, 0 to 1, by bytes or rows."""
        total = sum(reader.size for reader in self._readers)
        if not total:
            return None
        done = sum(reader.size for reader in self._readers[: self._current])
        current = self._readers[self._current]
        return min(1.0, (done + current.size * current.fraction_read()) / total)


def merge_columns(merged: dict[str, ColumnSurvey], survey: Survey) -> None:
    """Add the columns of one more reader to those of all; its sample moves over."""
    for name, column in survey.columns.items():
        known = merged.setdefault(name, ColumnSurvey(column.type, column.form, is_unique=column.is_unique))
        known.type = _common_type(known.type, column.type)
        known.is_unique = known.is_unique and column.is_unique
        if known.n_rows < SAMPLE_ROWS:
            known.values += column.values
            known.n_rows += column.n_rows
        column.values = []


def _common_type(one: MetadataType | None, other: MetadataType | None) -> MetadataType | None:
    if one is None or other is None or one == other:
        return one or other
    pair = {one, other}
    if pair == {"int64", "float64"}:
        return "float64"
    return "timestamp" if pair == {"date", "timestamp"} else "string"


def _with_known(roles: Mapping[str, str | None], known: Mapping[str, str]) -> dict[str, str | None]:
    """What was asked for, and what a format says of roles that nobody named, unless another role has that column."""
    taken = set(roles.values())
    return {
        role: known.get(role) if name is None and known.get(role) not in taken else name
        for role, name in roles.items()
    }
