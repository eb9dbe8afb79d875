"""From parquet files to an encoder directory: the steps of a recipe, each of which a killed run goes on with.

Writes no model card; `docs/explain/bundled-encoder.md` says what the steps do.
"""

import io
import json
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from encoder.atomic import write_bytes
from encoder.checkpoint import save_encoder
from encoder.config import EncoderConfig
from encoder.memory import MemoryModel
from encoder.prompt import TextTokenizer
from train.distillation.claims import PAIRS, TABLE, VECTORS, VOCABULARY, claim, data_sha256, model_directory
from train.distillation.distil import distil, held_out_cosine
from train.distillation.lessons import Lessons, project, read_lessons, split_lessons
from train.distillation.material import read_material, read_pairs
from train.distillation.partners import Partners, members, read_members, split_pairs
from train.distillation.recipe import Recipe, TeacherConfig
from train.distillation.student import new_student
from train.distillation.teacher import Teacher, write_vectors
from train.distillation.teacher_layers import student_of_teacher
from train.distillation.token_table import fit_table, main_directions, mean_vectors, start_table
from train.distillation.vocabulary import frequent_tokens, keep_tokens

Note = Callable[[str], None]
_WATCHED_PAIRS = 500  # of those held out, for the log


def make_encoder(recipe: Recipe, data: Path, work: Path, out: Path, note: Note) -> None:
    """Writes an encoder directory made by a recipe.

    Args:
        recipe: what to do.
        data: folder of parquet files with texts and pairs.
        work: teacher vectors, table and training state; a later call goes on from them.
        out: the encoder directory, replaced in one step.
        note: told what has been reached.

    Raises:
        ConfigError: `work` holds the results of another recipe or material; nothing has been changed.
        InputError: there are no texts, or no more than those held out.
    """
    torch.set_num_threads(recipe.distil.threads)
    work.mkdir(parents=True, exist_ok=True)
    claim(work, recipe, data)
    _compute_vectors(recipe, data, work, note)
    teacher = _load_teacher(recipe.teacher)
    tokenizer, kept_W = _tokenizer(recipe, teacher, work)
    plain = TextTokenizer(tokenizer.backend_tokenizer, tokenizer.bos_token_id)
    partners = _partners(recipe, data, work, plain, note)
    lessons = read_lessons(
        work / VECTORS, plain, texts=recipe.material.texts, longest=recipe.student.max_tokens
    )
    note(f"{len(lessons)} texts, {len(lessons.ids)} tokens")
    held_out, lessons = split_lessons(lessons, recipe.material.held_out)
    if recipe.student.has_teacher_layers:
        student = _start_with_layers(recipe, teacher, kept_W, lessons)
    else:
        table_VD, held_out, lessons = _fit(recipe, teacher, kept_W, held_out, lessons, work / TABLE, note)
        if partners is not None:
            directions = load_file(work / TABLE)["directions"].numpy()
            partners = replace(partners, lessons=project(partners.lessons, directions))
        student = _start_with_tokens(recipe, table_VD)
    distil(student, lessons, held_out, recipe.distil, work, partners=partners)
    note(f"student {held_out_cosine(student, held_out)}")
    save_encoder(
        out,
        backbone=student.backbone,
        memory=student.memory,
        tokenizer=tokenizer,
        config=_describe(recipe, data, held_out, student),
        dtype="float16",
    )


def student_tokenizer(backend: Tokenizer, *, has_bos: bool = False) -> PreTrainedTokenizerFast:
    """The teacher's vocabulary without its frame, cut and padding.

    Args:
        backend: of the BERT family.
        has_bos: begin every text with `[CLS]`, as the teacher does. There is nothing behind a text: the memory
            tokens stand there. Without it, an empty text is the memory tokens alone.
    """
    description = json.loads(backend.to_str())
    description |= {"post_processor": None, "truncation": None, "padding": None}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(description)),
        unk_token="[UNK]",
        pad_token="[PAD]",
        clean_up_tokenization_spaces=False,
        **({"bos_token": "[CLS]"} if has_bos else {}),
    )


def _tokenizer(
    recipe: Recipe, teacher: Teacher, work: Path
) -> tuple[PreTrainedTokenizerFast, NDArray[np.int64]]:
    """The student's tokenizer, and the teacher's id of each of its tokens, [W] int64."""
    backend, size = teacher.tokenizer.backend_tokenizer, recipe.student.vocabulary
    has_bos = recipe.student.has_teacher_layers
    if not size:
        return student_tokenizer(backend, has_bos=has_bos), np.arange(backend.get_vocab_size())
    if (work / VOCABULARY).exists():
        kept_W = np.load(work / VOCABULARY)
    else:
        whole = TextTokenizer(backend, None)
        lessons = read_lessons(work / VECTORS, whole, texts=recipe.material.texts, longest=None)
        count_V = np.bincount(lessons.ids, minlength=backend.get_vocab_size())
        kept_W = frequent_tokens(backend, count_V, size)
        content = io.BytesIO()
        np.save(content, kept_W)
        write_bytes(work / VOCABULARY, content.getvalue())
    return student_tokenizer(keep_tokens(backend, kept_W), has_bos=has_bos), kept_W


def _start_with_layers(
    recipe: Recipe, teacher: Teacher, kept_W: NDArray[np.int64], lessons: Lessons
) -> MemoryModel:
    """A student with the teacher's layers and no training of its own."""
    shape = recipe.student
    return student_of_teacher(
        teacher.model,
        kept_W,
        np.bincount(lessons.ids, minlength=len(kept_W)),
        n_memory=shape.n_memory,
        layers=shape.layers,
        seed=shape.seed,
    )


def _start_with_tokens(recipe: Recipe, table_VD: torch.Tensor) -> MemoryModel:
    """A student of the recipe's shape that averages the vectors [V, D] of its tokens."""
    shape = recipe.student
    return new_student(
        table_VD,
        layers=shape.layers,
        heads=shape.heads,
        mlp=shape.mlp,
        n_memory=shape.n_memory,
        max_positions=shape.max_positions,
        seed=shape.seed,
    )


def _partners(
    recipe: Recipe, data: Path, work: Path, tokenizer: TextTokenizer, note: Note
) -> Partners | None:
    """What is learnt from pairs; None for nothing."""
    if not recipe.pairs.most:
        return None
    learnt, unseen = split_pairs(read_pairs(data), recipe.pairs)
    note(f"teacher vectors of {len(learnt)} pairs")
    material, longest = members(learnt), recipe.student.max_tokens
    write_vectors(
        material, work / PAIRS, _teacher_arguments(recipe.teacher), processes=recipe.teacher.processes
    )
    lessons = read_lessons(work / PAIRS, tokenizer, texts=len(material.texts), longest=longest)
    held_out = read_members(unseen[:_WATCHED_PAIRS], tokenizer, longest=longest)
    return Partners(lessons, held_out, recipe.pairs)


def _compute_vectors(recipe: Recipe, data: Path, work: Path, note: Note) -> None:
    """Leaves the teacher's vectors in `work`, unless all are there."""
    material = read_material(
        data, texts=recipe.material.texts, long_share=recipe.material.long_share, seed=recipe.material.seed
    )
    note(f"teacher vectors of {len(material.texts)} texts")
    arguments = _teacher_arguments(recipe.teacher)
    write_vectors(material, work / VECTORS, arguments, processes=recipe.teacher.processes)


def _teacher_arguments(config: TeacherConfig) -> dict[str, Any]:
    return {
        "directory": model_directory(config),
        "max_tokens": config.max_tokens,
        "dtype": torch.bfloat16 if config.bfloat16 else torch.float32,
    }


def _load_teacher(config: TeacherConfig) -> Teacher:
    return Teacher(**_teacher_arguments(config))


def _fit(
    recipe: Recipe,
    teacher: Teacher,
    kept_W: NDArray[np.int64],
    held_out: Lessons,
    lessons: Lessons,
    path: Path,
    note: Note,
) -> tuple[torch.Tensor, Lessons, Lessons]:
    """The table [W, D] of stage A, and the held-out and other lessons with targets of its width."""
    if path.exists():
        stored = load_file(path)
        directions = stored["directions"]
    else:
        directions = main_directions(lessons.targets, recipe.student.width)
    held_out, lessons = (project(part, directions.numpy()) for part in (held_out, lessons))
    if path.exists():
        return stored["table"], held_out, lessons
    config = recipe.table
    table = fit_table(
        start_table(teacher, lessons, kept_W) @ directions,
        lessons,
        steps=config.steps,
        batch_texts=config.batch_texts,
        learning_rate=config.learning_rate,
        seed=config.seed,
    )
    vectors = mean_vectors(table, held_out, np.arange(len(held_out))).numpy()
    note(f"table held-out cosine {float((vectors * held_out.targets).sum(-1).mean()):.4f}")
    write_bytes(path, save({"table": table, "directions": directions}))
    return table, held_out, lessons


def _describe(recipe: Recipe, data: Path, held_out: Lessons, student: MemoryModel) -> EncoderConfig:
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    digest = data_sha256(data)
    origin = {"data": digest, "versions": versions}
    table = {"stage": "table", "objective": "mean of tokens to teacher", "steps": recipe.table.steps}
    objective = "cosine to teacher, and pairs" if recipe.pairs.most else "cosine to teacher"
    layers = {"stage": "distil", "objective": objective, "steps": recipe.distil.steps}
    stages: tuple[dict[str, Any], ...] = (
        {**layers, "start": recipe.student.start, "seed": recipe.distil.seed, **origin},
    )
    if not recipe.student.has_teacher_layers:
        stages = ({**table, "seed": recipe.table.seed, **origin}, *stages)
    return EncoderConfig(
        n_memory=student.n_memory,
        dimension=student.dimension,
        max_tokens=recipe.student.max_tokens,
        stages=stages,
        card={**recipe.card, **held_out_cosine(student, held_out)},
    )
