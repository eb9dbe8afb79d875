"""A JSON file to a dataclass, believing nothing: every key known, every value of its type and within bounds.

Collections come from elsewhere too. What passes here can be used without a foreign exception.
"""

import json
import math
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from encoder.errors import CollectionError

# Numbers beyond this do not fit what Lance, numpy and FAISS count with.
_MOST = 2**63 - 1
MOST_BYTES = 256 << 20
_UNPAIRED = re.compile("[\ud800-\udfff]")
_Kind = TypeVar("_Kind")


class NewerFormatError(CollectionError):
    """A file was written by a newer version of the program; it is whole, but not for us."""


def read_object(file: Path, *, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The JSON object in `file`.

    Args:
        file: to read.
        most_bytes: a larger file is not looked at: a few bytes on disk can claim to be a terabyte.

    Raises:
        CollectionError: the file cannot be read, is too large, or holds something else.
    """
    try:
        if file.stat().st_size > most_bytes:
            raise damaged(file, "it is far too large")
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CollectionError(
            f"cannot read {file.name}: {error.strerror}", str(file), "check the folder's permissions"
        ) from error
    except (ValueError, RecursionError) as error:
        raise damaged(file, "it is not JSON") from error
    if not isinstance(found, dict):
        raise damaged(file, "it holds no object")
    return found


def check_format(found: dict[str, Any], file: Path, newest: int) -> None:
    """Makes sure that this version of the program reads the file's format.

    Raises:
        NewerFormatError: it does not.
        CollectionError: the file names no format.
    """
    number = found.get("format")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise damaged(file, "it names no format")
    if number > newest:
        raise NewerFormatError(
            f"the collection has format {str(number)[:20]}, this version of llm2comp reads {newest}",
            str(file),
            "update: pip install --upgrade llm2comp",
        )


def to_dataclass(kind: type[_Kind], found: Any, file: Path) -> _Kind:
    """An instance of the dataclass `kind`; lists of dataclasses inside are made as well.

    Raises:
        CollectionError: a key is missing or unknown, or a value is not of its type.
    """
    if not isinstance(found, dict):
        raise damaged(file, f"{str(found)[:40]!r} is no object")
    hints = get_type_hints(kind)
    known = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]
    if unknown := [name for name in found if name not in known]:
        raise damaged(file, f"unknown key {unknown[0][:40]!r}")
    values = {}
    for name, value in found.items():
        inner = get_args(hints[name])[:1]
        if isinstance(value, list) and inner and is_dataclass(inner[0]):
            values[name] = [to_dataclass(inner[0], part, file) for part in value]  # type: ignore[arg-type]
        elif _fits(value, hints[name]):
            values[name] = value
        else:
            raise damaged(file, f"{name} is {str(value)[:40]!r}")
    try:
        return kind(**values)
    except TypeError as error:
        raise damaged(file, "a key is missing") from error


def _fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value is of the annotated type; counts are never negative, texts can be stored."""
    inner = get_args(hint)
    if get_origin(hint) is list:
        if inner[0] is int:  # these lists are long, and true is no count
            return isinstance(value, list) and all(type(part) is int and 0 <= part <= _MOST for part in value)
        if inner[0] is str:  # one look at the signs of all
            return isinstance(value, list) and set(map(type, value)) <= {str} and _is_text("".join(value))
        return isinstance(value, list) and all(_fits(part, inner[0]) for part in value)
    if get_origin(hint) is dict:
        return isinstance(value, dict) and all(
            _is_text(name) and _fits(part, inner[1]) for name, part in value.items()
        )
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
    if hint is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and abs(value) <= _MOST and math.isfinite(value)
    return _is_text(value) if hint is str else hint is Any


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and (value.isascii() or not _UNPAIRED.search(value))


def damaged(file: Path, reason: str) -> CollectionError:
    """The error for a description that cannot be used."""
    return CollectionError(
        f"{file.name} is damaged: {reason}",
        str(file),
        "restore the file from a copy; `llm2comp verify` says what else is affected",
    )
