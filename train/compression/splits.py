"""Where a text is cut into context and continuation. Shapes: S splits of a text."""

import numpy as np
from numpy.typing import NDArray

from encoder.errors import InputError
from train.settings import Compression


def least_tokens(settings: Compression) -> int:
    """Tokens that a text must have to be split; the start token does not count."""
    return settings.shortest_context + settings.shortest_continuation


def draw_splits(length: int, settings: Compression, random: np.random.Generator) -> NDArray[np.int64]:
    """One random split in each of S equal parts of the places where a text may be split.

    So the splits of a text differ, and over many draws all places are about equally likely.

    Args:
        length: tokens of the text, the start token not counted.
        settings: shortest context and continuation, and the number of splits S.
        random: drawn from S times.

    Returns:
        [S] int64, tokens of the context, rising; equal ones where a text has fewer places than splits.

    Raises:
        InputError: the text is too short to be split.
    """
    places = length - least_tokens(settings) + 1
    if places < 1:
        raise InputError(
            f"a text of {length} tokens cannot be split",
            "compression",
            f"pass over texts of less than {least_tokens(settings)} tokens",
        )
    bounds = [
        settings.shortest_context + places * part // settings.splits for part in range(settings.splits + 1)
    ]
    drawn = [
        random.integers(low, max(low + 1, high)) for low, high in zip(bounds[:-1], bounds[1:], strict=True)
    ]
    return np.array(drawn, dtype=np.int64)
