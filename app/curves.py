"""The curves by which a spectrum is looked at, as plain numbers; drawn by `app.charts` and `app.svg_chart`.

Shapes: R singular values or eigenvalues.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

View = Literal["singular values", "eigenvalues", "energy"]
VIEWS: tuple[View, ...] = ("singular values", "eigenvalues", "energy")
_MOST_POINTS = 400  # of a curve: more than the pixels tell apart
_LEAST = 1e-8  # of the largest: below, a logarithm only shows rounding


@dataclass(frozen=True, slots=True)
class Layer:
    """One embedding space in the picture.

    Attributes:
        name: for the legend; may be hostile, the drawers escape it.
        singular_values: of raw unit rows / sqrt(N), falling.
        eigenvalues: of the covariance of unit rows (centred), falling.
        is_reference: an ideal to compare with, drawn grey and dashed.
        shade: 0 to 1, place on a ramp of colours for spaces that have an order; None for a colour of its own.
    """

    name: str
    singular_values: NDArray[np.float64]
    eigenvalues: NDArray[np.float64]
    is_reference: bool = False
    shade: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """A line: x and y, float64 [P] each."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    is_reference: bool
    shade: float | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves with their axes; what the axes say includes how rows were treated."""

    title: str
    x_label: str
    y_label: str
    is_x_log: bool
    is_y_log: bool
    curves: tuple[Curve, ...]


def spectrum_chart(layers: Sequence[Layer], view: View, *, is_centred: bool) -> Chart:
    """One of the three views of the spectrum.

    Args:
        layers: at least one; the first is what is looked at.
        view: "singular values" (log-log), "eigenvalues" (linear over a logarithmic index, as in the paper) or "energy"
            (cumulative share of the variance).
        is_centred: take the eigenvalues of the covariance; else those of raw unit rows.
    """
    treated = f"rows of unit length, {'centred' if is_centred else 'not centred'}"
    curves = tuple(_curve(layer, view, is_centred=is_centred) for layer in layers)
    if view == "singular values":
        return Chart(
            "Singular values", "direction (log)", f"singular value (log; {treated})", True, True, curves
        )
    if view == "eigenvalues":
        return Chart(
            "Eigenvalues of the covariance" if is_centred else "Eigenvalues of the second moments",
            "direction (log)",
            f"eigenvalue ({treated})",
            True,
            False,
            curves,
        )
    return Chart(
        "Cumulative energy",
        "directions kept (log)",
        f"share of the variance ({treated})",
        True,
        False,
        curves,
    )


def _curve(layer: Layer, view: View, *, is_centred: bool) -> Curve:
    values = np.asarray(layer.eigenvalues if is_centred else layer.singular_values**2, np.float64)
    if view == "singular values":
        values = np.sqrt(values)
        values = values[values > _LEAST * values.max(initial=0.0)]
    elif view == "energy":
        total = values.sum()
        values = np.cumsum(values) / total if total > 0 else values[:0]
    index = np.arange(1, len(values) + 1, dtype=np.float64)
    kept = _kept(len(values))
    return Curve(layer.name, index[kept], values[kept], layer.is_reference, layer.shade)


def _kept(count: int) -> NDArray[np.int64]:
    """Positions that are drawn: all of few, of many those that a logarithmic axis tells apart."""
    if count <= _MOST_POINTS:
        return np.arange(count)
    spread = np.geomspace(1, count, _MOST_POINTS)
    return np.unique(np.round(spread).astype(np.int64)) - 1


def chart_text(chart: Chart) -> str:
    """The chart in a sentence, for those who do not see it."""
    parts = [
        f"{curve.name}: from {curve.y[0]:.3g} at direction 1 to {curve.y[-1]:.3g} at direction {curve.x[-1]:.0f}"
        for curve in chart.curves
        if len(curve.x)
    ]
    return f"{chart.title}. " + ("; ".join(parts) + "." if parts else "There is nothing to draw.")
