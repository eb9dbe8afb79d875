"""Small SVG pictures: dots with whiskers, lines over a logarithmic or linear axis, heat maps. Knows nothing of the study.

Written by hand because no drawing library that writes files is a dependency. Colours are told apart by the colour-blind
(Okabe and Ito); every picture has a white ground, so that it reads on dark pages too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_FONT = 'font-family="Helvetica, Arial, sans-serif" font-size="12"'
_INK, _PALE = "#222222", "#dddddd"
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 26, 34, 46


@dataclass(frozen=True)
class Point:
    """Where a line goes through; `error` is half the length of a whisker."""

    x: float
    y: float
    error: float = 0.0


@dataclass(frozen=True)
class Line:
    """A named line."""

    name: str
    points: Sequence[Point]
    is_dashed: bool = False


@dataclass(frozen=True)
class Axes:
    """What the axes of a picture say."""

    title: str
    x: str
    y: str
    is_log: bool = False  # the x axis
    ticks: Sequence[float] = ()  # of the x axis; empty: chosen
    width: int = 460
    height: int = 300
    marks: bool = True  # a dot on every point


def line_chart(axes: Axes, lines: Sequence[Line]) -> str:
    """Lines with whiskers as SVG; a picture without points says that nothing was measured."""
    points = [point for line in lines for point in line.points]
    if not points:
        return _empty(axes)
    xs = _Axis([p.x for p in points], _LEFT, axes.width - _RIGHT, axes.is_log)
    values = [p.y + sign * p.error for p in points for sign in (-1, 1)]
    ys = _Axis(_padded(values), axes.height - _BOTTOM, _TOP, False)
    legend = _Legend(lines, axes.width)
    parts = [_frame(axes, legend.extra), *_grid(axes, xs, ys)]
    for number, line in enumerate(lines):
        parts += _line(line, COLOURS[number % len(COLOURS)], xs, ys, axes.marks)
    return "\n".join([*parts, *legend.parts(axes.height), "</svg>"]) + "\n"


def dot_chart(axes: Axes, rows: Sequence[tuple[str, float, float]]) -> str:
    """A row for each name with a dot and a whisker, as SVG.

    Args:
        axes: of the picture; its height follows from the rows.
        rows: name, figure, half length of the whisker; drawn from top to bottom.
    """
    if not rows:
        return _empty(axes)
    left = 24 + 7 * max(len(name) for name, _, _ in rows)
    height = _TOP + _BOTTOM + 22 * len(rows)
    xs = _Axis(
        _padded([value + sign * error for _, value, error in rows for sign in (-1, 1)]),
        left,
        axes.width - _RIGHT,
        False,
    )
    sized = Axes(axes.title, axes.x, "", width=axes.width, height=height)
    parts = [_frame(sized, 0)]
    for tick in xs.ticks():
        parts.append(_segment(xs.at(tick), _TOP, xs.at(tick), height - _BOTTOM, _PALE))
        parts.append(_text(xs.at(tick), height - _BOTTOM + 16, _number(tick), "middle"))
    parts.append(_text(axes.width / 2, height - 8, axes.x, "middle"))
    for number, (name, value, error) in enumerate(rows):
        y = _TOP + 22 * number + 11
        parts.append(_text(left - 10, y + 4, name, "end"))
        if error:
            parts.append(_segment(xs.at(value - error), y, xs.at(value + error), y, COLOURS[0], 1.5))
        parts.append(f'<circle cx="{xs.at(value):.1f}" cy="{y}" r="4" fill="{COLOURS[0]}"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def heat_maps(title: str, maps: Sequence[tuple[str, Sequence[Sequence[float]]]]) -> str:
    """Square matrices of cosines side by side, numbers in the cells, as SVG; white is 0 or less, blue is 1."""
    cell, gap = 34, 40
    sides = [len(matrix) * cell for _, matrix in maps]
    axes = Axes(
        title, "", "", width=gap + sum(side + gap for side in sides), height=max(sides, default=40) + 90
    )
    if not maps:
        return _empty(Axes(title, "", ""))
    parts, left = [_frame(axes, 0)], gap
    for (name, matrix), side in zip(maps, sides, strict=True):
        parts.append(_text(left + side / 2, 50, name, "middle"))
        for row, values in enumerate(matrix):
            parts.append(_text(left - 6, 64 + cell * row + 21, str(row + 1), "end"))
            for column, value in enumerate(values):
                parts += _cell(left + cell * column, 64 + cell * row, cell, value)
        left += side + gap
    return "\n".join([*parts, "</svg>"]) + "\n"


def _cell(x: float, y: float, side: int, value: float) -> list[str]:
    share = min(1.0, max(0.0, value))
    colour = "#" + "".join(f"{round(255 + share * (full - 255)):02x}" for full in (0, 114, 178))
    ink = "#ffffff" if share > 0.6 else _INK
    return [
        f'<rect x="{x}" y="{y}" width="{side}" height="{side}" fill="{colour}" stroke="#ffffff"/>',
        f'<text x="{x + side / 2}" y="{y + side / 2 + 4}" text-anchor="middle" fill="{ink}" font-size="10">'
        f"{value:.2f}</text>",
    ]


class _Axis:
    """Values to places on a line."""

    def __init__(self, values: Sequence[float], start: float, end: float, is_log: bool) -> None:
        self._low, self._high = min(values), max(values)
        if self._low == self._high:
            self._low, self._high = (
                (self._low / 2, self._high * 2) if is_log else (self._low - 1, self._high + 1)
            )
        self._start, self._end, self._is_log = start, end, is_log

    def at(self, value: float) -> float:
        low, high, here = (
            (math.log(self._low), math.log(self._high), math.log(value))
            if self._is_log
            else (self._low, self._high, value)
        )
        return self._start + (here - low) / (high - low) * (self._end - self._start)

    def ticks(self) -> list[float]:
        if self._is_log:
            powers = range(
                math.floor(math.log10(self._low) + 1e-9), math.ceil(math.log10(self._high) - 1e-9) + 1
            )
            return [tick for tick in (10.0**power for power in powers) if self._low <= tick <= self._high]
        step = 10 ** math.floor(math.log10((self._high - self._low) / 4))
        step *= next(factor for factor in (1, 2, 5, 10) if (self._high - self._low) / (factor * step) <= 6)
        first = math.ceil(self._low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self._high / step + 1e-9) + 1)]


class _Legend:
    """Names with their colours, in lines below the picture."""

    def __init__(self, lines: Sequence[Line], width: int) -> None:
        longest = max(len(line.name) for line in lines)
        self._lines, self._columns = lines, max(1, (width - 20) // (40 + 7 * longest))
        self._column = (width - 20) / self._columns
        self.extra = 20 * math.ceil(len(lines) / self._columns)

    def parts(self, top: float) -> list[str]:
        found = []
        for number, line in enumerate(self._lines):
            x = 16 + self._column * (number % self._columns)
            y = top + 20 * (number // self._columns) + 6
            sample = _segment(x, y, x + 20, y, COLOURS[number % len(COLOURS)], 3)
            found.append(sample.replace("/>", ' stroke-dasharray="5 4"/>') if line.is_dashed else sample)
            found.append(_text(x + 26, y + 4, line.name))
        return found


def _frame(axes: Axes, extra: int) -> str:
    height = axes.height + extra
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{axes.width}" height="{height}" '
            f'viewBox="0 0 {axes.width} {height}" role="img" {_FONT}>',
            f"<title>{escape(axes.title)}</title>",
            f'<rect width="{axes.width}" height="{height}" fill="#ffffff"/>',
            f'<text x="{axes.width / 2}" y="20" text-anchor="middle" font-weight="bold" fill="{_INK}">'
            f"{escape(axes.title)}</text>",
        ]
    )


def _grid(axes: Axes, xs: _Axis, ys: _Axis) -> list[str]:
    bottom, right = axes.height - _BOTTOM, axes.width - _RIGHT
    parts = []
    for tick in ys.ticks():
        parts.append(_segment(_LEFT, ys.at(tick), right, ys.at(tick), _PALE))
        parts.append(_text(_LEFT - 6, ys.at(tick) + 4, _number(tick), "end"))
    for tick in axes.ticks or xs.ticks():
        parts.append(_segment(xs.at(tick), bottom, xs.at(tick), bottom + 4, _INK))
        parts.append(_text(xs.at(tick), bottom + 18, _number(tick), "middle"))
    parts.append(_segment(_LEFT, bottom, right, bottom, _INK))
    parts.append(_text((_LEFT + right) / 2, axes.height - 8, axes.x, "middle"))
    middle = (_TOP + bottom) / 2
    parts.append(
        f'<text x="14" y="{middle}" text-anchor="middle" fill="{_INK}" transform="rotate(-90 14 {middle})">'
        f"{escape(axes.y)}</text>"
    )
    return parts


def _line(line: Line, colour: str, xs: _Axis, ys: _Axis, has_marks: bool) -> list[str]:
    places = [(xs.at(point.x), ys.at(point.y), point) for point in line.points]
    dash = ' stroke-dasharray="5 4"' if line.is_dashed else ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>']
    for x, y, point in places:
        if point.error:
            ends = (ys.at(point.y - point.error), ys.at(point.y + point.error))
            parts.append(_segment(x, ends[0], x, ends[1], colour, 1.2))
        if has_marks:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
    return parts


def _empty(axes: Axes) -> str:
    """A picture that says that nothing was measured."""
    small = Axes(axes.title, "", "", width=axes.width, height=80)
    return (
        "\n".join([_frame(small, 0), _text(axes.width / 2, 52, "not measured yet", "middle"), "</svg>"])
        + "\n"
    )


def _padded(values: Sequence[float]) -> list[float]:
    """The values with a little room at both ends."""
    room = 0.04 * (max(values) - min(values))
    return [*values, min(values) - room, max(values) + room]


def _segment(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_INK}">{escape(text)}</text>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"
