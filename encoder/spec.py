"""The text by which a person names an encoder, taken apart."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from encoder.config import POOLINGS
from encoder.errors import UsageError


@dataclass(frozen=True)
class Spec:
    """Where an encoder comes from, the options of a bare backbone, and how much of it is used."""

    kind: str  # default, path, hf or st
    place: str  # a path, or a name on the Hub
    revision: str | None = None
    pooling: str | None = None
    max_tokens: int | None = None
    layers: int | None = None  # the first so many alone


def parse_spec(spec: str) -> Spec:
    """The parts of a spec such as `hf:org/name@v1?pooling=mean`.

    Raises:
        UsageError: the spec is empty, or an option or its value is unknown.
    """
    if not spec.strip():
        raise UsageError(
            "the encoder spec is empty",
            "encoder spec",
            "use default, a directory, hf:org/name or st:org/name",
        )
    if spec == "default":
        return Spec("default", str(Path(__file__).parent / "bundled"))
    # A folder may have a question mark in its name.
    body, _, query = (spec, "", "") if Path(spec).exists() else spec.partition("?")
    pooling, max_tokens, layers = _options(query, spec)
    if body.startswith("st:"):
        if query:
            raise UsageError(
                f"a sentence-transformers model takes no options, got ?{query}", spec, "leave out the options"
            )
        return Spec("st", body.removeprefix("st:"))
    if body.startswith("hf:"):
        name, _, revision = body.removeprefix("hf:").partition("@")
        return Spec("hf", name, revision or None, pooling, max_tokens, layers)
    return Spec("path", str(Path(body).expanduser()), None, pooling, max_tokens, layers)


def _options(query: str, spec: str) -> tuple[str | None, int | None, int | None]:
    """Pooling, longest length and number of layers, each None when not given.

    Raises:
        UsageError: an option or its value is unknown.
    """
    pooling: str | None = None
    numbers: dict[str, int] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key == "pooling" and value in POOLINGS:
            pooling = value
        elif key == "pooling":
            raise UsageError(f"there is no pooling {value!r}", spec, "use one of " + ", ".join(POOLINGS))
        elif key in ("max_tokens", "layers") and value.isdecimal() and int(value) > 0:
            numbers[key] = int(value)
        else:
            raise UsageError(
                f"option {key}={value} is not understood",
                spec,
                "options are pooling=NAME, max_tokens=NUMBER and layers=NUMBER, numbers from 1",
            )
    return pooling, numbers.get("max_tokens"), numbers.get("layers")
