"""A transformation as a safetensors file: mean, matrix, and the text that names its steps; no pickle, no code."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder import atomic
from encoder.errors import CheckpointError, UsageError
from encoder.spectrum.transforms import Transform, check_steps, parse_steps

_FORMAT = "1"
_MOST_DIMENSIONS = 65_536
_MOST_ROWS_DIGITS = 18


def write_transform(path: Path, transform: Transform) -> None:
    """Replaces `path` by the transformation, in one step.

    Raises:
        OSError: the folder cannot be written or the disk is full.
    """
    from safetensors.numpy import save

    about = {"format": _FORMAT, "spec": transform.spec, "rows": str(transform.rows)}
    content = save({"mean": transform.mean, "matrix": transform.matrix}, metadata=about)
    atomic.write_bytes(path, content)


def read_transform(path: Path) -> Transform:
    """The transformation in a file, with everything checked that can be without the rows it was fitted to.

    Raises:
        CheckpointError: the file is missing, damaged, or of a newer format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            about = _checked_about(path, file.metadata() or {})
            _check_shapes(path, about["spec"], file)
            transform = Transform(
                about["spec"], file.get_tensor("mean"), file.get_tensor("matrix"), int(about["rows"])
            )
    except (OSError, SafetensorError, ValueError) as error:
        raise _damaged(path, str(error)[:80] or "it cannot be read") from error
    _check_numbers(path, transform.mean, transform.matrix)
    return transform


def _checked_about(path: Path, about: dict[str, str]) -> dict[str, str]:
    number = about.get("format", "")
    if number.isdecimal() and number != _FORMAT:
        raise CheckpointError(
            f"the transformation has format {number[:20]}, this version of llm2comp reads {_FORMAT}",
            str(path),
            "update: pip install --upgrade llm2comp",
        )
    rows = about.get("rows", "")
    is_count = rows.isascii() and rows.isdecimal() and len(rows) <= _MOST_ROWS_DIGITS
    if set(about) != {"format", "spec", "rows"} or number != _FORMAT or not is_count:
        raise _damaged(path, "its description is not what was written")
    try:
        is_right = str(parse_steps(about["spec"])) == about["spec"] != "none"
    except UsageError as error:
        raise _damaged(path, error.what) from error
    if not is_right:
        raise _damaged(path, f"{about['spec'][:40]!r} names no steps")
    return about


def _check_shapes(path: Path, spec: str, file: Any) -> None:
    """Looks at the header alone, before anything is read."""
    if set(file.keys()) != {"mean", "matrix"}:
        raise _damaged(path, "it does not hold a mean and a matrix")
    mean, matrix = file.get_slice("mean"), file.get_slice("matrix")
    if mean.get_dtype() != "F32" or matrix.get_dtype() != "F32":
        raise _damaged(path, "its numbers are not float32")
    wide = mean.get_shape()
    if len(wide) != 1 or not 1 <= wide[0] <= _MOST_DIMENSIONS:
        raise _damaged(path, f"the mean has the shape {wide}")
    try:
        kept = check_steps(parse_steps(spec), wide[0])
    except UsageError as error:
        raise _damaged(path, error.what) from error
    if matrix.get_shape() != [wide[0], kept]:
        raise _damaged(path, f"the matrix has the shape {matrix.get_shape()}, {spec} makes {[wide[0], kept]}")


def _check_numbers(path: Path, mean: NDArray[np.float32], matrix: NDArray[np.float32]) -> None:
    """Refuses a mean [D] or a matrix [D, E] that holds a NaN or an infinity."""
    if not np.isfinite(mean).all() or not np.isfinite(matrix).all():
        raise _damaged(path, "it holds numbers that are not finite")


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"the transformation in {path.name} cannot be used: {reason}",
        str(path),
        "restore the file from a copy, or make the vectors anew without it: llm2comp rebuild DIR --transform none",
    )
