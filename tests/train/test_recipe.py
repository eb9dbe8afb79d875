"""Recipes are read strictly."""

from pathlib import Path

import pytest

from encoder.errors import ConfigError
from train.distillation.recipe import Recipe
from train.recipe import read_recipe

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
    assert (recipe.student.width, recipe.student.layers, recipe.student.n_memory) == (256, 4, 8)
