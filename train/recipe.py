"""Recipes: a TOML file <-> dataclasses, strictly. What a stage can be told stands in `train.settings`.

A field says which values it takes by `least`, `within` or `one_of`; a value outside is refused by name.
"""

import json
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, field, fields, is_dataclass, replace
from datetime import date, datetime, time
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from encoder.errors import ConfigError

_Recipe = TypeVar("_Recipe")


def least(bound: float, default: Any = MISSING) -> Any:
    """A field whose numbers are at least `bound`; without default it must be given."""
    return _ruled(default, lambda value: value >= bound, f"{bound} or more")


def within(low: float, high: float, default: Any = MISSING) -> Any:
    """A field whose numbers lie from `low` to `high`."""
    return _ruled(default, lambda value: low <= value <= high, f"a number from {low} to {high}")


def one_of(*allowed: str) -> Any:
    """A field that takes one of these words; the first is the default."""
    return _ruled(allowed[0], lambda value: value in allowed, "one of " + ", ".join(allowed), allowed)


def _ruled(default: Any, holds: Callable[[Any], bool], expected: str, allowed: tuple[str, ...] = ()) -> Any:
    rule = {"holds": holds, "expected": expected, "allowed": allowed}
    return field(default=default, metadata=rule)


def read_recipe(kind: type[_Recipe], path: Path, overrides: Sequence[str] = ()) -> _Recipe:
    """The recipe in a TOML file.

    Args:
        kind: the dataclass it describes.
        path: the file.
        overrides: `key=value` or `section.key=value`, values as in TOML (a bare word is text); they win over
            the file.

    Raises:
        ConfigError: the file is missing or no TOML, a key is unknown or missing, or a value has the wrong type
            or lies outside of what its field takes.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError("The recipe does not exist.", str(path), "name an existing TOML file") from error
    except OSError as error:
        raise ConfigError(
            f"The recipe cannot be read: {error.strerror}.", str(path), "name a TOML file"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The recipe is no TOML: {error}", str(path), "mend the line it names") from error
    for text in overrides:
        _override(content, text)
    where = str(path) + "".join(f" --set {text}" for text in overrides)
    return build_recipe(kind, content, where)


def build_recipe(kind: type[_Recipe], content: Mapping[str, Any], where: str) -> _Recipe:
    """The recipe that parsed TOML or JSON describes.

    Args:
        kind: the dataclass.
        content: its keys and values.
        where: the file, for the error.

    Raises:
        ConfigError: as for `read_recipe`.
    """
    return _build(kind, content, where, "")


def files_in(recipe: _Recipe, folder: Path) -> _Recipe:
    """The recipe with its files of texts and pairs looked for in a folder.

    Args:
        recipe: a stage's; every `files` in it is meant, but for absolute paths and names on the Hub (hf:NAME).
        folder: put before the names.

    Raises:
        ConfigError: the folder does not exist.
    """
    if not folder.is_dir():
        raise ConfigError("There is no such folder.", str(folder), "name the folder of the data after --data")
    return _moved(
        recipe, folder.resolve()
    )  # however it was spelt, a run that goes on has begun with the same


def _moved(part: Any, folder: Path) -> Any:
    if isinstance(part, tuple):
        return tuple(_moved(each, folder) for each in part)
    if not is_dataclass(part) or isinstance(part, type):
        return part
    values = {entry.name: getattr(part, entry.name) for entry in fields(part)}
    return replace(
        part,
        **{
            name: tuple(each if each.startswith("hf:") else str(folder / each) for each in value)
            if name == "files"
            else _moved(value, folder)
            for name, value in values.items()
        },
    )


def recipe_to_json(recipe: Any) -> dict[str, Any]:
    """Every value of a recipe, defaults included, JSON types only."""
    return json.loads(json.dumps(asdict(recipe)))


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What differs between two recipes as `recipe_to_json` writes them, `key: old, now new` each."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key}: {before!r}, now {after!r}")
    return found


def _override(content: dict[str, Any], text: str) -> None:
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise ConfigError(f"{text!r} sets nothing.", "--set", "write KEY=VALUE, such as schedule.steps=100")
    *sections, key = name.strip().split(".")
    place = content
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise ConfigError(f"{section} is no table.", f"--set {text}", "name a key of the recipe")
    try:
        place[key] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        place[key] = value


def _build(kind: type[_Recipe], content: Any, where: str, prefix: str) -> _Recipe:
    """An instance of the dataclass `kind` from exactly its own keys.

    Raises:
        ConfigError: a key is unknown or missing, or a value is not what its field takes.
    """
    if not isinstance(content, Mapping):
        raise ConfigError(
            f"{prefix.rstrip('.')} is {content!r}, expected a table", where, f"write [{prefix[:-1]}]"
        )
    known: dict[str, Field] = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    for key in content:
        if key not in known:
            raise ConfigError(f"There is no key {prefix}{key}.", where, _nearest_key(kind, key, prefix))
    hints = get_type_hints(kind)
    values = {key: _value(hints[key], value, where, prefix + key) for key, value in content.items()}
    for name, entry in known.items():
        if name not in values and entry.default is MISSING and entry.default_factory is MISSING:
            raise ConfigError(f"The key {prefix}{name} is missing.", where, f"add {prefix}{name}")
        if name in values:
            _check_rule(entry, values[name], where, prefix + name)
    return kind(**values)


def _nearest_key(kind: Any, key: str, prefix: str) -> str:
    """What to write in the place of an unknown key: the section it belongs to, the nearest key, or all of them."""
    hints = get_type_hints(kind)
    homes = [name for name, inner in hints.items() if is_dataclass(inner) and key in get_type_hints(inner)]
    if homes:
        return "write " + " or ".join(f"{prefix}{home}.{key}" for home in homes)
    near = get_close_matches(key, hints, n=1)
    return f"write {prefix}{near[0]}" if near else "use one of " + ", ".join(hints)


def _check_rule(entry: Field, value: Any, where: str, name: str) -> None:
    holds = entry.metadata.get("holds")
    if holds is None or holds(value):
        return
    near = get_close_matches(str(value), entry.metadata["allowed"], n=1)
    fix = f"did you mean {near[0]!r}?" if near else f"set {name} to {entry.metadata['expected']}"
    raise ConfigError(f"{name} is {value!r}, expected {entry.metadata['expected']}", where, fix)


def _value(kind: Any, value: Any, where: str, name: str) -> Any:
    """`value` if it is of the type `kind`; a whole number counts as a fraction too, an array is a tuple.

    Raises:
        ConfigError: it is not.
    """
    if get_origin(kind) is UnionType:  # a section that may be left out
        kind = get_args(kind)[0]
    if is_dataclass(kind):
        return _build(kind, value, where, name + ".")  # type: ignore[arg-type]
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        inner = get_args(kind)[0]
        return tuple(_value(inner, each, where, f"{name}[{number}]") for number, each in enumerate(value))
    if kind is float and type(value) is int:
        return float(value)
    plain = get_origin(kind) or kind
    if type(value) is not plain or (
        plain is float and not math.isfinite(value)
    ):  # True is no whole number here
        expected = "an array" if plain is tuple else plain.__name__
        fix = (
            f"write {name} = [{json.dumps(value)}]"
            if plain is tuple and type(value) is str
            else f"mend {name}"
        )
        raise ConfigError(f"{name} is {value!r}, expected {expected}", where, fix)
    return _as_json(value) if plain is dict else value


def _as_json(value: Any) -> Any:
    """`value` with dates and times, which TOML has and JSON lacks, as ISO text."""
    if isinstance(value, Mapping):
        return {key: _as_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_as_json(each) for each in value]
    return value.isoformat() if isinstance(value, date | datetime | time) else value
