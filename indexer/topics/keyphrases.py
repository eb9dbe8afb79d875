"""Key phrases by c-TF-IDF: what the passages of a group say, and the rest do not. Labels of them.

Letters: P phrases, C topics.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.topics.phrase_table import PhraseTable

MOST_KEYPHRASES = 12
LABEL_PHRASES = 3
_CANDIDATES = 200
# A phrase must be this much more frequent inside than in all of the collection.
_LEAST_LIFT = 1.3
_MORE_WORDS = np.array([1.0, 1.25, 1.4])  # of one, two, three words
# Of two phrases where one holds the other, the longer stays when it stands in this share of the shorter's passages.
_SAME_SHARE = 0.5

_LEAST_STEM = 5
_LONGEST_PIECE = 4

Keyphrases = list[tuple[str, float]]


def weights(
    counts: NDArray[np.int64], size: int, table: PhraseTable, mean_phrases: float
) -> NDArray[np.float64]:
    """The c-TF-IDF weight of each phrase for one group, float64 [P]; 0 where it is no more frequent than elsewhere.

    tf is the share of the group's passages that hold the phrase, idf is log(1 + A / f), with f the passages of the
    collection that hold it and A the phrases of an average group. (Grootendorst 2022, with passages for words.) Times
    the logarithm of how much more frequent it is inside, without which words that all topics share come second, and
    a little more for phrases of several words, which say more.

    Args:
        counts: int64 [P], passages of the group with the phrase.
        size: passages of the group that were counted.
        table: of the collection.
        mean_phrases: A.
    """
    inside = counts / max(1, size)
    everywhere = table.counts / max(1, table.passages)
    lift = np.maximum(inside, 1e-12) / np.maximum(everywhere, 1e-12)
    words = np.array([phrase.count(" ") for phrase in table.phrases], np.int64)
    found = inside * np.log1p(mean_phrases / np.maximum(1, table.counts)) * np.log(np.maximum(lift, 1))
    found *= _MORE_WORDS[words]
    is_telling = (inside >= _LEAST_LIFT * everywhere) & (counts >= min(2, size))
    return np.where(is_telling, found, 0.0)


def keyphrases_of(
    counts: NDArray[np.int64], weight: NDArray[np.float64], table: PhraseTable, most: int = MOST_KEYPHRASES
) -> Keyphrases:
    """The heaviest phrases that say different things, heaviest first.

    Args:
        counts: int64 [P], passages of the group with the phrase.
        weight: float64 [P].
        table: of the collection.
        most: how many.
    """
    phrases = table.phrases
    order = np.argsort(-weight, kind="stable")[:_CANDIDATES]
    chosen: list[int] = []
    for at in order[weight[order] > 0].tolist():
        words = _words(phrases[at])
        rival = next((old for old in chosen if _overlaps(words, _words(phrases[old]))), None)
        if rival is None:
            chosen.append(at)
        elif _holds(words, _words(phrases[rival])) and counts[at] >= _SAME_SHARE * counts[rival]:
            chosen[chosen.index(rival)] = at  # "graph neural network" says more than "graph"
        if len(chosen) >= 2 * most:
            break
    chosen = _without_repeats(chosen, phrases)
    chosen.sort(key=lambda at: -weight[at])
    return [(table.shown[at], round(float(weight[at]), 6)) for at in chosen[:most]]


def _without_repeats(chosen: Sequence[int], phrases: Sequence[str]) -> list[int]:
    """Those that hold no other of them; a longer one may have taken a place beside another."""
    kept: list[int] = []
    for at in dict.fromkeys(chosen):
        if not any(_overlaps(_words(phrases[at]), _words(phrases[old])) for old in kept):
            kept.append(at)
    return kept


def _words(phrase: str) -> tuple[str, ...]:
    return tuple(phrase.split(" "))


def _overlaps(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """They share two words, or the only word of one is in the other: whole, as a part, or as the beginning."""
    short, long = sorted((some, others), key=len)
    if len(short) > 1:
        return len(set(some) & set(others)) > 1
    return any(_is_kin(short[0], word) for word in long)


def _is_kin(one: str, other: str) -> bool:
    """agent, agents', multi-agent and agentic; and pieces of one run in scripts without spaces."""
    short, long = sorted((one, other), key=len)
    if not short.isascii() and not long.isascii() and len(long) <= _LONGEST_PIECE:
        return short in long
    is_part = bool(set(short.split("-")) & {part for part in long.split("-") if len(part) > 2})
    return is_part or (len(short) >= _LEAST_STEM and long.startswith(short))


def _holds(long: tuple[str, ...], short: tuple[str, ...]) -> bool:
    if len(long) == len(short) == 1:
        return short[0] in long[0]
    return len(long) > len(short) and set(short) <= set(long)


def topic_keyphrases(
    counts: NDArray[np.int64], sizes: NDArray[np.int64], table: PhraseTable
) -> list[Keyphrases]:
    """The key phrases of each topic.

    Args:
        counts: int64 [C, P].
        sizes: int64 [C], passages of each topic that were counted.
        table: of the collection.
    """
    mean = float(counts.sum() / max(1, len(counts)))
    rows = zip(counts, sizes.tolist(), strict=True)
    return [keyphrases_of(row, weights(row, size, table, mean), table) for row, size in rows]


def contrast(texts: Sequence[str], table: PhraseTable, most: int = MOST_KEYPHRASES) -> Keyphrases:
    """The key phrases of some passages against the whole collection.

    Args:
        texts: of the passages; give a sample of a large selection.
        table: of the collection.
        most: how many.
    """
    return contrast_each([texts], table, most)[0]


def contrast_each(
    groups: Sequence[Sequence[str]], table: PhraseTable, most: int = MOST_KEYPHRASES
) -> list[Keyphrases]:
    """The key phrases of several groups of passages, see `contrast`; what they share is worked out once."""
    mean = _mean_phrases(table)
    rows = zip(groups, table.count_each(groups), strict=True)
    return [
        keyphrases_of(counts, weights(counts, len(texts), table, mean), table, most) for texts, counts in rows
    ]


def _mean_phrases(table: PhraseTable) -> float:
    """As if the collection had about as many groups as k-means makes."""
    return float(table.counts.sum()) / max(1.0, min(100.0, (table.passages / 2) ** 0.5))


def labels(keyphrases: Iterable[Keyphrases]) -> list[str]:
    """A label of three phrases for each topic, no two alike."""
    found: list[str] = []
    taken: set[frozenset[str]] = set()  # the same phrases in another order are the same label to a reader
    for phrases in keyphrases:
        names = [phrase for phrase, _ in phrases]
        chosen = names[:LABEL_PHRASES] or ["without a common phrase"]
        more = LABEL_PHRASES
        while frozenset(chosen) in taken and more < len(names):
            chosen = [*names[: LABEL_PHRASES - 1], names[more]]
            more += 1
        number = 2
        last = chosen[-1]
        while frozenset(chosen) in taken:
            chosen = [*chosen[:-1], f"{last} ({number})"]
            number += 1
        taken.add(frozenset(chosen))
        found.append(", ".join(chosen))
    return found
