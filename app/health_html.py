"""A health report as one HTML file that needs no network: no script, no link, pictures as SVG, every text escaped."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from app.curves import VIEWS, Layer, chart_text, spectrum_chart
from app.display import one_line
from app.formats import count, plural
from app.health_advice import advice_for_command, trial_notes
from app.health_curves import length_layers, length_name, length_sentence, slot_layers, slot_sentence
from app.health_text import counted_from, origin_line, row_name, unit_of
from app.health_words import (
    DASH,
    TEMPERATURE_COLUMNS,
    TEMPERATURE_HELP,
    TRIAL_COLUMNS,
    evidence,
    interval_note,
    label_of,
    layer_of,
    missing,
    not_measured,
    random_layer,
    shown,
    temperature_cells,
    temperature_sentence,
    trial_cells,
)
from app.palette import STATE_COLOURS
from app.svg_chart import svg_chart
from encoder.spectrum.comparison import compare
from encoder.spectrum.verdict import LEAST_ROWS

if TYPE_CHECKING:
    from indexer.health.report import HealthReport, NamedRow

_STYLE = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.45 }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1.5rem }
h1 { font-size: 1.6rem; margin-bottom: .2rem } h2 { font-size: 1.2rem; margin-top: 2.2rem }
.of { opacity: .8 } .verdict { border: 1px solid #8886; border-left-width: .6rem; border-radius: .5rem; padding: .8rem 1rem; font-size: 1.1rem; margin: 1rem 0 }
.state { color: #fff; border-radius: 1rem; padding: .1rem .7rem; font-size: .95rem; font-weight: 600; margin-right: .5rem; white-space: nowrap }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 1rem }
figure { margin: 0 } svg { width: 100%; height: auto }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8884; vertical-align: top }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap } small { opacity: .8; display: block }
.scroll { overflow-x: auto }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_TITLES = {"singular values": "Singular values", "eigenvalues": "Eigenvalues", "energy": "Cumulative energy"}


def health_html(report: "HealthReport", other: "HealthReport | None" = None) -> str:
    """The whole file.

    Args:
        report: of what was asked for.
        other: of what is laid over.
    """
    verdict = report.examination.verdict
    name = _text(report.origin.name)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Health of {name}</title><style>{_STYLE}</style></head><body>",
        f'<h1>Health of {name}</h1><p class="of">{_text(origin_line(report))}</p>',
        f'<p class="verdict" style="border-left-color: {STATE_COLOURS[verdict.state]}">{_badge(verdict.state)}'
        f"{_text(verdict.sentence)}</p>",
        _list("What to do", advice_for_command(report)),
        _charts(report, other),
        _evidence(report),
        _comparison(report, other) if other else "",
        _rows("Hubs", "near to", report.listed.hubs, unit_of(report)),
        _rows("Outliers", "robust z", report.listed.outliers, unit_of(report)),
        _duplicates(report),
        f"<p><small>{counted_from(report)}</small></p>",
        _lengths(report),
        _memory(report),
        _temperatures(report),
        _trials(report),
        _list("Notes", report.notes),
        "</body></html>\n",
    ]
    return "".join(parts)


def layers_of(report: "HealthReport", other: "HealthReport | None" = None) -> list[Layer]:
    """The curves that are laid over each other: this one, the other, and random directions."""
    layers = [layer_of(report.origin.name, report.examination.diagnosis)]
    if other is not None:
        layers.append(layer_of(other.origin.name, other.examination.diagnosis))
    return [*layers, random_layer(report.examination)]


def _charts(report: "HealthReport", other: "HealthReport | None") -> str:
    if report.examination.diagnosis.n < LEAST_ROWS:
        return ""  # the curve of a handful says nothing, not even of a collapse
    layers = layers_of(report, other)
    return "<h2>Spectrum</h2>" + _figures(layers, is_centred=True) + _figures(layers, is_centred=False)


def _figures(layers: Sequence[Layer], *, is_centred: bool) -> str:
    """The three views of these spectra."""
    figures = []
    for view in VIEWS:
        chart = spectrum_chart(layers, view, is_centred=is_centred)
        figures.append(
            f"<figure>{svg_chart(chart)}<figcaption><small>{_text(chart_text(chart))}</small></figcaption></figure>"
        )
    return f'<div class="charts">{"".join(figures)}</div>'


def _ordered(layers: Sequence[Layer], sentence: str) -> str:
    """Spectra of what has an order, where there are any, with what has to be said of them."""
    return (_figures(layers, is_centred=True) if layers else "") + f"<p>{_text(sentence)}</p>"


def _evidence(report: "HealthReport") -> str:
    found = report.examination
    every = evidence(found, report.measures())
    lines = []
    for line in filter(lambda line: line.is_measured, every):
        state = _badge(line.state) if line.state else ""
        lines.append(
            f"<tr><td>{_text(line.label)}<small>{_text(line.help)}</small></td><td class=number>{line.value}</td>"
            f"<td class=number>{line.interval or DASH}</td><td>{_text(line.healthy) or DASH}</td><td>{state}</td></tr>"
        )
    head = "<tr><th>Measure</th><th class=number>Value</th><th class=number>With ever more rows (95 %)</th><th>Healthy</th><th>State</th></tr>"
    note = interval_note(every)
    noted = f"<p><small>{note}</small></p>" if note else ""
    said = "".join(f"<p>{_text(each)}</p>" for each in (*missing(found), not_measured(every)) if each)
    return f"<h2>Evidence</h2>{said}<div class=scroll><table>{head}{''.join(lines)}</table></div>{noted}"


def _comparison(report: "HealthReport", other: "HealthReport") -> str:
    found = compare(report.examination.diagnosis, other.examination.diagnosis)
    rows = [
        [
            label_of(one.measure),
            *(shown(one.measure, value) for value in (one.first, one.second, one.difference)),
        ]
        for one in found.measures
    ]
    notes = "".join(f"<p>{_text(note)}</p>" for note in found.notes)
    name = one_line(other.origin.name)
    return (
        f"<h2>Against {_text(name)}</h2><p>{_text(other.examination.verdict.sentence)}</p>{notes}"
        + _table(["Measure", "This", name, "Difference"], rows)
    )


def _rows(title: str, value: str, rows: "Sequence[NamedRow]", unit: str) -> str:
    if not rows:
        return ""
    cells = [[row_name(row), row.passage_id or DASH, count(row.value)] for row in rows]
    return f"<h2>{title}</h2>" + _table([unit.capitalize(), "Id", value], cells)


def _duplicates(report: "HealthReport") -> str:
    groups = [
        [kind, plural(group.size, unit_of(report)), "; ".join(row_name(row) for row in group.rows)]
        for kind, found in (("equal", report.listed.equal), ("nearly equal", report.listed.near))
        for group in found
    ]
    return (
        "<h2>Duplicates</h2>" + _table(["Kind", "Size", f"{unit_of(report).capitalize()}s"], groups)
        if groups
        else ""
    )


def _lengths(report: "HealthReport") -> str:
    if report.lengths is None:
        return ""
    rows = [
        [
            length_name(each).removesuffix(" tokens"),
            count(each.n),
            shown("mean_cosine", each.mean_cosine),
            shown("effective_rank", each.effective_rank),
        ]
        for each in report.lengths.bins
    ]
    titles = ["Tokens", "Passages", "Mean cosine", f"Effective rank of {count(report.lengths.rank_rows)}"]
    return (
        f"<h2>Length</h2><p>{_text(report.lengths.sentence)}</p>"
        + _table(titles, rows)
        + _ordered(length_layers(report.lengths), length_sentence(report.lengths))
    )


def _memory(report: "HealthReport") -> str:
    if report.memory is None:
        return ""
    rows = [
        [
            str(number),
            shown("norm", slot.norm),
            shown("first_direction", slot.constant_share),
            shown("effective_rank", slot.effective_rank_centred),
            shown("first_direction", slot.overlap),
        ]
        for number, slot in enumerate(report.memory.slots, 1)
    ]
    titles = ["Memory token", "Length", "Same in every text", "Effective rank", "Neighbours kept without it"]
    return (
        f"<h2>Memory tokens</h2><p>{_text(report.memory.sentence)}</p>"
        + _table(titles, rows)
        + _ordered(slot_layers(report.memory), slot_sentence(report.memory))
    )


def _temperatures(report: "HealthReport") -> str:
    if report.temperatures is None:
        return ""
    return (
        f"<h2>Temperatures of attention</h2><p>{_text(temperature_sentence(report.temperatures))}</p>"
        + _table(TEMPERATURE_COLUMNS, temperature_cells(report.temperatures))
        + f"<p><small>{_text(TEMPERATURE_HELP)}</small></p>"
    )


def _trials(report: "HealthReport") -> str:
    if not report.what_if:
        return ""
    notes = "".join(f"<p>{_text(note)}</p>" for note in trial_notes(report.what_if))
    return (
        "<h2>What if</h2>" + _table(TRIAL_COLUMNS, [trial_cells(trial) for trial in report.what_if]) + notes
    )


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div class=scroll><table><tr>{head}</tr>{body}</table></div>"


def _list(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return f"<h2>{title}</h2><ul>{''.join(f'<li>{_text(line)}</li>' for line in lines)}</ul>"


def _badge(state: str) -> str:
    return f'<span class="state" style="background: {STATE_COLOURS[state]}">{state}</span>'


def _text(text: str) -> str:
    return escape(one_line(text))
