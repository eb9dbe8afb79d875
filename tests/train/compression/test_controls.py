"""A language whose texts have topics: the memory of a text must tell its topic, another text's must mislead."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from encoder.memory import MemoryModel, new_memory
from train.adapter import attach_adapter
from train.compression.compressor import Compressor
from train.compression.held_out import held_out_losses
from train.compression.twin import share_decoder
from train.settings import Adapter, Compression

VOCABULARY, TOPICS, FAVOURITES, LENGTH, BOS = 96, 8, 8, 24, 1


def _texts(count, random):
    """Texts [count, LENGTH] in which seven words of ten are favourites of the text's topic."""
    words = torch.randperm(VOCABULARY - 2, generator=torch.Generator().manual_seed(1)) + 2
    favourites = words[: TOPICS * FAVOURITES].view(TOPICS, FAVOURITES)
    topic = torch.randint(0, TOPICS, (count, 1), generator=random)
    favourite = favourites[topic, torch.randint(0, FAVOURITES, (count, LENGTH), generator=random)]
    other = torch.randint(2, VOCABULARY, (count, LENGTH), generator=random)
    return torch.where(torch.rand(count, LENGTH, generator=random) < 0.7, favourite, other)


def _batch(count, random):
    return _texts(count, random), torch.full((count,), LENGTH), torch.tensor([[10, 13]]).expand(count, -1)


@pytest.fixture(scope="module")
def language_model():
    """A Llama after a hundred small steps on such texts."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.1,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    random = torch.Generator().manual_seed(0)
    for _ in range(100):
        ids = torch.cat([torch.full((32, 1), BOS), _texts(32, random)], dim=1)
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.set_num_threads(before)
    return model.eval()


@pytest.fixture
def compressor(language_model):
    decoder = share_decoder(language_model)
    torch.manual_seed(0)
    backbone = attach_adapter(share_decoder(language_model).base_model, Adapter(dropout=0.0))
    encoder = MemoryModel(backbone, new_memory(backbone, 2))
    return Compressor(encoder, decoder, bos_id=BOS, settings=Compression())


def test_own_memory_helps_and_that_of_another_text_harms(compressor):
    # Shapes, places and masks, and not learning: memory outputs name likely words before any training too.
    found = compressor.controls(*_batch(64, torch.Generator().manual_seed(7)))
    assert float(found["own"]) < 0.1 * float(found["none"])
    assert float(found["none"]) < 0.6 * float(found["other"])


def test_training_brings_the_student_nearer_to_the_teacher(compressor):
    held_out = _batch(64, torch.Generator().manual_seed(7))
    before = compressor.controls(*held_out)["own"]
    trained = [parameter for parameter in compressor.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=3e-3)
    random = torch.Generator().manual_seed(8)
    for _ in range(40):
        compressor(*_batch(16, random))["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert float(compressor.controls(*held_out)["own"]) < 0.7 * float(before)


def test_own_memory_has_the_loss_of_the_batch(compressor):
    batch = _batch(6, torch.Generator().manual_seed(7))
    torch.testing.assert_close(compressor.controls(*batch)["own"], compressor(*batch)["loss"].detach())


def test_without_start_token_nothing_can_go_on_from_no_memory(language_model):
    encoder = MemoryModel(language_model.base_model, new_memory(language_model.base_model, 2))
    bare = Compressor(encoder, share_decoder(language_model), bos_id=None, settings=Compression())
    assert bare.controls(*_batch(3, torch.Generator().manual_seed(7))).keys() == {"own", "other"}


def test_held_out_items_are_judged_as_one_batch_would_be(compressor):
    ids, length, splits = _batch(17, torch.Generator().manual_seed(7))
    columns = zip(ids.tolist(), splits.tolist(), strict=True)
    items = [{"input_ids": text, "splits": cuts, "number": 0} for text, cuts in columns]
    compressor.train()
    found = held_out_losses(compressor, items)
    assert compressor.training and compressor.encoder.training
    compressor.eval()
    whole = compressor.controls(ids, length, splits)
    assert found.keys() == {"held_out_loss", "loss_without_memory", "loss_with_other_memory"}
    assert found["held_out_loss"] == pytest.approx(float(whole["own"]), rel=1e-4)
    assert found["loss_without_memory"] == pytest.approx(float(whole["none"]), rel=1e-4)
    # The seventeenth stands alone in its batch: there is no other memory to give it.
    pairs = [compressor.controls(ids[at : at + 8], length[at : at + 8], splits[at : at + 8]) for at in (0, 8)]
    assert found["loss_with_other_memory"] == pytest.approx(
        sum(float(one["other"]) for one in pairs) / 2, rel=1e-4
    )
    assert held_out_losses(compressor, items[:1]).keys() == {"held_out_loss", "loss_without_memory"}
