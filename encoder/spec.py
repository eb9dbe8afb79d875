"""The text by which a person names an encoder, taken apart."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from encoder.config import POOLINGS
from encoder.errors import UsageError


@dataclass(frozen=True)
class Spec:
    """Where an encoder comes from, and the options of a bare backbone."""

    kind: str  # default, path, hf or st
    place: str  # a path, or a name on the Hub
    revision: str | None = None
    pooling: str | None = None
    max_tokens: int | None = None


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
    pooling, max_tokens = _options(query, spec)
    if body.startswith("st:"):
        if query:
            raise UsageError(
                f"a sentence-transformers model takes no options, got ?{query}", spec, "leave out the options"
            )
        return Spec("st", body.removeprefix("st:"))
    if body.startswith("hf:"):
        name, _, revision = body.removeprefix("hf:").partition("@")
        return Spec("hf", name, revision or None, pooling, max_tokens)
    return Spec("path", str(Path(body).expanduser()), None, pooling, max_tokens)


def _options(query: str, spec: str) -> tuple[str | None, int | None]:
    """Pooling and longest length, each None when not given.

    Raises:
        UsageError: an option or its value is unknown.
    """
    pooling: str | None = None
    max_tokens: int | None = None
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key == "pooling" and value in POOLINGS:
            pooling = value
        elif key == "pooling":
            raise UsageError(f"there is no pooling {value!r}", spec, "use one of " + ", ".join(POOLINGS))
        elif key == "max_tokens" and value.isdecimal() and int(value) > 0:
            max_tokens = int(value)
        else:
            raise UsageError(
                f"option {key}={value} is not understood",
                spec,
                "options are pooling=NAME and max_tokens=NUMBER",
            )
    return pooling, max_tokens
