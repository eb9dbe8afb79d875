"""How the map page gets its map: quick ones, jobs, rows added since, and what stands in the way."""

import pandas as pd
import pytest

from app import jobs, map_session, mode
from app.map_payload import FILTERED_OUT, PLACED, read_head
from encoder.errors import MissingExtraError
from indexer.derived import remove_build
from indexer.maps.build import build_map
from indexer.maps.polygon import encode_polygon
from indexer.maps.stored import list_maps, open_map
from indexer.sources import open_sources
from indexer.topics import build_topics
from tests.app.map_page.reading import EVIL, MANY, WHOLE, button, parts, text_of


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


def test_a_corpus_whose_passages_were_all_deleted(make_collection, open_app, sent):
    collection = make_collection(MANY[:2], "gone")
    collection.delete(ids=["0", "1"])
    test = open_app("map")
    assert not test.exception
    assert "This corpus holds no passages" in text_of(test)


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
