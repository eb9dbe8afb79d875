"""Recipes are read strictly."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.errors import ConfigError
from train import settings
from train.distillation.recipe import Recipe
from train.recipe import (
    build_recipe,
    differences,
    files_in,
    least,
    one_of,
    read_recipe,
    recipe_to_json,
    within,
)

_LEAST = "[material]\ntexts = 10\n[table]\nsteps = 1\n[distil]\nsteps = 1\n"


def _read(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(Recipe, path)


def test_a_recipe_needs_only_what_has_no_default(tmp_path):
    recipe = _read(tmp_path, _LEAST)
    assert (recipe.material.texts, recipe.student.n_memory) == (10, 8)


def test_a_whole_number_counts_as_a_fraction(tmp_path):
    assert _read(tmp_path, _LEAST + "learning_rate = 1\n").distil.learning_rate == 1.0


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        (_LEAST + "step = 3\n", "There is no key distil.step", "write distil.steps"),
        (_LEAST + "[studnet]\n", "There is no key studnet", "write student"),
        (
            _LEAST + "[teacher]\nquux = 1\n",
            "There is no key teacher.quux",
            "use one of directory, max_tokens",
        ),
        ("[material]\ntexts = 1\n[table]\nsteps = 1\n", "The key distil is missing", "add distil"),
        (_LEAST.replace("texts = 10", ""), "The key material.texts is missing", "add material.texts"),
        (_LEAST + "seed = 1.5\n", "distil.seed is 1.5, expected int", "mend distil.seed"),
        (_LEAST + "seed = true\n", "distil.seed is True, expected int", "mend distil.seed"),
        (_LEAST + "autocast = 1\n", "distil.autocast is 1, expected bool", "mend distil.autocast"),
        ("teacher = 3\n" + _LEAST, "teacher is 3, expected a table", "write [teacher]"),
        ("[material\n", "The recipe is no TOML", "mend the line"),
    ],
)
def test_a_wrong_recipe_is_refused_with_what_to_write(tmp_path, text, what, fix):
    with pytest.raises(ConfigError) as caught:
        _read(tmp_path, text)
    assert what in caught.value.what
    assert fix in caught.value.fix


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_recipe(Recipe, tmp_path / "none.toml")


def test_the_bundled_recipe_is_valid():
    recipe = read_recipe(Recipe, Path(__file__).parents[2] / "recipes" / "bundled.toml")
    assert (recipe.student.width, recipe.student.layers, recipe.student.n_memory) == (384, 6, 8)
    assert recipe.student.has_teacher_layers


# What a field takes.


@dataclass(frozen=True)
class _Part:
    size: int = least(1, 4)
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Made:
    steps: int = least(1)
    share: float = within(0, 1, 0.5)
    kind: str = one_of("linear", "cosine")
    sizes: tuple[tuple[int, ...], ...] = ()
    part: _Part = field(default_factory=_Part)
    parts: tuple[_Part, ...] = ()
    extra: _Part | None = None
    card: dict[str, Any] = field(default_factory=dict)


def made(**content):
    return build_recipe(_Made, {"steps": 2, **content}, "here.toml")


def test_defaults_are_taken_where_nothing_is_said():
    assert made() == _Made(steps=2)


@pytest.mark.parametrize(
    ("content", "what", "fix"),
    [
        ({"steps": 0}, "steps is 0, expected 1 or more", "set steps to 1 or more"),
        (
            {"share": 1.01},
            "share is 1.01, expected a number from 0 to 1",
            "set share to a number from 0 to 1",
        ),
        ({"share": -1}, "share is -1.0, expected a number from 0 to 1", "set share"),
        ({"kind": "cosin"}, "kind is 'cosin', expected one of linear, cosine", "did you mean 'cosine'?"),
        ({"kind": "zigzag"}, "kind is 'zigzag', expected one of linear, cosine", "set kind to one of"),
        ({"part": {"size": 0}}, "part.size is 0, expected 1 or more", "set part.size"),
        ({"parts": [{}, {"size": 0}]}, "parts[1].size is 0, expected 1 or more", "set parts[1].size"),
        ({"parts": [{}, {"sise": 3}]}, "There is no key parts[1].sise", "write parts[1].size"),
        ({"extra": {"size": -3}}, "extra.size is -3, expected 1 or more", "set extra.size"),
        ({"sizes": [[1, 2], [3, 4.5]]}, "sizes[1][1] is 4.5, expected int", "mend sizes[1][1]"),
        ({"sizes": [1]}, "sizes[0] is 1, expected an array", "mend sizes[0]"),
        ({"part": {"names": "ab"}}, "part.names is 'ab', expected an array", 'write part.names = ["ab"]'),
        ({"share": float("nan")}, "share is nan, expected float", "mend share"),
        ({"share": "half"}, "share is 'half', expected float", "mend share"),
        ({"steps": None}, "steps is None, expected int", "mend steps"),
    ],
)
def test_an_impossible_value_is_refused_with_what_is_possible(content, what, fix):
    with pytest.raises(ConfigError) as caught:
        made(**content)
    assert what in caught.value.what
    assert caught.value.where == "here.toml"
    assert fix in caught.value.fix


def test_arrays_become_tuples_at_every_depth():
    found = made(sizes=[[1, 2], [3]], parts=[{"names": ["a"]}, {"size": 9}], extra={})
    assert found.sizes == ((1, 2), (3,))
    assert found.parts == (_Part(names=("a",)), _Part(size=9))
    assert found.extra == _Part()


@given(
    st.fixed_dictionaries(
        {"steps": st.integers(1, 99)},
        optional={
            "share": st.floats(0, 1),
            "kind": st.sampled_from(["linear", "cosine"]),
            "sizes": st.lists(st.lists(st.integers(), max_size=3), max_size=3),
            "part": st.fixed_dictionaries({}, optional={"names": st.lists(st.text(), max_size=3)}),
            "extra": st.fixed_dictionaries({"size": st.integers(1, 9)}),
            "card": st.dictionaries(st.text(), st.integers() | st.text(), max_size=3),
        },
    )
)
def test_a_recipe_survives_being_written_down(content):
    recipe = build_recipe(_Made, content, "here")
    written = {name: value for name, value in recipe_to_json(recipe).items() if value is not None}
    assert build_recipe(_Made, written, "here") == recipe
    assert differences(recipe_to_json(recipe), recipe_to_json(recipe)) == []


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("steps=7", "steps", 7),
        ("share=0.25", "share", 0.25),
        ("kind=cosine", "kind", "cosine"),  # a bare word is text
        ('kind="cosine"', "kind", "cosine"),
        ('kind ="cosine"', "kind", "cosine"),
        ("sizes=[[1, 2], [3]]", "sizes", ((1, 2), (3,))),
        ("part.size=9", "part", _Part(size=9, names=("kept",))),
        ('part={names = ["a"]}', "part", _Part(names=("a",))),
        ("card.name=a=b", "card", {"name": "a=b"}),
        ("card.licence=", "card", {"licence": ""}),
    ],
)
def test_a_value_set_on_the_command_line_wins(tmp_path, text, name, value):
    path = tmp_path / "recipe.toml"
    path.write_text('steps = 2\n[part]\nnames = ["kept"]\n', encoding="utf-8")
    assert getattr(read_recipe(_Made, path, [text]), name) == value


def test_the_last_of_two_values_wins(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text("steps = 2\n", encoding="utf-8")
    assert read_recipe(_Made, path, ["steps=3", "steps=4"]).steps == 4


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("steps", "'steps' sets nothing"),
        ("=3", "'=3' sets nothing"),
        ("steps.more=3", "steps is no table"),
        ("steps=many", "steps is 'many', expected int"),
        ("step=3", "There is no key step"),
    ],
)
def test_a_setting_that_sets_nothing_is_refused(tmp_path, text, what):
    path = tmp_path / "recipe.toml"
    path.write_text("steps = 2\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_recipe(_Made, path, [text])
    assert what in caught.value.what


def test_differences_name_each_key_with_its_old_and_new_value():
    old = recipe_to_json(made(part={"size": 2}, parts=[{}]))
    new = recipe_to_json(made(part={"size": 3}, parts=[{}, {}], extra={}))
    assert [line.partition(":")[0] for line in differences(old, new)] == ["extra", "part.size", "parts"]
    assert "part.size: 2, now 3" in differences(old, new)
    assert differences({"a": 1}, {"b": 2}) == ["a: 1, now None", "b: None, now 2"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("tiny-pretrain", "PretrainRecipe"), ("tiny", "CompressRecipe"), ("tiny-simcse", "SimcseRecipe")],
)
def test_the_recipes_of_the_stages_are_valid(name, kind):
    path = Path(__file__).parents[2] / "recipes" / f"{name}.toml"
    assert read_recipe(getattr(settings, kind), path).schedule.steps > 0


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("2026-11-21", "2026-11-21"),
        ("02:30:00", "02:30:00"),
        ("2026-11-21T02:30:00Z", "2026-11-21T02:30:00+00:00"),
        ("[{day = 2026-11-21}, 3]", [{"day": "2026-11-21"}, 3]),
    ],
)
def test_a_date_on_the_card_is_kept_as_text(tmp_path, written, kept):
    path = tmp_path / "recipe.toml"
    path.write_text(f"steps = 2\n[card]\nmade = {written}\n", encoding="utf-8")
    recipe = read_recipe(_Made, path)
    assert recipe.card == {"made": kept}
    assert recipe_to_json(recipe)["card"] == {"made": kept}


@pytest.mark.parametrize("kind", [settings.Texts, settings.Schedule, settings.MineRecipe])
def test_a_negative_seed_is_refused(kind):
    needed = {
        "Texts": {"files": ["a.txt"]},
        "Schedule": {"steps": 1},
        "MineRecipe": {"out": "a", "encoder": "b", "pairs": []},
    }[kind.__name__]
    with pytest.raises(ConfigError, match="seed is -1, expected 0 or more"):
        build_recipe(kind, {**needed, "seed": -1}, "here.toml")


def test_a_folder_in_place_of_a_recipe_is_named(tmp_path):
    with pytest.raises(ConfigError, match="The recipe cannot be read: "):
        read_recipe(Recipe, tmp_path)


def test_bytes_that_are_no_text_are_no_recipe(tmp_path):
    (tmp_path / "r.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="The recipe is no TOML"):
        read_recipe(Recipe, tmp_path / "r.toml")


def test_a_key_of_a_section_is_shown_its_section():
    with pytest.raises(ConfigError, match="There is no key n_memory") as caught:
        build_recipe(settings.CompressRecipe, {"n_memory": 4}, "file")
    assert caught.value.fix == "write memory.n_memory"


def test_a_text_in_the_place_of_an_array_is_shown_as_one():
    with pytest.raises(ConfigError, match="expected an array") as caught:
        build_recipe(settings.CompressRecipe, {"texts": {"files": "a.txt"}}, "file")
    assert caught.value.fix == 'write texts.files = ["a.txt"]'


def test_a_value_that_was_set_is_named_with_the_file(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(_LEAST, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_recipe(Recipe, path, ["distil.steps=many"])
    assert caught.value.where == f"{path} --set distil.steps=many"


def test_files_are_looked_for_in_a_folder(tmp_path):
    content = {
        "out": "runs/x",
        "encoder": "runs/y/encoder",
        "pairs": [{"name": "a", "files": ["a.parquet", "/b.parquet"]}],
        "texts": {"files": ["more", "hf:NAME"]},
        "schedule": {"steps": 1},
    }
    recipe = build_recipe(settings.ContrastiveRecipe, content, "file")
    moved = files_in(recipe, tmp_path)
    assert moved.pairs[0].files == (str(tmp_path / "a.parquet"), "/b.parquet")
    assert moved.texts.files == (str(tmp_path / "more"), "hf:NAME")
    changed = differences(recipe_to_json(recipe), recipe_to_json(moved))
    assert {line.split(":")[0] for line in changed} == {"pairs", "texts.files"}


def test_a_folder_that_is_not_there_holds_no_files(tmp_path):
    recipe = build_recipe(
        settings.SimcseRecipe,
        {"out": "o", "encoder": "e", "texts": {"files": ["a"]}, "schedule": {"steps": 1}},
        "file",
    )
    with pytest.raises(ConfigError, match="There is no such folder") as caught:
        files_in(recipe, tmp_path / "none")
    assert caught.value.fix == "name the folder of the data after --data"
