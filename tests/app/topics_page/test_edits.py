"""Changing topics on their page: names, merges, splits, noise, versions."""

import numpy as np
import pytest

from app import mode
from app.topic_rows import free_name, history
from indexer.annotations import journal
from indexer.derived import build_folder
from indexer.search import Searcher
from indexer.topics import build_topics, open_topics
from indexer.topics.edits import Editor
from indexer.topics.versions import choose, read_version
from tests.app.topics_page.reading import button, link, pressed, table, text_of


def test_a_rename_goes_to_a_version_and_the_automatic_label_stays_visible(found, open_app):
    collection, run = found
    test = open_app("topics", t="1")
    test.text_input(key=f"edit_label_{run.id}_1").set_value("Bakers").run()
    pressed(test, "rename")
    assert "Bakers" in table(test, "label", "exemplar")["label"].tolist()
    assert f"Found as: {run.topics[1].automatic_label}" in text_of(test) and "named by" in text_of(test)
    assert link(test) == {"t": "1", "ti": run.id, "tv": "edited"}
    assert open_topics(collection, run.id, "edited").topic(1).label == "Bakers"
    assert open_topics(collection).topic(1).label != "Bakers"  # not the current one yet
    pressed(test, "choose_run")
    assert open_topics(collection).topic(1).label == "Bakers"
    assert button(test, "choose_run").disabled


def test_the_later_of_two_tabs_gets_the_sentence_and_keeps_its_text(found, open_app):
    collection, run = found
    begun = Editor(Searcher(collection), run, "v").rename(0, "begun")
    field = f"edit_label_{run.id}_1"
    late = open_app("topics", t="1", ti=run.id, tv="v")
    Editor(Searcher(collection), begun, author="ann").rename(1, "Ann's name")
    late.text_input(key=field).set_value("My name")
    late = pressed(late, "rename")
    assert 'Not done: ann named topic 1 "Ann\'s name" meanwhile' in text_of(late)
    assert late.text_input(key=field).value == "My name"
    assert "Ann's name" in table(late, "label", "exemplar")["label"].tolist()
    written = [record.get("label") for record in journal.read(collection, "topics")]
    assert {"Ann's name", "My name"} <= set(written)
    assert any("not applied" in line for line in history(read_version(collection, run.id, "v")))
    pressed(late, "rename")  # now knowing of Ann's
    assert open_topics(collection, run.id, "v").topic(1).label == "My name"


def test_topics_are_merged_and_split(found, open_app):
    collection, run = found
    test = open_app("topics", t="0")
    test.multiselect(key=f"edit_merge_{run.id}_0").select(2).run()
    pressed(test, "merge")
    merged = open_topics(collection, run.id, "edited")
    assert sorted(topic.size for topic in merged.topics) == [12, 24]
    assert len(table(test, "label", "exemplar")) == 2
    test.number_input(key=f"edit_parts_{run.id}_0").set_value(3).run()
    pressed(test, "split")
    assert len(open_topics(collection, run.id, "edited").topics) == 4


def test_a_merge_with_nothing_is_refused_in_a_sentence(found, open_app):
    collection, _ = found
    test = pressed(open_app("topics", t="0"), "merge")
    assert "Not done: one topic alone cannot be merged" in text_of(test)
    assert journal.read(collection, "topics") == []


@pytest.fixture
def noisy(found):
    """The same run with its first ten rows in no topic."""
    collection, run = found
    numbers = run.numbers.copy()
    numbers[:10] = -1
    numbers.astype("<i4").tofile(build_folder(collection, "topics", run.id) / "topic.i32")
    return collection, open_topics(collection, run.id)


def test_noise_has_its_own_line_and_is_given_away_as_counted(noisy, open_app):
    collection, run = noisy
    test = open_app("topics", t="-1")
    shown = table(test, "label", "exemplar")
    assert shown["label"].tolist()[-1] == "(in no topic)" and shown["passages"].tolist()[-1] == 10
    assert len(table(test, "closeness", "title")) == 10
    cosines = Editor(Searcher(collection), run).noise()[2]
    cut = round(float(np.median(cosines)), 2)
    test.slider(key="edit_cut").set_value(cut).run()
    goes = int((cosines >= np.float32(cut)).sum())
    assert f"{goes} passages of 10 would get a topic" in text_of(test) and 0 < goes < 10
    pressed(test, "give_away")
    assert int((open_topics(collection, run.id, "edited").numbers == -1).sum()) == 10 - goes


def test_every_run_and_version_can_be_chosen(found, open_app):
    collection, run = found
    Editor(Searcher(collection), run, "mine").rename(0, "Renamed")
    other = build_topics(Searcher(collection), method="kmeans", count=2)
    choose(collection, other.id)
    test = open_app("topics")
    box = test.selectbox(key="topics_run")
    assert len(box.options) == 3
    assert [other.id in option for option in box.options if "current" in option] == [True]
    assert len(table(test, "label", "exemplar")) == 2
    box.select((run.id, "mine")).run()
    assert "Renamed" in table(test, "label", "exemplar")["label"].tolist()
    test.selectbox(key="topics_run").select((run.id, "")).run()
    assert "Renamed" not in table(test, "label", "exemplar")["label"].tolist()
    assert link(test) == {"ti": run.id, "tv": "(automatic)"}


def test_a_version_that_is_gone_is_a_sentence(found, open_app):
    _, run = found
    test = open_app("topics", ti=run.id, tv="never")
    assert "The version of the topics of this link, 'never', is gone" in text_of(test) and not test.exception


def test_a_server_that_only_shows_offers_no_changes(found, open_app):
    mode.choose(mode.Mode(is_read_only=True))
    test = open_app("topics", t="1")
    assert len(table(test, "label", "exemplar")) == 3
    for key in ("rename", "merge", "split", "choose_run", "find_topics"):
        assert button(test, key) is None


def test_a_new_version_gets_a_name_that_is_free():
    assert free_name([]) == "edited"
    assert free_name(["edited", "edited 2", "x"]) == "edited 3"
