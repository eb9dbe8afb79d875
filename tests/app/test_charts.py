"""Spectra become the right curves, and a hostile name stays text in both kinds of picture."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from app.charts import bar_figure, heat_figure, line_figure, safe_text
from app.curves import VIEWS, Layer, chart_text, spectrum_chart
from app.palette import ramp
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
    assert tags <= {"svg", "title", "text", "line", "polyline", "g"}


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


def test_what_has_an_order_takes_its_colours_from_one_ramp():
    layers = [layer([2.0, 1.0], f"length {at}", shade=at / 3) for at in range(4)]
    chart = spectrum_chart(
        [*layers, layer([1.0, 1.0], "ideal", is_reference=True)], "energy", is_centred=True
    )
    colours = [line.line.color for line in line_figure(chart, is_dark=True).data]
    assert colours[:4] == [ramp(at / 3, is_dark=True) for at in range(4)]
    assert (
        len(set(colours)) == 5 and len({line.line.dash for line in line_figure(chart, is_dark=True).data}) > 3
    )
    strokes = [
        line.get("stroke")
        for line in ElementTree.fromstring(svg_chart(chart)).iter()
        if "points" in line.attrib
    ]
    assert strokes[:4] == [ramp(at / 3, is_dark=False) for at in range(4)]


@pytest.mark.parametrize(("is_dark", "paper"), [(False, "#FFFFFF"), (True, "#171614")])
def test_every_place_on_the_ramp_is_seen(is_dark, paper):
    def light(colour):
        parts = np.array(list(bytes.fromhex(colour[1:]))) / 255
        return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [
            0.2126,
            0.7152,
            0.0722,
        ]

    for place in np.linspace(-0.5, 1.5, 41):
        low, high = sorted([light(ramp(place, is_dark=is_dark)), light(paper)])
        assert (high + 0.05) / (low + 0.05) >= 3


def test_many_names_of_a_legend_are_all_inside_the_picture():
    chart = spectrum_chart([layer([2.0, 1.0], f"number {at}") for at in range(8)], "energy", is_centred=True)
    picture = ElementTree.fromstring(svg_chart(chart))
    width, height = (float(part) for part in picture.get("viewBox").split()[2:])
    names = [
        text
        for text in picture.iter("{http://www.w3.org/2000/svg}text")
        if (text.text or "").startswith("number")
    ]
    places = [(float(name.get("x")), float(name.get("y"))) for name in names]
    assert len(set(places)) == 8 and all(x < width - 100 and y < height for x, y in places)
