"""A run's folder: one run at a time, whole checkpoints only, results in one step."""

import errno
import json
import multiprocessing
import os
from dataclasses import replace

import pytest

from encoder.errors import ConfigError, InputError, TrainingError
from train.recipe import recipe_to_json
from train.running.run_folder import (
    RunFolder,
    begin,
    clear_unfinished,
    fingerprint_files,
    finish,
    finished,
    hold,
    last_checkpoint,
    publish,
    seal,
    step_of,
    thin_out,
)
from train.settings import Adapter, CompressRecipe, ContrastiveRecipe, Pairs, Schedule, Texts

CONTENT = {
    "stage": "compress",
    "recipe": {"out": "runs/a", "card": {}, "schedule": {"steps": 3, "seed": 0}, "watch": {"keep": 2}},
    "data": {"a.txt": "0123"},
    "model": {"model.safetensors": "4567"},
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


def checkpoint(folder, step, *, whole=True):
    place = folder.checkpoint(step)
    place.mkdir(parents=True)
    (place / "weights").write_bytes(b"x")
    if whole:
        seal(place)
    return place


def changed(**sections):
    recipe = {**CONTENT["recipe"], **sections.pop("recipe", {})}
    return {**CONTENT, "recipe": recipe, **sections}


# Beginning.


def test_the_same_beginning_goes_on(folder):
    begin(folder, CONTENT)
    written = folder.claim.read_bytes()
    checkpoint(folder, 1)
    begin(folder, CONTENT)
    assert folder.claim.read_bytes() == written
    assert last_checkpoint(folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (changed(recipe={"schedule": {"steps": 5, "seed": 0}}), "schedule.steps: 3, now 5"),
        (changed(stage="simcse"), "stage: 'compress', now 'simcse'"),
        (changed(data={"a.txt": "9999"}), "data.a.txt: '0123', now '9999'"),
        (changed(data={"b.txt": "0123"}), "data.b.txt: None, now '0123'"),
        (changed(model={"model.safetensors": "8"}), "model.model.safetensors: '4567', now '8'"),
    ],
)
def test_another_beginning_is_refused_once_there_is_a_checkpoint_and_the_difference_is_named(
    folder, content, said
):
    begin(folder, CONTENT)
    checkpoint(folder, 1)
    with pytest.raises(ConfigError, match="The run was begun with something else") as caught:
        begin(folder, content)
    assert said in caught.value.what
    assert caught.value.where == str(folder.claim)
    assert "--out" in caught.value.fix


def test_another_beginning_is_refused_when_only_the_result_is_left(folder):
    begin(folder, CONTENT)
    finish(folder, {}, {})
    with pytest.raises(ConfigError, match="begun with something else"):
        begin(folder, changed(stage="simcse"))


def _whole(recipe):
    return {**CONTENT, "recipe": recipe_to_json(recipe)}


_RECIPE = CompressRecipe("runs/a", "base", Texts(("a.txt",)), Schedule(steps=3))


def test_a_key_that_was_not_there_when_a_run_was_begun_counts_as_its_default(folder):
    old = _whole(_RECIPE)
    del old["recipe"]["compression"]["mask_share"], old["recipe"]["adapter"]
    begin(folder, old)
    checkpoint(folder, 1)
    begin(folder, _whole(_RECIPE))
    with pytest.raises(ConfigError, match=r"else: adapter\.rank: 16, now 2\n"):
        begin(folder, _whole(replace(_RECIPE, adapter=Adapter(rank=2))))


def test_a_section_that_was_left_out_is_no_damage(folder):
    recipe = ContrastiveRecipe("runs/a", "encoder", (Pairs("p", ("a.jsonl",)),), Schedule(steps=3))
    content = {**_whole(recipe), "stage": "contrastive"}
    old = json.loads(json.dumps(content))
    del old["recipe"]["contrast"]["symmetric"]
    begin(folder, old)
    checkpoint(folder, 1)
    begin(folder, content)
    assert last_checkpoint(folder)


def test_a_key_that_is_there_no_more_is_named(folder):
    old = _whole(_RECIPE)
    old["recipe"]["compression"]["former"] = 3
    begin(folder, old)
    checkpoint(folder, 1)
    with pytest.raises(ConfigError, match=r"compression\.former: 3, now None"):
        begin(folder, _whole(_RECIPE))


def test_where_it_lies_and_what_changes_no_weights_may_change(folder):
    begin(folder, CONTENT)
    checkpoint(folder, 1)
    schedule = {**CONTENT["recipe"]["schedule"], "gradient_checkpointing": True}
    elsewhere = {"out": "elsewhere", "card": {"name": "x"}, "watch": {"keep": 5}, "schedule": schedule}
    begin(folder, changed(recipe=elsewhere))
    assert last_checkpoint(folder)


def test_a_run_without_a_checkpoint_is_begun_anew_with_another_recipe(folder):
    begin(folder, CONTENT)
    folder.metrics.write_text("{}\n", encoding="utf-8")
    (folder.path / "tokenizer").mkdir()
    checkpoint(folder, 1, whole=False)
    begin(folder, changed(stage="simcse"))
    assert sorted(path.name for path in folder.path.iterdir()) == ["run.json"]
    assert json.loads(folder.claim.read_text(encoding="utf-8"))["stage"] == "simcse"


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(folder):
    (folder.path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(TrainingError, match="holds something that is no run: thesis.txt") as caught:
        begin(folder, CONTENT)
    assert caught.value.where == str(folder.path)
    assert [path.name for path in folder.path.iterdir()] == ["thesis.txt"]


def test_what_a_kill_left_of_a_file_is_nothing_foreign_and_is_taken_away(folder):
    (folder.path / ".run.json.x7").write_bytes(b"{")
    (folder.path / ".metrics.jsonl.y8").write_bytes(b"{")
    (folder.path / ".DS_Store").write_bytes(b"a file manager's")
    begin(folder, CONTENT)
    assert {path.name for path in folder.path.iterdir()} == {"run.json", ".DS_Store"}


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}', '{"recipe": 3}', "null"])
def test_a_damaged_beginning_is_named(folder, content):
    folder.claim.write_text(content, encoding="utf-8")
    with pytest.raises(TrainingError, match="run.json cannot be read"):
        begin(folder, CONTENT)


def test_a_disk_full_at_the_beginning_is_named(folder, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("train.running.run_folder.write_json", full)
    with pytest.raises(TrainingError, match="cannot be written: No space left on device"):
        begin(folder, CONTENT)


def test_only_the_first_process_begins(folder, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    begin(folder, CONTENT)
    assert not folder.claim.exists()


# Holding.


def _try_to_hold(path, found):
    try:
        with hold(RunFolder(path)):
            found.put("held")
    except TrainingError as error:
        found.put(error.what)


def test_a_second_process_is_refused_until_the_first_ends(folder):
    context = multiprocessing.get_context("spawn")
    answers = []
    for is_held in (True, False):
        found = context.SimpleQueue()
        process = context.Process(target=_try_to_hold, args=(folder.path, found))
        if is_held:
            with hold(folder):
                process.start()
                process.join()
        else:
            process.start()
            process.join()
        answers.append(found.get())
    assert answers == ["Another process trains in this folder.", "held"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(TrainingError, match="cannot be written: ") as caught,
        hold(RunFolder(tmp_path / "file")),
    ):
        pass
    assert caught.value.where == str(tmp_path / "file")


def test_the_other_processes_of_one_run_do_not_lock(folder, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with hold(folder):
        pass
    assert not (folder.path / "lock").exists()


# Checkpoints.


def test_the_last_checkpoint_is_the_latest_whole_one(folder):
    assert last_checkpoint(folder) is None
    for step in (9, 10, 100):
        checkpoint(folder, step)
    checkpoint(folder, 200, whole=False)
    assert step_of(last_checkpoint(folder)) == 100


def test_unfinished_checkpoints_are_taken_away_and_whole_ones_stay(folder):
    whole, torn = checkpoint(folder, 1), checkpoint(folder, 2, whole=False)
    clear_unfinished(folder)
    assert whole.exists() and not torn.exists()


def test_a_sealed_checkpoint_can_be_read_by_all(folder):
    place = checkpoint(folder, 1, whole=False)
    (place / "weights").chmod(0o600)
    seal(place)
    assert (place / "weights").stat().st_mode & 0o777 == 0o644


def test_the_latest_checkpoints_and_the_best_stay(folder):
    for step in (1, 2, 3, 4, 10):
        checkpoint(folder, step)
    thin_out(folder, keep=2, best=2)
    assert {path.name for path in folder.checkpoints.iterdir()} == {
        "checkpoint-2",
        "checkpoint-4",
        "checkpoint-10",
    }


def test_a_kill_while_an_old_checkpoint_is_taken_away_leaves_none_that_looks_whole(folder, monkeypatch):
    for step in (1, 2):
        checkpoint(folder, step)
    monkeypatch.setattr("train.running.run_folder.shutil.rmtree", lambda *args, **kwargs: None)
    thin_out(folder, keep=1, best=None)
    assert folder.checkpoint(1).exists()  # the kill came here
    clear_unfinished(folder)
    monkeypatch.undo()
    clear_unfinished(folder)
    assert [path.name for path in folder.checkpoints.iterdir()] == ["checkpoint-2"]


# Results.


def write(content):
    def fill(place):
        (place / "a").write_text(content, encoding="utf-8")
        (place / "a").chmod(0o600)

    return fill


def test_a_result_is_put_in_place_and_replaces_an_older_one(folder):
    target = folder.path / "encoder"
    publish(write("old"), target)
    publish(write("new"), target)
    assert (target / "a").read_text(encoding="utf-8") == "new"
    assert (target / "a").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in folder.path.iterdir()] == ["encoder"]


def test_a_result_that_cannot_be_written_leaves_the_older_one(folder):
    target = folder.path / "encoder"
    publish(write("old"), target)

    def full(place):
        (place / "a").write_text("ne", encoding="utf-8")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(TrainingError, match="The result could not be written: .*No space left") as caught:
        publish(full, target)
    assert "nothing is trained again" in caught.value.fix
    assert (target / "a").read_text(encoding="utf-8") == "old"
    assert [path.name for path in folder.path.iterdir()] == ["encoder"]


def test_a_result_that_a_kill_left_aside_is_there_again_when_the_next_one_fails(folder, monkeypatch):
    target = folder.path / "encoder"
    publish(write("old"), target)
    target.rename(folder.path / ".encoder.old")  # the kill came between the two renames

    def full(place):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(TrainingError):
        publish(full, target)
    assert (target / "a").read_text(encoding="utf-8") == "old"


def test_a_finished_run_has_its_measures_until_the_result_or_the_card_changes(folder):
    result = folder.path / "encoder"
    assert finished(folder, result, {}) is None
    publish(write("x"), result)
    assert finished(folder, result, {}) is None
    finish(folder, {"known_items": 3.5}, {"name": "a"})
    assert finished(folder, result, {"name": "a"}) == {"known_items": 3.5}
    assert finished(folder, result, {"name": "b"}) is None
    result.rename(folder.path / "moved")
    assert finished(folder, result, {"name": "a"}) is None


# Fingerprints.


def test_another_content_or_length_has_another_fingerprint(tmp_path):
    path = tmp_path / "a.txt"
    found = set()
    for content in (b"a", b"b", b"aa", b"x" * (3 << 20), b"x" * (3 << 20) + b"x", b"y" + b"x" * (3 << 20)):
        path.write_bytes(content)
        found.add(fingerprint_files([path])["a.txt"])
    assert len(found) == 6


def test_a_change_amid_a_file_is_noticed_unless_the_file_is_huge(tmp_path, monkeypatch):
    path, found = tmp_path / "a.txt", []
    for most in (64 << 20, 3 << 20):
        monkeypatch.setattr("train.running.run_folder._WHOLE_BYTES", most)
        for middle in (b"a", b"b"):
            path.write_bytes(b"x" * (2 << 20) + middle + b"x" * (2 << 20))
            found.append(fingerprint_files([path])["a.txt"])
    assert found[0] != found[1]
    assert found[2] == found[3]


def test_a_folder_stands_for_its_files(tmp_path):
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "a.txt").write_bytes(b"a")
    assert list(fingerprint_files([tmp_path / "data"])) == ["data/deep/a.txt"]


def test_files_of_one_name_do_not_hide_each_other(tmp_path):
    paths = [tmp_path / name / "texts.txt" for name in "abc"]
    for path in paths:
        path.parent.mkdir()
        path.write_text(path.parent.name, encoding="utf-8")
    before = fingerprint_files(paths)
    assert list(before) == ["texts.txt", "texts.txt#2", "texts.txt#3"]
    paths[0].write_bytes(b"changed")
    assert fingerprint_files(paths) != before


def test_a_missing_file_has_no_fingerprint(tmp_path):
    with pytest.raises(InputError, match="There is no such file or folder"):
        fingerprint_files([tmp_path / "none"])


def test_the_name_of_a_fingerprint_is_no_path_of_this_machine(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"a")
    assert os.sep not in next(iter(fingerprint_files([tmp_path / "a.txt"])))
