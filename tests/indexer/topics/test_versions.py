"""What people edit: replayed for everybody, refused when somebody else was first."""

import errno
import json
import os

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from encoder.errors import CollectionError, InputError
from indexer.annotations import journal
from indexer.derived import build_folder, list_builds
from indexer.topics import build_topics, open_topics
from indexer.topics.edits import Editor, remove_topics
from indexer.topics.stored import unit_rows
from indexer.topics.versions import (
    Edit,
    choose,
    clean_label,
    current_run,
    list_runs,
    list_versions,
    read_version,
    replay,
)
from tests.indexer.topics.planted import planted_collection, planted_vectors, same_groups, truth_of


@pytest.fixture
def planted(tmp_path):
    vectors, truth = planted_vectors()
    collection, searcher, _ = planted_collection(tmp_path / "c", vectors, truth)
    return collection, searcher, build_topics(searcher, method="kmeans", count=4), truth


def test_a_renamed_topic_keeps_its_automatic_label(planted):
    collection, searcher, run, _ = planted
    edited = Editor(searcher, run, "mine", author="ann").rename(2, "Stars")
    assert (edited.topic(2).label, edited.topic(2).automatic_label) == ("Stars", run.topic(2).label)
    assert (edited.id, edited.version, edited.edits) == (run.id, "mine", 1)
    assert open_topics(collection, run.id).topic(2).label == run.topic(2).label
    again = open_topics(collection, run.id, "mine")
    assert again.topics == edited.topics
    (version,) = list_versions(collection, run.id)
    assert [(edit.author, edit.action) for edit in version.edits] == [("ann", "rename")]


def test_merged_topics_are_one_with_the_mean_of_both(planted):
    _, searcher, run, truth = planted
    edited = Editor(searcher, run).merge([3, 1])
    assert sorted(topic.number for topic in edited.topics) == [0, 2, 3]
    assert np.array_equal(edited.numbers, np.where(run.numbers == 1, 3, run.numbers))
    merged = edited.topics.index(edited.topic(3))
    assert np.allclose(edited.means[merged], (run.means[3] + run.means[1]) / 2, atol=1e-3)
    assert edited.topic(3).size == 60 and edited.topic(3).stability is None
    words = {word for phrase, _ in edited.topic(3).keyphrases for word in phrase.split()}
    assert {run.topic(3).label.split(", ")[0], run.topic(1).label.split(", ")[0]} <= words
    assert edited.topic(0).label == run.topic(0).label and edited.topic(0).stability == 1.0
    assert list_runs(searcher.collection)[0].id == run.id and len(list_runs(searcher.collection)) == 1


def test_a_split_undoes_a_merge(planted):
    _, searcher, run, truth = planted
    merged = Editor(searcher, run).merge([0, 1])
    parts = Editor(searcher, merged).split(0, 2, seed=1)
    assert parts.edits == 2
    assert same_groups(parts.numbers, truth_of(searcher, parts.row_ids, truth)) == 1.0
    assert sorted(topic.number for topic in parts.topics) == [0, 2, 3, 4]
    again = Editor(searcher, run, "again")
    assert np.array_equal(
        Editor(searcher, again.merge([0, 1]), "again").split(0, 2, seed=1).numbers, parts.numbers
    )


def _with_noise(collection, run, count):
    """The same run with its first rows turned into noise."""
    folder = build_folder(collection, "topics", run.id)
    numbers = run.numbers.copy()
    numbers[:count] = -1
    numbers.astype("<i4").tofile(folder / "topic.i32")
    return open_topics(collection, run.id)


def test_noise_goes_to_the_nearest_topic_within_the_cut(planted):
    collection, searcher, run, _ = planted
    noisy = _with_noise(collection, run, 40)
    cosines = (unit_rows(searcher.snapshot.vectors(run.row_ids[:40])) @ run.centroids.T).max(axis=1)
    cut = float(np.median(cosines))
    edited = Editor(searcher, noisy).assign_noise(cut)
    expected = np.where(cosines >= cut, run.numbers[:40], -1)
    assert np.array_equal(edited.numbers[:40], expected)
    assert 0 < (edited.numbers < 0).sum() < (noisy.numbers < 0).sum()
    everything = Editor(searcher, noisy, "all").assign_noise(0)
    assert np.array_equal(everything.numbers, run.numbers)


@pytest.mark.parametrize("kind", ["link", "pipe", "nothing"])
def test_an_edit_copies_nothing_that_another_planted(planted, tmp_path, kind):
    collection, searcher, run, _ = planted
    noisy = _with_noise(collection, run, 40)
    folder = build_folder(collection, "topics", run.build.id)
    described = json.loads((folder / "build.json").read_text(encoding="utf-8"))
    del described["files"]["phrases.json"]  # so that its size is not asked for
    (folder / "build.json").write_text(json.dumps(described), encoding="utf-8")
    (folder / "phrases.json").unlink()
    (tmp_path / "secret").write_text("PRIVATE", encoding="utf-8")
    if kind == "link":
        (folder / "phrases.json").symlink_to(tmp_path / "secret")
    elif kind == "pipe":
        os.mkfifo(folder / "phrases.json")
    with pytest.raises(CollectionError, match="phrases.json"):
        Editor(searcher, noisy).assign_noise(0)
    kept = [
        file for file in (collection.path / "derived").rglob("*") if file.is_file() and not file.is_symlink()
    ]
    assert not any(b"PRIVATE" in file.read_bytes() for file in kept)


def test_the_noise_that_a_cut_would_give_away_is_known_before(planted):
    collection, searcher, run, _ = planted
    noisy = _with_noise(collection, run, 40)
    at, numbers, cosines = Editor(searcher, noisy).noise()
    assert at.tolist() == list(range(40)) and np.array_equal(numbers, run.numbers[:40])
    for name, cut in enumerate([0.0, float(cosines[7]), 1.0]):
        edited = Editor(searcher, noisy, f"v{name}").assign_noise(cut)
        assert np.array_equal(edited.numbers[at] != -1, cosines >= np.float32(cut))


def test_the_automatic_topics_can_be_asked_for_while_a_version_is_current(planted):
    collection, searcher, run, _ = planted
    Editor(searcher, run, "v").rename(0, "Renamed")
    choose(collection, run.id, "v")
    assert open_topics(collection).version == "v"
    for identifier in ("", run.id):
        assert open_topics(collection, identifier, "(automatic)").topic(0).label == run.topic(0).label
    choose(collection, run.id, "(automatic)")
    assert open_topics(collection).version == ""
    with pytest.raises(InputError, match=r"no version can be called '\(automatic\)'"):
        Editor(searcher, run, "(automatic)").rename(0, "x")
    assert [version.name for version in list_versions(collection, run.id)] == ["v"]


def test_the_second_of_two_tabs_is_told_what_the_first_did(planted):
    collection, searcher, run, _ = planted
    begun = Editor(searcher, run, "v").rename(0, "begun")
    Editor(searcher, begun, author="ann").rename(1, "Ann's name")
    with pytest.raises(InputError, match='ann named topic 1 "Ann\'s name" meanwhile'):
        Editor(searcher, begun, author="bob").rename(1, "Bob's name")
    assert open_topics(collection, run.id, "v").topic(1).label == "Ann's name"
    Editor(searcher, begun, author="bob").rename(2, "another topic is no conflict")
    assert open_topics(collection, run.id, "v").edits == 3
    written = [record["label"] for record in journal.read(collection, "topics")]
    assert "Bob's name" in written
    (refused,) = read_version(collection, run.id, "v").refused
    assert (refused[0].author, refused[1].author) == ("bob", "ann")


def test_of_two_merges_at_once_the_later_leaves_no_build(planted):
    collection, searcher, run, _ = planted
    begun = Editor(searcher, run, "v").rename(0, "begun")
    Editor(searcher, begun, author="ann").merge([1, 2])
    before = {build.id for build in list_builds(collection, "topics")}
    with pytest.raises(InputError, match="ann did a merge meanwhile"):
        Editor(searcher, begun, author="bob").merge([0, 3])
    assert {build.id for build in list_builds(collection, "topics")} == before
    assert sorted(topic.number for topic in open_topics(collection, run.id, "v").topics) == [0, 1, 3]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_an_edit_that_cannot_be_written_down_leaves_no_build(planted, monkeypatch, error):
    collection, searcher, run, _ = planted
    before = {build.id for build in list_builds(collection, "topics")}
    real, edits = (
        os.pwrite,
        [lambda e: e.merge([0, 1]), lambda e: e.split(0, 2), lambda e: e.assign_noise(0.5)],
    )

    def full(handle, content, at):
        if b'"action"' in content:
            raise error
        return real(handle, content, at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        for edit in edits:
            with pytest.raises(CollectionError if isinstance(error, OSError) else KeyboardInterrupt):
                edit(Editor(searcher, run, "v"))
    assert {build.id for build in list_builds(collection, "topics")} == before
    assert list_versions(collection, run.id) == [] and len(list((collection.path / "derived").iterdir())) == 2
    assert Editor(searcher, run, "v").merge([0, 1]).edits == 1


def test_an_edit_for_an_impossible_version_makes_no_build(planted, monkeypatch):
    collection, searcher, run, _ = planted
    Editor(searcher, run, "v").rename(0, "one")
    monkeypatch.setattr("indexer.topics.edits.write_build", lambda *_, **__: pytest.fail("a build was made"))
    with pytest.raises(InputError, match="there is a version 'v' of these topics already"):
        Editor(searcher, run, "v").merge([0, 1])


def test_a_version_is_not_begun_twice_nor_from_another(planted):
    _, searcher, run, _ = planted
    begun = Editor(searcher, run, "v").rename(0, "one")
    with pytest.raises(InputError, match="there is a version 'v' of these topics already"):
        Editor(searcher, run, "v").rename(1, "two")
    with pytest.raises(InputError, match="cannot begin with the edits of 'v'"):
        Editor(searcher, begun, "w").rename(1, "two")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda editor: editor.rename(9, "x"), "there is no topic 9"),
        (lambda editor: editor.rename(0, " \x00\u202e\n "), "the label is empty"),
        (lambda editor: editor.merge([1, 1]), "one topic alone cannot be merged"),
        (lambda editor: editor.merge([1, 9]), "there is no topic 9"),
        (lambda editor: editor.split(0, 1), "topic 0 cannot be split into 1 parts"),
        (lambda editor: editor.split(0, 500), "topic 0 cannot be split into 500 parts"),
        (lambda editor: editor.assign_noise(1.5), "a cut of 1.5 is impossible"),
        (lambda editor: editor.assign_noise(float("nan")), "a cut of nan is impossible"),
    ],
)
def test_impossible_edits_are_refused_and_not_written(planted, edit, message):
    collection, searcher, run, _ = planted
    with pytest.raises(InputError, match=message):
        edit(Editor(searcher, run))
    assert journal.read(collection, "topics") == [] and len(list_builds(collection, "topics")) == 1


def test_hostile_labels_are_text_on_one_line(planted):
    _, searcher, run, _ = planted
    hostile = "<b>x</b>\n\x1b[31m\u202e ![i](http://evil) " + "y" * 500
    label = Editor(searcher, run).rename(0, hostile).topic(0).label
    assert label.startswith("<b>x</b> [31m ![i](http://evil) y") and len(label) <= 120
    assert clean_label("\ud800") == ""


def test_a_hostile_journal_changes_nothing(planted):
    collection, searcher, run, _ = planted
    good = {
        "key": "k", "base": run.id, "version": "v", "action": "rename", "topics": [0], "label": "fine", "build": "",
        "seen": 0, "detail": "",
    }  # fmt: skip
    for change in (
        {"action": "explode"}, {"topics": [0, "1"]}, {"topics": []}, {"label": "a\x1b"}, {"label": 5}, {"seen": -1},
        {"build": "../../etc"}, {"base": "../../etc"}, {"version": ""}, {"version": "a\nb"}, {"topics": [True]},
        {"action": "merge"}, {"topics": [2**40]}, {"action": "choose", "base": ["x"]}, {"action": "choose", "version": 5},
            {"action": "merge", "label": "", "build": "00000000"}, {"action": "split", "label": "", "build": run.id},
    ):  # fmt: skip
        journal.append(collection, "topics", {**good, **change})
    assert list_versions(collection, run.id) == []
    assert open_topics(collection).version == ""
    journal.append(collection, "topics", good)
    assert open_topics(collection, run.id, "v").topic(0).label == "fine"
    file = collection.path / "views" / "topics.jsonl"
    file.write_bytes(file.read_bytes() + b'{"format": 1, "at"\n\xff\xfe\n' + json.dumps([1]).encode() + b"\n")
    assert open_topics(collection, run.id, "v").edits == 1


_EDITS = st.lists(
    st.tuples(st.lists(st.integers(0, 4), max_size=3), st.booleans(), st.integers(0, 9)), max_size=12
)


@given(_EDITS)
def test_an_edit_holds_unless_one_that_its_author_had_not_seen_collides(drawn):
    edits = [
        Edit(str(at), "b", "v", "merge", tuple(topics), "", "0" * 8 if moves else "", seen, "", "", "")
        for at, (topics, moves, seen) in enumerate(drawn)
    ]
    held, refused = [], []
    for edit in edits:
        unseen = held[edit.seen :]
        clashes = [x for x in unseen if (edit.build and x.build) or set(edit.topics) & set(x.topics)]
        (refused.append((edit, clashes[0])) if clashes else held.append(edit))
    found = replay("b", "v", edits)
    assert (list(found.edits), list(found.refused)) == (held, refused)


def test_a_long_journal_is_read_once(planted, monkeypatch):
    collection, searcher, run, _ = planted
    Editor(searcher, run).rename(0, "named")
    choose(collection, run.id, "edited")
    for number in range(30):
        journal.append(collection, "topics", {"action": "choose", "base": run.id, "version": f"v{number}"})
    reads, read = [], journal.read
    monkeypatch.setattr(journal, "read", lambda *given: reads.append(given) or read(*given))
    assert current_run(collection) == (run.id, "edited")
    assert len(reads) == 1


def test_a_split_of_no_topic_is_no_edit(planted):
    collection, searcher, run, _ = planted
    Editor(searcher, run).merge([0, 1])
    merge = journal.read(collection, "topics")[-1]
    journal.append(collection, "topics", {**merge, "action": "split", "topics": [], "version": "foreign"})
    assert [version.name for version in list_versions(collection, run.id)] == ["edited"]


def test_a_chosen_version_is_current_and_a_missing_one_is_named(planted):
    collection, searcher, run, _ = planted
    Editor(searcher, run, "v").rename(0, "x")
    choose(collection, run.id, "v")
    assert (open_topics(collection).id, open_topics(collection).version) == (run.id, "v")
    with pytest.raises(InputError, match="have no version 'w'") as error:
        open_topics(collection, run.id, "w")
    assert "'v'" in error.value.fix
    with pytest.raises(InputError, match="there is no topics 00000000"):
        choose(collection, "00000000")


def test_a_removed_run_takes_its_versions_along(planted):
    collection, searcher, run, _ = planted
    Editor(searcher, run).merge([0, 1])
    other = build_topics(searcher, method="kmeans", count=2)
    assert remove_topics(collection, run.id) == 2
    assert [build.id for build in list_builds(collection, "topics")] == [other.id]
    with pytest.raises(InputError, match=f"there are no topics '{run.id}'"):
        remove_topics(collection, run.id)


def test_a_split_takes_back_the_name_of_the_whole(planted):
    _, searcher, run, _ = planted
    merged = Editor(searcher, run).merge([0, 1])
    named = Editor(searcher, merged).rename(0, "both")
    assert Editor(searcher, named).rename(2, "two").topic(0).label == "both"
    now = open_topics(searcher.collection, run.id, "edited")
    parts = Editor(searcher, now).split(0, 2)
    assert parts.topic(0).label != "both" and parts.topic(2).label == "two"
