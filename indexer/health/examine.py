"""Examines a collection, a selection of it, or vectors in a file: measures, and the passages that they point at."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from encoder.errors import Llm2CompError
from encoder.spectrum.duplicates import Duplicates
from encoder.spectrum.examination import Examination
from encoder.spectrum.examination import examine as examine_rows
from encoder.spectrum.transforms import check_steps, parse_steps
from encoder.spectrum.what_if import WhatIf, what_if
from indexer.health.lengths import length_report
from indexer.health.memory import memory_report
from indexer.health.passages import drawn, named
from indexer.health.report import HealthReport, Listed, NamedGroup, NamedRow, Origin
from indexer.health.temperatures import check_temperatures, temperature_report
from indexer.health.vector_files import VectorSource
from indexer.known_items import known_items
from indexer.progress import JobProgress, Report, silent
from indexer.query.snapshot import Snapshot
from indexer.search import Searcher
from indexer.selection import Selection, select_rows

PAIR_ROWS = 20_000  # rows whose pairs and neighbours are looked at
TRIAL_ROWS = 20_000  # rows that a what-if is tried on
_IN_GROUP = 5  # rows that are shown of a group of duplicates
_GROUPS = 10
_NO_FILTER = Selection()

Name = Callable[[Sequence[tuple[int, float]]], tuple[NamedRow, ...]]
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Parts:
    """What is looked at beside the spectrum and the neighbours.

    Attributes:
        lengths: whether long passages crowd together, by the encoder's tokens.
        memory: also the memory tokens, by encoding a sample of the passages again.
        what_if: transformations to try, such as "centre+drop:1".
        temperatures: of attention to try, by encoding a sample of the passages at each; the first is compared with.
        has_known_items: tries them on known items as well, which encodes some hundred passages.
        pair_rows: rows whose pairs and neighbours are looked at.
    """

    lengths: bool = True
    memory: bool = False
    what_if: tuple[str, ...] = ()
    temperatures: tuple[float, ...] = ()
    has_known_items: bool = True
    pair_rows: int = PAIR_ROWS


def examine(
    searcher: Searcher,
    selection: Selection = _NO_FILTER,
    *,
    parts: Parts | None = None,
    seed: int = 0,
    report: Report = silent,
) -> HealthReport:
    """The health of the vectors of a collection, or of what was chosen in it.

    Args:
        searcher: of the collection.
        selection: what was chosen.
        parts: what else to look at.
        seed: of everything random.
        report: called as the work goes on.

    Raises:
        InputError: the filter, outline, topics or set is impossible or not there.
        UsageError: a transformation is not understood.
        CollectionError: the collection is damaged.
    """
    searcher = searcher.held()  # rows and measures of one version
    selected = select_rows(searcher, selection)
    return examine_chosen(
        searcher, selected.row_ids, selected.sentence, parts=parts, seed=seed, report=report
    )


def examine_chosen(
    searcher: Searcher,
    row_ids: NDArray[np.uint64],
    sentence: str,
    *,
    parts: Parts | None = None,
    seed: int = 0,
    report: Report = silent,
) -> HealthReport:
    """The health of the vectors of some passages.

    Args:
        searcher: of the collection.
        row_ids: uint64 [N], ascending, of live rows.
        sentence: which they are, for people.
        parts: what else to look at.
        seed: of everything random.
        report: called as the work goes on.

    Raises:
        UsageError: a transformation is not understood.
        CollectionError: the collection is damaged.
    """
    parts = parts or Parts()
    searcher = searcher.held()
    snapshot = searcher.snapshot
    _check_trials(parts, snapshot.collection.settings.dimension)
    notes: list[str] = []
    found = _measured(snapshot, row_ids, parts, seed, report)

    def name(rows: Sequence[tuple[int, float]]) -> tuple[NamedRow, ...]:
        return named(snapshot, row_ids, rows)

    def looked_at(make: Callable[[], _Found], is_wanted: bool) -> _Found | None:
        return _or_note(notes, make) if is_wanted else None

    return HealthReport(
        origin=origin_of(snapshot, sentence),
        examination=found,
        listed=listed(found, name),
        lengths=looked_at(lambda: length_report(searcher, row_ids, seed=seed), parts.lengths),
        memory=looked_at(lambda: memory_report(searcher, row_ids, seed=seed, report=report), parts.memory),
        temperatures=looked_at(
            lambda: temperature_report(searcher, row_ids, parts.temperatures, seed=seed, report=report),
            bool(parts.temperatures),
        ),
        what_if=_trials(searcher, row_ids, parts, seed, report, notes),
        notes=tuple(notes),
    )


def examine_snapshot(
    snapshot: Snapshot,
    sentence: str,
    *,
    parts: Parts | None = None,
    seed: int = 0,
    report: Report = silent,
) -> HealthReport:
    """The health of all vectors of an opened version, as far as no encoder is needed.

    Args:
        snapshot: of the version.
        sentence: which rows these are, for people.
        parts: how many rows to look at.
        seed: of everything random.
        report: called as the work goes on.

    Raises:
        CollectionError: the collection is damaged.
    """
    row_ids = snapshot.row_ids()
    found = _measured(snapshot, row_ids, parts or Parts(), seed, report)
    return HealthReport(
        origin=origin_of(snapshot, sentence),
        examination=found,
        listed=listed(found, lambda rows: named(snapshot, row_ids, rows)),
    )


def examine_vectors(
    source: VectorSource, *, parts: Parts | None = None, seed: int = 0, report: Report = silent
) -> HealthReport:
    """The health of vectors in a file.

    Args:
        source: of `open_vectors`.
        parts: what else to look at; there are no memory tokens and no known items without texts.
        seed: of everything random.
        report: called as the work goes on.

    Raises:
        InputError: the file ends early, or rows differ in length.
        UsageError: a transformation is not understood.
    """
    parts = parts or Parts()
    _check_trials(parts, source.dimension)
    found = _examined(_given(source), parts, seed, report)
    notes = ["A file has no texts, so there are no memory tokens to look at."] if parts.memory else []
    if parts.temperatures:
        notes.append("A file has no texts to encode at other temperatures.")
    trials: list[WhatIf] = []
    if parts.what_if:
        trials = what_if(_file_sample(source, seed), parts.what_if, seed=seed)
        notes.append("A file has no texts: what a trial does to known items cannot be told.")
    return HealthReport(
        origin=Origin(source.path.name, f"{source.rows:,} rows: the whole file"),
        examination=found,
        listed=listed(found, lambda rows: tuple(NamedRow(at, value) for at, value in rows)),
        what_if=tuple(trials),
        notes=tuple(notes),
    )


def origin_of(snapshot: Snapshot, sentence: str) -> Origin:
    """What is examined: the rows of a version that the sentence describes."""
    settings = snapshot.collection.settings
    kinds = snapshot.kinds
    is_exact = kinds == ["flat"]
    return Origin(
        name=snapshot.collection.path.name,
        sentence=sentence,
        encoder=str(snapshot.collection.info()["encoder"]),
        transform=settings.transform or "",
        version=snapshot.publication.number,
        index=", ".join(kinds),
        recall=snapshot.recall,
        recall_note="exact: every row is compared" if is_exact else "measured when the index was built",
    )


def listed(found: Examination, name: Name) -> Listed:
    """The rows that an examination points at, named.

    Args:
        found: the examination.
        name: gives names to (position, value).
    """
    around = found.surroundings
    return Listed(
        hubs=name([(at, float(count)) for at, count in around.hubness.hubs]),
        outliers=name(list(around.outliers.rows)),
        equal=_groups(found.equal, name),
        near=_groups(around.near, name),
    )


def _measured(
    snapshot: Snapshot, row_ids: NDArray[np.uint64], parts: Parts, seed: int, report: Report
) -> Examination:
    blocks = (vectors for _, vectors in snapshot.vector_blocks(row_ids))
    empty = np.zeros((0, snapshot.collection.settings.dimension), np.float32)
    return _examined(blocks if row_ids.size else [empty], parts, seed, report)


def _examined(blocks: Iterable[NDArray[np.floating]], parts: Parts, seed: int, report: Report) -> Examination:
    return examine_rows(
        blocks,
        most_pair_rows=parts.pair_rows,
        seed=seed,
        report=lambda stage, fraction: report(JobProgress(stage, fraction=fraction)),
    )


def _given(source: VectorSource) -> Iterable[NDArray[np.float32]]:
    return source.blocks() if source.rows else [np.zeros((0, source.dimension), np.float32)]


def _groups(found: Duplicates, name: Name) -> tuple[NamedGroup, ...]:
    return tuple(
        NamedGroup(group.size, name([(at, float(group.size)) for at in group.positions[:_IN_GROUP]]))
        for group in found.largest[:_GROUPS]
    )


def _trials(
    searcher: Searcher,
    row_ids: NDArray[np.uint64],
    parts: Parts,
    seed: int,
    report: Report,
    notes: list[str],
) -> tuple[WhatIf, ...]:
    if not parts.what_if:
        return ()
    pairs = None
    if parts.has_known_items:
        items = _or_note(notes, lambda: known_items(searcher, seed=seed, report=report))
        pairs = None if items is None else items.pairs
    report(JobProgress("what-if", fraction=0.0))
    sample = searcher.snapshot.vectors(drawn(row_ids, TRIAL_ROWS, seed))
    return tuple(what_if(sample, parts.what_if, pairs=pairs, seed=seed))


def _check_trials(parts: Parts, dimension: int) -> None:
    """Refuses impossible trials before minutes of work, not after them."""
    check_temperatures(parts.temperatures)
    for spec in parts.what_if:
        check_steps(parse_steps(spec), dimension)


def _or_note(notes: list[str], make: Callable[[], _Found]) -> _Found | None:
    """What `make` gives; where it cannot, a note says why and the rest of the report stands."""
    try:
        return make()
    except Llm2CompError as error:
        notes.append(f"{error.what} ({error.where}); {error.fix}")
        return None


def _file_sample(source: VectorSource, seed: int) -> NDArray[np.float32]:
    """At most `TRIAL_ROWS` rows of a file, float32 [n, D]."""
    chosen = np.arange(source.rows)
    if source.rows > TRIAL_ROWS:
        chosen = np.sort(np.random.default_rng(seed).choice(source.rows, TRIAL_ROWS, replace=False))
    kept, done = [np.zeros((0, source.dimension), np.float32)], 0
    for block in source.blocks():
        here = chosen[(chosen >= done) & (chosen < done + len(block))] - done
        kept.append(block[here])
        done += len(block)
    return np.concatenate(kept)
