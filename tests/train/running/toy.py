"""A model of one layer that a trainer trains in milliseconds, with everything a stage brings."""

from itertools import count

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import IterableDataset
from transformers import TrainingArguments

from train.running.arguments import training_arguments
from train.running.progress import ProgressCallback
from train.running.run_folder import RunFolder
from train.running.trainer import Stage, StageTrainer
from train.settings import Schedule, Watch


class Numbers(IterableDataset):
    """Item `i` is always the same random vector."""

    def __iter__(self):
        for number in count():
            random = torch.Generator().manual_seed(number)
            yield {"vector": torch.randn(4, generator=random), "number": number}


def collate(items):
    return {
        "vector": torch.stack([item["vector"] for item in items]),
        "number": torch.tensor([item["number"] for item in items]),
    }


class Toy(nn.Module):
    """Learns to give vectors back, through dropout; `poison` spoils the loss at a call."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.dropout = nn.Linear(4, 4), nn.Dropout(0.3)
        self.calls, self.poison = 0, {}

    def forward(self, vector):
        self.calls += 1
        loss = (self.layer(self.dropout(vector)) - vector).square().mean()
        loss = self.poison.get(self.calls, lambda value: value)(loss)
        return {"loss": loss, "tokens": torch.tensor(vector.numel())}


class Looks:
    """A watcher whose measures are made up from the steps of the trainer; draws random numbers besides."""

    def __init__(self, measures=None):
        self.measures = measures or (lambda step: {"held_out_loss": 1.0, "known_items": 10.0 + step})
        self.trainer = None

    def look(self):
        torch.rand(7)
        return self.measures(self.trainer.state.global_step)


class Run:
    """A trainer over the toy, ready to run; made again to go on."""

    def __init__(self, path, *, schedule=None, watch=None, measures=None):
        self.folder = RunFolder(path)
        self.folder.path.mkdir(parents=True, exist_ok=True)
        self.model, self.notes = Toy(), []
        schedule = Schedule(
            **{"steps": 6, "batch": 4, "learning_rate": 0.05, "dtype": "float32", **(schedule or {})}
        )
        watch = Watch(**{"log_steps": 2, "evaluate_steps": 3, **(watch or {})})
        arguments = training_arguments(TrainingArguments, schedule, watch, self.folder, device="cpu")
        self.trainer = StageTrainer(
            model=self.model, args=arguments, train_dataset=Numbers(), data_collator=collate
        )
        looks = Looks(measures)
        looks.trainer = self.trainer
        self.trainer.prepare(Stage(self.folder, schedule, watch, looks, self.save, self.load))
        self.trainer.add_callback(
            ProgressCallback(self.folder, self.notes.append, lambda: self.trainer.tokens_seen)
        )

    def save(self, place, step):
        save_file(dict(self.model.state_dict()), place / "model.safetensors")

    def load(self, place):
        self.model.load_state_dict(load_file(place / "model.safetensors"))

    def run(self):
        return self.trainer.run()

    def weights(self):
        return {name: value.clone() for name, value in self.model.state_dict().items()}
