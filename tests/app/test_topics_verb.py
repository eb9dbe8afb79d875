"""`llm2comp topics` on a small collection with planted topics."""

import json

import pytest

from app.cli import main
from app.table import table_lines
from indexer.derived import list_builds
from indexer.topics import build_topics
from tests.indexer.topics.planted import planted_collection, planted_vectors


@pytest.fixture
def planted(tmp_path):
    vectors, truth = planted_vectors()
    collection, searcher, _ = planted_collection(tmp_path / "c", vectors, truth)
    return collection, searcher


def run(capsys, *arguments):
    code = main(["topics", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def as_json(capsys, *arguments):
    code, out, _ = run(capsys, *arguments, "--json", "--quiet")
    return code, json.loads(out)


def test_a_run_is_made_and_shown(capsys, planted):
    collection, _ = planted
    code, out, _ = run(capsys, collection.path, "--method", "kmeans", "-n", "4", "--quiet")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == ["topic", "label", "passages", "share", "cohesion", "stability"]
    assert len(lines) == 6 and all("25.0 %" in line for line in lines[1:5])
    assert lines[5].startswith("topics ") and "kmeans, seed 0, of version 1" in lines[5]
    code, shown = as_json(capsys, collection.path, "--id", list_builds(collection, "topics")[0].id)
    assert (code, shown["format"], shown["passages"], shown["noise"], len(shown["topics"])) == (
        0,
        1,
        120,
        0,
        4,
    )
    assert {"number", "label", "automatic_label", "size", "keyphrases"} <= set(shown["topics"][0])


def test_topics_are_edited_listed_chosen_and_removed(capsys, planted):
    collection, searcher = planted
    base = build_topics(searcher, method="kmeans", count=4).id
    code, shown = as_json(capsys, collection.path, "--rename", "1", "A better name")
    assert (code, shown["version"], shown["topics"][1]["label"]) == (0, "edited", "A better name")
    code, shown = as_json(capsys, collection.path, "--merge", "0", "2", "--version", "edited")
    assert (code, shown["edits"], len(shown["topics"])) == (0, 2, 3)
    code, shown = as_json(capsys, collection.path, "--split", "1", "2", "--version", "other")
    assert (code, shown["edits"], len(shown["topics"])) == (0, 1, 5)
    code, shown = as_json(capsys, collection.path, "--assign-noise", "0.5", "--version", "edited")
    assert (code, shown["edits"]) == (0, 3)
    code, shown = as_json(capsys, collection.path, "--id", base, "--version", "edited", "--choose")
    assert (code, shown["version"]) == (0, "edited")
    code, listed = as_json(capsys, collection.path, "--list")
    assert [(entry["version"], entry["is_current"]) for entry in listed["runs"]] == [
        ("", False),
        ("edited", True),
        ("other", False),
    ]
    _, out, _ = run(capsys, collection.path, "--list")
    assert "(automatic)" in out and "edited" in out
    code, out, _ = run(capsys, collection.path, "--remove", base)
    assert (code, out) == (0, f"removed topics {base} with 3 edits\n")
    code, out, _ = run(capsys, collection.path, "--list")
    assert code == 0 and out.startswith("no topics yet")


def test_one_topic_is_shown_with_its_passages(capsys, planted):
    collection, searcher = planted
    build_topics(searcher, method="kmeans", count=4)
    code, shown = as_json(capsys, collection.path, "--show", "0")
    assert code == 0 and len(shown["exemplars"]) == 5 and shown["size"] == 30
    assert all(entry["text"].startswith("row ") for entry in shown["exemplars"])
    code, out, _ = run(capsys, collection.path, "--show", "0")
    assert code == 0 and "key phrases: " in out and "central" in out and "misfit" in out
    code, _, err = run(capsys, collection.path, "--show", "9")
    assert code == 1 and "there is no topic 9" in err


def test_topics_by_value_and_over_time(capsys, planted):
    collection, searcher = planted
    build_topics(searcher, method="kmeans", count=4)
    code, shown = as_json(capsys, collection.path, "--by", "topic")
    assert code == 0 and sorted(map(max, shown["counts"][:4])) == [30] * 4
    code, out, _ = run(capsys, collection.path, "--by", "topic")
    assert code == 0 and "100.0 % (x4.0)" in out
    code, shown = as_json(capsys, collection.path, "--over-time", "day")
    assert code == 0 and sum(map(sum, shown["counts"])) == 120 and shown["undated"] == 0
    code, out, _ = run(capsys, collection.path, "--over-time", "day")
    assert code == 0 and "2020-01-01 to 2020-12-01 by month" in out.splitlines()[0] and "█" in out
    code, _, err = run(capsys, collection.path, "--over-time", "topic")
    assert code == 1 and "'topic' holds no dates" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--list", "--show", "1"], 2, "--list and --show exclude each other"),
        (["--method", "kmeans", "--show", "1"], 2, "--method makes a new run, --show is for one that exists"),
        (["-n", "3", "--id", "00000000"], 2, "-n makes a new run, --id is for one that exists"),
        (["--choose"], 2, "--choose needs --id"),
        (["--id", "../../x"], 1, "'../../x' is no id of a topics build"),
        (["--id", "00000000"], 1, "there is no topics 00000000"),
        (["--show", "1"], 1, "there are no topics of this collection yet"),
        (["--remove", "00000000"], 1, "there are no topics '00000000'"),
        (["--min-size", "4", "--method", "kmeans"], 1, "topics of at least 4 passages are impossible"),
    ],
)
def test_what_cannot_be_done_is_said(capsys, planted, arguments, code, message):
    collection, _ = planted
    found, out, err = run(capsys, collection.path, *arguments)
    assert (found, out) == (code, "") and message in err


def test_a_topic_is_named_by_number_or_label(capsys, planted):
    collection, searcher = planted
    automatic = build_topics(searcher, method="kmeans", count=4).topic(1).label
    code, shown = as_json(capsys, collection.path, "--rename", automatic.upper(), "Old stars")
    assert (code, shown["topics"][1]["label"]) == (0, "Old stars")
    assert as_json(capsys, collection.path, "--show", "old  STARS", "--version", "edited")[1]["number"] == 1
    code, shown = as_json(capsys, collection.path, "--merge", "Old stars", "0")
    assert code == 0 and [topic["number"] for topic in shown["topics"]] == [1, 2, 3]
    code, _, err = run(capsys, collection.path, "--rename", "two", "x")
    assert code == 1 and "no topic is called 'two'" in err and "give the number or label" in err
    for number in ("2", "3"):
        assert run(capsys, collection.path, "--rename", number, "Twins")[0] == 0
    code, _, err = run(capsys, collection.path, "--split", "twins", "2")
    assert code == 1 and "2 topics are called 'twins'" in err and "give a number: 2, 3" in err
    code, _, err = run(capsys, collection.path, "--split", "2", "many")
    assert code == 1 and "'many' is no number of parts" in err


def test_a_split_of_a_renamed_topic_says_what_became_of_it(capsys, planted):
    collection, searcher = planted
    build_topics(searcher, method="kmeans", count=4)
    run(capsys, collection.path, "--merge", "0", "1")
    run(capsys, collection.path, "--rename", "0", "Both of them")
    code, out, _ = run(capsys, collection.path, "--split", "both of them", "2")
    told = out[out.index("0 'Both of them' became:") :].splitlines()
    assert code == 0 and [line.split()[0] for line in told[1:3]] == ["0", "4"]
    assert all(line.endswith(", 30 passages") for line in told[1:3])
    assert told[3] == "the name 'Both of them' was that of the whole; name the parts with --rename"
    code, out, _ = run(capsys, collection.path, "--merge", "2", "3")
    assert "2 '" in out and " and 3 '" in out and "name the parts" not in out


def test_a_name_that_another_version_gave_leads_to_that_version(capsys, planted):
    collection, searcher = planted
    build_topics(searcher, method="kmeans", count=4)
    run(capsys, collection.path, "--rename", "0", "Stars", "--version", "for the report")
    code, _, err = run(capsys, collection.path, "--split", "stars", "2")
    assert code == 1 and "no topic is called 'stars'" in err and "add --version 'for the report'" in err
    code, _, err = run(capsys, collection.path, "--split", "0", "2")
    assert code == 0 and "topic 0 is called 'Stars' only in the version 'for the report'" in err
    code, out, err = run(capsys, collection.path, "--split", "stars", "2", "--version", "for the report")
    assert code == 0 and "0 'Stars' became:" in out and "--version 'for the report'" in err


def test_hostile_labels_do_not_command_the_terminal(capsys, planted):
    collection, searcher = planted
    build_topics(searcher, method="kmeans", count=4)
    code, out, _ = run(capsys, collection.path, "--rename", "0", "\x1b[31m<b>red</b>\u202e")
    assert code == 0 and "<b>red</b>" in out and "\x1b" not in out and "\u202e" not in out


def test_progress_is_written_for_the_app(capsys, planted, tmp_path):
    collection, _ = planted
    file = tmp_path / "progress.json"
    code, _, _ = run(capsys, collection.path, "--method", "kmeans", "--quiet", "--progress-file", file)
    assert code == 0 and json.loads(file.read_text())["state"] == "done"


def test_the_table_marks_noise_and_old_labels(planted):
    from dataclasses import replace

    import numpy as np

    from app import topic_tables
    from indexer.topics import current_topics

    collection, searcher = planted
    run = build_topics(searcher, method="kmeans", count=2)
    noisy = replace(run, numbers=np.where(np.arange(120) < 12, -1, run.numbers).astype(np.int32))
    lines = table_lines(*topic_tables.overview(current_topics(noisy, searcher.snapshot)), width=120)
    assert "noise: in no topic" in lines[-1] and "10.0 %" in lines[-1]


def test_an_edit_says_that_pages_and_filters_still_mean_another_run(capsys, planted):
    collection, *_ = planted if isinstance(planted, tuple) else (planted,)
    run(capsys, collection.path)
    _, _, err = run(capsys, collection.path, "--rename", "0", "roads")
    assert "--choose" in err and "--version" in err
    command = err[err.index("--choose") :].split()
    code, _, err = run(capsys, collection.path, *command)
    assert code == 0 and "--choose" not in err


def test_only_looking_makes_nothing_and_a_new_run_says_that_it_is_current(capsys, planted):
    collection, searcher = planted
    first = build_topics(searcher, method="kmeans", count=4).id
    code, out, err = run(capsys, collection.path, "--id", "current")
    assert (code, err) == (0, "")
    assert f"topics {first}" in out
    assert [build.id for build in list_builds(collection, "topics")] == [first]
    code, _, err = run(capsys, collection.path, "--method", "kmeans", "-n", "3")
    second = list_builds(collection, "topics")[0].id
    assert code == 0
    assert f"topics {first} are there and current; to look at them: llm2comp topics" in err
    assert f"{second} is now the current run; back to the former: " in err
    back = err.rpartition("llm2comp topics ")[2].split()
    assert run(capsys, *back)[0] == 0
    assert f"topics {first}" in run(capsys, collection.path, "--id", "current")[1]


def test_where_another_run_was_chosen_a_new_one_does_not_claim_to_be_current(capsys, planted):
    collection, searcher = planted
    first = build_topics(searcher, method="kmeans", count=4).id
    run(capsys, collection.path, "--rename", "0", "roads", "--version", "my own")
    run(capsys, collection.path, "--choose", "--id", first, "--version", "my own")
    _, _, err = run(capsys, collection.path, "--method", "kmeans", "-n", "3")
    assert f"topics {first} (my own) are there and current" in err
    assert "is now the current run" not in err
    assert "pages, filters and exports mean another run" in err
    code, shown = as_json(capsys, collection.path, "--id", "current")
    assert (code, shown["id"], shown["version"]) == (0, first, "my own")


def test_the_current_run_of_none_is_said(capsys, planted):
    code, _, err = run(capsys, planted[0].path, "--id", "current")
    assert code == 1
    assert "there are no topics of this collection yet" in err


def test_the_first_run_and_a_quiet_one_say_nothing_of_others(capsys, planted):
    collection, _ = planted
    for _ in range(2):
        assert "current" not in run(capsys, collection.path, "--method", "kmeans", "--quiet")[2]
