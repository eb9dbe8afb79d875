"""Stage 0: a language model from scratch that others load, resumed to the bit."""

import json
import math

import pytest
import torch

from encoder.errors import ConfigError
from encoder.prompt import TextTokenizer
from encoder.weights import read_causal_lm, read_tokenizer
from tests.train.stages.tiny_runs import losses, measured, recipe_of, same_weights, train
from train.settings import Shape
from train.stages.pretrain import LanguageModel, LanguageWatcher, new_language_model, pretrain


def test_the_result_is_a_language_model_and_a_tokenizer(pretrained):
    place = pretrained.out / "backbone"
    tokenizer = read_tokenizer(place, as_stored=False)
    model = read_causal_lm(place)
    assert model.config.vocab_size == len(tokenizer) <= 320
    ids = torch.tensor([tokenizer.encode("bar ben bin", add_special_tokens=False)])
    assert torch.isfinite(model(ids).logits).all()


def test_the_head_is_the_token_table_after_a_resume_too(pretrained):
    model = read_causal_lm(pretrained.out / "checkpoints" / "checkpoint-3")
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_the_model_learns(pretrained):
    looks = [row["eval_held_out_loss"] for row in measured(pretrained.out) if "eval_held_out_loss" in row]
    assert len(looks) == 3
    assert looks[0] == pytest.approx(math.log(320), abs=0.3)
    assert looks == sorted(looks, reverse=True)


def test_the_card_has_recipe_measures_and_the_next_command(pretrained):
    place = pretrained.out / "backbone"
    card = (place / "README.md").read_text(encoding="utf-8")
    assert "| stage | pretrain |" in card and "| bits_per_byte | " in card
    assert f"--set backbone={place}" in card
    assert json.loads((place / "recipe.json").read_text(encoding="utf-8"))["schedule"]["steps"] == 6


def test_the_measures_are_those_of_the_best_checkpoint(pretrained):
    last = measured(pretrained.out)[-1]
    assert pretrained.measures == {
        name.removeprefix("eval_"): value for name, value in last.items() if name.startswith("eval_")
    }
    assert same_weights(pretrained.out / "backbone", pretrained.out / "checkpoints" / "checkpoint-6")


@pytest.mark.parametrize(
    "sections", [{}, {"schedule": {"device_batch": 2}}, {"shape": {"attention_dropout": 0.2}}]
)
def test_a_run_that_went_on_equals_one_that_never_stopped(tmp_path, material, monkeypatch, sections):
    train("pretrain", material, tmp_path / "whole", **sections)
    _stop_after(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        train("pretrain", material, tmp_path / "broken", **sections)
    monkeypatch.undo()
    _measures, notes = train("pretrain", material, tmp_path / "broken", **sections)
    assert "going on after step 3" in notes
    assert not any("vocabulary" in note for note in notes)
    assert same_weights(tmp_path / "whole" / "backbone", tmp_path / "broken" / "backbone")
    assert measured(tmp_path / "broken") == measured(tmp_path / "whole")


def _stop_after(monkeypatch, step):
    """Ends a run as Ctrl+C would, once the checkpoint after a step is whole."""
    from train.running import trainer

    seal = trainer.seal

    def seal_and_stop(place):
        seal(place)
        if place.name == f"checkpoint-{step}":
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "seal", seal_and_stop)


def test_a_finished_run_is_not_trained_again(pretrained, monkeypatch):
    monkeypatch.setattr("train.stages.pretrain.StageTrainer", None)
    before = (pretrained.out / "metrics.jsonl").read_bytes()
    measures, notes = train("pretrain", pretrained.folder, pretrained.out)
    assert measures == pretrained.measures
    assert notes == ["the run was finished before; nothing is left to train"]
    assert (pretrained.out / "metrics.jsonl").read_bytes() == before


def test_accumulated_parts_of_a_batch_train_as_the_whole_batch(tmp_path, material, pretrained):
    train("pretrain", material, tmp_path / "parts", schedule={"device_batch": 1})
    assert losses(tmp_path / "parts") == pytest.approx(losses(pretrained.out), abs=1e-5)


def test_gradient_checkpointing_changes_no_loss(tmp_path, material, pretrained):
    train("pretrain", material, tmp_path / "run", schedule={"gradient_checkpointing": True})
    assert losses(tmp_path / "run") == pytest.approx(losses(pretrained.out), abs=1e-6)


def test_looking_more_often_changes_no_loss(tmp_path, material):
    sections = {"shape": {"attention_dropout": 0.2}}
    for every in (1, 6):
        watch = {"evaluate_steps": every, "log_steps": 1}
        train("pretrain", material, tmp_path / str(every), watch=watch, **sections)
    assert losses(tmp_path / "1") == losses(tmp_path / "6")


@pytest.mark.parametrize(
    ("shape", "what", "where"),
    [
        ({"width": 16, "heads": 3}, "shape.width 16 cannot be divided into 3 heads", "shape.heads"),
        ({"width": 6 * 3, "heads": 6}, "cannot be divided into 6 heads of even width", "shape.heads"),
        ({"window": 65}, "shape.window is 65, more than shape.max_positions 64", "shape.window"),
    ],
)
def test_an_impossible_shape_is_refused_before_anything_is_written(tmp_path, material, shape, what, where):
    with pytest.raises(ConfigError, match=what) as caught:
        train("pretrain", material, tmp_path / "run", shape=shape)
    assert caught.value.where == where
    assert not (tmp_path / "run").exists()


# The model and what is measured of it.

_SHAPE = Shape(width=16, layers=1, heads=2, mlp=24, window=16, max_positions=32)


def test_the_loss_is_that_of_the_library_however_few_logits_exist_at_a_time(monkeypatch):
    torch.manual_seed(0)
    language_model = new_language_model(_SHAPE, 50, 0)
    ids = torch.randint(50, (3, 16))
    expected = language_model(ids, labels=ids).loss
    for rows in (2048, 7):
        monkeypatch.setattr("train.stages.pretrain._ROWS", rows)
        language_model.zero_grad()
        found = LanguageModel(language_model)(ids)
        torch.testing.assert_close(found["loss"], expected)
        found["loss"].backward()
        gradient = language_model.lm_head.weight.grad.clone()
        language_model.zero_grad()
        language_model(ids, labels=ids).loss.backward()
        torch.testing.assert_close(gradient, language_model.lm_head.weight.grad)
    assert int(found["tokens"]) == 48


def test_bits_per_byte_are_those_of_brute_force_and_the_pieces_lose_no_token(pretrained, material):
    place = pretrained.out / "backbone"
    tokenizer = read_tokenizer(place, as_stored=True)
    plain = TextTokenizer(tokenizer.backend_tokenizer, tokenizer.bos_token_id)
    model = LanguageModel(read_causal_lm(place))
    recipe = recipe_of("pretrain", material, material / "unused")
    texts = ["bar ben bin " * 20, "naïve", "din"]
    found = LanguageWatcher(model, plain, texts, recipe, torch.float32).look()
    nats, tokens = 0.0, 0
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False)
        for start in range(0, len(ids), recipe.shape.window - 1):
            piece = [tokenizer.bos_token_id, *ids[start : start + recipe.shape.window - 1]]
            with torch.no_grad():
                logits = model.language_model(torch.tensor([piece])).logits[0].log_softmax(dim=-1)
            nats -= sum(float(logits[row, token]) for row, token in enumerate(piece[1:]))
            tokens += len(piece) - 1
    size = sum(len(text.encode()) for text in texts)
    assert found["held_out_loss"] == pytest.approx(nats / tokens, rel=1e-5)
    assert found["bits_per_byte"] == pytest.approx(nats / math.log(2) / size, rel=1e-5)


def test_a_recipe_from_a_file_and_from_the_card_are_the_same(pretrained):
    from train.recipe import build_recipe
    from train.settings import PretrainRecipe

    stored = json.loads((pretrained.out / "backbone" / "recipe.json").read_text(encoding="utf-8"))
    again = build_recipe(PretrainRecipe, stored, "recipe.json")
    notes = []
    assert pretrain(again, notes.append, device="cpu") == pretrained.measures
    assert notes == ["the run was finished before; nothing is left to train"]
