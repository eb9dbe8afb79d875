"""Parquet files of texts and pairs -> the short and long texts that a student is taught on."""

import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from encoder.errors import InputError

# Behind . ! or ? (and a closing quote or bracket), before something that can open a sentence.
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])")
_TEXT_COLUMNS = ("text", "anchor", "positive", "negative")
_SHORTEST, _LONGEST_SENTENCE = 20, 300  # characters; shorter ones are debris of the split


class Material(NamedTuple):
    """Texts in an order drawn by a seed, so that any prefix is a fair sample of the whole."""

    texts: list[str]  # [N]
    is_long: list[bool]  # [N]; a paragraph, not a sentence


def split_sentences(text: str) -> list[str]:
    """Sentences of 20 to 300 characters in a passage, in their order."""
    parts = (part.strip() for part in _SENTENCE_END.split(text))
    return [part for part in parts if _SHORTEST <= len(part) <= _LONGEST_SENTENCE]


def is_long(text: str) -> bool:
    """Whether a text counts as a paragraph: it is longer than the longest sentence taken."""
    return len(text) > _LONGEST_SENTENCE


def read_material(folder: Path, *, texts: int, long_share: float, seed: int) -> Material:
    """Draws texts from every parquet file of a folder.

    Short texts are the sentences of all passages and the pair members of at most 300 characters;
    long ones are the passages and pair members above that. No text is drawn twice. The order does
    not depend on `texts`: a smaller draw is a prefix of a larger one, and keeps its teacher vectors.

    Args:
        folder: holds parquet files with a `text` column, or `anchor`, `positive` and `negative`.
        texts: most texts to draw.
        long_share: share of long texts among them, 0 to 1, as far as both kinds last.
        seed: decides which texts are drawn, and their order.

    Raises:
        InputError: the folder holds no text.
    """
    kinds: tuple[set[str], set[str]] = (set(), set())
    for text in _read_texts(folder):
        if is_long(text):
            kinds[True].add(text)
            kinds[False].update(split_sentences(text))
        elif text.strip():
            kinds[False].add(text.strip())
    if not any(kinds):
        raise InputError("There is no text to learn from.", str(folder), "name a folder with parquet files")
    generator = random.Random(seed)
    short, long = (_shuffled(kind, generator) for kind in kinds)
    return _interleave(short, long, texts, long_share, generator)


def read_pairs(folder: Path) -> Iterator[tuple[str, str]]:
    """Anchor and positive of every pair in a folder's parquet files, in file order."""
    for path in sorted(folder.glob("*.parquet")):
        if {"anchor", "positive"} <= set(pq.read_schema(path).names):
            table = pq.read_table(path, columns=["anchor", "positive"])
            yield from zip(table["anchor"].to_pylist(), table["positive"].to_pylist(), strict=True)


def _shuffled(texts: set[str], generator: random.Random) -> list[str]:
    ordered = sorted(texts)  # a set's order changes from run to run
    generator.shuffle(ordered)
    return ordered


def _interleave(
    short: list[str], long: list[str], texts: int, long_share: float, generator: random.Random
) -> Material:
    material = Material([], [])
    while len(material.texts) < texts and (short or long):
        takes_long = not short or (bool(long) and generator.random() < long_share)
        material.texts.append((long if takes_long else short).pop())
        material.is_long.append(takes_long)
    return material


def _read_texts(folder: Path) -> Iterable[str]:
    for path in sorted(folder.glob("*.parquet")):
        names = [name for name in pq.read_schema(path).names if name in _TEXT_COLUMNS]
        for column in pq.read_table(path, columns=names).columns:
            yield from (text for text in column.to_pylist() if text)
