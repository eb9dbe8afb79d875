"""Plain numbers to Plotly figures in the page's colours; the pages show them, nothing here draws.

Plotly reads a small part of HTML in every text, so every text that is not ours is escaped here.
"""

import math
from collections.abc import Sequence
from html import escape
from itertools import cycle
from typing import Any

from app.curves import Chart
from app.display import one_line
from app.palette import OTHER, categorical, ramp

# For `st.plotly_chart(config=...)`: no logo, no link out, no upload.
PLOTLY_CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
    "showSendToCloud": False,
    "showEditInChartStudio": False,
}
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_LONGEST_NAME = 60
_FEW_POWERS = 3


def safe_text(text: str, width: int = _LONGEST_NAME) -> str:
    """The text as Plotly shows it literally, on one line of at most `width` characters."""
    line = one_line(text)
    return escape(line if len(line) <= width else f"{line[: width - 1]}…", quote=False)


def line_figure(chart: Chart, *, is_dark: bool, height: int = 380) -> Any:
    """The curves of a chart as a figure.

    Args:
        chart: what is drawn.
        is_dark: the page's theme.
        height: pixels.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    colours = cycle(categorical(is_dark=is_dark))
    own = 0
    for curve in chart.curves:
        colour = OTHER if curve.is_reference else next(colours)
        colour = colour if curve.shade is None else ramp(curve.shade, is_dark=is_dark)
        dash = "dash" if curve.is_reference else _DASHES[own % len(_DASHES)]
        own += not curve.is_reference
        figure.add_trace(
            go.Scatter(
                x=curve.x,
                y=curve.y,
                name=safe_text(curve.name),
                mode="lines" if len(curve.x) > 1 else "markers",
                line={"color": colour, "dash": dash, "width": 1.5 if curve.is_reference else 2.5},
                hovertemplate="%{x:.0f}: %{y:.4g}<extra>%{fullData.name}</extra>",
            )
        )
    figure.update_layout(**_layout(height))
    figure.update_xaxes(
        title_text=chart.x_label, type="log" if chart.is_x_log else "linear", dtick=_tick(chart)
    )
    figure.update_yaxes(
        title_text=chart.y_label,
        type="log" if chart.is_y_log else "linear",
        **_log_ticks(chart),
    )
    return figure


def bar_figure(
    labels: Sequence[str], values: Sequence[float], *, x_label: str, is_dark: bool, height: int | None = None
) -> Any:
    """Horizontal bars, the first on top; the labels may be anything that a corpus holds.

    Args:
        labels: of the bars.
        values: as many.
        x_label: of the axis of values.
        is_dark: the page's theme.
        height: pixels; by the number of bars when None.
    """
    import plotly.graph_objects as go

    shown = [safe_text(label) for label in labels]
    places = list(range(len(shown)))  # two labels may be equal; as categories they would share a bar
    figure = go.Figure(
        go.Bar(
            x=list(values),
            y=places,
            orientation="h",
            marker={"color": categorical(is_dark=is_dark)[0]},
            customdata=shown,
            hovertemplate="%{customdata}: %{x:.4g}<extra></extra>",
        )
    )
    figure.update_layout(**_layout(height or 60 + 26 * max(1, len(shown))))
    figure.update_xaxes(title_text=x_label)
    figure.update_yaxes(tickvals=places, ticktext=shown, autorange="reversed")
    return figure


def heat_figure(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float]],
    *,
    value_label: str,
    height: int | None = None,
) -> Any:
    """A table as colours with its numbers, the first row on top.

    Args:
        rows: labels, N of them.
        columns: labels, M of them.
        values: N lists of M numbers.
        value_label: what they are.
        height: pixels; by the number of rows when None.
    """
    import plotly.graph_objects as go

    down, across = list(range(len(rows))), list(range(len(columns)))
    figure = go.Figure(
        go.Heatmap(
            z=[list(line) for line in values],
            x=across,
            y=down,
            colorscale="Viridis",
            texttemplate="%{z:.2f}" if len(rows) * len(columns) <= 400 else None,
            hovertemplate="%{z:.4g}<extra></extra>",
            colorbar={"title": {"text": value_label}},
        )
    )
    figure.update_layout(**_layout(height or 120 + 24 * max(1, len(rows))))
    figure.update_xaxes(tickvals=across, ticktext=[safe_text(name, 24) for name in columns], side="top")
    figure.update_yaxes(tickvals=down, ticktext=[safe_text(name, 40) for name in rows], autorange="reversed")
    return figure


def _layout(height: int) -> dict[str, Any]:
    return {
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 28, "b": 8},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        "hovermode": "closest",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
    }


def _log_ticks(chart: Chart) -> dict[str, Any]:
    """1, 2 and 5 of each power of ten where few powers are seen, written out: Plotly would write bare 2 and 5."""
    values = [float(value) for curve in chart.curves for value in curve.y if value > 0]
    if not chart.is_y_log or not values:
        return {}
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    digits = (1, 2, 5) if high - low <= _FEW_POWERS else (1,)
    ticks = [digit * 10.0**power for power in range(low, high + 1) for digit in digits]
    return {"tickvals": ticks, "ticktext": [f"{tick:.3g}" for tick in ticks]}


def _tick(chart: Chart) -> Any:
    return 1 if chart.is_x_log else None  # whole powers of ten
