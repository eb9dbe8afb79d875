"""Stage 2 as a stage: it trains what it says, goes on after a stop, and leaves encoders that stand alone."""

import json
import shutil

import pytest

from encoder.checkpoint import load_encoder
from encoder.config import read_config
from encoder.errors import ConfigError, TrainingError
from tests.train.stages.contrast_runs import (
    LORA,
    Stopped,
    largest_difference,
    spoil,
    tensors,
    train,
    write_adapted,
    write_encoder,
)
from tests.train.stages.tiny_runs import rows, write_texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Texts, a whole encoder, and one that is an adapter over `backbone`."""
    folder = tmp_path_factory.mktemp("simcse")
    write_texts(folder / "texts.txt")
    write_encoder(folder / "whole")
    write_adapted(folder / "adapted")
    return folder


@pytest.fixture(scope="module")
def whole_run(folder):
    """All weights trained."""
    measures, notes = train("simcse", folder / "runs" / "whole", folder / "whole", folder / "texts.txt")
    return folder / "runs" / "whole", measures, notes


@pytest.fixture(scope="module")
def adapter_run(folder):
    """The adapter goes on."""
    out = folder / "runs" / "adapter"
    train("simcse", out, folder / "adapted", folder / "texts.txt", adapter=LORA)
    return out


def _vectors(place):
    return load_encoder(str(place), device="cpu", dtype="float32").encode_document(["gan bas", "tin tor"])


def test_training_brings_two_views_together(whole_run):
    out, _, _ = whole_run
    losses = [row["loss"] for row in rows(out) if "loss" in row]
    assert len(losses) == 6
    assert losses[-1] < 0.8 * losses[0]


def test_it_says_what_is_trained_and_what_held_out_texts_show(whole_run):
    _, measures, notes = whole_run
    assert notes[0].startswith("trained: all weights (")
    assert any(note.startswith("step 6 of 6 · held out: known items") for note in notes)
    assert notes[-1].endswith("whole/encoder")
    assert {"known_items", "effective_rank", "mean_cosine", "slot_similarity"} <= measures.keys()


def test_every_checkpoint_and_the_result_load_by_themselves(whole_run, adapter_run):
    for out in (whole_run[0], adapter_run):
        places = [out / "checkpoints" / "checkpoint-3", out / "checkpoints" / "checkpoint-6", out / "encoder"]
        found = [_vectors(place) for place in places]
        assert abs(found[0] - found[1]).max() > 1e-4
        assert min(abs(found[2] - each).max() for each in found[:2]) < 1e-6


def test_a_loss_that_is_not_finite_names_the_texts_of_its_batch(folder, tmp_path, monkeypatch):
    spoil(monkeypatch, step=2)
    with pytest.raises(
        TrainingError, match=r"loss is nan at step 2, in a batch of the items \[8, 9, .*, 15\]"
    ):
        train("simcse", tmp_path / "run", folder / "whole", folder / "texts.txt")


def test_the_history_has_both_stages(whole_run):
    stages = read_config(whole_run[0] / "encoder").stages
    assert [stage["stage"] for stage in stages] == ["compress", "simcse"]
    assert stages[1]["objective"] == "two dropout views, temperature 0.05"
    assert stages[1]["data"].keys() == {"texts.txt"}


def test_a_stop_changes_nothing(folder, whole_run, tmp_path):
    with pytest.raises(Stopped):
        train("simcse", tmp_path / "run", folder / "whole", folder / "texts.txt", stop_at=5)
    assert not (tmp_path / "run" / "encoder").exists()
    measures, notes = train("simcse", tmp_path / "run", folder / "whole", folder / "texts.txt")
    assert "going on after step 3" in notes
    assert measures == pytest.approx(whole_run[1])
    for name in ("checkpoints/checkpoint-6", "encoder"):
        assert largest_difference(tmp_path / "run" / name, whole_run[0] / name) < 1e-6


def test_a_stop_with_an_adapter_changes_nothing(folder, adapter_run, tmp_path):
    # Beside the other run, so that the way to the backbone is the same.
    out = folder / "runs" / "stopped"
    places = (out, folder / "adapted", folder / "texts.txt")
    with pytest.raises(Stopped):
        train("simcse", *places, adapter=LORA, stop_at=4)
    train("simcse", *places, adapter=LORA)
    assert largest_difference(out / "encoder", adapter_run / "encoder") < 1e-6


def test_memory_tokens_are_trained_with_all_weights_and_not_under_an_adapter(folder, whole_run, adapter_run):
    def moved(one, other):
        key = "memory.safetensors memory"
        return float((tensors(one)[key] - tensors(other)[key]).abs().max())

    assert moved(folder / "whole", whole_run[0] / "checkpoints" / "checkpoint-6") > 1e-4
    assert moved(folder / "adapted", adapter_run / "checkpoints" / "checkpoint-6") == 0


def test_the_stored_configuration_of_the_backbone_keeps_its_dropout(folder, whole_run):
    found = [
        json.loads((place / "config.json").read_text())["attention_dropout"]
        for place in (folder / "whole", whole_run[0] / "encoder")
    ]
    assert found == [0.0, 0.0]


def test_an_adapter_goes_on_with_its_own_values(folder, adapter_run, tmp_path):
    more = LORA | {"rank": 3}
    _, notes = train(
        "simcse",
        tmp_path / "run",
        folder / "adapted",
        folder / "texts.txt",
        adapter=more,
        schedule={"steps": 1},
    )
    assert notes[0].startswith("trained: the adapter that is there, with its own rank and dropout (")
    before, after = tensors(folder / "adapted"), tensors(tmp_path / "run" / "encoder")
    assert {name: value.shape for name, value in before.items()} == {
        name: value.shape for name, value in after.items()
    }
    assert any(not before[name].equal(after[name]) for name in before)


def test_an_adapter_is_merged_when_all_weights_are_trained(folder, tmp_path):
    places = (tmp_path / "run", folder / "adapted", folder / "texts.txt")
    _, notes = train("simcse", *places, schedule={"steps": 1, "learning_rate": 0.0})
    assert notes[0].startswith("trained: all weights, the adapter merged into them (")
    assert read_config(tmp_path / "run" / "encoder").base.kind == "embedded"
    shutil.move(tmp_path / "run" / "encoder", tmp_path / "elsewhere")
    assert abs(_vectors(tmp_path / "elsewhere") - _vectors(folder / "adapted")).max() < 1e-5


def test_a_new_adapter_lies_over_the_encoder_it_began_with(folder, tmp_path):
    shutil.copytree(folder / "whole", tmp_path / "one" / "first")
    places = (tmp_path / "one" / "run", tmp_path / "one" / "first", folder / "texts.txt")
    _, notes = train("simcse", *places, adapter=LORA)
    assert notes[0].startswith("trained: a new adapter (")
    config = read_config(tmp_path / "one" / "run" / "encoder")
    assert (config.base.kind, config.base.ref) == ("path", "../../first")
    before = _vectors(tmp_path / "one" / "run" / "encoder")
    (tmp_path / "one").rename(tmp_path / "two")
    after = _vectors(tmp_path / "two" / "run" / "encoder")
    assert (before == after).all()
    assert abs(after - _vectors(folder / "whole")).max() > 1e-4


def test_a_new_adapter_is_the_same_in_every_run(folder, tmp_path):
    for name in ("one", "two"):
        train(
            "simcse",
            tmp_path / name,
            folder / "whole",
            folder / "texts.txt",
            adapter=LORA,
            schedule={"steps": 1},
        )
    assert largest_difference(tmp_path / "one" / "encoder", tmp_path / "two" / "encoder") == 0


def test_zero_dropout_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match="dropout is zero") as caught:
        train(
            "simcse",
            tmp_path / "run",
            folder / "whole",
            folder / "texts.txt",
            views={"attention_dropout": 0.0},
        )
    assert "views.attention_dropout or adapter.dropout above 0" in caught.value.fix


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_a_new_adapter_s_own_dropout_is_enough(folder, tmp_path, dropout):
    places = (tmp_path / "run", folder / "whole", folder / "texts.txt")
    more = {"views": {"attention_dropout": 0.0}, "adapter": {**LORA, "dropout": dropout}}
    if dropout:
        train("simcse", *places, **more)
        before, after = folder / "whole", tmp_path / "run" / "encoder"
        assert abs(_vectors(before) - _vectors(after)).max() > 1e-4
    else:
        with pytest.raises(ConfigError, match="dropout is zero"):
            train("simcse", *places, **more)


def test_an_encoder_without_memory_tokens_is_refused(folder, tmp_path):
    shutil.copytree(folder / "whole", tmp_path / "mntp")
    content = json.loads((tmp_path / "mntp" / "llm2comp.json").read_text())
    content |= {"n_memory": 0, "pooling": "bidirectional_mean"}
    (tmp_path / "mntp" / "llm2comp.json").write_text(json.dumps(content))
    (tmp_path / "mntp" / "memory.safetensors").unlink()
    with pytest.raises(ConfigError, match="mntp has no memory tokens .pooling bidirectional_mean") as caught:
        train("simcse", tmp_path / "run", tmp_path / "mntp", folder / "texts.txt")
    assert "`llm2comp train compress`" in caught.value.fix
    assert not (tmp_path / "run").exists()


def test_an_encoder_that_is_not_there_is_refused_before_a_folder_is_made(folder, tmp_path):
    with pytest.raises(ConfigError, match="The encoder .*nowhere does not exist"):
        train("simcse", tmp_path / "run", tmp_path / "nowhere", folder / "texts.txt")
    assert not (tmp_path / "run").exists()


def test_a_measure_that_is_not_taken_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match="held_out_loss, which only `train pretrain` and `train compress`"):
        train(
            "simcse",
            tmp_path / "run",
            folder / "whole",
            folder / "texts.txt",
            watch={"best_by": "held_out_loss"},
        )


def test_other_weights_are_noticed_when_a_run_goes_on(folder, tmp_path):
    shutil.copytree(folder / "adapted", tmp_path / "adapted")
    shutil.copytree(folder / "backbone", tmp_path / "backbone")
    places = (tmp_path / "run", tmp_path / "adapted", folder / "texts.txt")
    train("simcse", *places, adapter=LORA, schedule={"steps": 1})
    write_encoder(tmp_path / "other", seed=3)
    shutil.copy(tmp_path / "other" / "model.safetensors", tmp_path / "backbone" / "model.safetensors")
    with pytest.raises(ConfigError, match="model.model.safetensors"):
        train("simcse", *places, adapter=LORA, schedule={"steps": 1})


def test_texts_that_were_not_used_are_told(folder, tmp_path):
    write_texts(tmp_path / "texts.txt")
    with (tmp_path / "texts.txt").open("a") as stream:
        stream.write("\nshort\nshorter\n")
    _, notes = train(
        "simcse",
        tmp_path / "run",
        folder / "whole",
        tmp_path / "texts.txt",
        schedule={"steps": 8},
        texts={"shortest_characters": 20},
    )
    assert "2 texts were passed over: shorter than texts.shortest_characters" in notes
