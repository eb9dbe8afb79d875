"""The map page in each of its states, without a browser: what is drawn is read from the bytes that would be sent."""

import io
import json
import zipfile
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from app import jobs, map_session, mode, session
from app.map_component.mount import MapEvent
from app.map_payload import FILTERED_OUT, HEAD_BYTES, HIT, IN_TRAY, PICKED, PLACED, read_head
from app.views import map_canvas
from encoder.errors import CheckpointError, MissingExtraError
from indexer.derived import remove_build
from indexer.maps.build import build_map
from indexer.maps.points import current_points
from indexer.maps.polygon import encode_polygon, inside
from indexer.maps.stored import list_maps, open_map
from indexer.search import Searcher
from indexer.sources import open_sources
from indexer.topics import build_topics

WHOLE = (0, 0, 65_535, 0, 65_535, 65_535, 0, 65_535)
EVIL = "\u202e **bold** <b>x</b> ![i](http://evil.example/i.png) $x^2$ :smile:"
SUBJECTS = ("river", "bridge", "road")
MANY = [
    (str(i), f"The {SUBJECTS[i % 3]} {i}", f"A {SUBJECTS[i % 3]} and {SUBJECTS[i % 3]} number {i}.", SUBJECTS[i % 3], 1990 + i)
    for i in range(30)
]  # fmt: skip


def link(test):
    return dict(test.query_params)


def text_of(test):
    kinds = (test.text, test.markdown, test.caption, test.code, test.subheader, test.warning)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def button(test, key):
    return next((found for found in test.button if found.key == key), None)


def listed(test):
    """The list beside the map."""
    return next(found.value for found in test.dataframe if "passage" in found.value)["passage"].tolist()


def column_lines(test):
    return next(found.value for found in test.dataframe if "here" in found.value)


@pytest.fixture
def sent(monkeypatch):
    """What the component was last given, taken apart; and a hand that does something on the map."""
    kept = SimpleNamespace(payload=b"", callbacks={}, event=None)

    def draw(payload, *, on_select, on_pick, on_view, **_):
        kept.payload = payload
        kept.callbacks = {"select": on_select, "pick": on_pick, "view": on_view}
        head = read_head(payload)
        return MapEvent(head.start.polygon, head.start.view)

    monkeypatch.setattr(map_canvas, "draw_map", draw)
    return kept


def parts(sent):
    """Places uint16 [N] twice, colours, flags uint8 [N], and the words, out of the bytes."""
    n, at = read_head(sent.payload).n, HEAD_BYTES
    found = []
    for kind in ("<u2", "<u2", "u1", "u1"):
        values = np.frombuffer(sent.payload, kind, n, at)
        at += -(-values.nbytes // 4) * 4
        found.append(values)
    words = json.loads(sent.payload[sent.payload.rindex(b'{"title"') :].rstrip(b"\0"))
    return SimpleNamespace(x=found[0], y=found[1], colours=found[2], flags=found[3], words=words)


@pytest.fixture
def many(make_collection):
    return make_collection(MANY, "many")


@pytest.fixture
def searcher(many, word_embedder):
    return Searcher(many, word_embedder)


def test_an_empty_library_offers_the_demo(open_app):
    test = open_app("map")
    assert "No corpus yet" in text_of(test)
    assert test.title[0].value == "Map"


def test_the_first_visit_draws_a_map_and_keeps_it(many, open_app, sent):
    test = open_app("map")
    assert not test.exception
    (build,) = list_maps(many)
    assert build.recipe["method"] == "pca"
    assert read_head(sent.payload).n == 30
    assert read_head(sent.payload).stamp == f"{build.id}:0"
    said = text_of(test).replace("\\", "").replace("\u2060", "")  # as it is read
    assert "PCA · seed 0 · 30 of 30 passages · mean trust 0." in said
    assert "This quick map (PCA)" in said and "All 30 passages" in said
    assert len(listed(test)) == 30
    assert link(test) == {}
    open_app("map")
    assert len(list_maps(many)) == 1


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


def test_a_filter_greys_out_and_hides_nothing(many, searcher, open_app, sent):
    build_map(searcher, method="pca")
    test = open_app("map", f="year < 2000")
    found = parts(sent)
    assert len(found.x) == 30
    assert ((found.flags & FILTERED_OUT) > 0).sum() == 20
    assert len(listed(test)) == 10 and "10 passages chosen" in text_of(test)


def test_hits_are_ringed_and_listed_with_their_rank(many, searcher, open_app, sent):
    build_map(searcher, method="pca")
    test = open_app("map", q="bridge", k="5")
    flags = parts(sent).flags
    assert ((flags & HIT) > 0).sum() == 5
    table = next(found.value for found in test.dataframe if "rank" in found.value)
    assert table["rank"].tolist() == [1, 2, 3, 4, 5]
    assert all("bridge" in title for title in table["passage"])
    assert "5 hits" in text_of(test)
    test.text_input(key="map_query").set_value("river").run()
    assert link(test) == {"q": "river", "k": "5"}
    assert all("river" in title for title in listed(test))


def test_points_are_coloured_by_closeness_to_the_query(many, searcher, open_app, sent):
    build_map(searcher, method="pca")
    test = open_app("map", q="bridge", cb="similarity")
    found = parts(sent)
    assert found.words["title"] == "Closeness to: bridge"
    bridges = found.colours[[i % 3 == 1 for i in range(30)]]
    others = found.colours[[i % 3 != 1 for i in range(30)]]
    assert bridges.min() > others.max()
    assert test.selectbox(key="map_colour").value == "similarity"
    test.selectbox(key="map_colour").select("year").run()
    assert link(test) == {"q": "bridge", "cb": "year"}
    assert parts(sent).words["title"] == "year" and parts(sent).words["range"] == ["1990", "2019"]


def test_without_its_encoder_the_map_is_there_and_says_why_not_the_hits(
    many, searcher, open_app, sent, monkeypatch
):
    build_map(searcher, method="pca")

    def fail(*args, **options):
        raise CheckpointError("the encoder is gone", "x", "bring it back")

    monkeypatch.setattr("encoder.checkpoint.load_encoder", fail)
    test = open_app("map", q="bridge", cb="similarity")
    assert not test.exception
    assert "the encoder is gone" in text_of(test) and "bring it back" in text_of(test)
    assert read_head(sent.payload).n == 30
    assert parts(sent).words["title"] == ""


def test_a_link_made_with_another_encoder_stops(many, open_app, sent):
    test = open_app("map", e="00000000")
    assert "this link was made with encoder 00000000" in text_of(test)
    assert sent.payload == b"" and list_maps(many) == []


def test_topics_colour_name_and_narrow(many, searcher, open_app, sent):
    build_map(searcher, method="pca")
    run = build_topics(searcher, method="kmeans", count=3)
    test = open_app("map")
    assert test.selectbox(key="map_colour").value == "derived.topic"  # a column is called topic
    words = parts(sent).words
    assert words["title"] == "Topic" and sum(entry[2] for entry in words["entries"]) == 30
    assert len(words["labels"]) == 3
    number = run.topics[0].number
    test.multiselect(key="map_topics").select(number).run()
    shared = link(test)
    assert shared["t"] == str(number) and shared["ti"] == run.id
    assert f"{run.topics[0].size} passages chosen" in text_of(test)
    assert ((parts(sent).flags & FILTERED_OUT) > 0).sum() == 30 - run.topics[0].size
    assert not open_app("map", **shared).exception


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


def test_rows_added_since_are_placed_and_a_new_map_is_offered(many, searcher, word_embedder, open_app, sent):
    build_map(searcher, method="pca")
    more = [(f"n{i}", f"New {i}", f"A road and road number {i}.", "road", 2030 + i) for i in range(12)]
    table = pd.DataFrame(more, columns=["id", "title", "text", "topic", "year"])
    many.add(open_sources([table]), encoder=word_embedder)
    many.delete(ids=["0"])
    test = open_app("map")
    assert ((parts(sent).flags & PLACED) > 0).sum() == 12
    said = text_of(test)
    assert "41 of 41 passages" in said and "12 placed · 1 deleted since" in said
    assert "29% of the points were only placed beside their neighbours: lay the map out anew." in said


def test_a_better_map_is_started_as_a_job_and_its_progress_shown(many, open_app, sent, monkeypatch):
    started = []
    monkeypatch.setattr(
        jobs, "start_once", lambda kind, path, options=(): started.append((kind, path, list(options)))
    )
    test = open_app("map")
    assert button(test, "make_map").label == "Lay out by neighbours (UMAP), about 1 min"
    test.number_input(key="map_seed").set_value(7).run()
    button(test, "make_map").click().run()
    assert started == [("map", many.path, ["--seed", "7"])]

    job = jobs.Job("1", "Map", ("map", str(many.path)), str(many.path), pid=1, started_at=0.0)
    monkeypatch.setattr(jobs, "all_jobs", lambda: [job])
    monkeypatch.setattr(jobs, "status", lambda job: "running")
    monkeypatch.setattr(jobs, "start_waiting", lambda: None)
    monkeypatch.setattr(jobs, "progress", lambda job: jobs.Progress("neighbours", 10, 30))
    test.run()
    assert not test.exception
    assert "10 of 30" in test.get("progress")[0].proto.text and button(test, "cancel_map") is not None
    assert button(test, "make_map") is None
    monkeypatch.setattr(jobs, "status", lambda job: "failed")
    monkeypatch.setattr(jobs, "log_tail", lambda job: f"no room {EVIL}")
    test.run()
    assert "The map could not be made" in text_of(test) and "no room ⟨RLO⟩" in text_of(test)
    button(test, "put_away_map").click().run()
    assert "The map could not be made" not in text_of(test)


def test_a_map_that_waited_when_the_page_was_drawn_is_seen_to_begin(many, open_app, sent, monkeypatch):
    waiting = jobs.Job("1", "Map", ("map", str(many.path)), str(many.path))
    found = [waiting]
    monkeypatch.setattr(jobs, "all_jobs", lambda: found)
    monkeypatch.setattr(jobs, "status", lambda job: "running" if job.pid else "queued")
    monkeypatch.setattr(jobs, "progress", lambda job: jobs.Progress("neighbours", 10, 30))
    monkeypatch.setattr(jobs, "start_waiting", lambda: None)
    assert "Waiting for another job" in open_app("map").get("progress")[0].proto.text
    begun = [jobs.Job("1", "Map", ("map", str(many.path)), str(many.path), pid=1, started_at=1.0)]
    monkeypatch.setattr(jobs, "start_waiting", lambda: found.__setitem__(slice(None), begun))
    assert "Finding the nearest of each passage" in open_app("map").get("progress")[0].proto.text


def test_without_the_extra_the_sentence_says_what_to_install(many, open_app, sent, monkeypatch):
    def fail():
        raise MissingExtraError("UMAP is not installed", "x", "pip install 'llm2comp[map]'")

    monkeypatch.setattr("app.views.map_builds.check_umap", fail)
    test = open_app("map")
    assert "pip install 'llm2comp[map]'" in text_of(test)
    assert button(test, "make_map") is None
    assert read_head(sent.payload).n == 30


def test_a_large_corpus_is_not_mapped_while_somebody_waits(many, open_app, sent, monkeypatch):
    monkeypatch.setattr(map_session, "AT_ONCE", 29)
    test = open_app("map")
    assert "No map yet" in text_of(test) and "all 30 passages" in text_of(test)
    assert list_maps(many) == [] and sent.payload == b""
    assert button(test, "make_map") is not None


def test_a_large_map_is_drawn_as_a_sample_and_lists_all(many, searcher, open_app, sent, monkeypatch):
    stored = build_map(searcher, method="pca")
    monkeypatch.setattr("app.map_selection.drawn.__kwdefaults__", {"most": 12})
    test = open_app("map", map=stored.id, pl=encode_polygon(WHOLE), q="bridge", k="5")
    found = parts(sent)
    assert 12 <= len(found.x) <= 17 and ((found.flags & HIT) > 0).sum() == 5
    assert f"{len(found.x)} of 30 points are drawn, a sample" in found.words["notes"][0]
    assert "30 passages inside the outline" in text_of(test)


@pytest.mark.parametrize("is_read_only", [True, False])
def test_where_nothing_may_be_written_the_map_is_kept_nowhere(
    many, open_app, sent, monkeypatch, is_read_only
):
    if is_read_only:
        monkeypatch.setattr(mode, "_chosen", mode.Mode(is_read_only=True))
    else:

        def refuse(*args, **options):
            from encoder.errors import CollectionError

            raise CollectionError("the map build cannot be written", "x", "y")

        monkeypatch.setattr("indexer.maps.build.write_build", refuse)
    test = open_app("map", pl=encode_polygon(WHOLE))
    assert not test.exception
    assert list_maps(many) == []
    assert read_head(sent.payload).stamp.startswith("draft:")
    assert "This map is kept nowhere" in text_of(test)
    assert "30 passages inside the outline" in text_of(test)  # the other pages find them as well
    assert (button(test, "make_map") is None) == is_read_only


def test_one_passage(make_collection, open_app, sent):
    make_collection(MANY[:1], "one")
    test = open_app("map")
    assert not test.exception
    assert read_head(sent.payload).n == 1
    assert "1 of 1 passage " in text_of(test) and "make_map" not in {
        found.key for found in test.button if found.key
    }
    found = open_app("map", q="river")
    assert not found.exception and "1 hit" in text_of(found)


def test_identical_passages_share_a_point(make_collection, open_app, sent):
    make_collection([(str(i), "Same", "A river.", "t", 2000) for i in range(5)], "same")
    test = open_app("map", cb="year")
    assert not test.exception
    assert len(set(parts(sent).x.tolist())) == len(set(parts(sent).y.tolist())) == 1
    assert "make_map" not in {found.key for found in test.button if found.key}


def test_a_corpus_whose_passages_were_all_deleted(make_collection, open_app, sent):
    collection = make_collection(MANY[:2], "gone")
    collection.delete(ids=["0", "1"])
    test = open_app("map")
    assert not test.exception
    assert "This corpus holds no passages" in text_of(test)


def test_an_outline_around_nothing_says_so(many, searcher, open_app, sent):
    stored = build_map(searcher, method="pca")
    test = open_app("map", map=stored.id, pl=encode_polygon((0, 0, 1, 0, 1, 1)))
    assert "0 passages inside the outline" in text_of(test) and "No passage is left." in text_of(test)


def test_hostile_texts_stay_texts(make_collection, word_embedder, open_app, sent):
    collection = make_collection([(str(i), EVIL, f"{EVIL} {i}", EVIL, 2000 + i) for i in range(20)], "evil")
    searcher = Searcher(collection, word_embedder)
    build_map(searcher, method="pca")
    build_topics(searcher, method="kmeans", count=2)
    row = searcher.snapshot.store.take(searcher.snapshot.row_ids()[:1], ["id"])["id"].to_pylist()[0]
    test = open_app("map", cb="topic", r=row, q="river", f="year > 2001")
    assert not test.exception
    assert all("evil.example" not in str(element.value) for element in (*test.markdown, *test.caption))
    words = parts(sent).words
    assert "⟨RLO⟩" in words["entries"][0][0] and "\u202e" not in json.dumps(words, ensure_ascii=False)


def test_a_map_that_is_gone_or_damaged_is_a_sentence(many, searcher, open_app, sent):
    stored = build_map(searcher, method="pca")
    (many.path / "derived" / f"map-{stored.id}" / "rowid.u64").write_bytes(bytes(30 * 8))
    test = open_app("map", map=stored.id)
    assert not test.exception
    assert "This did not work" in text_of(test)
    build_map(searcher, method="pca")
    test.run()
    button(test, "newest_map").click().run()
    assert read_head(sent.payload).n == 30
    gone = open_map(many).id
    other = open_app("map", map=gone, pl=encode_polygon(WHOLE))
    remove_build(many, "map", gone)
    other.run()
    assert not other.exception


def test_damaged_topics_leave_the_map(many, searcher, open_app, sent):
    build_map(searcher, method="pca")
    run = build_topics(searcher, method="kmeans", count=3)
    (many.path / "derived" / f"topics-{run.id}" / "topic.i32").write_bytes(b"abc")
    test = open_app("map", f="year < 2000")
    assert not test.exception
    assert ((parts(sent).flags & FILTERED_OUT) > 0).sum() == 20


def test_a_map_in_a_list_says_only_what_is_not_usual():
    from app.views.map_controls import recipe_line

    def line(drawn_by, **recipe):
        fields = {"id": "m", "created_at": "", "recipe": recipe, "facts": {"drawn_by": drawn_by}}
        return recipe_line(SimpleNamespace(**fields))

    assert line("umap", neighbours=15, seed=0) == "UMAP, ?"
    assert line("umap", neighbours=50, seed=3) == "UMAP, 50 neighbours, seed 3, ?"
    assert line("pca", seed=0, where="year > 2000") == "PCA, where year > 2000, ?"


def shared_link(test):
    """The parameters of the link that *Share* shows, and what it says that they hold."""
    from urllib.parse import parse_qs, urlsplit

    button(test, "share").click().run()
    assert not test.exception
    shown = next(str(element.value) for element in test.code if "?" in str(element.value))
    given = {key: values[0] for key, values in parse_qs(urlsplit(shown).query).items()}
    return given, next(str(found.value) for found in test.caption if str(found.value).startswith("Holds"))


def test_a_link_names_the_map_and_topics_that_were_shown_for_being_the_newest(many, searcher, open_app, sent):
    first = build_map(searcher, method="pca")
    run = build_topics(searcher, method="kmeans", count=3)
    given, holds = shared_link(open_app("map"))
    assert (given["map"], given["ti"], given["tv"]) == (first.id, run.id, "(automatic)")
    assert holds == "Holds corpus, version, encoder, map, colour, topics and their version."
    build_map(searcher, method="pca", seed=1)
    build_topics(searcher, method="kmeans", count=4)
    again = open_app("map", **given)
    assert read_head(sent.payload).stamp.startswith(first.id)
    assert len(parts(sent).words["labels"]) == 3
    assert "is gone" not in text_of(again)
    remove_build(many, "map", first.id)
    remove_build(many, "topics", run.id)
    lost = open_app("map", **given)
    assert f"The map of this link, {first.id}, is gone." in text_of(lost)
    assert f"The topics of this link, {run.id}, are gone." in text_of(lost)
    assert not read_head(sent.payload).stamp.startswith(first.id)


def test_a_link_of_the_search_names_topics_only_where_some_are_picked(many, searcher, open_app, sent):
    build_map(searcher, method="pca")
    run = build_topics(searcher, method="kmeans", count=3)
    given, _ = shared_link(open_app("search", q="river"))
    assert not {"map", "ti", "tv"} & given.keys()
    given, holds = shared_link(open_app("search", q="river", t=str(run.topics[0].number)))
    assert (given["ti"], given["tv"]) == (run.id, "(automatic)") and "map" not in given
    assert holds == "Holds corpus, version, encoder, query, topics and their version, picked topics."


def test_a_version_of_topics_that_is_gone_is_said(many, searcher, open_app, sent):
    build_map(searcher, method="pca")
    run = build_topics(searcher, method="kmeans", count=3)
    test = open_app("map", ti=run.id, tv="mine", t="1")
    assert (
        "The version of the topics of this link, 'mine', is gone: you see them as they were found."
        in text_of(test)
    )
    assert len(parts(sent).words["labels"]) == 3
    assert link(test) == {"ti": run.id, "tv": "(automatic)"}


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
