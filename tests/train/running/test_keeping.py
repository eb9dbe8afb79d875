"""A checkpoint of a stage is an encoder that stands alone, and gives the weights back."""

import shutil

import numpy as np
import pytest
import torch
from torch import nn

from encoder.checkpoint import load_encoder, text_tokenizer
from encoder.config import BaseReference, EncoderConfig, read_config
from encoder.errors import CheckpointError
from encoder.memory import MemoryModel
from tests.encoder.tiny import TEXTS, tiny_backbone, tiny_tokenizer
from train.adapter import attach_adapter
from train.running.keeping import EncoderKeeper, read_weights
from train.running.live import LiveEncoder
from train.running.result import publish_encoder
from train.running.run_folder import RunFolder, finished
from train.settings import Adapter

EARLIER = {"stage": "pretrain", "steps": 5}


class Kept:
    """An encoder in training and its keeper; `spoil` changes all that is trained."""

    def __init__(self, folder, *, lora=True, memory=True, kind="llama", **shape):
        self.folder = folder
        base = tiny_backbone(kind, **shape)
        if not (folder / "base").exists():
            base.save_pretrained(folder / "base")
        tokenizer = tiny_tokenizer()
        self.backbone = attach_adapter(base, Adapter(rank=2)) if lora else base
        self.memory = nn.Parameter(torch.randn(3, 32)) if memory else None
        pooling = "memory_mean" if memory else "bidirectional_mean"
        config = EncoderConfig(
            n_memory=3 if memory else 0,
            dimension=32,
            max_tokens=40,
            pooling=pooling,
            stages=(EARLIER,),
            card={"licence": "MIT", "measures": {"rank_me": 3.0}, "hybrid": {"queries": 9}},
        )
        reference = BaseReference("path", str(folder / "base")) if lora else BaseReference()
        self.keeper = EncoderKeeper(
            self.backbone,
            self.memory,
            tokenizer,
            config,
            base=reference,
            entry={"stage": "compress", "objective": "ctkd", "seed": 3},
        )
        self._tokenizer = tokenizer

    def spoil(self, seed):
        torch.manual_seed(seed)
        with torch.no_grad():
            trained = [weight for weight in self.backbone.parameters() if weight.requires_grad]
            for weight in [*trained, *([] if self.memory is None else [self.memory])]:
                weight.add_(torch.randn_like(weight) * 0.1)

    def vectors(self):
        model = MemoryModel(self.backbone, self.memory)
        return LiveEncoder(model, text_tokenizer(self._tokenizer), max_tokens=40).encode(TEXTS).vectors

    def save(self, step):
        place = self.folder / "checkpoints" / f"checkpoint-{step}"
        place.mkdir(parents=True)
        self.keeper.save(place, step)
        return place


@pytest.mark.parametrize("lora", [True, False])
def test_a_checkpoint_gives_the_vectors_of_the_moment_and_takes_them_back(tmp_path, lora):
    kept = Kept(tmp_path, lora=lora)
    kept.spoil(1)
    vectors, place = kept.vectors(), kept.save(20)
    saved = load_encoder(str(place), device="cpu", dtype="float32")
    np.testing.assert_allclose(saved.encode_document(TEXTS), vectors, atol=1e-5)
    kept.spoil(2)
    assert np.abs(kept.vectors() - vectors).max() > 0.01
    kept.keeper.load(place)
    np.testing.assert_array_equal(kept.vectors(), vectors)


def test_weights_that_are_stored_under_other_names_are_taken_back(tmp_path):
    kept = Kept(
        tmp_path, lora=False, kind="qwen3_moe", num_experts=3, num_experts_per_tok=2, moe_intermediate_size=16
    )
    kept.spoil(1)
    vectors, place = kept.vectors(), kept.save(20)
    assert read_weights(place).keys() != kept.backbone.state_dict().keys()
    kept.spoil(2)
    kept.keeper.load(place)
    np.testing.assert_array_equal(kept.vectors(), vectors)


def test_a_checkpoint_without_memory_tokens_can_be_loaded(tmp_path):
    place = Kept(tmp_path, memory=False).save(20)
    assert load_encoder(str(place), device="cpu").encode_document(["a fox"]).shape == (1, 32)


def test_the_history_has_the_earlier_stages_and_this_one_with_its_steps(tmp_path):
    config = read_config(Kept(tmp_path).save(20))
    assert config.stages == (EARLIER, {"stage": "compress", "objective": "ctkd", "seed": 3, "steps": 20})


def test_a_run_and_its_backbone_can_be_moved_together(tmp_path):
    kept = Kept(tmp_path / "here")
    vectors = kept.vectors()
    kept.save(20)
    shutil.move(tmp_path / "here", tmp_path / "there")
    saved = load_encoder(
        str(tmp_path / "there" / "checkpoints" / "checkpoint-20"), device="cpu", dtype="float32"
    )
    np.testing.assert_allclose(saved.encode_document(TEXTS), vectors, atol=1e-5)


def test_a_name_on_the_hub_stays_as_it_is(tmp_path):
    keeper = EncoderKeeper(
        tiny_backbone(),
        None,
        tiny_tokenizer(),
        EncoderConfig(n_memory=0, dimension=32, max_tokens=40, pooling="bidirectional_mean"),
        base=BaseReference("name", "org/name", "main"),
        entry={},
    )
    assert keeper.config_at(3, tmp_path).base == BaseReference("name", "org/name", "main")


def test_weights_that_are_not_finite_are_not_kept(tmp_path):
    kept = Kept(tmp_path)
    with torch.no_grad():
        kept.memory[0, 0] = float("inf")
    with pytest.raises(CheckpointError, match="NaN or infinity"):
        kept.save(20)


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="model.safetensors is missing") as caught:
        read_weights(tmp_path)
    assert caught.value.where == str(tmp_path)


def test_weights_in_several_files_are_read_together(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"b": torch.ones(3)}, tmp_path / "model-00002-of-00002.safetensors")
    save_file({"memory": torch.ones(3)}, tmp_path / "memory.safetensors")
    assert sorted(read_weights(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("lora", [True, False])
def test_the_result_is_that_of_the_checkpoint_with_its_card(tmp_path, lora):
    kept = Kept(tmp_path, lora=lora)
    kept.spoil(1)
    vectors = kept.vectors()
    kept.save(20)
    kept.spoil(2)
    recipe = {"out": "runs/a", "card": {"language": "English"}}
    target = publish_encoder(
        RunFolder(tmp_path),
        kept.keeper,
        step=20,
        measures={"known_items": 7.0},
        facts={"stage": "x"},
        recipe=recipe,
    )
    saved = load_encoder(str(target), device="cpu", dtype="float32")
    np.testing.assert_allclose(saved.encode_document(TEXTS), vectors, atol=1e-5)
    now = {"licence": "MIT", "language": "English", "measures": {"known_items": 7.0}}
    assert read_config(target).card == now, "figures of the encoder it started from are not its own"
    card = (target / "README.md").read_text(encoding="utf-8")
    assert "| language | English |" in card and "| steps | 20 |" in card and "| known_items | 7 |" in card
    assert finished(RunFolder(tmp_path), target, recipe["card"]) == {"known_items": 7.0}
