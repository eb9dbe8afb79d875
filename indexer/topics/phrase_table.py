"""How many passages hold each frequent phrase of a collection, in all and in each topic.

Counted once, over at most 100,000 passages, and kept with a run, so that a selection made by hand is described in a
moment. A passage counts once for a phrase, however often it says it. Letters: P phrases, C topics, N passages.
"""

import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder import atomic
from indexer.storage.strict_json import check_format, damaged, read_object, to_dataclass
from indexer.topics.phrases import LONGEST, Words, keys_of_words, phrase_keys, starts_no_phrase, words_of_key

PHRASES_FILE = "phrases.json"
FORMAT = 1
MOST_PHRASES = 60_000
_BLOCK = 4096
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class PhraseTable:
    """Frequent phrases of a collection.

    Attributes:
        rule: how words were cut, of the collection.
        passages: that were counted.
        phrases: P of them, words in the form they are counted in, parted by single spaces.
        shown: P of them, words as they are mostly written: "time series", not "time sery".
        counts: int64 [P], passages that hold the phrase.
    """

    rule: str
    passages: int
    phrases: list[str]
    shown: list[str]
    counts: NDArray[np.int64]

    def count(self, texts: Iterable[str]) -> NDArray[np.int64]:
        """How many of some texts hold each phrase, int64 [P]."""
        return self.count_each([texts])[0]

    def count_each(self, groups: Iterable[Iterable[str]]) -> list[NDArray[np.int64]]:
        """How many texts of each group hold each phrase, one int64 [P] a group."""
        words, keys = _keys_of(self.phrases)
        order = np.argsort(keys)
        keys = keys[order]
        lexicon, weak = Words(self.rule, words), _weak(words)
        found = []
        for texts in groups:
            counts = np.zeros(keys.size, np.int64)
            for block in _blocks(texts):
                here, at = phrase_keys(*lexicon.number(block), weak)
                place = np.searchsorted(keys, here)
                place[place == keys.size] = 0
                known = keys[place] == here if keys.size else np.zeros(here.size, np.bool_)
                pairs = np.unique(order[place[known]] * np.int64(_BLOCK) + at[known])
                counts += np.bincount(pairs // _BLOCK, minlength=counts.size)
            found.append(counts)
        return found


@dataclass(frozen=True, slots=True)
class _PhraseFile:
    rule: str
    passages: int
    phrases: list[str]
    shown: list[str]
    counts: list[int]
    format: int = FORMAT


def count_phrases(
    texts: Iterable[str], topics: NDArray[np.int64], *, rule: str, n_topics: int
) -> tuple[PhraseTable, NDArray[np.int64]]:
    """The phrases that enough passages hold, and how many of each topic do.

    Args:
        texts: of N passages, read once.
        topics: int64 [N], 0 to C - 1; -1 for none.
        rule: of the collection, "english", "plain" or "ngram2".
        n_topics: C.

    Returns:
        The table, and counts int64 [C, P].
    """
    lexicon = Words(rule)
    blocks = [lexicon.number(block) for block in _blocks(texts)]
    forms, of_word = lexicon.folded()
    surfaces = _mostly_written(blocks, lexicon.names, of_word)
    of_word = np.append(of_word, -1).astype(np.int32)
    blocks = [(of_word[numbers], at) for numbers, at in blocks]
    weak = _weak(forms)
    least = 2 if topics.size < 2000 else 3 if topics.size < 10_000 else 5
    common = _common_words(blocks, len(forms), least)
    found, places = [], []
    for start, (numbers, at) in enumerate(blocks):
        kept = np.where(np.append(common, False)[numbers], numbers, -1).astype(np.int32)
        keys, texts_of = phrase_keys(kept, at, weak)
        order = np.lexsort((keys, texts_of))
        keys, texts_of = keys[order], texts_of[order]
        is_new = np.append(True, (keys[1:] != keys[:-1]) | (texts_of[1:] != texts_of[:-1]))[: keys.size]
        found.append(keys[is_new])
        places.append(texts_of[is_new].astype(np.int64) + start * _BLOCK)
    keys = np.concatenate([np.zeros(0, np.int64), *found])
    place = np.concatenate([np.zeros(0, np.int64), *places])
    unique, counts = np.unique(keys, return_counts=True)
    chosen = np.flatnonzero(counts >= least)
    chosen = np.sort(chosen[np.lexsort((unique[chosen], -counts[chosen]))[:MOST_PHRASES]])
    unique, counts = unique[chosen], counts[chosen]
    in_topics = _in_topics(keys, unique, topics[place], n_topics)
    phrases = [" ".join(forms[word] for word in words_of_key(key)) for key in unique.tolist()]
    written = set(lexicon.names)  # only the last word of a phrase is a plural: "model context protocols"
    inner = [form if form in written else most for form, most in zip(forms, surfaces, strict=True)]
    found_words = [words_of_key(key) for key in unique.tolist()]
    shown = [" ".join([*(inner[word] for word in words[:-1]), surfaces[words[-1]]]) for words in found_words]
    return PhraseTable(rule, int(topics.size), phrases, shown, counts.astype(np.int64)), in_topics


def _mostly_written(blocks: list[Any], names: list[str], of_word: NDArray[np.int32]) -> list[str]:
    """For each form the word that is most often written for it."""
    counts = np.zeros(len(names) + 1, np.int64)
    for numbers, _ in blocks:
        counts += np.bincount(numbers + 1, minlength=counts.size)
    order = np.argsort(counts[1:], kind="stable")
    best = {int(of_word[word]): names[word] for word in order.tolist()}  # the most frequent comes last
    return [best[form] for form in range(len(best))]


def _in_topics(
    keys: NDArray[np.int64], unique: NDArray[np.int64], topics: NDArray[np.int64], n_topics: int
) -> NDArray[np.int64]:
    """Passages of each topic with each phrase, int64 [C, P]."""
    if not unique.size or not n_topics:
        return np.zeros((n_topics, unique.size), np.int64)
    at = np.minimum(np.searchsorted(unique, keys), unique.size - 1)
    is_kept = (unique[at] == keys) & (topics >= 0)
    cells = topics[is_kept] * unique.size + at[is_kept]
    return np.bincount(cells, minlength=n_topics * unique.size).reshape(n_topics, -1).astype(np.int64)


def _common_words(blocks: list[Any], words: int, least: int) -> NDArray[np.bool_]:
    """Words in at least so many passages, bool [words]: rarer ones are in no frequent phrase either."""
    counts = np.zeros(words, np.int64)
    for numbers, at in blocks:
        is_word = numbers >= 0
        pairs = np.unique(numbers[is_word].astype(np.int64) * _BLOCK + at[is_word])
        counts += np.bincount(pairs // _BLOCK, minlength=words)
    return counts >= least


def _keys_of(phrases: list[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The words of some phrases, each once, and the keys of the phrases by their places among them, int64 [P]."""
    parts = [phrase.split(" ") for phrase in phrases]
    number: dict[str, int] = {}
    flat = np.array([number.setdefault(word, len(number)) for part in parts for word in part], np.int64)
    lengths = np.array([len(part) for part in parts], np.int64)
    return list(number), keys_of_words(flat, lengths)


def _weak(names: list[str]) -> NDArray[np.bool_]:
    return np.array([starts_no_phrase(name) for name in names], np.bool_)


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    block: list[str] = []
    for text in texts:
        block.append(text)
        if len(block) == _BLOCK:
            yield block
            block = []
    if block:
        yield block


def write_phrases(folder: Path, table: PhraseTable) -> None:
    """Puts a table into the folder of a build."""
    content = {
        "rule": table.rule,
        "passages": table.passages,
        "phrases": table.phrases,
        "shown": table.shown,
        "counts": table.counts.tolist(),
        "format": FORMAT,
    }
    atomic.write_bytes(folder / PHRASES_FILE, json.dumps(content, ensure_ascii=False).encode())


def copy_phrases(source: Path, target: Path) -> None:
    """Puts the table of one build into the folder of another, as it is: parsing it takes longer than an edit.

    Raises:
        CollectionError: it is a link, no plain file or too large, as another's collection may hold.
    """
    file = source / PHRASES_FILE
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
                raise damaged(file, "it is no plain file of a possible size")
            content = stream.read(_MOST_BYTES)
    except OSError as error:
        raise damaged(file, f"it cannot be read: {error.strerror or error}") from error
    atomic.write_bytes(target / PHRASES_FILE, content)


def read_phrases(folder: Path) -> PhraseTable:
    """The table in the folder of a build.

    Raises:
        CollectionError: it is damaged.
    """
    file = folder / PHRASES_FILE
    found = read_object(file, most_bytes=_MOST_BYTES)
    check_format(found, file, FORMAT)
    content = to_dataclass(_PhraseFile, found, file)
    if (
        not len(content.phrases) == len(content.shown) == len(content.counts)
        or len(content.phrases) > MOST_PHRASES
    ):
        raise damaged(file, "its lists differ in length")
    lengths = (len(phrase.split(" ")) for phrase in content.phrases)
    if (
        not all(1 <= length <= LONGEST for length in lengths)
        or max(content.counts, default=0) > content.passages
    ):
        raise damaged(file, "it holds impossible phrases or counts")
    counts = np.array(content.counts, np.int64)
    return PhraseTable(content.rule, content.passages, content.phrases, content.shown, counts)
