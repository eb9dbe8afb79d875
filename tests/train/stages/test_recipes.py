"""The recipes that come with the project run, each stage on what the one before it made."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from app.cli import main
from encoder.checkpoint import load_encoder
from encoder.config import read_config
from tests.encoder.tiny import tiny_tokenizer
from tests.train.paper_shapes import PUBLISHED, STAGES, dry_runs
from tests.train.stages.contrast_runs import write_rows
from tests.train.stages.tiny_runs import WORDS, rows
from train.recipe import read_recipe
from train.settings import CompressRecipe, ContrastiveRecipe, MineRecipe, PretrainRecipe, SimcseRecipe

RECIPES = Path(__file__).parents[3] / "recipes"
TINY = {
    "tiny-pretrain": PretrainRecipe,
    "tiny": CompressRecipe,
    "tiny-simcse": SimcseRecipe,
    "tiny-contrastive": ContrastiveRecipe,
    "tiny-mine": MineRecipe,
}
# Less of everything that takes long; all else is the recipe's own.
FEW_STEPS = ["schedule.steps=2", "schedule.batch=16", "watch.evaluate_steps=1", "watch.log_steps=1"]
FEW_TEXTS = ["texts.held_out=20"]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """Nothing of the tests stays in the cache of the user."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def _sentences(count, words, seed=0):
    generator = random.Random(seed)
    return [" ".join(generator.choices(WORDS, k=words)) for _ in range(count)]


# Those of seconds, for the demo corpus.


def test_every_tiny_recipe_says_what_its_stage_knows():
    assert {path.stem for path in RECIPES.glob("tiny*.toml")} == set(TINY)
    for name, kind in TINY.items():
        assert isinstance(read_recipe(kind, RECIPES / f"{name}.toml"), kind)


def test_a_tiny_recipe_begins_with_what_the_one_before_makes():
    found = {name: read_recipe(kind, RECIPES / f"{name}.toml") for name, kind in TINY.items()}
    assert found["tiny"].backbone == f"{found['tiny-pretrain'].out}/backbone"
    assert found["tiny-simcse"].encoder == f"{found['tiny'].out}/encoder"
    assert found["tiny-contrastive"].encoder == f"{found['tiny-simcse'].out}/encoder"
    assert found["tiny-mine"].encoder == "default"  # the tiny encoders are too weak to tell negatives


def _train(stage, name, *settings):
    options = [option for setting in settings for option in ("--set", setting)]
    config = str(RECIPES / f"{name}.toml")
    return main(["train", stage, "--config", config, "--device", "cpu", *options])


@pytest.mark.slow
def test_the_tiny_recipes_make_an_encoder_and_its_hard_negatives(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("runs/tiny").mkdir(parents=True)
    texts = _sentences(300, 60)
    titles = [" ".join(text.split()[:3]) for text in texts]
    pq.write_table(pa.table({"title": titles, "text": texts}), "runs/tiny/texts.parquet")

    assert _train("pretrain", "tiny-pretrain", *FEW_STEPS, *FEW_TEXTS, "tokenizer.vocabulary=400") == 0
    assert _train("compress", "tiny", *FEW_STEPS, *FEW_TEXTS) == 0
    assert _train("simcse", "tiny-simcse", *FEW_STEPS, *FEW_TEXTS) == 0
    assert _train("contrastive", "tiny-contrastive", *FEW_STEPS, "held_out=20") == 0
    assert (
        _train("mine", "tiny-mine", "encoder=runs/tiny/contrastive/encoder", "margin=-2.0", "skip_first=0")
        == 0
    )
    assert capsys.readouterr().out.splitlines() == [
        "runs/tiny/pretrain/backbone",
        "runs/tiny/compress/encoder",
        "runs/tiny/simcse/encoder",
        "runs/tiny/contrastive/encoder",
        "runs/tiny/pairs-with-negatives.parquet",
    ]
    for stage in ("compress", "simcse", "contrastive"):
        encoder = load_encoder(f"runs/tiny/{stage}/encoder", device="cpu")
        assert encoder.encode_query(titles[:2]).shape == (2, 128)
    stages = read_config(Path("runs/tiny/contrastive/encoder")).stages
    assert [stage["stage"] for stage in stages] == ["compress", "simcse", "contrastive"]

    mined = pq.read_table("runs/tiny/pairs-with-negatives.parquet").to_pylist()
    assert len(mined) == 300
    assert all(row["negative_1"] in texts and row["negative_1"] != row["positive"] for row in mined)
    pairs = (
        'pairs=[{name="mined", files=["runs/tiny/pairs-with-negatives.parquet"], negatives=["negative_1"]}]'
    )
    again = ["out=runs/tiny/again", "encoder=runs/tiny/contrastive/encoder", pairs, "held_out=20"]
    assert _train("contrastive", "tiny-contrastive", *FEW_STEPS, *again) == 0
    assert len([row for row in rows(Path("runs/tiny/again")) if "loss" in row]) == 2


# Those of the paper's size, on tiny models of their architectures.


def _write_data(pairs):
    """Files where the recipes look for them."""
    long = _sentences(30, 280)  # 1,000 characters and more
    Path("data/wikitext-103").mkdir(parents=True)
    pq.write_table(pa.table({"text": long}), "data/wikitext-103/train.parquet")
    Path("data/wiki1m_for_simcse.txt").write_text("\n".join(_sentences(160, 24, seed=1)))
    for seed, each in enumerate(pairs):
        texts = _sentences(60, 6, seed=seed + 2)
        (path,) = each.files
        write_rows(
            Path(path),
            [
                {each.anchor: query, each.positive: positive, each.negatives[0]: negative}
                for query, positive, negative in zip(texts[:20], texts[20:40], texts[40:], strict=True)
            ],
        )


def _write_backbone(place, keywords, *, has_bos):
    AutoModelForCausalLM.from_config(AutoConfig.for_model(**keywords)).save_pretrained(place)
    tiny_tokenizer(bos="<s>" if has_bos else None).save_pretrained(place)


def _run(stage, recipe):
    from train.stages.compress import compress
    from train.stages.contrastive import contrastive
    from train.stages.simcse import simcse

    work = {"compress": compress, "simcse": simcse, "contrastive": contrastive}[stage]
    notes = []
    return work(recipe, notes.append, device="cpu"), notes


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_recipes_of_the_paper_s_size_make_a_step_each(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed = {
        path.stem: (path, kind, keywords) for path, kind, keywords in dry_runs() if path.parent.name == name
    }
    assert listed.keys() == STAGES.keys()
    _write_backbone("tiny", listed["compress"][2], has_bos=not name.startswith("qwen3"))
    _write_data(read_recipe(ContrastiveRecipe, listed["contrastive"][0]).pairs)
    little = {
        "compress": ["backbone=tiny", "texts.held_out=4"],
        "simcse": ["texts.held_out=20"],  # a batch of 128, as it stands
        "contrastive": ["held_out=20", "schedule.batch=16"],
    }
    for stage, (path, kind, _) in listed.items():
        recipe = read_recipe(kind, path, ["schedule.steps=1", *little[stage]])
        measures, notes = _run(stage, recipe)
        assert f"the encoder is {recipe.out}/encoder" in notes
        assert "known_items" in measures
        _, told = (
            json.loads(line) for line in Path(recipe.out, "metrics.jsonl").read_text().splitlines()[:2]
        )
        assert 0 < told["loss"] < 100
    place = Path(recipe.out) / "encoder"
    config = read_config(place)
    assert [stage["stage"] for stage in config.stages] == list(STAGES)
    assert (config.n_memory, config.max_tokens) == (8, 1024)
    assert (config.base.kind, (place / config.base.ref).resolve()) == ("path", tmp_path.resolve() / "tiny")
    adapter = json.loads((place / "adapter_config.json").read_text())
    assert (adapter["r"], adapter["lora_alpha"], adapter["lora_dropout"]) == (16, 32, 0.05)
    assert sorted(adapter["target_modules"]) == [
        "down_proj",
        "gate_proj",
        "o_proj",
        "q_proj",
        "up_proj",
        "v_proj",
    ]
    encoder = load_encoder(str(place), device="cpu")
    assert encoder.encode_query(["fox"], instruction="find").shape == (1, 32)
