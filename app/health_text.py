"""A health report on the terminal: the verdict, the evidence, what was listed, what to do."""

import sys
from typing import TYPE_CHECKING

from app.display import one_line
from app.formats import count, plural
from app.health_advice import advice_for_command, trial_notes
from app.health_words import (
    DASH,
    TEMPERATURE_COLUMNS,
    TRIAL_COLUMNS,
    evidence,
    interval_note,
    label_of,
    missing,
    not_measured,
    shown,
    temperature_cells,
    temperature_sentence,
    trial_cells,
)
from app.output import print_table, write_lines
from app.rows import shorten
from app.table import TableColumn
from encoder.spectrum.comparison import compare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexer.health.report import HealthReport, NamedRow

_LISTED = 5
_TITLE_CHARS = 60
_NAME_CHARS = 24
_UNCUT = 1_000_000  # columns
ROWS_FROM_0 = "Rows are counted from 0, as in numpy."


def print_report(report: "HealthReport", other: "HealthReport | None" = None, *, place: str = "") -> None:
    """Prints a report, and how another one compares.

    Args:
        report: of what was asked for.
        other: of what is laid over.
        place: of the collection, for commands that are advised.
    """
    found = report.examination
    write_lines([found.verdict.sentence, origin_line(report), ""])
    _print_evidence(report)
    if other is not None:
        _print_comparison(report, other)
    _print_listed(report)
    lines = [f"length: {report.lengths.sentence}"] if report.lengths else []
    lines += [f"memory tokens: {report.memory.sentence}"] if report.memory else []
    write_lines(lines)
    if report.what_if:
        write_lines([""])
        _print_whole(
            [TableColumn(TRIAL_COLUMNS[0]), *(TableColumn(title, "right") for title in TRIAL_COLUMNS[1:])],
            [trial_cells(trial) for trial in report.what_if],
        )
        write_lines(trial_notes(report.what_if))
    if report.temperatures:
        write_lines(["", f"temperatures of attention: {temperature_sentence(report.temperatures)}"])
        _print_whole(
            [TableColumn(title, "right") for title in TEMPERATURE_COLUMNS],
            temperature_cells(report.temperatures),
        )
    advice = advice_for_command(report, place)
    if advice:
        write_lines(["", "what to do:", *(f"  - {one_line(each)}" for each in advice)])
    write_lines(f"note: {note}" for note in report.notes)


def origin_line(report: "HealthReport") -> str:
    """What was examined, in a line."""
    origin, found = report.origin, report.examination
    parts = [one_line(origin.name), one_line(origin.sentence)]
    parts += [f"encoder {one_line(origin.encoder)}"] if origin.encoder else []
    parts += [f"transformed: {origin.transform}"] if origin.transform else []
    parts += [f"version {count(origin.version)}"] if origin.version else []
    sampled = found.diagnosis.sampled_rows
    parts += [
        f"neighbours among {count(len(found.surroundings.positions))}, seed {found.diagnosis.seed}"
        if sampled
        else ""
    ]
    return " · ".join(part for part in parts if part)


def row_name(row: "NamedRow") -> str:
    """A row by its title, else by the beginning of its text, else by its number from 0, as it is in the JSON."""
    return shorten(one_line(row.title or row.text), _TITLE_CHARS) or f"row {row.position}"


def counted_from(report: "HealthReport") -> str:
    """From where the rows of a file are counted, said where any is named; else empty."""
    listed = report.listed
    is_any = listed.hubs or listed.outliers or listed.equal or listed.near
    return ROWS_FROM_0 if report.is_of_file and is_any else ""


def unit_of(report: "HealthReport") -> str:
    """What one of the examined is."""
    return "row" if report.is_of_file else "passage"


def _print_evidence(report: "HealthReport") -> None:
    found = report.examination
    every = evidence(found, report.measures())
    lines = [line for line in every if line.is_measured]
    columns: list[tuple[TableColumn, list[str]]] = [
        (TableColumn("measure"), [line.label for line in lines]),
        (TableColumn("value", "right"), [line.value for line in lines]),
        (TableColumn("95 %, more rows", "right"), [line.interval for line in lines]),
        (TableColumn("healthy", "right"), [line.healthy for line in lines]),
        (TableColumn("state"), [line.state or "" for line in lines]),
    ]
    columns = [column for column in columns if any(column[1])]  # of few rows no interval is known
    if columns:
        filled = [
            cells if title.title == "state" else [cell or DASH for cell in cells] for title, cells in columns
        ]
        _print_whole([title for title, _ in columns], list(zip(*filled, strict=True)))
    write_lines(filter(None, [interval_note(lines), not_measured(every)]))
    write_lines(missing(found))


def _print_comparison(report: "HealthReport", other: "HealthReport") -> None:
    found = compare(report.examination.diagnosis, other.examination.diagnosis)
    write_lines(
        ["", f"against {one_line(other.origin.name)}: {other.examination.verdict.sentence}", *found.notes]
    )
    titles = (
        TableColumn("measure"),
        *(TableColumn(name, "right") for name in ("this", _column_name(other.origin.name), "difference")),
    )
    _print_whole(
        titles,
        [
            [
                label_of(one.measure),
                *(shown(one.measure, value) for value in (one.first, one.second, one.difference)),
            ]
            for one in found.measures
        ],
    )


def _print_whole(columns: "Sequence[TableColumn]", rows: "Sequence[Sequence[str]]") -> None:
    """A table that fits a terminal; in a pipe or a file nothing is cut."""
    print_table(columns, rows, width=None if sys.stdout.isatty() else _UNCUT)


def _column_name(name: str) -> str:
    return shorten(one_line(name), _NAME_CHARS) if sys.stdout.isatty() else one_line(name)


def _print_listed(report: "HealthReport") -> None:
    """The rows that the measures point at."""
    _print_rows("hubs", "near to", report.listed.hubs)
    _print_rows("outliers", "z", report.listed.outliers)
    lines = [
        f"duplicates: {plural(group.size, unit_of(report))} {kind}: {', '.join(row_name(row) for row in group.rows[:3])}"
        for kind, groups in (("equal", report.listed.equal), ("nearly equal", report.listed.near))
        for group in groups[:3]
    ]
    write_lines([*lines, *filter(None, [counted_from(report)])])


def _print_rows(kind: str, value: str, rows: "Sequence[NamedRow]") -> None:
    if rows:
        named = "; ".join(f"{row_name(row)} ({value} {count(row.value)})" for row in rows[:_LISTED])
        write_lines([f"{kind}: {named}"])
