"""Stage 1: memory tokens that stand for a text, by any of the objectives.

Shapes: B batch, T tokens, M memory tokens, D width.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import TrainingArguments

from encoder.attention import check_bidirectional, longest_sequence
from encoder.checkpoint import text_tokenizer
from encoder.config import BaseReference, EncoderConfig
from encoder.errors import ConfigError
from encoder.memory import MemoryModel, new_memory
from encoder.weights import read_causal_lm, read_tokenizer
from train.adapter import attach_adapter, halve_frozen
from train.compression.bags import BagOfTokens
from train.compression.compressor import Compressor
from train.compression.held_out import held_out_losses
from train.compression.masked import MaskedNextToken, mask_token
from train.compression.twin import copy_decoder, share_decoder
from train.objectives.head import language_head
from train.recipe import recipe_to_json
from train.running.arguments import compute_dtype, training_arguments
from train.running.card import versions
from train.running.keeping import EncoderKeeper
from train.running.live import LiveEncoder
from train.running.progress import Note
from train.running.result import publish_encoder
from train.running.run_folder import RunFolder, fingerprint_files
from train.running.stage_run import checkpoint_activations, is_half, run_once, train_stage
from train.running.trainer import Stage, StageTrainer
from train.running.watcher import Measures, Watcher
from train.settings import CompressRecipe
from train.stages.backbone import find_backbone
from train.stages.mean_of_text import MeanOfText
from train.texts.split_texts import SplitTexts, collate_splits
from train.texts.stream import TextStream, local_paths, need_training_extra


class Parts(NamedTuple):
    """What is trained, and what it is trained with."""

    backbone: nn.Module  # of the encoder, under full attention; with an adapter, or all of it trained
    memory: nn.Parameter | None  # [M, D]; None for mntp
    objective: nn.Module  # its forward takes a batch of `SplitTexts` and gives `loss` and `tokens`
    states: nn.Module  # (input_ids, attention_mask) -> [B, M, D], whose mean is the embedding
    tokenizer: Any


def compress(recipe: CompressRecipe, note: Note, *, device: str = "auto") -> Measures:
    """Trains memory tokens by a recipe, or goes on where an earlier call stopped; the result is OUT/encoder.

    Args:
        recipe: what to do.
        note: told lines for people.
        device: "auto" or "cpu".

    Returns:
        The measures of the encoder that was kept.

    Raises:
        CheckpointError: the backbone is missing or damaged.
        ConfigError: the recipe is impossible, or the folder holds a run of another one.
        InputError: the texts cannot be read, or there are none.
        TrainingError: the run had to stop; its last good checkpoint is kept.
        UnsupportedBackboneError: the backbone cannot attend in both directions.
    """
    need_training_extra()
    place, base = find_backbone(recipe.backbone)
    data = fingerprint_files(local_paths(recipe.texts))
    return run_once(
        recipe,
        stage="compress",
        data=data,
        model=fingerprint_files(_model_files(place)),
        result="encoder",
        note=note,
        train=lambda folder: _train(recipe, folder, (place, base), data, note, device),
    )


def _model_files(place: Path) -> list[Path]:
    described = [place / "config.json", place / "tokenizer.json"]
    return [*sorted(place.glob("*.safetensors")), *(path for path in described if path.exists())]


def _train(
    recipe: CompressRecipe,
    folder: RunFolder,
    backbone: tuple[Path, BaseReference],
    data: dict[str, str],
    note: Note,
    device: str,
) -> Measures:
    place, base = backbone
    arguments = training_arguments(
        TrainingArguments,
        recipe.schedule,
        recipe.watch,
        folder,
        device=device,
        best_by="held_out_loss",
        # An adapter has no weights without a gradient; whole backbones may, and looking for them takes time.
        ddp_find_unused_parameters=not recipe.adapter.lora,
    )
    parts = build_parts(recipe, place, half_base=is_half(arguments))
    note(_trained_weights(parts.objective))
    texts = SplitTexts(
        TextStream(recipe.texts),
        text_tokenizer(parts.tokenizer),
        longest=recipe.memory.max_tokens,
        settings=recipe.compression,
        seed=recipe.schedule.seed,
    )
    keeper = _keeper(recipe, parts, base, data)
    trainer = StageTrainer(
        model=parts.objective, args=arguments, train_dataset=texts, data_collator=collate_splits
    )
    watcher = _watcher(recipe, parts, texts, device)
    stage = Stage(folder, recipe.schedule, recipe.watch, watcher, keeper.save, keeper.load)
    measures = train_stage(trainer, stage, note, texts.notes)
    if trainer.is_world_process_zero():
        target = publish_encoder(
            folder,
            keeper,
            step=trainer.best_step(),
            measures=measures,
            facts={
                "stage": f"compress, {recipe.compression.objective}",
                "backbone": recipe.backbone,
                "texts": ", ".join(recipe.texts.files),
            },
            recipe=recipe_to_json(recipe),
        )
        note(f"the encoder is {target}")
    return measures


def _keeper(recipe: CompressRecipe, parts: Parts, base: BaseReference, data: dict[str, str]) -> EncoderKeeper:
    return EncoderKeeper(
        parts.backbone,
        parts.memory,
        parts.tokenizer,
        new_config(recipe, parts),
        base=base if recipe.adapter.lora else BaseReference(),
        entry={
            "stage": "compress",
            "objective": recipe.compression.objective,
            "seed": recipe.schedule.seed,
            "data": data,
            "versions": versions(),
        },
    )


def _watcher(recipe: CompressRecipe, parts: Parts, texts: SplitTexts, device: str) -> Watcher:
    items = texts.held_out()
    encoder = LiveEncoder(
        parts.states,
        text_tokenizer(parts.tokenizer),
        max_tokens=recipe.memory.max_tokens,
        has_memory=parts.memory is not None,
        dtype=compute_dtype(recipe.schedule, device),
    )
    return Watcher(
        encoder,
        texts.stream.held_out,
        known_items=recipe.watch.known_items,
        held_out=partial(held_out_losses, parts.objective, items) if items else None,
    )


def build_parts(recipe: CompressRecipe, place: Path, *, half_base: bool = False) -> Parts:
    """The model of a recipe, ready to be trained.

    Args:
        recipe: what to do.
        place: folder of the backbone.
        half_base: keep the frozen weights in bfloat16.

    Raises:
        CheckpointError: the backbone is missing or damaged.
        ConfigError: more tokens are asked for than the backbone holds, or the adapter does not fit.
        UnsupportedBackboneError: the backbone cannot attend in both directions.
    """
    language_model: Any = read_causal_lm(place)
    tokenizer = read_tokenizer(place, as_stored=False)
    is_masked = recipe.compression.objective == "mntp"
    n_memory = 0 if is_masked else recipe.memory.n_memory
    _check_room(recipe, language_model.config, n_memory)
    if half_base and recipe.adapter.lora:
        halve_frozen(language_model)
    torch.manual_seed(recipe.schedule.seed)
    decoder = (share_decoder if recipe.adapter.lora else copy_decoder)(language_model)
    backbone = language_model.base_model
    memory = None if is_masked else new_memory(backbone, n_memory, seed=recipe.schedule.seed)
    check_bidirectional(backbone, torch.empty(0, 1) if memory is None else memory.detach())
    if recipe.adapter.lora:
        backbone = attach_adapter(backbone, recipe.adapter)
    else:
        backbone.requires_grad_(True)
    if recipe.schedule.gradient_checkpointing:
        checkpoint_activations(language_model.base_model)
    objective, states = _objective(recipe, backbone, decoder, memory, tokenizer)
    return Parts(backbone, memory, objective, states, tokenizer)


def _objective(
    recipe: CompressRecipe,
    backbone: nn.Module,
    decoder: nn.Module,
    memory: nn.Parameter | None,
    tokenizer: Any,
) -> tuple[nn.Module, nn.Module]:
    """The module that is trained, and the one whose states are the embedding."""
    settings, bos_id = recipe.compression, tokenizer.bos_token_id
    if memory is None:
        masked = MaskedNextToken(
            backbone,
            language_head(decoder),
            bos_id=bos_id,
            mask_id=mask_token(tokenizer),
            settings=settings,
            seed=recipe.schedule.seed,
        )
        return masked, MeanOfText(backbone)
    encoder = MemoryModel(backbone, memory)
    if settings.objective in ("ebae", "ebar"):
        return BagOfTokens(encoder, language_head(decoder), bos_id=bos_id, settings=settings), encoder
    return Compressor(encoder, decoder, bos_id=bos_id, settings=settings), encoder


def _check_room(recipe: CompressRecipe, config: Any, n_memory: int) -> None:
    bound = longest_sequence(config)
    needed = recipe.memory.max_tokens + n_memory + 1
    if bound is not None and needed > bound:
        most = bound - n_memory - 1
        raise ConfigError(
            f"memory.max_tokens {recipe.memory.max_tokens} and {n_memory} memory tokens need {needed} places, the "
            f"backbone holds {bound}",
            "memory.max_tokens",
            f"set memory.max_tokens to at most {most}"
            if most > 1
            else "take fewer memory tokens or another backbone",
        )
    least = recipe.compression.shortest_context + recipe.compression.shortest_continuation
    if least > recipe.memory.max_tokens:
        raise ConfigError(
            f"a split needs {least} tokens, memory.max_tokens is {recipe.memory.max_tokens}",
            "compression.shortest_context",
            "lower compression.shortest_context and shortest_continuation, or raise memory.max_tokens",
        )


def new_config(recipe: CompressRecipe, parts: Parts) -> EncoderConfig:
    """The configuration of a fresh encoder, before its first stage is written into it."""
    return EncoderConfig(
        n_memory=0 if parts.memory is None else parts.memory.shape[0],
        dimension=parts.backbone.get_input_embeddings().weight.shape[1],  # type: ignore[operator]
        max_tokens=recipe.memory.max_tokens,
        pooling="bidirectional_mean" if parts.memory is None else "memory_mean",
    )


def _trained_weights(model: nn.Module) -> str:
    sizes = {id(weight): (weight.numel(), weight.requires_grad) for weight in model.parameters()}
    trained = sum(size for size, is_trained in sizes.values() if is_trained)
    return f"{trained:,} of {sum(size for size, _ in sizes.values()):,} weights are trained"
