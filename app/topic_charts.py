"""Topics against metadata and over time: colours of a table, small charts, and the same in words; nothing here draws."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.charts import safe_text
from app.formats import percent
from app.palette import OTHER, categorical
from app.view_state import Measure

if TYPE_CHECKING:
    from indexer.topics.tables import TimeTable, ValueTable

MEASURES: dict[Measure, str] = {"share": "Share", "lift": "Lift", "count": "Passages"}
_ACROSS = 3
_PANEL_PX = 150
_PAGE = {True: (23, 22, 20), False: (255, 255, 255)}
_MORE = {True: (86, 180, 233), False: (0, 114, 178)}  # the blue of the theme
_LESS = {True: (230, 159, 0), False: (213, 94, 0)}
_INK = ("#000000", "#FFFFFF")
_STRONGEST = 0.75  # of the colour in a cell
_MOST_LIFT = 3.0  # doublings


def measured(table: "ValueTable", measure: Measure) -> NDArray[np.float64]:
    """What the cells show, float64 [C, V]."""
    of = {"share": table.shares, "lift": table.lifts, "count": table.counts.astype(np.float64)}
    return of[measure]


def strengths(values: NDArray[np.float64], measure: Measure) -> NDArray[np.float64]:
    """How strongly each cell is coloured, float64 [C, V] in -1..1; below zero is the other colour, for rarer than usual.

    Args:
        values: float64 [C, V] of `measured`.
        measure: what they are.
    """
    if measure == "lift":
        doublings = np.log2(np.maximum(values, 2.0**-_MOST_LIFT))
        return np.clip(doublings / _MOST_LIFT, -1, 1)
    return values / max(float(values.max(initial=0)), 1e-12)


def cell_style(strength: float, *, is_dark: bool) -> str:
    """Background and ink of a cell, with a contrast of at least 4.5:1 in both themes.

    Args:
        strength: -1 to 1.
        is_dark: the page's theme.
    """
    if abs(strength) < 0.02:
        return ""
    page, full = _PAGE[is_dark], (_MORE if strength > 0 else _LESS)[is_dark]
    mixed = [round(p + (f - p) * abs(strength) * _STRONGEST) for p, f in zip(page, full, strict=True)]
    ink = max(_INK, key=lambda colour: contrast(_hex(mixed), colour))
    return f"background-color: {_hex(mixed)}; color: {ink}"


def contrast(one: str, other: str) -> float:
    """Contrast of two colours as the accessibility guidelines define it, 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _hex(colour: Sequence[int]) -> str:
    return "#" + "".join(f"{part:02X}" for part in colour)


def panels_figure(table: "TimeTable", names: dict[int, str], measure: Measure, *, is_dark: bool) -> Any:
    """One small chart a topic, all on the same axes, so that no colour has to tell them apart.

    Args:
        table: topics by time.
        names: of the topics to draw, by number; hostile text.
        measure: "share" of the passages of each step, or "count".
        is_dark: the page's theme.
    """
    from plotly.subplots import make_subplots

    drawn = [number for number in names if number in table.numbers]
    down = max(1, -(-len(drawn) // _ACROSS))
    figure = make_subplots(
        rows=down,
        cols=_ACROSS,
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=[safe_text(names[number], 44) for number in drawn],
        horizontal_spacing=0.03,
        vertical_spacing=0.36 / down if down > 1 else 0.1,
    )
    values = table.shares if measure == "share" else table.counts
    for place, number in enumerate(drawn):
        colour = OTHER if number < 0 else categorical(is_dark=is_dark)[0]
        line = values[table.numbers.index(number)].tolist()
        figure.add_scatter(
            x=table.bins,
            y=line,
            mode="lines" if len(line) > 1 else "markers",
            fill="tozeroy",
            line={"color": colour, "width": 2},
            hovertemplate="%{x|%Y-%m-%d}: "
            + ("%{y:.1%}" if measure == "share" else "%{y}")
            + "<extra></extra>",
            showlegend=False,
            row=place // _ACROSS + 1,
            col=place % _ACROSS + 1,
        )
    figure.update_layout(
        height=40 + _PANEL_PX * down,
        margin={"l": 8, "r": 8, "t": 28, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    figure.update_annotations(font_size=13)
    figure.update_yaxes(rangemode="tozero", nticks=4, tickformat=".0%" if measure == "share" else None)
    return figure


def trend_sentence(table: "TimeTable", names: dict[int, str]) -> str:
    """Which topics grew and shrank most between the first and the last third of the time; hostile text.

    Args:
        table: topics by time.
        names: of the topics, by number.
    """
    third = len(table.bins) // 3
    if not third:
        return "Too few dates to tell a trend."
    first, last = table.counts[:, :third].sum(axis=1), table.counts[:, -third:].sum(axis=1)
    if not first.sum() or not last.sum():
        return "Too few dates to tell a trend."
    before, after = first / first.sum(), last / last.sum()
    real = [at for at, number in enumerate(table.numbers) if number >= 0]
    if len(real) < 2:
        return "One topic alone has no trend."
    grew, shrank = (
        max(real, key=lambda at: after[at] - before[at]),
        min(real, key=lambda at: after[at] - before[at]),
    )

    def told(at: int) -> str:
        return f"{names[table.numbers[at]]} ({percent(before[at])} to {percent(after[at])})"

    return (
        f"From the first third of the time to the last, most gained: {told(grew)}; most lost: {told(shrank)}."
    )
