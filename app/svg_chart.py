"""A chart as one SVG element for files that must open without a network; no script, no font, no link in it."""

import math
from html import escape

import numpy as np
from numpy.typing import NDArray

from app.curves import Chart, Curve
from app.display import one_line
from app.palette import CATEGORICAL_ON_LIGHT, OTHER, ramp

_WIDTH, _HEIGHT = 640, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 56, 48
_DASHES = ("", "7 4", "2 3", "9 3 2 3")
_TICKS = 5
_NAMES_A_LINE, _LINE_PX = 3, 18  # of the legend


def svg_chart(chart: Chart) -> str:
    """The chart as text that begins with `<svg`; every text in it is escaped."""
    xs, ys = _limits(chart, "x"), _limits(chart, "y")
    # What is below the first line of the legend moves down by its other lines.
    down = _LINE_PX * ((max(1, len(chart.curves)) - 1) // _NAMES_A_LINE)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT + down}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="currentColor">',
        f"<title>{_text(chart.title)}</title>",
        f'<text x="{_LEFT}" y="18" font-size="15" font-weight="600">{_text(chart.title)}</text>',
    ]
    if xs is None or ys is None:
        parts.append(f'<text x="{_LEFT}" y="{_HEIGHT // 2}">There is nothing to draw.</text></svg>')
        return "".join(parts)
    lines, names = _axes(chart, xs, ys), []
    own = 0
    for number, curve in enumerate(chart.curves):
        colour = OTHER if curve.is_reference else CATEGORICAL_ON_LIGHT[own % len(CATEGORICAL_ON_LIGHT)]
        colour = colour if curve.shade is None else ramp(curve.shade, is_dark=False)
        dash = "4 4" if curve.is_reference else _DASHES[own % len(_DASHES)]
        own += not curve.is_reference
        lines.append(_line(chart, curve, xs, ys, f'stroke="{colour}" stroke-dasharray="{dash}"'))
        names.append(_legend(curve, number, f'stroke="{colour}" stroke-dasharray="{dash}"'))
    return "".join([*parts, *names, f'<g transform="translate(0 {down})">', *lines, "</g></svg>"])


def _limits(chart: Chart, axis: str) -> tuple[float, float] | None:
    values = np.concatenate([np.zeros(0), *(getattr(curve, axis) for curve in chart.curves)])
    is_log = getattr(chart, f"is_{axis}_log")
    values = values[np.isfinite(values) & ((values > 0) | (not is_log))]
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    if not is_log and axis == "y":
        low = min(low, 0.0)
    if low == high:
        low, high = (low / 2, high * 2) if is_log else (low - 0.5, high + 0.5)
    return low, high


def _place(
    values: NDArray[np.float64], limits: tuple[float, float], start: float, end: float, *, is_log: bool
) -> NDArray[np.float64]:
    """Values [P] to pixels [P]."""
    low, high = (math.log10(each) for each in limits) if is_log else limits
    with np.errstate(divide="ignore"):
        scaled = np.log10(values) if is_log else values
    return start + (scaled - low) / (high - low) * (end - start)


def _line(chart: Chart, curve: Curve, xs: tuple[float, float], ys: tuple[float, float], stroke: str) -> str:
    x = _place(curve.x, xs, _LEFT, _WIDTH - _RIGHT, is_log=chart.is_x_log)
    y = _place(curve.y, ys, _HEIGHT - _BOTTOM, _TOP, is_log=chart.is_y_log)
    seen = np.isfinite(x) & np.isfinite(y)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[seen], y[seen], strict=True))
    return f'<polyline fill="none" stroke-width="2" {stroke} points="{points}"/>'


def _legend(curve: Curve, number: int, stroke: str) -> str:
    x = _LEFT + 190 * (number % _NAMES_A_LINE)
    y = 36 + _LINE_PX * (number // _NAMES_A_LINE)
    name = one_line(curve.name)
    shown = name if len(name) <= 24 else f"{name[:23]}…"
    return (
        f'<line x1="{x}" x2="{x + 24}" y1="{y}" y2="{y}" stroke-width="2" {stroke}/>'
        f'<text x="{x + 30}" y="{y + 4}">{_text(shown)}</text>'
    )


def _axes(chart: Chart, xs: tuple[float, float], ys: tuple[float, float]) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value in _ticks(xs, is_log=chart.is_x_log):
        x = _place(np.array([value]), xs, _LEFT, right, is_log=chart.is_x_log)[0]
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}" stroke="#8884" />')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{_number(value)}</text>')
    for value in _ticks(ys, is_log=chart.is_y_log):
        y = _place(np.array([value]), ys, bottom, _TOP, is_log=chart.is_y_log)[0]
        parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8884" />')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(value)}</text>')
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">{_text(chart.x_label)}</text>')
    across = (bottom + _TOP) / 2
    parts.append(
        f'<text x="14" y="{across}" text-anchor="middle" transform="rotate(-90 14 {across})">{_text(chart.y_label)}</text>'
    )
    return parts


def _ticks(limits: tuple[float, float], *, is_log: bool) -> list[float]:
    low, high = limits
    if is_log:
        powers = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
        step = max(1, math.ceil(len(powers) / (2 * _TICKS)))
        return [10.0**power for power in powers][::step] or [low, high]
    rough = (high - low) / _TICKS
    base = 10.0 ** math.floor(math.log10(rough))
    step_size = next(base * factor for factor in (1, 2, 5, 10) if base * factor >= rough)
    first = math.ceil(low / step_size - 1e-9)
    return [step_size * number for number in range(first, math.floor(high / step_size + 1e-9) + 1)]


def _number(value: float) -> str:
    return f"{value:.3g}"


def _text(text: str) -> str:
    return escape(one_line(text))
