"""What the stages that train have in common: a folder that is begun once, and a trainer that is watched."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from train.recipe import recipe_to_json
from train.running.devices import is_first_process
from train.running.progress import Note, ProgressCallback
from train.running.run_folder import RunFolder, begin, finished, hold
from train.running.trainer import Stage, StageMixin
from train.running.watcher import Measures


def run_once(
    recipe: Any,
    *,
    stage: str,
    data: Mapping[str, str],
    model: Mapping[str, str],
    result: str,
    note: Note,
    train: Callable[[RunFolder], Measures],
) -> Measures:
    """Trains in the recipe's folder, unless that is done already.

    Args:
        recipe: of a stage; its `out` is the folder, its `card` goes into the result.
        stage: its name.
        data: hashes of what is trained on, by name.
        model: hashes of what is begun with, by name.
        result: name of the result's folder in `out`.
        note: told lines for people.
        train: begins or goes on in the folder, which nobody else may use meanwhile.

    Returns:
        The measures of the result.

    Raises:
        ConfigError: the folder holds a run of another recipe, data or model.
        TrainingError: another process trains there, the folder holds something else, or training had to stop.
    """
    folder = RunFolder(Path(recipe.out))
    with hold(folder):
        begin(folder, {"stage": stage, "recipe": recipe_to_json(recipe), "data": data, "model": model})
        measures = finished(folder, folder.path / result, recipe.card)
        if measures is None:
            return train(folder)
        note("the run was finished before; nothing is left to train")
        return measures


def train_stage(
    trainer: StageMixin, stage: Stage, note: Note, notes: Callable[[], Iterable[str]] = tuple
) -> Measures:
    """Trains to the last step, telling people of it.

    Args:
        trainer: with model and data.
        stage: what it lacks.
        note: told lines for people.
        notes: what there is to say of the data afterwards.

    Returns:
        The measures of the best checkpoint.

    Raises:
        ConfigError: the recipe stops by a rank or keeps by a score that cannot be measured.
        TrainingError: it had to stop; the last good checkpoint is kept.
    """
    schedule = stage.schedule
    if schedule.warmup_steps >= schedule.steps:
        note(
            f"note: the rate never reaches schedule.learning_rate, since {schedule.warmup_steps:,} steps of warm-up "
            f"are not below the {schedule.steps:,} of the run"
        )
    trainer.prepare(stage)
    trainer.add_callback(ProgressCallback(stage.folder, note, lambda: trainer.tokens_seen))
    measures = trainer.run()
    if is_first_process():
        for line in notes():
            note(line)
    return measures


def is_half(arguments: Any) -> bool:
    """Whether frozen weights are kept in bfloat16: on a GPU, where products are in it too."""
    return bool(arguments.device.type == "cuda" and arguments.bf16)


def checkpoint_activations(decoder: nn.Module) -> None:
    """Makes a decoder of transformers keep few activations and compute them twice; in place."""
    model: Any = decoder.get_base_model() if hasattr(decoder, "get_base_model") else decoder  # type: ignore[operator]
    # Models with code of their own may have the older name alone.
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})
