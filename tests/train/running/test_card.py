"""The card says what a model was made from, what was measured, and what to do with it."""

import json

from train.running.card import versions, write_card


def card(folder, **changes):
    parts = {
        "title": "runs/a: an encoder",
        "facts": {"texts": "a.txt", "seeds": [1, 2]},
        "measures": {"known_items": 12.3456, "unheard": 1.0},
        "recipe": {"out": "runs/a", "schedule": {"steps": 3}},
        "use": "llm2comp index SOURCE --into DIR",
    }
    write_card(folder, **{**parts, **changes})
    return (folder / "README.md").read_text(encoding="utf-8")


def test_a_card_has_facts_measures_the_next_command_and_the_recipe(tmp_path):
    text = card(tmp_path)
    assert text.startswith("# runs/a: an encoder\n")
    assert "| texts | a.txt |" in text
    assert "| seeds | [1, 2] |" in text
    assert "| known_items | 12.35 | nDCG@10 x 100" in text
    assert "```sh\nllm2comp index SOURCE --into DIR\n```" in text
    recipe = text.partition("```json\n")[2].partition("```")[0]
    assert json.loads(recipe) == {"out": "runs/a", "schedule": {"steps": 3}}


def test_a_measure_without_a_meaning_is_not_shown(tmp_path):
    assert "unheard" not in card(tmp_path)


def test_a_value_cannot_break_the_table(tmp_path):
    assert "| licence | a \\| b c |" in card(tmp_path, facts={"licence": "a | b\nc"})


def test_the_versions_that_decide_the_numbers_are_named():
    assert set(versions()) == {"python", "torch", "transformers", "peft", "sentence-transformers"}
