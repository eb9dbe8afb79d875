"""What the trainer of stages 2 and 3 adds to the library's: columns by role, counted tokens, the place in a run."""

from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformerTrainer
from sentence_transformers.base.sampler import NoDuplicatesBatchSampler

from tests.train.contrast.oracle import tiny_model
from train.contrast.trainer import ColumnCollator, ContrastiveTrainer

ROWS = [
    {"anchor": "fox " * 9, "positive": "dog " * 9, "negative_1": "a"},
    {"anchor": "fox", "positive": "dog", "negative_1": "books " * 9},
]


@pytest.fixture(scope="module")
def module():
    return tiny_model()[0]


def test_queries_and_documents_are_cut_to_lengths_of_their_own(module):
    batch = ColumnCollator(module, {"query": 3, "document": 5})(ROWS)
    lengths = {
        name: batch[f"{name}_attention_mask"].sum(dim=1).tolist()
        for name in ("anchor", "positive", "negative_1")
    }
    assert lengths["anchor"][0] == 1 + 3  # BOS
    assert lengths["positive"][0] == lengths["negative_1"][1] == 1 + 5


def test_texts_without_a_partner_are_queries(module):
    batch = ColumnCollator(module, {"query": 3})([{"text": "fox " * 9}])
    assert batch["text_input_ids"].shape == (1, 4)


def test_the_columns_keep_their_order(module):
    batch = ColumnCollator(module, {"query": 3, "document": 5})(ROWS)
    names = [name.removesuffix("_input_ids") for name in batch if name.endswith("_input_ids")]
    assert names == ["anchor", "positive", "negative_1"]


def test_the_numbers_of_rows_are_no_text(module):
    rows = [{**row, "number": number} for number, row in enumerate(ROWS, start=7)]
    batch = ColumnCollator(module, {"query": 3, "document": 5})(rows)
    assert batch["number"].tolist() == [7, 8]
    plain = ColumnCollator(module, {"query": 3, "document": 5})(ROWS)
    assert batch.keys() - plain.keys() == {"number"}


def test_the_sampler_takes_no_number_of_a_row_for_a_text(module):
    data = Dataset.from_dict({"anchor": ["1", "0"], "positive": ["a", "b"], "number": [0, 1]})
    labels = ColumnCollator(module, {}).valid_label_columns
    batches = NoDuplicatesBatchSampler(data, batch_size=2, drop_last=True, valid_label_columns=labels)
    assert [sorted(rows) for rows in batches] == [[0, 1]]


class _Trainer(ContrastiveTrainer):
    """The trainer without a library behind it."""

    def __init__(self, accumulation):
        self.state = SimpleNamespace(global_step=0)
        self.args = SimpleNamespace(gradient_accumulation_steps=accumulation)
        self.loss = SimpleNamespace(step=None)
        self.tokens_seen = 0


@pytest.fixture
def steps(monkeypatch):
    """The loss's step at each call."""
    found = []
    monkeypatch.setattr(
        SentenceTransformerTrainer, "compute_loss", lambda self, *rest: found.append(self.loss.step)
    )
    return found


def test_the_loss_knows_its_place_in_the_run(steps):
    trainer = _Trainer(accumulation=2)
    # Begun after a stop at step 5; the last batch of a round of the library may be shorter than the others.
    for place in (5, 5, 6, 7, 7):
        trainer.state.global_step = place
        trainer.compute_loss(None, {})
    assert steps == [10, 11, 12, 14, 15]


def test_tokens_of_all_columns_are_counted(steps):
    trainer = _Trainer(accumulation=1)
    masks = {"anchor_attention_mask": torch.tensor([[1, 1, 0]]), "positive_attention_mask": torch.ones(1, 4)}
    trainer.compute_loss(None, {**masks, "anchor_input_ids": torch.tensor([[5, 6, 7]])})
    trainer.compute_loss(None, masks)
    assert trainer.tokens_seen == 12
