"""Texts as token ids beside their teacher vectors, and the batches they are learnt in.

Shapes: N texts, D numbers per vector, B texts in a batch, T tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from encoder.errors import InputError
from encoder.prompt import TextTokenizer
from train.distillation.material import Material

_WINDOW_TEXTS = 16384  # sorted by length within such a draw, so that a batch loses few tokens to its cut


@dataclass(frozen=True)
class Lessons:
    """What a student reads, and the vectors it shall make of it."""

    ids: NDArray[np.int32]  # all texts' token ids, one after the other
    start: NDArray[np.int64]  # [N + 1] where each text begins in `ids`
    targets: NDArray[np.float16]  # [N, D] unit rows
    is_long: NDArray[np.bool_]  # [N]; a paragraph, not a sentence

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, [N] int64, at least 1."""
        return np.diff(self.start)

    def rows(self, texts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ids of a few texts, all cut to the shortest of them.

        Args:
            texts: [B] int64 numbers of texts, at least one.

        Returns:
            [B, T] int64; one length needs no mask and no padding.
        """
        start = self.start[texts]
        length = int((self.start[texts + 1] - start).min())
        return self.ids[start[:, None] + np.arange(length)].astype(np.int64)


def read_lessons(vectors: Path, tokenizer: TextTokenizer, *, texts: int, longest: int | None) -> Lessons:
    """The texts of a directory of teacher vectors that have one, in their drawn order.

    Args:
        vectors: as `train.distillation.teacher.write_vectors` leaves it, complete or not.
        tokenizer: the student's; its BOS, where it has one, comes before every text.
        texts: most texts to read.
        longest: most tokens kept of each text, BOS not counted; None for all.

    Raises:
        InputError: not one shard of vectors is there.
    """
    shards: list[NDArray[np.float16]] = []
    while (path := vectors / f"vectors_{len(shards):05d}.npy").exists():
        shards.append(np.load(path))
    if not shards:
        raise InputError("There are no teacher vectors.", str(vectors), "set material.texts above 0")
    targets = np.concatenate(shards)[:texts]
    table = pq.read_table(vectors / "texts.parquet").slice(0, len(targets))
    material = Material(table["text"].to_pylist(), table["is_long"].to_pylist())
    return to_lessons(tokenizer, material, targets, longest=longest)


def to_lessons(
    tokenizer: TextTokenizer, material: Material, targets: NDArray[np.float16], *, longest: int | None
) -> Lessons:
    """Texts with their targets [N, D] float16; those without a token (nothing but control characters) are left out.

    Args:
        tokenizer: the student's; its BOS, where it has one, comes before every text.
        material: N texts.
        targets: unit rows.
        longest: most tokens kept of each text, BOS not counted; None for all.
    """
    rows = tokenizer.ids(material.texts, longest=longest).ids
    kept = np.array([len(row) > 0 for row in rows], bool)
    rows = [np.concatenate([tokenizer.bos, row]) for row in rows if len(row)]
    start = np.cumsum([0] + [len(row) for row in rows])
    ids = np.concatenate([np.empty(0, np.int64), *rows]).astype(np.int32)
    return Lessons(ids, start, targets[kept], np.array(material.is_long, bool)[kept])


def project(lessons: Lessons, directions: NDArray[np.float32]) -> Lessons:
    """The lessons with targets of fewer numbers, of unit length again.

    Args:
        lessons: with targets of width D.
        directions: [D, W] float32, orthonormal columns.
    """
    narrow = np.empty((len(lessons), directions.shape[1]), np.float16)
    for first in range(0, len(narrow), _WINDOW_TEXTS):
        block = lessons.targets[first : first + _WINDOW_TEXTS].astype(np.float32) @ directions
        norms = np.linalg.norm(block, axis=1, keepdims=True)
        narrow[first : first + _WINDOW_TEXTS] = block / np.maximum(norms, 1e-12)
    return replace(lessons, targets=narrow)


def split_lessons(lessons: Lessons, held_out: int) -> tuple[Lessons, Lessons]:
    """The first `held_out` texts and the rest; the texts lie in random order, so any cut is fair.

    Raises:
        InputError: one of the two would be empty.
    """
    if not 0 < held_out < len(lessons):
        raise InputError(
            f"Of {len(lessons)} texts, {held_out} cannot be held out: some must be, and some be learnt from.",
            "material.held_out",
            f"set it from 1 to {len(lessons) - 1}" if len(lessons) > 1 else "name a folder with more texts",
        )
    cut = lessons.start[held_out]
    first = Lessons(
        lessons.ids[:cut],
        lessons.start[: held_out + 1],
        lessons.targets[:held_out],
        lessons.is_long[:held_out],
    )
    rest = Lessons(
        lessons.ids[cut:],
        lessons.start[held_out:] - cut,
        lessons.targets[held_out:],
        lessons.is_long[held_out:],
    )
    return first, rest


def batches(
    lessons: Lessons, *, budget_tokens: int, extra_tokens: int, long_share: float, seed: int
) -> Iterator[NDArray[np.int64]]:
    """Text numbers, [B] int64, of batch after batch, without end; texts of a batch are about equally long.

    Long and short texts never share a batch. The same arguments give the same batches, so a resumed
    run skips those it has seen.

    Args:
        lessons: at least one text.
        budget_tokens: most tokens a batch, `extra_tokens` for each text included; one text always fits.
        extra_tokens: memory tokens that come with every text.
        long_share: share of the batches that hold long texts, 0 to 1, as far as both kinds exist.
        seed: decides order and mixture.
    """
    generator = np.random.default_rng(seed)
    kinds = [np.flatnonzero(lessons.is_long == kind) for kind in (False, True)]
    streams = [
        _endless(numbers, lessons.lengths + extra_tokens, budget_tokens, generator.spawn(1)[0])
        for numbers in kinds
    ]
    while True:
        is_long = generator.random() < long_share
        yield next(streams[is_long if len(kinds[is_long]) else not is_long])


def _endless(
    numbers: NDArray[np.int64], lengths: NDArray[np.int64], budget_tokens: int, generator: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    while True:
        order = generator.permutation(numbers)
        for first in range(0, len(order), _WINDOW_TEXTS):
            window = order[first : first + _WINDOW_TEXTS]
            window = window[np.argsort(lengths[window], kind="stable")]
            cuts = _cut(lengths[window], budget_tokens)
            for position in generator.permutation(len(cuts) - 1):
                yield window[cuts[position] : cuts[position + 1]]


def _cut(lengths: NDArray[np.int64], budget_tokens: int) -> list[int]:
    """Where batches begin in rows sorted by rising length; each holds what its shortest row allows."""
    cuts = [0]
    while cuts[-1] < len(lengths):
        cuts.append(min(len(lengths), cuts[-1] + max(1, budget_tokens // int(lengths[cuts[-1]]))))
    return cuts
