"""Stage 3: supervised contrastive learning from pairs of query and document."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from sentence_transformers import SentenceTransformerTrainingArguments
from sentence_transformers.base.sampler import BatchSamplers, MultiDatasetBatchSamplers

from encoder.attention import longest_sequence
from encoder.checkpoint import load_encoder, text_tokenizer
from encoder.config import EncoderConfig
from encoder.errors import ConfigError
from train.contrast.guide import Guide
from train.contrast.loss import ContrastiveLoss
from train.contrast.trainable import Trainable, open_trainable
from train.contrast.trainer import ColumnCollator, ContrastiveTrainer
from train.recipe import recipe_to_json
from train.running.arguments import compute_dtype, training_arguments
from train.running.card import versions
from train.running.keeping import EncoderKeeper
from train.running.live import LiveEncoder
from train.running.progress import Note, ProgressCallback
from train.running.result import publish_encoder
from train.running.run_folder import RunFolder, begin, fingerprint_files, finished, hold, step_of
from train.running.trainer import Stage
from train.running.watcher import Measures, Watcher
from train.settings import ContrastiveRecipe
from train.stages.soup import average_encoders
from train.texts.pairs import PairData, join_small, read_pairs
from train.texts.stream import TextStream, local_paths, need_training_extra

_SOUP = "soup"


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
        ConfigError: the recipe is impossible, or the folder holds a run of another one.
        InputError: the pairs cannot be read, or there are none.
        TrainingError: the run had to stop; its last good checkpoint is kept.
        UnsupportedBackboneError: the decoder cannot attend in both directions.
    """
    need_training_extra()
    _check(recipe)
    folder = RunFolder(Path(recipe.out))
    files = [Path(name) for pairs in recipe.pairs for name in pairs.files]
    data = fingerprint_files(files + (local_paths(recipe.texts) if recipe.texts else []))
    with hold(folder):
        begin(
            folder,
            {
                "stage": "contrastive",
                "recipe": recipe_to_json(recipe),
                "data": data,
                "model": fingerprint_files(sorted(Path(recipe.encoder).glob("*.safetensors"))),
            },
        )
        measures = finished(folder, folder.path / "encoder", recipe.card)
        if measures is None:
            return _train(recipe, folder, data, note, device)
        note("the run was finished before; nothing is left to train")
        return measures


def _check(recipe: ContrastiveRecipe) -> None:
    """Refuses what would only come out at the end.

    Raises:
        ConfigError: more checkpoints are averaged than kept, or there are no pairs.
    """
    if recipe.soup > recipe.watch.keep:
        raise ConfigError(
            f"soup averages {recipe.soup} checkpoints, watch.keep keeps {recipe.watch.keep}",
            "soup",
            f"set watch.keep to {recipe.soup}, or soup to {recipe.watch.keep}",
        )
    if not recipe.pairs:
        raise ConfigError("The recipe names no pairs.", "pairs", "add a [[pairs]] section")


def _train(
    recipe: ContrastiveRecipe, folder: RunFolder, data: dict[str, str], note: Note, device: str
) -> Measures:
    arguments = training_arguments(
        SentenceTransformerTrainingArguments,
        recipe.schedule,
        recipe.watch,
        folder,
        device=device,
        # A text twice in a batch would be its own negative; the loss passes over it as well.
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        multi_dataset_batch_sampler=MultiDatasetBatchSamplers.PROPORTIONAL,
        dataloader_drop_last=True,
    )
    pairs = join_small(
        read_pairs(recipe.pairs, held_out=recipe.held_out, seed=recipe.schedule.seed), recipe.schedule.batch
    )
    _tell_counts(pairs, note)
    opened = open_trainable(
        recipe.encoder,
        recipe.adapter,
        gradient_checkpointing=recipe.schedule.gradient_checkpointing,
        half_base=arguments.device.type == "cuda" and arguments.bf16,
    )
    opened = opened._replace(config=_with_room(opened, recipe))
    prefixes = _prefixes(opened.config, pairs)
    loss = ContrastiveLoss(
        opened.model,
        recipe.contrast,
        guide=_guide(recipe, opened, prefixes, device),
        seed=recipe.schedule.seed,
    )
    longest = {
        "query": min(recipe.contrast.max_query_tokens, opened.config.max_tokens),
        "document": min(recipe.contrast.max_document_tokens, opened.config.max_tokens),
    }
    trainer = ContrastiveTrainer(
        model=opened.model,
        args=arguments,
        train_dataset=DatasetDict(_prefixed(pairs.train, prefixes)),
        data_collator=ColumnCollator(opened.module, longest),
        loss=loss,
    )
    watcher = _watcher(recipe, opened, pairs, prefixes, device)
    keeper = _keeper(recipe, opened, data)
    trainer.prepare(Stage(folder, recipe.schedule, recipe.watch, watcher, keeper.save, keeper.load))
    trainer.add_callback(ProgressCallback(folder, note, lambda: trainer.tokens_seen))
    measures = trainer.run()
    if not trainer.is_world_process_zero():
        return measures
    source = None
    if recipe.soup > 1:
        averaged, soup_keeper = _soup(recipe, folder, data)
        found = _watcher(recipe, averaged, pairs, prefixes, device).look()
        note(
            f"known items: {found['known_items']:.1f} for the average of {recipe.soup} checkpoints, "
            f"{measures['known_items']:.1f} for the best of them"
        )
        if found["known_items"] >= measures["known_items"]:
            source, keeper, measures = folder.path / _SOUP, soup_keeper, found
    target = publish_encoder(
        folder,
        keeper,
        step=trainer.best_step(),
        source=source,
        measures=measures,
        facts={
            "stage": f"contrastive, average of {recipe.soup} checkpoints" if source else "contrastive",
            "began as": recipe.encoder,
            "pairs": ", ".join(f"{each.name} ({', '.join(each.files)})" for each in recipe.pairs),
        },
        recipe=recipe_to_json(recipe),
    )
    note(f"the encoder is {target}")
    return measures


def _soup(
    recipe: ContrastiveRecipe, folder: RunFolder, data: dict[str, str]
) -> tuple[Trainable, EncoderKeeper]:
    """The average of the last checkpoints, and what keeps it; averaged adapters have a higher rank."""
    latest = sorted(folder.checkpoints.glob("checkpoint-*"), key=step_of)[-recipe.soup :]
    average_encoders(latest, folder.path / _SOUP)
    averaged = open_trainable(str(folder.path / _SOUP), recipe.adapter)
    # The checkpoints have this stage in their history already; the keeper writes it again.
    history = averaged.config.stages[:-1]
    averaged = averaged._replace(config=replace(averaged.config, stages=history))
    return averaged, _keeper(recipe, averaged, data)


def _tell_counts(pairs: PairData, note: Note) -> None:
    for name, counts in pairs.counts.items():
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        note(f"pairs {name}: {told}")
    for name, rows in pairs.left_out.items():
        note(f"pairs {name}: {rows:,} are left out, they fill no batch")


def _with_room(opened: Trainable, recipe: ContrastiveRecipe) -> EncoderConfig:
    """The encoder's configuration, for texts as long as this stage reads them and the backbone holds."""
    config = opened.config
    bound = longest_sequence(opened.backbone.config)
    wanted = max(config.max_tokens, recipe.contrast.max_query_tokens, recipe.contrast.max_document_tokens)
    if bound is not None:
        before = len(text_tokenizer(opened.module.tokenizer).bos)
        wanted = min(wanted, bound - config.n_memory - before)
    sizes = tuple(sorted({*config.matryoshka, *recipe.contrast.matryoshka}))
    return replace(config, max_tokens=wanted, matryoshka=sizes)


def _prefixes(config: EncoderConfig, pairs: PairData) -> dict[str, str]:
    """What stands before the queries of each data set."""
    names = {*pairs.train, *pairs.held_out}
    return {
        name: config.prompts.instruction.replace("{instruction}", pairs.instructions[name])
        if name in pairs.instructions
        else config.prompts.query
        for name in names
    }


def _prefixed(parts: Mapping[str, Dataset], prefixes: Mapping[str, str]) -> dict[str, Dataset]:
    """The data sets with the prefix before every anchor, put there when a row is read."""

    def put(prefix: str) -> Any:
        def transform(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
            if "anchor" not in batch:
                return batch
            return batch | {"anchor": [prefix + text for text in batch["anchor"]]}

        return transform

    return {
        name: part.with_transform(put(prefixes[name])) if prefixes[name] else part
        for name, part in parts.items()
    }


def _guide(
    recipe: ContrastiveRecipe, opened: Trainable, prefixes: Mapping[str, str], device: str
) -> Guide | None:
    if not recipe.contrast.guide:
        return None
    embedder = load_encoder(recipe.contrast.guide, device=device)
    return Guide(embedder, opened.module.tokenizer, prefixes=sorted(set(prefixes.values())))


def _watcher(
    recipe: ContrastiveRecipe, opened: Trainable, pairs: PairData, prefixes: Mapping[str, str], device: str
) -> Watcher:
    """Looks at held-out pairs, and at the spectrum of held-out texts or of the pairs' documents."""
    known = [
        (prefixes[name] + row["anchor"], row["positive"])
        for name, part in pairs.held_out.items()
        for row in part
    ]
    texts = [document for _, document in known]
    if recipe.texts is not None:
        texts = TextStream(recipe.texts).held_out
    encoder = LiveEncoder(
        opened.module.model,
        text_tokenizer(opened.module.tokenizer),
        max_tokens=opened.config.max_tokens,
        dtype=compute_dtype(recipe.schedule, device),
    )
    return Watcher(encoder, texts, known_items=recipe.watch.known_items, pairs=known)


def _keeper(recipe: ContrastiveRecipe, opened: Trainable, data: dict[str, str]) -> EncoderKeeper:
    contrast = recipe.contrast
    return EncoderKeeper(
        opened.backbone,
        opened.memory,
        opened.module.tokenizer,
        opened.config,
        base=opened.base,
        entry={
            "stage": "contrastive",
            "objective": f"pairs, temperature {contrast.temperature}, batch {recipe.schedule.batch}",
            "seed": recipe.schedule.seed,
            "data": data,
            "versions": versions(),
        },
    )
