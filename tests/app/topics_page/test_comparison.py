"""Topics by metadata and over time: tables, colours, trends, panels."""

from datetime import date

import numpy as np
import pytest

from app.topic_charts import cell_style, contrast, panels_figure, strengths, trend_sentence
from indexer.search import Searcher
from indexer.topics import build_topics
from indexer.topics.tables import TimeTable
from tests.app.topics_page.reading import rows, table


def test_metadata_is_compared_by_value(found, open_app):
    _, run = found
    test = open_app("topics")
    shown = table(test, "Topic", "water")
    assert shown["Topic"].tolist() == [topic.label for topic in run.topics]
    assert sorted(shown[["water", "bread", "music"]].to_numpy().ravel().tolist()) == [0.0] * 6 + [1.0] * 3
    choice = next(item for item in test.segmented_control if item.key == "topics_measure")
    choice.set_value("count").run()
    assert sorted(table(test, "Topic", "water")["water"].tolist()) == [0, 0, 12]


def test_column_and_measure_of_the_comparison_go_into_the_link_and_come_back(found, open_app):
    test = open_app("topics", tb="year", tm="lift")
    box = next(item for item in test.selectbox if item.key == "topics_by")
    choice = next(item for item in test.segmented_control if item.key == "topics_measure")
    assert (box.value, choice.value) == ("year", "lift")
    box.select("topic").run()
    choice = next(item for item in test.segmented_control if item.key == "topics_measure")
    choice.set_value("count").run()
    link = dict(test.query_params)
    assert (link["tb"], link["tm"]) == ("topic", "count")
    assert sorted(table(test, "Topic", "water")["water"].tolist()) == [0, 0, 12]


def test_a_link_brings_the_comparison_over_time_with_its_step(make_collection, open_app):
    rows_with_days = [(*row[:4], date(row[4], 3, 1)) for row in rows()]
    collection = make_collection(rows_with_days)
    build_topics(Searcher(collection), method="kmeans", count=3)
    test = open_app("topics", tp="time", ts="year", tm="count", to="year")
    assert not test.exception
    values = {item.key: item.value for item in (*test.selectbox, *test.segmented_control)}
    assert (values["topics_over"], values["topics_step"], values["topics_time_measure"]) == (
        "year",
        "year",
        "count",
    )
    assert "topics_by" not in values  # the other part is not worked out


def test_an_unchanged_table_is_sent_as_the_very_same_bytes(found, open_app):
    def bytes_of(test):
        (coloured,) = [element for element in test.dataframe if element.proto.arrow_data.HasField("styler")]
        return coloured.proto.SerializeToString(deterministic=True)

    test = open_app("topics")
    assert bytes_of(test) == bytes_of(test.run())


@pytest.mark.parametrize("is_dark", [False, True])
def test_coloured_cells_stay_readable(is_dark):
    for strength in np.linspace(-1, 1, 81):
        style = cell_style(float(strength), is_dark=is_dark)
        if style:
            background, ink = (part.split(": ")[1] for part in style.split("; "))
            assert contrast(background, ink) >= 4.5
    assert cell_style(0.0, is_dark=is_dark) == ""
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)


def test_cells_are_coloured_by_how_much():
    assert strengths(np.array([[8.0, 1.0, 0.125, 0.0]]), "lift").tolist() == [[1.0, 0.0, -1.0, -1.0]]
    assert strengths(np.array([[0.5, 0.25, 0.0]]), "share").tolist() == [[1.0, 0.5, 0.0]]
    assert strengths(np.zeros((2, 0)), "count").shape == (2, 0)


def _times(counts, numbers=(0, 1, -1)):
    counts = np.array(counts)
    bins = [date(2020 + year, 1, 1) for year in range(counts.shape[1])]
    return TimeTable("day", "year", list(numbers), bins, counts, 0)


def test_the_trend_names_what_grew_and_what_shrank():
    times = _times([[8, 5, 2], [2, 5, 8], [0, 0, 0]])
    sentence = trend_sentence(times, {0: "old", 1: "new", -1: "none"})
    assert (
        "most gained: new (20.0\u202f% to 80.0\u202f%); most lost: old (80.0\u202f% to 20.0\u202f%)"
        in sentence
    )
    assert "Too few dates" in trend_sentence(_times([[1], [2], [3]]), {})
    assert "One topic alone" in trend_sentence(_times([[1, 1, 1], [0, 0, 0]], (0, -1)), {})


def test_one_panel_a_topic_with_its_name_as_text():
    figure = panels_figure(_times([[8, 5], [2, 5], [0, 0]]), {1: "<b>x</b>", 0: "old"}, "share", is_dark=True)
    assert [list(line.y) for line in figure.data] == [[0.2, 0.5], [0.8, 0.5]]
    assert figure.layout.annotations[0].text == "&lt;b&gt;x&lt;/b&gt;"
    assert panels_figure(_times([[8, 5], [2, 5], [0, 0]]), {}, "count", is_dark=False).data == ()
