"""Spectra become the right curves, and a hostile name stays text in both kinds of picture."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from app.charts import bar_figure, heat_figure, line_figure, safe_text
from app.curves import VIEWS, Layer, chart_text, spectrum_chart
from app.svg_chart import svg_chart

EVIL = "<b>x</b> <script>alert(1)</script> \u202e & <a href='http://evil.example'>"


def layer(values, name="own", **options):
    values = np.asarray(values, np.float64)
    return Layer(name, np.sqrt(values), values, **options)


def test_cumulative_energy_ends_at_one():
    chart = spectrum_chart([layer([3.0, 1.0])], "energy", is_centred=True)
    assert chart.curves[0].y.tolist() == [0.75, 1.0]


def test_eigenvalues_are_linear_over_a_logarithmic_index():
    chart = spectrum_chart([layer([3.0, 1.0, 0.0])], "eigenvalues", is_centred=True)
    assert (chart.is_x_log, chart.is_y_log) == (True, False)
    assert chart.curves[0].x.tolist() == [1, 2, 3]
    assert chart.curves[0].y.tolist() == [3, 1, 0]


def test_zeros_are_left_out_of_a_logarithm():
    chart = spectrum_chart([layer([4.0, 1.0, 0.0])], "singular values", is_centred=True)
    assert chart.curves[0].y.tolist() == [2, 1]


@pytest.mark.parametrize("is_centred", [True, False])
def test_the_axis_says_how_rows_were_treated(is_centred):
    for view in VIEWS:
        label = spectrum_chart([layer([1.0])], view, is_centred=is_centred).y_label
        assert "unit length" in label
        assert ("not centred" in label) != is_centred


def test_raw_and_centred_are_different_numbers():
    both = Layer("own", np.array([2.0, 1.0]), np.array([0.5, 0.25]))
    raw = spectrum_chart([both], "eigenvalues", is_centred=False).curves[0].y
    assert raw.tolist() == [4, 1]


def test_long_spectra_keep_their_ends():
    values = np.linspace(1, 0.1, 4096)
    curve = spectrum_chart([layer(values)], "eigenvalues", is_centred=True).curves[0]
    assert len(curve.x) <= 400
    assert (curve.x[0], curve.x[-1]) == (1, 4096)
    assert np.array_equal(curve.y, values[curve.x.astype(int) - 1])


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("values", [[], [0.0, 0.0], [1.0], [1.0, 1e-30], [5.0, 5.0]])
def test_degenerate_spectra_are_drawn_as_well_formed_svg(view, values):
    chart = spectrum_chart([layer(values)], view, is_centred=True)
    text = svg_chart(chart)
    ElementTree.fromstring(text)
    assert "nan" not in text and "inf" not in text
    line_figure(chart, is_dark=False).to_json()
    assert chart_text(chart)


def test_names_are_text_in_svg():
    chart = spectrum_chart(
        [layer([2.0, 1.0], EVIL), layer([1.0, 1.0], "same n", is_reference=True)], "energy", is_centred=True
    )
    tree = ElementTree.fromstring(svg_chart(chart))
    tags = {element.tag.split("}")[1] for element in tree.iter()}
    assert tags <= {"svg", "title", "text", "line", "polyline"}


def test_names_are_text_in_plotly():
    chart = spectrum_chart([layer([2.0, 1.0], EVIL)], "energy", is_centred=True)
    figure = line_figure(chart, is_dark=True)
    assert "<" not in figure.data[0].name
    bars = bar_figure([EVIL, EVIL], [1, 2], x_label="weight", is_dark=False)
    assert len(bars.data[0].x) == 2
    assert all("<" not in text for text in bars.layout.yaxis.ticktext)
    heat = heat_figure([EVIL], ["a", EVIL], [[1.0, 2.0]], value_label="share")
    assert all("<" not in text for text in (*heat.layout.xaxis.ticktext, *heat.layout.yaxis.ticktext))


def test_long_names_are_cut_before_they_are_escaped():
    assert safe_text("<" * 100, 10) == "&lt;" * 9 + "…"


def test_the_reference_is_told_by_dash_and_colour():
    chart = spectrum_chart(
        [layer([2.0, 1.0]), layer([1.0, 1.0], "ideal", is_reference=True)], "energy", is_centred=True
    )
    own, reference = line_figure(chart, is_dark=False).data
    assert (own.line.dash, reference.line.dash) == ("solid", "dash")
    assert own.line.color != reference.line.color


def test_ticks_of_a_logarithm_are_written_out():
    chart = spectrum_chart([layer([1.0, 0.25, 0.01])], "singular values", is_centred=True)
    assert list(line_figure(chart, is_dark=False).layout.yaxis.ticktext)[:4] == ["0.1", "0.2", "0.5", "1"]
