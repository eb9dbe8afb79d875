"""Stage 3: supervised contrastive learning from pairs of query and document."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from datasets import Dataset, DatasetDict
from safetensors import SafetensorError
from sentence_transformers import SentenceTransformerTrainingArguments

from encoder.attention import longest_sequence
from encoder.checkpoint import load_encoder, text_tokenizer
from encoder.config import EncoderConfig
from encoder.errors import TrainingError
from encoder.weights import first_line
from train.batch_plan import batch_plan
from train.contrast.batches import sampling
from train.contrast.checks import check_recipe
from train.contrast.guide import Guide
from train.contrast.layers import check_sizes
from train.contrast.lengths import fit_lengths, longest_read
from train.contrast.loss import ContrastiveLoss
from train.contrast.trainable import Trainable, fingerprint_encoder, open_trainable
from train.contrast.trainer import ColumnCollator, ContrastiveTrainer
from train.recipe import recipe_to_json
from train.running.arguments import compute_dtype, training_arguments
from train.running.devices import world_size
from train.running.keeping import EncoderKeeper
from train.running.progress import Note
from train.running.result import publish_encoder
from train.running.run_folder import RunFolder, fingerprint_files, step_of
from train.running.stage_run import is_half, run_once, train_stage
from train.running.trainer import Stage
from train.running.watcher import Measures, Watcher
from train.settings import ContrastiveRecipe
from train.stages.soup import average_encoders
from train.texts.pairs import PairData, join_small, read_pairs
from train.texts.stream import TextStream, local_paths, need_training_extra

_SOUP = "soup"
_SAID = {
    "read": "pairs read",
    "empty": "without anchor or positive",
    "doubled": "that were there twice",
    "not taken": "beyond the most that are taken",
    "near held-out": "that share a text with what is held out",
    "trained": "to train on",
}


class _Prefixes(NamedTuple):
    """What stands before the texts."""

    queries: Mapping[str, str]  # by name of the data set
    document: str


class _Result(NamedTuple):
    """The encoder that becomes the result."""

    keeper: EncoderKeeper
    step: int
    measures: Measures
    source: Path | None = None  # None: the checkpoint of the step
    averaged: tuple[int, ...] = ()  # steps of the checkpoints that it is the average of


def contrastive(recipe: ContrastiveRecipe, note: Note, *, device: str = "auto") -> Measures:
    """Trains an encoder by a recipe, or goes on where an earlier call stopped; the result is OUT/encoder.

    Args:
        recipe: what to do.
        note: told lines for people.
        device: "auto" or "cpu".

    Returns:
        The measures of the encoder that was kept.

    Raises:
        CheckpointError: an encoder is damaged, foreign or incomplete.
        ConfigError: the recipe is impossible, the encoder has no memory tokens, or the folder holds a run of another
            recipe.
        InputError: the pairs cannot be read, or there are none.
        TrainingError: the run had to stop; its last good checkpoint is kept.
        UnsupportedBackboneError: the decoder cannot attend in both directions.
    """
    need_training_extra()
    check_recipe(recipe)
    model = fingerprint_encoder(recipe.encoder)
    files = [Path(name) for pairs in recipe.pairs for name in pairs.files]
    data = fingerprint_files(files + (local_paths(recipe.texts) if recipe.texts else []))
    return run_once(
        recipe,
        stage="contrastive",
        data=data,
        model=model,
        result="encoder",
        note=note,
        train=lambda folder: _train(recipe, folder, data, note, device),
    )


def _train(
    recipe: ContrastiveRecipe, folder: RunFolder, data: dict[str, str], note: Note, device: str
) -> Measures:
    texts = None if recipe.texts is None else TextStream(recipe.texts).held_out
    every = read_pairs(recipe.pairs, held_out=recipe.held_out, texts=texts or (), seed=recipe.schedule.seed)
    pairs = join_small(every, recipe.schedule.batch)
    _tell_counts(pairs, recipe, note)
    device_batch, _ = batch_plan(recipe.schedule, world_size())
    arguments = training_arguments(
        SentenceTransformerTrainingArguments,
        recipe.schedule,
        recipe.watch,
        folder,
        device=device,
        ddp_find_unused_parameters=False,  # all are used; looking for them costs time
        **sampling(recipe.schedule.steps, recipe.schedule.batch // device_batch),
    )
    opened = open_trainable(
        recipe.encoder,
        recipe.adapter,
        seed=recipe.schedule.seed,
        gradient_checkpointing=recipe.schedule.gradient_checkpointing,
        half_base=is_half(arguments),
    )
    check_sizes(recipe.contrast, opened.layers, opened.config.dimension)
    opened = opened._replace(config=_with_room(opened, recipe))
    for line in (opened.told(), *fit_lengths(recipe, opened.config.max_tokens)[1]):
        note(line)
    prefixes = _prefixes(opened.config, pairs)
    trainer = _trainer(recipe, opened, pairs, prefixes, arguments, device)
    watch = partial(_watcher, recipe, pairs=pairs, prefixes=prefixes, texts=texts, device=device)
    keeper = opened.keeper(_entry(recipe, data))
    stage = Stage(folder, recipe.schedule, recipe.watch, watch(opened), keeper.save, keeper.load)
    measures = train_stage(trainer, stage, note)
    if trainer.is_world_process_zero():
        result = _Result(keeper, trainer.best_step(), measures)
        if recipe.soup > 1:
            soup, averaged = _soup(recipe, folder, data, arguments)
            result = _better(result, soup._replace(measures=watch(averaged).look()), note)
        measures = result.measures
        _publish(recipe, folder, result, note)
    return measures


def _trainer(
    recipe: ContrastiveRecipe,
    opened: Trainable,
    pairs: PairData,
    prefixes: _Prefixes,
    arguments: Any,
    device: str,
) -> ContrastiveTrainer:
    contrast = fit_lengths(recipe, opened.config.max_tokens)[0].contrast
    longest = {"query": contrast.max_query_tokens, "document": contrast.max_document_tokens}
    loss = ContrastiveLoss(
        opened.model,
        recipe.contrast,
        guide=_guide(recipe, opened, prefixes, device),
        seed=recipe.schedule.seed,
    )
    return ContrastiveTrainer(
        model=opened.model,
        args=arguments,
        train_dataset=DatasetDict(
            {name: _prefixed(name, part, prefixes) for name, part in pairs.train.items()}
        ),
        data_collator=ColumnCollator(opened.module, longest),
        loss=loss,
    )


def _entry(recipe: ContrastiveRecipe, data: dict[str, str]) -> dict[str, Any]:
    """Of the stage in the encoder's history."""
    return {
        "stage": "contrastive",
        "objective": f"pairs, temperature {recipe.contrast.temperature}, batch {recipe.schedule.batch}",
        "seed": recipe.schedule.seed,
        "data": data,
    }


def _publish(recipe: ContrastiveRecipe, folder: RunFolder, result: _Result, note: Note) -> None:
    facts = {
        "stage": "contrastive",
        "began as": recipe.encoder,
        "pairs": ", ".join(f"{each.name} ({', '.join(each.files)})" for each in recipe.pairs),
    }
    if result.averaged:
        facts["average of the checkpoints after"] = ", ".join(map(str, result.averaged)) + " steps"
    target = publish_encoder(
        folder,
        result.keeper,
        step=result.step,
        source=result.source,
        measures=result.measures,
        facts=facts,
        recipe=recipe_to_json(recipe),
    )
    shutil.rmtree(folder.path / _SOUP, ignore_errors=True)
    note(f"the encoder is {target}")


def _soup(
    recipe: ContrastiveRecipe, folder: RunFolder, data: dict[str, str], arguments: Any
) -> tuple[_Result, Trainable]:
    """The average of the last checkpoints; averaged adapters have a higher rank, so it is a model of its own.

    Raises:
        TrainingError: it could not be written.
    """
    latest = sorted(folder.checkpoints.glob("checkpoint-*"), key=step_of)[-recipe.soup :]
    steps = tuple(map(step_of, latest))
    place = folder.path / _SOUP
    try:
        average_encoders(latest, place)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"The average of {len(latest)} checkpoints could not be written: {first_line(error)}",
            str(place),
            "make room on the disk, then give the same command: nothing is trained again",
        ) from error
    averaged = open_trainable(str(place), recipe.adapter, half_base=is_half(arguments))
    averaged.model.to(arguments.device)
    # The checkpoints have this stage in their history already, and the average has a line of its own.
    history = averaged.config.stages[:-2]
    averaged = averaged._replace(config=replace(averaged.config, stages=history))
    keeper = averaged.keeper({**_entry(recipe, data), "averaged_steps": list(steps)})
    return _Result(keeper, steps[-1], {}, place, steps), averaged


def _better(best: _Result, soup: _Result, note: Note) -> _Result:
    """The average, unless the best checkpoint finds more known items."""
    name = "known_items"
    if name not in soup.measures or name not in best.measures:
        return soup
    is_better = soup.measures[name] >= best.measures[name]
    note(
        f"known items: {soup.measures[name]:.1f} for the average of {len(soup.averaged)} checkpoints, "
        f"{best.measures[name]:.1f} for the best of them; the {'average' if is_better else 'best one'} is kept"
    )
    return soup if is_better else best


def _tell_counts(pairs: PairData, recipe: ContrastiveRecipe, note: Note) -> None:
    for name, counts in pairs.counts.items():
        told = ", ".join(f"{count:,} {_SAID.get(what, what)}" for what, count in counts.items() if count)
        note(f"{name}: {told}")
    for name, rows in pairs.left_out.items():
        note(f"{name}: {rows:,} pairs fill no batch of {recipe.schedule.batch:,} and are left out")


def _with_room(opened: Trainable, recipe: ContrastiveRecipe) -> EncoderConfig:
    """The encoder's configuration, for texts as long as this stage reads them and the backbone holds."""
    config = opened.config
    bound = longest_sequence(opened.backbone.config)
    before = len(text_tokenizer(opened.module.tokenizer).bos)
    room = None if bound is None else bound - config.n_memory - before
    sizes = tuple(sorted({*config.matryoshka, *recipe.contrast.matryoshka}))
    return replace(config, max_tokens=longest_read(config.max_tokens, recipe, room), matryoshka=sizes)


def _prefixes(config: EncoderConfig, pairs: PairData) -> _Prefixes:
    """Instructions of the data sets as the encoder's template says, else its prompts: as `Encoder` has them in use."""
    queries = {
        name: config.prompts.instruction.replace("{instruction}", pairs.instructions[name])
        if name in pairs.instructions
        else config.prompts.query
        for name in {*pairs.train, *pairs.held_out}
    }
    return _Prefixes(queries, config.prompts.document)


def _prefixed(name: str, part: Dataset, prefixes: _Prefixes) -> Dataset:
    """The data set with the prefix before every text, put there when a row is read."""
    before = {"anchor": prefixes.queries[name]}

    def transform(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {
            column: values
            if column == "number"
            else [before.get(column, prefixes.document) + text for text in values]
            for column, values in batch.items()
        }

    return part.with_transform(transform)


def _guide(recipe: ContrastiveRecipe, opened: Trainable, prefixes: _Prefixes, device: str) -> Guide | None:
    if not recipe.contrast.guide:
        return None
    embedder = load_encoder(recipe.contrast.guide, device=device)
    return Guide(embedder, opened.module.tokenizer, prefixes=sorted(set(prefixes.queries.values())))


def _watcher(
    recipe: ContrastiveRecipe,
    opened: Trainable,
    *,
    pairs: PairData,
    prefixes: _Prefixes,
    texts: Sequence[str] | None,
    device: str,
) -> Watcher:
    """Looks at held-out pairs, or texts where none are; and at the spectrum of held-out texts, or of documents."""
    known = [
        (prefixes.queries[name] + row["anchor"], prefixes.document + row["positive"])
        for name, part in pairs.held_out.items()
        for row in part
    ]
    Random(recipe.schedule.seed).shuffle(known)  # the first ones are used, and should be of all data sets
    documents = [document for _, document in known]
    if texts is not None:
        documents = [prefixes.document + text for text in texts]
    encoder = opened.live(compute_dtype(recipe.schedule, device))
    return Watcher(encoder, documents, known_items=recipe.watch.known_items, pairs=known or None)
