"""The weight of hybrid search is found with the engine, on pairs that nobody trained on."""

import json

import numpy as np
import pytest

from app.cli import main
from app.hybrid_weight import held_out_pairs, tune_weight
from encoder.checkpoint import load_encoder
from encoder.config import config_to_json, read_config
from encoder.errors import InputError
from encoder.shipped import check_shipped
from tests.conftest import WordEmbedder
from tests.indexer.test_unknown_writing import LatinEmbedder
from tests.train.stages.contrast_runs import content_of, write_encoder, write_pairs
from train.recipe import build_recipe
from train.settings import ContrastiveRecipe
from train.texts.pairs import read_pairs

COUNT = 40


class _Known(WordEmbedder):
    """Vectors by text."""

    def __init__(self, vectors):
        super().__init__("known", dimension=16)
        self.vectors = vectors

    def _encode(self, texts):
        self.n_encoded += len(texts)
        return np.stack([self.vectors[text.strip()] for text in texts]).astype(np.float32)


def _embedder(pairs, *, is_right):
    generator = np.random.default_rng(3)
    documents = generator.normal(size=(len(pairs), 16))
    queries = documents + 0.1 * generator.normal(size=documents.shape) if is_right else -documents
    vectors = {positive: row for (_, positive), row in zip(pairs, documents, strict=True)}
    vectors |= {anchor: row for (anchor, _), row in zip(pairs, queries, strict=True)}
    return _Known({text: row / np.linalg.norm(row) for text, row in vectors.items()})


def _tune(pairs, encoder, queries=COUNT):
    return tune_weight(encoder, pairs, queries=queries, note=lambda text: None)


def test_vectors_that_know_get_the_weight():
    pairs = [(f"question{n} alpha", f"answer{n} alpha") for n in range(COUNT)]
    tuned = _tune(pairs, _embedder(pairs, is_right=True))
    assert tuned.weight > 0.5
    assert tuned.gains[1.0] > 0.99 > 0.5 > tuned.gains[0.0]
    assert (tuned.queries, tuned.documents) == (COUNT, COUNT)


def test_words_that_know_get_the_weight():
    pairs = [(f"name{n} asked", f"name{n} told") for n in range(COUNT)]
    tuned = _tune(pairs, _embedder(pairs, is_right=False))
    assert tuned.weight < 0.5
    assert tuned.gains[0.0] > 0.99 > 0.5 > tuned.gains[1.0]


def test_the_words_are_those_of_the_engine():
    """It stems and skips common words; a count of bare words would find nothing here."""
    pairs = [(f"the walking of name{n}s", f"walked name{n}") for n in range(COUNT)]
    assert _tune(pairs, _embedder(pairs, is_right=False)).gains[0.0] > 0.99


def test_every_text_is_encoded_once_and_queries_are_drawn_evenly():
    pairs = [(f"name{n} asked", f"name{n} told") for n in range(COUNT)]
    encoder = _embedder(pairs, is_right=True)
    tuned = _tune(pairs, encoder, queries=15)
    assert tuned.queries == 14  # every third
    assert encoder.n_encoded == COUNT + 14


@pytest.fixture
def run(tmp_path):
    """An encoder, and the recipe that says which pairs it was not trained on."""
    encoder = write_encoder(tmp_path / "encoder")
    write_pairs(tmp_path / "data" / "pairs.jsonl")
    content = content_of("contrastive", tmp_path / "run", encoder, {"pairs": tmp_path / "pairs.jsonl"})
    content["pairs"][0]["files"] = ["pairs.jsonl"]
    recipe = tmp_path / "recipe.toml"
    lines = [
        'out = "run"',
        f"encoder = {json.dumps(str(encoder))}",
        "held_out = 8",
        "[schedule]",
        "steps = 6",
    ]
    recipe.write_text("\n".join([*lines, "[[pairs]]", 'name = "pairs"', 'files = ["pairs.jsonl"]']), "utf-8")
    return encoder, recipe, tmp_path / "data", content


def test_the_weight_is_stored_and_nothing_else_changes(run, capsys):
    encoder, recipe, data, _ = run
    before, fingerprint = config_to_json(read_config(encoder)), load_encoder(str(encoder)).fingerprint
    arguments = ["train", "hybrid", str(encoder), "--config", str(recipe), "--data", str(data), "--json"]
    assert main(arguments) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["format"] == 1
    assert (answer["queries"], answer["documents"]) == (8, 8)
    assert len(answer["gains"]) == 21
    after = config_to_json(read_config(encoder))
    assert after["hybrid_weight"] == answer["weight"] == load_encoder(str(encoder)).hybrid_weight
    assert after["card"]["hybrid"]["ndcg_at_10"] == round(max(answer["gains"].values()), 4)
    same = {key for key in before if before[key] == after[key]}
    assert before.keys() - same <= {"hybrid_weight", "card"}
    assert load_encoder(str(encoder)).fingerprint == fingerprint
    check_shipped(encoder)
    assert main([*arguments[:-1], "--set", "held_out=4", "--quiet"]) == 0
    said = capsys.readouterr()
    assert float(said.out) == read_config(encoder).hybrid_weight
    assert said.err == ""


def test_only_pairs_that_training_leaves_out_are_asked(run):
    _, _, data, content = run
    content["pairs"][0]["files"] = [str(data / "pairs.jsonl")]
    recipe = build_recipe(ContrastiveRecipe, content, "test")
    held = held_out_pairs(recipe)
    train = read_pairs(recipe.pairs, held_out=8, seed=recipe.schedule.seed).train
    trained = {text for part in train.values() for row in part for text in (row["anchor"], row["positive"])}
    assert len(held) == 8
    assert not trained & {text for pair in held for text in pair}


def test_a_recipe_without_held_out_pairs_is_refused(run):
    content = run[3] | {"held_out": 0}
    content["pairs"][0]["files"] = [str(run[2] / "pairs.jsonl")]
    with pytest.raises(InputError, match="The recipe holds no pairs out") as caught:
        held_out_pairs(build_recipe(ContrastiveRecipe, content, "test"))
    assert caught.value.fix == "set held_out above 0"


def test_queries_in_unknown_writing_are_left_to_the_words_as_in_search():
    pairs = [(f"name{n} спросил", f"name{n} ответил") for n in range(COUNT)]
    embedder = LatinEmbedder(dimension=16)
    tuned = _tune(pairs, embedder)
    assert len(set(tuned.gains.values())) == 1  # no weight changes what a search for them finds


def test_anchors_that_search_refuses_are_not_asked(run):
    content, path = run[3], run[2] / "long.jsonl"
    rows = [{"anchor": f"who is {n} " + "x" * (n % 2) * 100_001, "positive": f"it is {n}"} for n in range(40)]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    content["pairs"][0]["files"] = [str(path)]
    content["held_out"] = 30
    held = held_out_pairs(build_recipe(ContrastiveRecipe, content, "test"))
    assert 0 < len(held) < 30
    assert max(len(anchor) for anchor, _ in held) < 100


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["--queries", "0"], "--queries is 0"),
        (["--data", "nowhere"], "There is no such folder"),
        (["--set", "held_out=-1"], "held_out is -1"),
    ],
)
def test_mistakes_are_said_before_any_work(run, capsys, changes, said):
    encoder, recipe, data, _ = run
    before = (encoder / "llm2comp.json").read_bytes()
    arguments = ["train", "hybrid", str(encoder), "--config", str(recipe), "--data", str(data), *changes]
    assert main(arguments) != 0
    assert said in capsys.readouterr().err
    assert (encoder / "llm2comp.json").read_bytes() == before


def test_a_place_that_is_no_encoder_is_refused(run, capsys, tmp_path):
    assert main(["train", "hybrid", str(tmp_path / "none"), "--config", str(run[1])]) != 0
    assert "there is no llm2comp.json" in capsys.readouterr().err
