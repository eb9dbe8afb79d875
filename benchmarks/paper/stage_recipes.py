"""A step of the study -> the recipe of a stage of `train`. Trains nothing."""

from pathlib import Path
from typing import Any

from plan import BACKBONE, Step
from scale import Run, Scale

from train.settings import (
    Adapter,
    Compression,
    CompressRecipe,
    Contrast,
    ContrastiveRecipe,
    Memory,
    Pairs,
    PretrainRecipe,
    Schedule,
    Shape,
    SimcseRecipe,
    Texts,
    Tokenizer,
    Views,
    Watch,
)

TEXT_FILES = ("text.parquet", "text_more.parquet")
PAIR_FILES = ("pairs.parquet", "pairs_more.parquet")
_HELD_OUT = 64  # texts, for the held-out losses that the logs show
_WHOLE = Adapter(lora=False)  # the backbone is small enough to train whole


def files_of(data: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the files that are there."""
    return tuple(str(data / name) for name in names if (data / name).is_file())


def recipe_of(step: Step, scale: Scale, data: Path, work: Path) -> Any:
    """What `train` is told of a step that trains."""
    makers = {
        "pretrain": _pretrain,
        "compress": _compress,
        "simcse": _simcse,
        "contrastive": _contrastive,
    }
    return makers[step.kind](step, scale, data, work)


def result_of(step: Step, work: Path) -> Path:
    """The folder that a step leaves: an encoder, or the backbone."""
    return work / step.name / (BACKBONE if step.kind == "pretrain" else "encoder")


def start_of(step: Step, work: Path) -> Path:
    """The folder that a step begins from."""
    return work / step.start / (BACKBONE if step.start == BACKBONE else "encoder")


def texts_of(step: Step, scale: Scale, data: Path) -> Texts:
    """The texts of stages 0 to 2; the first are held out of all of them."""
    return Texts(
        files_of(data, TEXT_FILES),
        shortest_characters=scale.shortest_characters,
        held_out=_HELD_OUT,
        seed=step.seed,
    )


def _schedule(run: Run, scale: Scale, seed: int, **more: Any) -> Schedule:
    return Schedule(
        steps=run.steps,
        batch=run.batch,
        learning_rate=run.learning_rate,
        warmup_steps=min(run.warmup, run.steps),
        dtype=scale.dtype,
        seed=seed,
        **more,
    )


def _watch(steps: int, look: int = 0) -> Watch:
    """The last checkpoint is the result: nothing is chosen by a score."""
    return Watch(log_steps=20, evaluate_steps=look or steps, known_items=_HELD_OUT, keep=1, best_by="last")


def _pretrain(step: Step, scale: Scale, data: Path, work: Path) -> PretrainRecipe:
    return PretrainRecipe(
        out=str(work / step.name),
        texts=texts_of(step, scale, data),
        schedule=_schedule(
            scale.pretrain, scale, step.seed, decay="cosine", weight_decay=0.1, betas=(0.9, 0.95)
        ),
        tokenizer=Tokenizer(vocabulary=scale.vocabulary),
        shape=Shape(
            width=scale.width,
            layers=scale.layers,
            heads=scale.heads,
            mlp=scale.mlp,
            window=scale.window,
            max_positions=2 * (scale.max_tokens + max(scale.memory_counts)),
        ),
        watch=_watch(scale.pretrain.steps, scale.pretrain_look),
    )


def _compress(step: Step, scale: Scale, data: Path, work: Path) -> CompressRecipe:
    return CompressRecipe(
        out=str(work / step.name),
        backbone=str(start_of(step, work)),
        texts=texts_of(step, scale, data),
        schedule=_schedule(scale.compress, scale, step.seed),
        memory=Memory(n_memory=step.n_memory or scale.n_memory, max_tokens=scale.max_tokens),
        adapter=_WHOLE,
        compression=Compression(objective=step.objective, splits=1),
        watch=_watch(scale.compress.steps),
    )


def _simcse(step: Step, scale: Scale, data: Path, work: Path) -> SimcseRecipe:
    return SimcseRecipe(
        out=str(work / step.name),
        encoder=str(start_of(step, work)),
        texts=texts_of(step, scale, data),
        schedule=_schedule(scale.simcse, scale, step.seed),
        views=Views(max_tokens=scale.view_tokens, mini_batch=scale.simcse.batch),
        adapter=_WHOLE,
        watch=_watch(scale.simcse.steps),
    )


def _contrastive(step: Step, scale: Scale, data: Path, work: Path) -> ContrastiveRecipe:
    run = scale.contrastive
    steps = step.pairs // run.batch
    held_out = min(_HELD_OUT, max(2, step.pairs // 16))
    return ContrastiveRecipe(
        out=str(work / step.name),
        encoder=str(start_of(step, work)),
        pairs=(Pairs("pairs", files_of(data, PAIR_FILES), most=step.pairs + 2 * held_out),),
        schedule=_schedule(Run(steps, run.batch, run.learning_rate, run.warmup), scale, step.seed),
        contrast=Contrast(
            mini_batch=run.batch,
            max_query_tokens=scale.query_tokens,
            max_document_tokens=scale.document_tokens,
        ),
        adapter=_WHOLE,
        watch=_watch(steps),
        held_out=held_out,
    )
