"""The text by which a person names an encoder, taken apart."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl

from encoder.config import POOLINGS
from encoder.errors import UsageError

_LEAST_TEMPERATURE, _MOST_TEMPERATURE = 0.1, 2.0
_COUNT = re.compile(r"0*[1-9][0-9]{0,8}")
_DECIMAL = re.compile(r"[0-9]{1,3}(\.[0-9]{1,9})?")


@dataclass(frozen=True)
class Spec:
    """Where an encoder comes from, the options of a bare backbone, and how it is used."""

    kind: str  # default, path, hf or st
    place: str  # a path, or a name on the Hub
    revision: str | None = None
    pooling: str | None = None
    max_tokens: int | None = None
    layers: int | None = None  # the first so many alone
    temperature: float | None = None  # of every attention, in place of the stored one


def parse_spec(spec: str) -> Spec:
    """The parts of a spec such as `hf:org/name@v1?pooling=mean` or `default?temperature=0.9`.

    Raises:
        UsageError: the spec is empty, or an option or its value is unknown.
    """
    if not spec.strip():
        raise UsageError(
            "the encoder spec is empty",
            "encoder spec",
            "use default, a directory, hf:org/name or st:org/name",
        )
    # A folder may have a question mark in its name; the bundled encoder goes before a folder called default.
    is_place = spec != "default" and _exists(spec)
    body, _, query = (spec, "", "") if is_place else spec.partition("?")
    if body.startswith("st:"):
        if query:
            raise UsageError(
                f"a sentence-transformers model takes no options, got ?{query}", spec, "leave out the options"
            )
        return Spec("st", body.removeprefix("st:"))
    found = _options(query, spec)
    if body.startswith("hf:"):
        name, _, revision = body.removeprefix("hf:").partition("@")
        return replace(found, kind="hf", place=name, revision=revision or None)
    if body == "default":
        return replace(found, kind="default", place=str(Path(__file__).parent / "bundled"))
    return replace(found, kind="path", place=str(Path(body).expanduser()))


def with_temperature(spec: str, temperature: float) -> str:
    """The spec of the same encoder at another temperature of attention.

    Raises:
        UsageError: the spec takes no options, or the temperature is out of range.
    """
    if spec != "default" and _exists(spec) and "?" in spec:
        raise UsageError(
            "a folder with a question mark in its name takes no options", spec, "rename the folder"
        )
    place, _, query = spec.partition("?")
    kept = [option for option in query.split("&") if option and not option.startswith("temperature=")]
    found = f"{place}?{'&'.join([*kept, f'temperature={temperature:g}'])}"
    parse_spec(found)
    return found


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # longer than any name can be
        return False


def _options(query: str, spec: str) -> Spec:
    """A spec of nowhere with the options of the query, each None when not given.

    Raises:
        UsageError: an option or its value is unknown.
    """
    found = Spec("", "")
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key == "pooling" and value in POOLINGS:
            found = replace(found, pooling=value)
        elif key == "pooling":
            raise UsageError(f"there is no pooling {value!r}", spec, "use one of " + ", ".join(POOLINGS))
        elif key == "max_tokens" and _COUNT.fullmatch(value):
            found = replace(found, max_tokens=int(value))
        elif key == "layers" and _COUNT.fullmatch(value):
            found = replace(found, layers=int(value))
        elif key == "temperature":
            found = replace(found, temperature=_temperature(value, spec))
        else:
            raise UsageError(
                f"option {key}={value} is not understood",
                spec,
                "options are pooling=NAME, max_tokens=NUMBER, layers=NUMBER, numbers from 1, and temperature=0.9",
            )
    return found


def _temperature(value: str, spec: str) -> float:
    """A temperature of attention.

    Raises:
        UsageError: it is no decimal number, or too low or too high.
    """
    if _DECIMAL.fullmatch(value) and _LEAST_TEMPERATURE <= float(value) <= _MOST_TEMPERATURE:
        return float(value)
    raise UsageError(
        f"temperature={value} is no temperature of attention",
        spec,
        f"give a number from {_LEAST_TEMPERATURE:g} to {_MOST_TEMPERATURE:g}; 1 changes nothing, below 1 sharpens",
    )
