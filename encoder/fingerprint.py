"""Sha256 over all that decides the vectors; equal fingerprints, comparable vectors."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def weights_sha256(tensors: Iterable[tuple[str, NDArray[Any]]]) -> str:
    """Hash over names, shapes and float32 values, so that the stored dtype does not matter.

    Args:
        tensors: (name, array of any shape); the order does not matter.
    """
    lines = []
    for name, values in tensors:
        content = np.ascontiguousarray(values, dtype=np.float32)
        lines.append(f"{name} {content.shape} {hashlib.sha256(content.data).hexdigest()}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def combine(**parts: Any) -> str:
    """Hash over named JSON values.

    Args:
        **parts: weights, tokenizer, pooling, prompts and the like; never a device or a dtype.
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
