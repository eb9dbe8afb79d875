"""A step is of one data set on all devices, and no text is twice in it."""

import pickle

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from datasets import Dataset, DatasetDict
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from torch.utils.data import ConcatDataset

from encoder.errors import InputError
from tests.train.contrast.oracle import tiny_model
from train.contrast.batches import sampling
from train.contrast.loss import ContrastiveLoss
from train.settings import Contrast


def _set(name, rows, different=None):
    """A data set whose positives repeat after so many rows."""
    different = different or rows
    columns = {
        "anchor": [f"{name} q {row}" for row in range(rows)],
        "positive": [f"{name} a {row % different}" for row in range(rows)],
    }
    return Dataset.from_dict(columns)


def _sampler(sets, *, steps, device_batch, pieces, seed=0):
    told = sampling(steps, pieces)
    samplers = [
        told["batch_sampler"](
            each,
            batch_size=device_batch,
            drop_last=True,
            valid_label_columns=[],
            generator=torch.Generator(),
            seed=seed,
        )
        for each in sets
    ]
    return told["multi_dataset_batch_sampler"](ConcatDataset(sets), samplers, generator=None, seed=seed)


def _names(sets, rows):
    together = ConcatDataset(sets)
    return {together[row]["anchor"].split()[0] for row in rows}


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(12, 40), min_size=1, max_size=3),
    devices=st.integers(1, 3),
    accumulation=st.integers(1, 2),
    seed=st.integers(0, 3),
)
def test_all_devices_of_a_step_hold_one_data_set(sizes, devices, accumulation, seed):
    sets = [_set(f"set{number}", size) for number, size in enumerate(sizes)]
    sampler = _sampler(sets, steps=5, device_batch=2, pieces=devices * accumulation, seed=seed)
    shards = [list(BatchSamplerShard(sampler, devices, rank, even_batches=False)) for rank in range(devices)]
    assert [len(shard) for shard in shards] == [5 * accumulation] * devices
    for step in range(5):
        own = slice(step * accumulation, (step + 1) * accumulation)
        rows = [row for shard in shards for batch in shard[own] for row in batch]
        assert len(set(rows)) == len(rows) == 2 * devices * accumulation
        assert len(_names(sets, rows)) == 1


def test_a_round_takes_every_data_set_as_often_as_it_fills_a_batch():
    sets = [_set("a", 17), _set("b", 9)]
    batches = list(_sampler(sets, steps=12, device_batch=4, pieces=1))
    for begin in (0, 6):
        found = [_names(sets, rows).pop() for rows in batches[begin : begin + 6]]
        assert sorted(found) == ["a"] * 4 + ["b"] * 2
        rows = [row for batch in batches[begin : begin + 6] for row in batch]
        assert len(set(rows)) == 24
    assert batches[:6] != batches[6:]


def test_a_text_is_in_one_piece_of_a_batch_at_most():
    sets = [_set("a", 24, different=8)]
    together = ConcatDataset(sets)
    pieces = list(_sampler(sets, steps=6, device_batch=2, pieces=4))
    for begin in range(0, 24, 4):
        texts = [together[row]["positive"] for piece in pieces[begin : begin + 4] for row in piece]
        assert len(set(texts)) == 8


def test_a_data_set_with_too_few_texts_does_not_end_the_run():
    sets = [_set("a", 12), _set("few", 40, different=2)]
    batches = list(_sampler(sets, steps=9, device_batch=4, pieces=1))
    assert len(batches) == 9
    assert set.union(*(_names(sets, rows) for rows in batches)) == {"a"}


def test_texts_that_fill_no_batch_are_refused():
    with pytest.raises(InputError, match="No data set fills a batch of 4 pairs with different texts"):
        list(_sampler([_set("few", 40, different=2)], steps=1, device_batch=4, pieces=1))


class _Trainer(SentenceTransformerTrainer):
    seen: list

    def compute_loss(self, model, inputs, *rest, **more):
        self.seen.append(inputs["anchor_input_ids"].tolist())
        return super().compute_loss(model, inputs, *rest, **more)

    def add_model_card_callback(self, default_args_dict):
        """None."""


def _trained(folder, *, resume=None):
    model = tiny_model()
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        max_steps=6,
        save_steps=4,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        **sampling(6, 2),
    )
    assert pickle.loads(pickle.dumps(arguments)).max_steps == 6
    data = DatasetDict({"a": _set("a", 9), "b": _set("b", 5)})
    loss = ContrastiveLoss(model, Contrast(mini_batch=2))
    trainer = _Trainer(model=model, args=arguments, train_dataset=data, loss=loss)
    trainer.seen = []
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def test_the_trainer_goes_on_after_a_resume_with_the_same_batches(tmp_path):
    whole = _trained(tmp_path)
    assert (whole.state.global_step, len(whole.seen)) == (6, 12)
    again = _trained(tmp_path, resume=str(tmp_path / "checkpoint-4"))
    assert again.state.global_step == 6
    assert again.seen == whole.seen[8:]
