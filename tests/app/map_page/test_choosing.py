"""What is chosen on the map page: outlines, picked passages, the tray, and what is told and taken home of them."""

import io
import zipfile
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from app import map_session, session
from app.map_component.mount import MapEvent
from app.map_payload import FILTERED_OUT, HIT, IN_TRAY, PICKED, read_head
from app.views import map_canvas
from indexer.maps.build import build_map
from indexer.maps.points import current_points
from indexer.maps.polygon import encode_polygon, inside
from indexer.topics import build_topics
from tests.app.map_page.reading import WHOLE, button, column_lines, link, listed, parts, text_of


def test_a_link_gives_the_same_rows_by_outline_and_they_are_those_inside(many, searcher, open_app, sent):
    stored = build_map(searcher, method="pca")
    points = current_points(stored, searcher.snapshot)
    polygon = (0, 0, 40_000, 0, 30_000, 65_535, 0, 50_000)
    rows = points.row_ids[inside(points.x, points.y, polygon)]
    titles = searcher.snapshot.store.take(rows, ["title"])["title"].to_pylist()
    shared = {"map": stored.id, "pl": encode_polygon(polygon)}
    test = open_app("map", **shared)
    assert 0 < rows.size < 30
    assert sorted(listed(test)) == sorted(titles)
    assert f"{rows.size} passages inside the outline" in text_of(test)
    assert read_head(sent.payload).start.polygon == polygon
    assert link(test) == shared
    build_map(searcher, method="pca", seed=9)  # a newer map changes nothing for the link
    again = open_app("map", **shared)
    assert sorted(listed(again)) == sorted(titles)
    assert "There is a newer map: PCA, seed 9" in text_of(again)
    button(again, "show_newer").click().run()
    assert link(again) == {} and len(listed(again)) == 30


def test_an_outline_drawn_by_hand_goes_into_the_view_with_its_map(
    many, searcher, open_app, sent, monkeypatch
):
    stored = build_map(searcher, method="pca")
    test = open_app("map")
    monkeypatch.setattr(map_canvas, "map_event", lambda key, payload: MapEvent(polygon=WHOLE))
    state = {}
    monkeypatch.setattr(map_canvas.session, "change", lambda **fields: state.update(fields))
    monkeypatch.setattr(map_canvas, "st", SimpleNamespace(session_state={}))
    sent.callbacks["select"]()
    assert state == {"polygon": WHOLE, "map": stored.id}
    assert not test.exception


def test_what_is_taken_off_elsewhere_is_told_to_the_browser(many, searcher, open_app, sent):
    stored = build_map(searcher, method="pca")
    test = open_app("map", map=stored.id, pl=encode_polygon(WHOLE), vw="100.200.300")
    first = read_head(sent.payload)
    assert first.start.polygon == WHOLE and first.start.view == (100, 200, 3)
    button(test, "chip_polygon").click().run()
    now = read_head(sent.payload)
    assert now.start.polygon == () and now.start.view == (100, 200, 3)
    assert now.start.command > first.start.command
    test.run()
    assert read_head(sent.payload).start == now.start  # said once


def test_a_picked_passage_is_shown_in_full_with_its_nearest(many, searcher, open_app, sent):
    stored = build_map(searcher, method="pca")
    names = searcher.snapshot.store.take(stored.row_ids, ["id"])["id"].to_pylist()
    test = open_app("map", r=names[4])
    assert not test.exception
    flags = parts(sent).flags
    assert np.flatnonzero(flags & PICKED).tolist() == [4]
    near = next(found.value for found in test.dataframe if list(found.value) == ["score", "title"])
    assert len(near) == 10 and all("bridge" in title for title in near["title"][:9])
    assert near["score"].is_monotonic_decreasing
    assert ((flags & HIT) > 0).sum() == 10  # they are ringed while nothing is asked
    assert "Trust " in text_of(test)
    button(test, "map_passage_tray").click().run()
    assert np.flatnonzero(parts(sent).flags & IN_TRAY).tolist() == [4]
    button(test, "map_close").click().run()
    assert "r" not in link(test)
    assert not (parts(sent).flags & (PICKED | HIT)).any()


def test_a_picked_passage_that_was_deleted_is_left_out(many, open_app, sent):
    test = open_app("map", r="nosuch")
    assert not test.exception and read_head(sent.payload).n == 30


def test_what_is_inside_goes_into_the_tray_and_to_other_pages(many, searcher, open_app, sent):
    stored = build_map(searcher, method="pca")
    test = open_app("map", map=stored.id, pl=encode_polygon(WHOLE), f="year < 2000")
    button(test, "map_tray").click().run()
    assert ((parts(sent).flags & IN_TRAY) > 0).sum() == 10
    assert "inside an outline on the map" in text_of(test)
    button(test, "map_search").click().run()
    assert test.title[0].value == "Search"
    assert link(test)["pl"] == encode_polygon(WHOLE)


def test_columns_are_counted_here_and_everywhere(many, searcher, open_app, sent):
    build_map(searcher, method="pca")
    table = column_lines(open_app("map", f="topic = 'bridge'"))
    row = table[table["value"] == "bridge"].iloc[0]
    assert (row["here"], row["everywhere"]) == ("100.0\u202f% (10)", "33.3\u202f%")
    assert set(table["column"]) == {"topic"}  # every year is another


def test_key_phrases_tell_what_is_inside_from_the_rest(many, searcher, open_app, sent):
    build_map(searcher, method="pca")
    said = text_of(open_app("map", f="topic = 'bridge'"))
    assert "Said more often here than elsewhere" in said
    line = said.split("bridge, ", 1)[0] if "bridge, " in said else said
    assert "bridge" in said and "river" not in line.splitlines()[-1]


@pytest.mark.parametrize("ending", ["parquet", "zip"])
def test_what_is_chosen_is_taken_home(many, searcher, ending):
    from app.selection_file import selection_file
    from indexer.selection import Selection

    stored = build_map(searcher, method="pca")
    asked = Selection(where="year < 2000", map_id=stored.id, polygon=WHOLE)
    content = selection_file(many, asked, f"chosen.{ending}")
    if ending == "zip":
        content = zipfile.ZipFile(io.BytesIO(content)).read("chosen/passages.parquet")
    table = pd.read_parquet(io.BytesIO(content))
    assert len(table) == 10 and {"x", "y", "trust"} <= set(table)


@pytest.mark.parametrize(
    ("ending", "start"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("html", b"<!doctype html>")]
)
def test_the_map_is_a_picture_to_take_home(many, searcher, library_home, ending, start):
    from app.column_colours import colour_points
    from app.views.map_files import picture_file

    stored = build_map(searcher, method="pca")
    opened = session.Opened(many, searcher, 1, many.info())
    shown = map_session.OpenMap(stored, current_points(stored, searcher.snapshot))
    content = picture_file(opened, shown, colour_points(searcher, shown.points, "year"), ending)
    assert content[: len(start)].lower() == start.lower()
    if ending != "png":
        assert b"Map of many" in content and b"seed 0" in content


def test_an_outline_around_nothing_says_so(many, searcher, open_app, sent):
    stored = build_map(searcher, method="pca")
    test = open_app("map", map=stored.id, pl=encode_polygon((0, 0, 1, 0, 1, 1)))
    assert "0 passages inside the outline" in text_of(test) and "No passage is left." in text_of(test)


def test_the_tray_on_the_map_is_looked_at_from_near_and_named(many, searcher, open_app, sent):
    from app.link import write_rows
    from app.map_selection import around, start_view

    stored = build_map(searcher, method="pca")
    run = build_topics(searcher, method="kmeans", count=3)
    points = current_points(stored, searcher.snapshot)
    number = run.topics[0].number
    rows = run.row_ids[run.numbers == number][:3]
    test = open_app("search", tr=write_rows(rows.tolist()))
    button(test, "tray_map").click().run()
    assert not test.exception
    at = np.isin(points.row_ids, rows)
    wanted = around(points.x[at], points.y[at])
    assert wanted and read_head(sent.payload).start.view == pytest.approx(start_view(wanted))
    assert ((parts(sent).flags & FILTERED_OUT) == 0).sum() == 3
    (label,) = parts(sent).words["labels"]  # of the only topic that is looked at, at one of its points
    assert tuple(label[1:3]) in set(zip(points.x[at].tolist(), points.y[at].tolist(), strict=True))
