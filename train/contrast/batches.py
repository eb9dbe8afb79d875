"""Batches of one data set, the same one on all devices of a step.

The library hands device batches out in turn, so that with several data sets the devices of a step would hold pairs of
different ones: other instructions, other numbers of hard negatives. Here a batch of all devices is drawn from one data
set without a text twice, and cut into device batches that follow one another.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from sentence_transformers.base.sampler import MultiDatasetDefaultBatchSampler, NoDuplicatesBatchSampler
from torch.utils.data import BatchSampler, ConcatDataset

from encoder.errors import InputError


def sampling(steps: int, pieces: int) -> dict[str, Any]:
    """What `SentenceTransformerTrainingArguments` is told of batches; a `DatasetDict` is to be trained on.

    Args:
        steps: of the run.
        pieces: device batches in a batch: devices times accumulation. `accelerate` must not split or dispatch
            batches, so that the devices take them in turn.
    """
    return {
        "batch_sampler": partial(_whole_batches, pieces=pieces),
        "multi_dataset_batch_sampler": partial(OneSetBatches, steps=steps, pieces=pieces),
        "dataloader_drop_last": True,
    }


def _whole_batches(
    dataset: Any, *, batch_size: int, pieces: int, generator: Any = None, **options: Any
) -> NoDuplicatesBatchSampler:
    # The trainer gives all data sets one generator; whichever begins would seed it again for the others.
    own = torch.Generator()
    return NoDuplicatesBatchSampler(dataset, batch_size=batch_size * pieces, generator=own, **options)


class OneSetBatches(MultiDatasetDefaultBatchSampler):
    """Rounds through all data sets in random order, each as often as it fills a batch; each batch in pieces.

    It is as long as the whole run. The library's samplers are as long as a round: after a resume on several devices
    `transformers` does not tell them which round it is, and a data set with fewer batches of different texts than its
    length promises ends the training early. Here the next data set takes its place.

    Args:
        dataset: the data sets one after the other.
        batch_samplers: of each, for whole batches.
        generator: not used.
        seed: of the order.
        steps: batches of the run.
        pieces: into which a batch is cut.

    Raises:
        InputError: on iteration, no data set fills a batch with different texts.
    """

    def __init__(
        self,
        dataset: ConcatDataset,
        batch_samplers: list[BatchSampler],
        generator: torch.Generator | None = None,
        seed: int = 0,
        *,
        steps: int,
        pieces: int,
    ) -> None:
        super().__init__(dataset, batch_samplers=batch_samplers, seed=seed)
        self._steps = steps
        self._pieces = pieces
        self._whole = batch_samplers[0].batch_size
        self.batch_size = self._whole // pieces

    def __len__(self) -> int:
        """Device batches in the run."""
        return self._steps * self._pieces

    def __iter__(self) -> Iterator[list[int]]:
        """Device batches, rows numbered through all data sets."""
        batches = self._batches()
        for _ in range(self._steps):
            rows = next(batches)
            for begin in range(0, self._whole, self.batch_size):
                yield rows[begin : begin + self.batch_size]

    def _batches(self) -> Iterator[list[int]]:
        """Batches without end.

        Raises:
            InputError: there are none.
        """
        number = 0
        while True:
            found = 0
            for rows in self._round(number):
                found += 1
                yield rows
            if not found:
                raise InputError(
                    f"No data set fills a batch of {self._whole} pairs with different texts.",
                    "schedule.batch",
                    "lower schedule.batch, or name pairs that share fewer texts",
                )
            number += 1

    def _round(self, number: int) -> Iterator[list[int]]:
        """The batches of one round, rows numbered through all data sets."""
        for sampler in self.batch_samplers:
            sampler.set_epoch(number)  # type: ignore[attr-defined]
        starts = [0, *self.dataset.cumulative_sizes]
        order = [which for which, each in enumerate(self.batch_samplers) for _ in range(len(each))]
        random = torch.Generator().manual_seed(self.seed + number)
        sources = {which: iter(each) for which, each in enumerate(self.batch_samplers)}
        for place in torch.randperm(len(order), generator=random).tolist():
            for which in sorted(sources, key=lambda each: (each - order[place]) % len(self.batch_samplers)):
                rows = next(sources[which], None)
                if rows is not None:
                    yield [starts[which] + row for row in rows]
                    break
                del sources[which]
