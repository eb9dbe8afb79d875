"""An evaluation -> tables of texts, Markdown and JSON."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from train.evaluation.evaluate import Column, Evaluation
from train.evaluation.public_tasks import PublicTask

FORMAT = 1
# Title, field of the diagnosis, decimal places.
MEASURES = (
    ("effective rank", "effective_rank", 1),
    ("effective rank, centred", "effective_rank_centred", 1),
    ("RankMe", "rank_me", 1),
    ("mean cosine", "mean_cosine", 3),
    ("uniformity", "uniformity", 3),
    ("slot similarity", "slot_similarity_mean", 3),
)
_SCORE_HEAD = ("task", "kind", "metric")
_NOTHING = "-"


@dataclass(frozen=True)
class Cell:
    """A text, and whether it is the best of its row."""

    text: str
    is_best: bool = False


@dataclass(frozen=True)
class Table:
    """Titles and rows of as many cells; the first columns are words, the others numbers."""

    titles: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int  # how many columns hold words


def score_table(evaluation: Evaluation) -> Table:
    """A row for each task, and below the mean of all, and of those that every column has where that is less."""
    columns = evaluation.columns
    rows = []
    for task in evaluation.tasks:
        values = [column.scores.get(task.name) for column in columns]
        rows.append(_row((task.name, task.kind, task.metric), values, columns))
    groups = [(f"mean of {len(evaluation.names)}", evaluation.names)]
    if len(evaluation.shared) != len(evaluation.names):
        groups.append((f"mean of {len(evaluation.shared)} that all have", evaluation.shared))
    for title, names in groups:
        if names:
            rows.append(_row((title, "", ""), [column.mean(names) for column in columns], columns))
    titles = (*_SCORE_HEAD, *(column.candidate.title for column in columns))
    return Table(titles, tuple(rows), len(_SCORE_HEAD))


def measure_table(evaluation: Evaluation) -> Table:
    """A column for each encoder: what it is, its embedding space, how fast it encoded and what it cut."""
    columns = [column for column in evaluation.columns if column.card]
    spaces = [column.spectrum or {} for column in columns]
    speeds = [column.effort.tokens_per_s for column in columns]
    lines = [
        ["fingerprint", *(str(column.card.get("fingerprint", ""))[:8] or _NOTHING for column in columns)],
        ["numbers a text", *(f"{column.card['dimension']:,}" for column in columns)],
        ["memory tokens", *(str(column.card.get("n_memory", 0)) for column in columns)],
        *([title, *(_number(space.get(key), places) for space in spaces)] for title, key, places in MEASURES),
        ["tokens/s", *(_NOTHING if speed is None else f"{speed:,.0f}" for speed in speeds)],
        ["texts encoded", *(f"{column.effort.texts:,}" for column in columns)],
        ["texts cut", *(f"{column.effort.truncated:,}" for column in columns)],
    ]
    titles = ("embedding space", *(column.candidate.title for column in columns))
    return Table(titles, tuple(tuple(map(Cell, line)) for line in lines) if columns else (), 1)


def notes(evaluation: Evaluation, provenance: dict[str, Any]) -> list[str]:
    """What one must know to read the tables, a sentence each."""
    columns = evaluation.columns
    places = sorted({str(column.card["computed_on"]) for column in columns if "computed_on" in column.card})
    instruction = provenance.get("instruction")
    said = [
        "Scores are times 100, higher is better."
        + (" The best of each row stands out." if len(columns) > 1 else ""),
        f"Queries of retrieval: instruction {instruction!r}."
        if instruction is not None
        else "Queries of retrieval: the prompt stored with each encoder.",
    ]
    if evaluation.spectrum_texts:
        said.append(
            f"Embedding space: of {evaluation.spectrum_texts:,} of the texts, taken as documents; "
            "effective rank of unit rows as they are and centred; slot similarity is the mean cosine between "
            "memory states."
        )
    if places:
        said.append(
            f"Tokens/s: measured while scoring, on {', '.join([*places, provenance.get('load', '')]).rstrip(', ')}; "
            "texts are cut at the longest length."
        )
    backbones = {
        column.candidate.spec.partition("?")[0] for column in columns if column.candidate.kind == "pooling"
    }
    said += [f"Untrained: poolings of {backbone} as it is, as long a text." for backbone in sorted(backbones)]
    said += [f"{column.candidate.title}: {column.absent}." for column in columns if ":" in column.absent]
    kept = sum(column.kept for column in columns)
    if kept:
        said.append(f"Scores kept from before, with their speed: {kept:,}.")
    said.append(
        f"Measured {provenance['date']} with "
        + ", ".join(f"{name} {version}" for name, version in provenance["versions"].items())
        + f" by `{provenance['command']}`."
    )
    return said


def to_markdown(evaluation: Evaluation, provenance: dict[str, Any]) -> str:
    """The report as a page of Markdown, the best of each row bold."""
    parts = ["# Evaluation", _markdown(score_table(evaluation))]
    measures = measure_table(evaluation)
    if measures.rows:
        parts += ["## Embedding space and speed", _markdown(measures)]
    parts.append("\n".join(f"- {note}" for note in notes(evaluation, provenance)))
    return "\n\n".join(parts) + "\n"


def to_json(evaluation: Evaluation, provenance: dict[str, Any]) -> dict[str, Any]:
    """All that was measured, unrounded."""
    return {
        "format": FORMAT,
        **provenance,
        "tasks": [
            {
                "name": task.name,
                "kind": task.kind,
                "metric": task.metric,
                "source": "mteb" if isinstance(task, PublicTask) else "folder",
            }
            for task in evaluation.tasks
        ],
        "shared_tasks": evaluation.shared,
        "spectrum_texts": evaluation.spectrum_texts,
        "columns": [_column_json(column, evaluation) for column in evaluation.columns],
    }


def _column_json(column: Column, evaluation: Evaluation) -> dict[str, Any]:
    return {
        "title": column.candidate.title,
        "kind": column.candidate.kind,
        "spec": column.candidate.spec or None,
        "absent": column.absent or None,
        "scores": column.scores,
        "mean": column.mean(evaluation.names),
        "shared_mean": column.mean(evaluation.shared),
        "encoder": column.card or None,
        "effort": {**asdict(column.effort), "tokens_per_s": column.effort.tokens_per_s}
        if column.card
        else None,
        "kept": column.kept,
        "spectrum": column.spectrum,
    }


def _row(
    head: tuple[str, ...], values: Sequence[float | None], columns: Sequence[Column]
) -> tuple[Cell, ...]:
    shown = [_number(value, 1) for value in values]
    best = max((round(value, 1) for value in values if value is not None), default=None)
    cells = []
    for text, value, column in zip(shown, values, columns, strict=True):
        # What is shown as equal is equally good.
        is_best = len(columns) > 1 and value is not None and round(value, 1) == best
        cells.append(Cell(_absence(column) if value is None else text, is_best))
    return (*map(Cell, head), *cells)


def _absence(column: Column) -> str:
    return column.absent.partition(":")[0] or _NOTHING


def _number(value: float | None, places: int) -> str:
    return _NOTHING if value is None else f"{value:.{places}f}"


def _markdown(table: Table) -> str:
    lines = [
        [_escaped(title) for title in table.titles],
        ["---" if n < table.words else "---:" for n in range(len(table.titles))],
        *(
            [f"**{_escaped(cell.text)}**" if cell.is_best else _escaped(cell.text) for cell in row]
            for row in table.rows
        ),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    """The text as a cell: what Markdown would obey is shown; an underscore inside a word means nothing."""
    text = re.sub(r"([\\`*|\[\]<>])", r"\\\1", " ".join(text.split()))
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)
