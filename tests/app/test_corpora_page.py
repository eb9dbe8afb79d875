"""The corpora page: cards, imports and jobs, without a browser."""

import json
import os
import sys
import time

import pandas as pd
import pytest

from app import jobs, mode, processes
from app.views.corpora import health_word


def text_of(test):
    kinds = (test.text, test.markdown, test.caption, test.code, test.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def button(test, key):
    return next(found for found in test.button if found.key == key)


@pytest.fixture
def started(monkeypatch):
    calls = []
    monkeypatch.setattr(jobs, "start", lambda title, arguments, into: calls.append((title, arguments, into)))
    return calls


@pytest.mark.parametrize(
    ("info", "findings", "word"),
    [
        ({"version": 0}, [], "Empty"),
        ({"version": 2, "unpublished_rows": 5}, [], "Behind"),
        ({"version": 2, "unpublished_rows": 0}, [], "Ready"),
        ({"version": 2, "unpublished_rows": 0}, ["x"], "Damaged"),
    ],
)
def test_health_is_one_word(info, findings, word):
    assert health_word(info, findings)[0] == word


def test_a_card_tells_size_encoder_and_freshness(roads, open_app):
    test = open_app("corpora")
    assert [metric.value for metric in test.metric[:2]] == ["3", "3"]
    assert "Encoder words, 32 numbers a passage · index flat · version 1 · published just now" in text_of(
        test
    )
    assert str(roads.path) in text_of(test)
    assert not test.exception


def test_a_card_opens_its_corpus_in_search(roads, open_app):
    test = open_app("corpora")
    button(test, "open_roads").click().run()
    assert test.title[0].value == "Search"
    assert dict(test.query_params) == {"c": "roads"}


def test_a_damaged_collection_is_named_and_the_others_stay(roads, make_collection, open_app):
    other = make_collection([("1", "T", "text", "t", 1)], name="other")
    (other.path / "collection.json").write_text("{")
    test = open_app("corpora")
    assert "Cannot be opened" in text_of(test)
    assert "version 1" in text_of(test)
    assert not test.exception


def test_a_file_is_imported_by_its_path(library_home, open_app, started):
    file = library_home / "news.csv"
    text = "A long enough sentence of prose that is surely the text of this table, number"
    pd.DataFrame({"id": range(5), "title": list("abcde"), "body": [f"{text} {n}." for n in range(5)]}).to_csv(
        file
    )
    test = open_app("corpora")
    test.text_input(key="import_path").set_value(str(file)).run()
    assert {box.label: box.value for box in test.selectbox}["Column of the text"] == "body"
    button(test, "start_import").click().run()
    into = library_home / "collections" / "news"
    assert started == [("Import news", ["index", str(file), "--into", str(into), "--take-over"], into)]


def test_a_chosen_column_is_passed_on(library_home, open_app, started):
    file = library_home / "news.csv"
    text = "A long enough sentence of prose that is surely the text of this table, number"
    other = "Another sentence of prose which is shorter"
    rows = {"-other": [f"{other} {n}" for n in range(5)], "body": [f"{text} {n}." for n in range(5)]}
    pd.DataFrame(rows).to_csv(file, index=False)
    test = open_app("corpora")
    test.text_input(key="import_path").set_value(str(file)).run()
    next(box for box in test.selectbox if box.label == "Column of the text").select("-other").run()
    button(test, "start_import").click().run()
    assert started[0][1][5:] == ["--text=-other"]


def test_a_guessed_title_can_be_refused(library_home, open_app, started):
    file = library_home / "birds.csv"
    lines = [
        "title,body",
        *(f"Owl {n},The owl number {n} sleeps all day in a hollow tree." for n in range(8)),
    ]
    file.write_text("\n".join(lines))
    test = open_app("corpora")
    test.text_input(key="import_path").set_value(str(file)).run()
    box = next(box for box in test.selectbox if box.label == "Column of the title")
    assert box.value == "title"
    box.set_value("").run()
    button(test, "start_import").click().run()
    assert "--title=" in started[0][1]


def test_a_source_is_looked_at_once_until_it_changes(library_home, open_app, started, monkeypatch):
    from indexer import sources

    looks, look = [], sources.open_sources
    monkeypatch.setattr(
        sources, "open_sources", lambda *specs, **named: looks.append(specs) or look(*specs, **named)
    )
    file = library_home / "news.csv"
    text = "A long enough sentence of prose that is surely the text of this table, number"
    pd.DataFrame({"body": [f"{text} {n}." for n in range(5)], "year": range(5)}).to_csv(file, index=False)
    test = open_app("corpora")
    test.text_input(key="import_path").set_value(str(file)).run()
    test.run()
    assert len(looks) == 1
    pd.DataFrame({"other": [f"{text} {n}." for n in range(6)], "year": range(6)}).to_csv(file, index=False)
    test.run()
    assert len(looks) == 2
    assert {box.label: box.value for box in test.selectbox}["Column of the text"] == "other"


def test_a_path_without_a_file_is_named(library_home, open_app):
    test = open_app("corpora")
    test.text_input(key="import_path").set_value("/no/such/file.csv").run()
    assert "there is nothing at /no/such/file.csv" in text_of(test)


@pytest.mark.parametrize("path", ["~nobody-of-that-name/x.csv", "/tmp/" + "a" * 300, "/tmp/a\0b"])
def test_an_impossible_path_is_a_mistake_of_whoever_typed_it(library_home, open_app, path):
    test = open_app("corpora")
    test.text_input(key="import_path").set_value(path).run()
    said = text_of(test)
    assert "there is nothing at" in said
    assert "It is our mistake" not in said


def test_a_server_that_only_shows_offers_nothing_to_make(library_home, open_app, monkeypatch):
    monkeypatch.setattr(mode, "_chosen", mode.Mode(is_read_only=True))
    for page in ("search", "map", "topics", "health", "corpora"):
        test = open_app(page)
        assert not test.exception
        assert not {"build_demo", "go_import"} & {button.key for button in test.button}
        assert "This server only shows" in text_of(test)
        assert "demo" not in text_of(test)


@pytest.mark.parametrize(
    "said",
    [{"heartbeat": "x"}, {"done": "x", "total": 3}, {"stage": 5}, {"total": -1, "done": 5}, {"rate": []}],
)
def test_a_job_that_says_nonsense_is_still_listed(library_home, open_app, said):
    content = {"format": 1, "id": "1", "title": "Import x", "arguments": ["index"], "into": "x"}
    alive = {"pid": os.getpid(), "process_start": processes.start_of(os.getpid()), "started_at": time.time()}
    (library_home / "jobs" / "1").mkdir(parents=True)
    (library_home / "jobs" / "1" / "job.json").write_text(json.dumps(content | alive))
    (library_home / "jobs" / "1" / "progress.json").write_text(json.dumps(said))
    test = open_app("corpora")
    assert not test.exception
    assert "Import x" in text_of(test) and "It is our mistake" not in text_of(test)
    assert test.get("progress")[0].proto.text == "starting"


def test_a_source_that_cannot_be_read_is_explained(library_home, open_app):
    file = library_home / "empty.csv"
    file.write_text("")
    test = open_app("corpora")
    test.text_input(key="import_path").set_value(str(file)).run()
    assert "This did not work" in text_of(test)
    assert not test.exception


def test_a_job_is_listed_with_its_log_and_can_be_removed(library_home, open_app, monkeypatch):
    popen = jobs.subprocess.Popen
    program = ["sh", "-c", "echo '**no** such file'; exit 1"]
    monkeypatch.setattr(jobs.subprocess, "Popen", lambda command, **rest: popen(program, **rest))
    job = jobs.start("Import [x](http://evil.example)", ["index"], library_home)
    while jobs.status(job) in jobs.ALIVE:
        time.sleep(0.05)
    test = open_app("corpora")
    assert "Failed" in text_of(test)
    assert "**no** such file" in [code.value for code in test.code]
    assert not any("](http" in element.value for element in test.markdown)
    button(test, f"forget_{job.id}").click().run()
    assert jobs.all_jobs() == []


def test_a_rebuild_says_on_the_page_what_went_with_the_old_vectors(library_home, open_app, monkeypatch):
    popen = jobs.subprocess.Popen
    said = "print('all vectors change'); print('version 3: 4 passages'); print('1 map was of the old vectors *x*')"
    program = [sys.executable, "-c", said]
    monkeypatch.setattr(jobs.subprocess, "Popen", lambda command, **rest: popen(program, **rest))
    job = jobs.start_once("rebuild", library_home, ["--transform", "centre"])
    while jobs.status(job) in jobs.ALIVE:
        time.sleep(0.05)
    test = open_app("corpora")
    assert "version 3: 4 passages\n1 map was of the old vectors *x*" in [text.value for text in test.text]
