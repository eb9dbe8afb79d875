"""Stage 2: unsupervised contrastive learning, two dropout views of each text being each other's positive."""

from collections.abc import Iterator
from typing import Any

from sentence_transformers import SentenceTransformerTrainingArguments

from train.contrast.checks import check_recipe
from train.contrast.dropout import require_dropout, set_dropout
from train.contrast.lengths import fit_lengths
from train.contrast.loss import ViewLoss
from train.contrast.trainable import fingerprint_encoder, open_trainable
from train.contrast.trainer import ColumnCollator, ContrastiveTrainer
from train.recipe import recipe_to_json
from train.running.arguments import compute_dtype, training_arguments
from train.running.progress import Note
from train.running.result import publish_encoder
from train.running.run_folder import RunFolder, fingerprint_files
from train.running.stage_run import is_half, run_once, train_stage
from train.running.trainer import Stage
from train.running.watcher import Measures, Watcher
from train.settings import SimcseRecipe
from train.texts.stream import TextStream, local_paths, need_training_extra


def simcse(recipe: SimcseRecipe, note: Note, *, device: str = "auto") -> Measures:
    """Trains an encoder by a recipe, or goes on where an earlier call stopped; the result is OUT/encoder.

    Args:
        recipe: what to do.
        note: told lines for people.
        device: "auto" or "cpu".

    Returns:
        The measures of the encoder that was kept.

    Raises:
        CheckpointError: the encoder is damaged, foreign or incomplete.
        ConfigError: the recipe is impossible, dropout is zero, the encoder has no memory tokens, or the folder holds
            a run of another recipe.
        InputError: the texts cannot be read, or there are none.
        TrainingError: the run had to stop; its last good checkpoint is kept.
        UnsupportedBackboneError: the decoder cannot attend in both directions, or hides its dropout.
    """
    need_training_extra()
    check_recipe(recipe)
    model = fingerprint_encoder(recipe.encoder)
    data = fingerprint_files(local_paths(recipe.texts))
    return run_once(
        recipe,
        stage="simcse",
        data=data,
        model=model,
        result="encoder",
        note=note,
        train=lambda folder: _train(recipe, folder, data, note, device),
    )


def _train(
    recipe: SimcseRecipe, folder: RunFolder, data: dict[str, str], note: Note, device: str
) -> Measures:
    arguments = training_arguments(
        SentenceTransformerTrainingArguments,
        recipe.schedule,
        recipe.watch,
        folder,
        device=device,
        ddp_find_unused_parameters=False,  # all are used; looking for them costs time
    )
    opened = open_trainable(
        recipe.encoder,
        recipe.adapter,
        seed=recipe.schedule.seed,
        gradient_checkpointing=recipe.schedule.gradient_checkpointing,
        half_base=is_half(arguments),
    )
    set_dropout(opened.backbone, recipe.views.attention_dropout)
    if opened.adapter != "new" or not recipe.adapter.dropout:  # a new adapter adds nothing yet, noise neither
        require_dropout(opened.backbone)
    fitted, told = fit_lengths(recipe, opened.config.max_tokens)
    for line in (opened.told(), *told):
        note(line)
    stream = TextStream(recipe.texts)
    trainer = ContrastiveTrainer(
        model=opened.model,
        args=arguments,
        train_dataset=_as_rows(stream),
        data_collator=ColumnCollator(opened.module, {"query": fitted.views.max_tokens}),
        loss=ViewLoss(opened.model, recipe.views, seed=recipe.schedule.seed),
    )
    watcher = Watcher(
        opened.live(compute_dtype(recipe.schedule, device)),
        stream.held_out,
        known_items=recipe.watch.known_items,
    )
    keeper = opened.keeper(
        {
            "stage": "simcse",
            "objective": f"two dropout views, temperature {recipe.views.temperature}",
            "seed": recipe.schedule.seed,
            "data": data,
        }
    )
    stage = Stage(folder, recipe.schedule, recipe.watch, watcher, keeper.save, keeper.load)
    measures = train_stage(trainer, stage, note, stream.notes)
    if trainer.is_world_process_zero():
        facts = {"stage": "simcse", "began as": recipe.encoder, "texts": ", ".join(recipe.texts.files)}
        target = publish_encoder(
            folder,
            keeper,
            step=trainer.best_step(),
            measures=measures,
            facts=facts,
            recipe=recipe_to_json(recipe),
        )
        note(f"the encoder is {target}")
    return measures


def _as_rows(stream: TextStream) -> Any:
    """The texts as an endless data set of the library: a column `text`, and their `number` in the stream."""
    from datasets import Features, IterableDataset, Value

    def rows() -> Iterator[dict[str, str | int]]:
        for number, text in enumerate(stream):
            yield {"text": text, "number": number}

    features = Features({"text": Value("string"), "number": Value("int64")})
    return IterableDataset.from_generator(rows, features=features)
