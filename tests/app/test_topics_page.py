"""The topics page in each of its states, without a browser; its rows, colours and examples."""

import io
import json
import zipfile
from datetime import date

import numpy as np
import pytest
import streamlit as st

from app import jobs, mode, session
from app.examples import example_queries, example_topics, is_sayable
from app.selection_file import selection_file
from app.topic_charts import cell_style, contrast, panels_figure, strengths, trend_sentence
from app.topic_rows import free_name, history
from encoder.errors import InputError
from indexer.annotations import journal
from indexer.collection import Collection
from indexer.derived import build_folder
from indexer.search import Searcher
from indexer.selection import Selection
from indexer.topics import build_topics, open_topics
from indexer.topics.edits import Editor
from indexer.topics.tables import TimeTable
from indexer.topics.versions import choose, clean_label, read_version

WORDS = {
    "water": "river flood bridge boat",
    "bread": "flour oven yeast dough",
    "music": "guitar chord drum melody",
}
EVIL = "\u202e **bold** <b>x</b> ![i](http://evil.example/i.png) $x^2$ :smile:"


def rows(count=36):
    subjects = list(WORDS.items())
    found = []
    for number in range(count):
        name, words = subjects[number % 3]
        one = words.split()[number // 3 % 4]
        found.append(
            (f"d{number}", f"About {name} {number}", f"{words} {words} and {one}", name, 2000 + number % 9)
        )
    return found


@pytest.fixture
def found(make_collection):
    """A collection with three clear topics, and the run."""
    collection = make_collection(rows())
    return collection, build_topics(Searcher(collection), method="kmeans", count=3)


@pytest.fixture(autouse=True)
def _writable():
    yield
    mode.choose(mode.Mode())


def text_of(test):
    kinds = (test.text, test.markdown, test.caption, test.code, test.subheader, test.warning)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def button(test, key):
    return next((item for item in test.button if item.key == key), None)


def table(test, *columns):
    """The first table that has these columns."""
    return next(item.value for item in test.dataframe if set(columns) <= set(item.value.columns))


def link(test):
    return dict(test.query_params)


def pressed(test, key):
    button(test, key).click().run()
    assert not test.exception
    return test


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


def test_a_damaged_run_is_a_sentence_and_another_can_be_chosen(found, open_app):
    collection, run = found
    other = build_topics(Searcher(collection), method="kmeans", count=2)
    (build_folder(collection, "topics", other.id) / "topic.i32").write_bytes(b"x" * 4 * 36)
    test = open_app("topics", ti=other.id)
    assert "This did not work" in text_of(test) and not test.exception
    test.selectbox(key="topics_run").select((run.id, "")).run()
    assert len(table(test, "label", "exemplar")) == 3


def test_a_version_that_is_gone_is_a_sentence(found, open_app):
    _, run = found
    test = open_app("topics", ti=run.id, tv="never")
    assert "The version of the topics of this link, 'never', is gone" in text_of(test) and not test.exception


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


def test_a_server_that_only_shows_offers_no_changes(found, open_app):
    mode.choose(mode.Mode(is_read_only=True))
    test = open_app("topics", t="1")
    assert len(table(test, "label", "exemplar")) == 3
    for key in ("rename", "merge", "split", "choose_run", "find_topics"):
        assert button(test, key) is None


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


def test_examples_come_from_the_topics(found, make_collection):
    collection, run = found
    opened = session.open_collection(collection.path)
    titles = opened.searcher.snapshot.store.take(
        np.array([topic.exemplars[0] for topic in run.topics], np.uint64), ["title"]
    )["title"].to_pylist()
    assert sorted(example_queries(opened)) == sorted(titles)  # "About water 3" can be asked
    assert example_topics(opened) == [(topic.number, topic.label) for topic in run.topics]
    bare = session.open_collection(make_collection(rows(3), name="bare").path)
    assert (example_queries(bare), example_topics(bare)) == ([], [])
    (build_folder(collection, "topics", run.id) / "topics.json").write_text("{")
    st.cache_resource.clear()
    assert (example_queries(opened), example_topics(opened)) == ([], [])


def test_examples_of_titles_that_nobody_would_say_are_sentences_or_phrases(make_collection):
    texts = {name: f"Where {name} comes from. {words} {words}" for name, words in WORDS.items()}
    code = make_collection(
        [(str(n), f"pkg.{name}(x={n})", texts[name], name, 2000) for n in range(8) for name in WORDS], "code"
    )
    build_topics(Searcher(code), method="kmeans", count=3)
    opened = session.open_collection(code.path)
    assert sorted(example_queries(opened)) == sorted(f"Where {name} comes from" for name in WORDS)
    evil = make_collection(
        [(str(n), EVIL, f"{words} {words}", "t", 2000) for n in range(8) for words in WORDS.values()], "evil"
    )
    run = build_topics(Searcher(evil), method="kmeans", count=3)
    phrases = {phrase for topic in run.topics for phrase, _ in topic.keyphrases}
    queries = example_queries(session.open_collection(evil.path))
    assert len(queries) == 3 and set(" ".join(queries).split()) <= set(" ".join(phrases).split())


@pytest.mark.parametrize(
    ("text", "can_be_asked"),
    [
        ("Survey on Evaluation of LLM-based Agents", True),
        ("Are General-Purpose Vision Models All We Need?", True),
        ("Bread, flour and the baker's oven", True),
        ("\u00dcber die L\u00e4nge der W\u00f6rter", True),
        ("two words", False),
        ("numpy.mean(a, axis=None)", False),
        ("the -excluded word", False),
        ('an "exact" phrase here', False),
        ("this OR that one", False),
        ("ALL OF IT LOUD", False),
        ("snake_case is for code", False),
        ("ends in a comma,", False),
        ("one  two  three", False),
        ("word " * 10 + "word", False),
        ("a b " + "c" * 60, False),
        (EVIL, False),
        ("", False),
    ],
)
def test_what_reads_like_a_question(text, can_be_asked):
    assert is_sayable(text) is can_be_asked


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


def test_a_new_version_gets_a_name_that_is_free():
    assert free_name([]) == "edited"
    assert free_name(["edited", "edited 2", "x"]) == "edited 3"


def test_a_bad_file_name_is_refused(found):
    with pytest.raises(InputError, match="has no known ending"):
        selection_file(found[0], Selection(), "topic.exe")
