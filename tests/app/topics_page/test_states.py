"""The topics page in each of its states: none yet, at work, there, damaged; the table, a picked topic, the export."""

import io
import json
import zipfile

import numpy as np
import pytest

from app import jobs, mode
from app.selection_file import selection_file
from encoder.errors import InputError
from indexer.collection import Collection
from indexer.derived import build_folder
from indexer.search import Searcher
from indexer.selection import Selection
from indexer.topics import build_topics
from indexer.topics.edits import Editor
from indexer.topics.versions import clean_label
from tests.app.topics_page.reading import EVIL, button, link, pressed, rows, table, text_of


def test_an_empty_library_offers_the_demo(open_app):
    test = open_app("topics")
    assert "No corpus yet" in text_of(test) and test.title[0].value == "Topics"


def test_before_there_are_topics_one_button_starts_the_job_once(make_collection, open_app, monkeypatch):
    collection = make_collection(rows())
    asked = []
    monkeypatch.setattr(jobs, "start_once", lambda *arguments: asked.append(arguments))
    test = open_app("topics")
    assert "No topics yet" in text_of(test) and "About 3 s for 36 passages" in text_of(test)
    pressed(test, "find_topics")
    assert asked == [("topics", collection.path, ["--method", "kmeans", "--seed", "0"])]
    test.number_input(key="find_count").set_value(7).run()
    pressed(test, "find_topics")
    assert asked[1][2] == ["--method", "kmeans", "--seed", "0", "-n", "7"]


def test_a_job_at_work_is_shown_and_what_it_found_is_looked_at(make_collection, open_app, monkeypatch):
    collection = make_collection(rows())
    job = jobs.Job("20260101-000000-abcdef", "Topics", ("topics", str(collection.path)), str(collection.path))
    states = ["running"]
    monkeypatch.setattr(jobs, "all_jobs", lambda: [job])
    monkeypatch.setattr(jobs, "status", lambda _: states[-1])
    monkeypatch.setattr(jobs, "progress", lambda _: jobs.Progress(stage="k-means", done=3, total=6))
    monkeypatch.setattr(jobs, "start_waiting", lambda: None)
    test = open_app("topics")
    assert button(test, "cancel_finding") is not None and button(test, "find_topics") is None
    run = build_topics(Searcher(collection), method="kmeans", count=3)
    states.append("done")
    test.run()
    assert not test.exception
    assert (
        "3 topics of 36 passages" in text_of(test) and run.id in test.selectbox(key="topics_run").options[0]
    )


def test_a_failed_job_says_why_and_can_be_tried_again(make_collection, open_app, monkeypatch):
    collection = make_collection(rows())
    job = jobs.Job(
        "20260101-000000-abcdef", "Topics", ("topics", str(collection.path)), str(collection.path), 7
    )
    monkeypatch.setattr(jobs, "all_jobs", lambda: [job])
    monkeypatch.setattr(jobs, "status", lambda _: "failed")
    monkeypatch.setattr(jobs, "log_tail", lambda _: "error: no space left")
    tried = []
    monkeypatch.setattr(jobs, "resume", tried.append)
    test = open_app("topics")
    assert "error: no space left" in text_of(test) and "No topics yet" in text_of(test)
    pressed(test, "retry_finding")
    assert tried == [job]


def test_the_table_holds_what_the_run_holds(found, open_app):
    _, run = found
    shown = table(open_app("topics"), "label", "exemplar")
    assert shown["label"].tolist() == [topic.label for topic in run.topics]
    assert shown["passages"].tolist() == [topic.size for topic in run.topics] == [12, 12, 12]
    assert np.allclose(shown["share"], 1 / 3)
    assert np.allclose(shown["cohesion"], [topic.cohesion for topic in run.topics])
    assert all(title.startswith("About ") for title in shown["exemplar"])


def test_a_picked_topic_is_shown_in_full_and_is_in_the_link(found, open_app):
    collection, run = found
    test = open_app("topics", t="1", ti=run.id, tv="(automatic)")
    assert test.subheader[0].value.replace("\\", "").replace("\u2060", "") == run.topics[1].label
    members = table(test, "closeness", "title")
    snapshot = Searcher(collection).snapshot
    titles = snapshot.store.take(run.members(1), ["title"])["title"].to_pylist()
    assert members["title"].tolist() == titles
    assert members["closeness"].is_monotonic_decreasing
    phrases = table(test, "phrase", "weight")
    assert list(zip(phrases["phrase"], phrases["weight"], strict=True)) == run.topics[1].keyphrases
    assert link(test) == {"t": "1", "ti": run.id, "tv": "(automatic)"}


def test_the_whole_topic_goes_into_the_tray(found, open_app):
    _, run = found
    test = pressed(open_app("topics", t="2"), "topic_tray")
    labels = [box.proto.popover.label for box in test.get("popover")]
    assert any("Tray · 12" in label for label in labels)
    assert set(table(test, "how")["how"]) == {f"member of a topic: {run.topics[2].label}"}


def test_search_looks_into_the_topic_only(found, open_app):
    _, run = found
    test = pressed(open_app("topics", t="0"), "topic_search")
    assert test.title[0].value == "Search"
    assert link(test) == {"t": "0", "ti": run.id, "tv": "(automatic)"}
    test.text_input(key="query").set_value("river").run()
    assert len(table(test, "title", "passage")) == 12


def test_a_filter_narrows_counts_and_lists(found, open_app):
    test = open_app("topics", f="year = 2000", t="0")
    shown = table(test, "label", "here")
    assert shown["here"].sum() == 4 and shown["passages"].sum() == 36
    assert len(table(test, "closeness", "title")) == shown["here"][0]


def test_a_topic_of_another_run_in_the_link_is_named_and_the_page_lives(found, open_app):
    test = open_app("topics", t="999")
    assert "there is no topic 999" in text_of(test)
    assert len(table(test, "label", "exemplar")) == 3


def test_a_damaged_run_is_a_sentence_and_another_can_be_chosen(found, open_app):
    collection, run = found
    other = build_topics(Searcher(collection), method="kmeans", count=2)
    (build_folder(collection, "topics", other.id) / "topic.i32").write_bytes(b"x" * 4 * 36)
    test = open_app("topics", ti=other.id)
    assert "This did not work" in text_of(test) and not test.exception
    test.selectbox(key="topics_run").select((run.id, "")).run()
    assert len(table(test, "label", "exemplar")) == 3


@pytest.mark.parametrize("texts", [["A single text."], ["the same words"] * 30], ids=["one row", "identical"])
def test_few_and_equal_passages_make_one_topic(make_collection, open_app, texts):
    collection = make_collection([(str(n), "T", text, "t", 2020) for n, text in enumerate(texts)])
    build_topics(Searcher(collection), method="kmeans")
    test = open_app("topics")
    assert not test.exception and "could not be drawn" not in text_of(test)
    assert table(test, "label", "exemplar")["passages"].tolist() == [len(texts)]
    assert "There is no other topic." in text_of(test)


def test_deleted_and_new_passages_are_said(found, open_app, word_embedder):
    collection, _ = found
    Collection.open(collection.path).delete(ids=["d0", "d3"])
    test = open_app("topics")
    assert not test.exception
    assert "0 passages came, each given to the nearest topic, and 2 went" in text_of(test)
    assert table(test, "label", "exemplar")["passages"].sum() == 34


def test_a_link_made_with_another_encoder_stops(found, open_app):
    test = open_app("topics", e="00000000")
    assert "made with encoder 00000000" in text_of(test) and not test.dataframe[0:0]
    assert button(test, "drop_encoder") is not None and button(test, "rename") is None


def test_hostile_texts_are_text(make_collection, open_app):
    collection = make_collection(
        [(f"{n}", EVIL, f"{EVIL} river {n}", EVIL, 2020) for n in range(6)], name="evil"
    )
    run = build_topics(Searcher(collection), method="kmeans", count=1)
    Editor(Searcher(collection), run, EVIL).rename(0, EVIL)
    test = open_app("topics", ti=run.id, tv=clean_label(EVIL, 60), t="0")
    assert not test.exception and "could not be drawn" not in text_of(test)
    raw = [str(item.value) for kind in (test.markdown, test.caption, test.subheader) for item in kind]
    assert not any("](http" in text or "<b>" in text for text in raw)
    assert "⟨RLO⟩" in table(test, "closeness", "title")["title"][0]


def test_before_there_are_topics_a_server_that_only_shows_names_the_command(make_collection, open_app):
    make_collection(rows())
    mode.choose(mode.Mode(is_read_only=True))
    test = open_app("topics")
    assert "llm2comp topics DIR" in text_of(test) and button(test, "find_topics") is None


def test_a_topic_is_exported_with_its_recipe(found):
    collection, run = found
    chosen = Selection(topics_id=run.id, topics=(1,), topics_version="(automatic)")
    packed = zipfile.ZipFile(io.BytesIO(selection_file(collection, chosen, "topic-1.zip")))
    assert packed.namelist() == [f"topic-1/passages.{ending}" for ending in ("parquet", "jsonl")] + [
        "topic-1/README.txt"
    ]
    lines = packed.read("topic-1/passages.jsonl").decode().splitlines()
    assert len(lines) == 12 and {json.loads(line)["derived.topic"] for line in lines} == {1}
    assert run.id in packed.read("topic-1/README.txt").decode()
    assert selection_file(collection, chosen, "x.jsonl").decode().splitlines() == lines


def test_a_bad_file_name_is_refused(found):
    with pytest.raises(InputError, match="has no known ending"):
        selection_file(found[0], Selection(), "topic.exe")
