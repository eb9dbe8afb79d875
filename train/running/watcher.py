"""What a run looks at on the way: held-out loss, known items found, and whether the space collapses.

A known item is a held-out text cut in two: its first half asks, and among the second halves of all of them its
own has to come first. No labels are needed, and nothing of it is trained on.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from encoder.spectrum import diagnose
from train.running.live import LiveEncoder

_DEPTH = 10
_LEAST_CHARACTERS = 80  # shorter texts have no two halves worth asking for

PREFIX = "eval_"  # how a trainer logs the measures; the library looks for the best checkpoint's under it

Measures = dict[str, float]

RANKS = ("rank_me", "effective_rank_centred")  # a collapse shows in both


class Watcher:
    """Looks at a model in training, always with the same held-out texts.

    Args:
        encoder: the model of this moment.
        texts: held out; the spectrum is that of their vectors.
        known_items: most texts that are cut in two, or pairs that are used.
        pairs: held-out queries, each with the one document that answers it; None: the halves of the texts.
        held_out: losses of the objective over held-out items; None where a stage has none.
    """

    def __init__(
        self,
        encoder: LiveEncoder,
        texts: Sequence[str],
        *,
        known_items: int,
        pairs: Sequence[tuple[str, str]] | None = None,
        held_out: Callable[[], Measures] | None = None,
    ) -> None:
        self._encoder = encoder
        self._texts = list(texts)
        self._halves = split_in_two(texts, known_items) if pairs is None else list(pairs)[:known_items]
        self._held_out = held_out

    def look(self) -> Measures:
        """The measures of this moment, each a finite number; what cannot be measured is left out."""
        found: Measures = {}
        if self._held_out is not None:
            found |= self._held_out()
        if len(self._halves) > 1:
            found["known_items"] = self._known_items()
        if len(self._texts) > 1:
            found |= self._spectrum()
        return {name: value for name, value in found.items() if value is not None and np.isfinite(value)}

    def _known_items(self) -> float:
        first, second = zip(*self._halves, strict=True)
        return known_item_score(self._encoder.encode(first).vectors, self._encoder.encode(second).vectors)

    def _spectrum(self) -> Measures:
        embedded = self._encoder.encode(self._texts)
        found = diagnose(embedded.vectors, memory=embedded.memory)
        chosen: Mapping[str, float | None] = {
            "effective_rank": found.effective_rank,
            "effective_rank_centred": found.effective_rank_centred,
            "rank_me": found.rank_me,
            "mean_cosine": found.mean_cosine,
            "uniformity": found.uniformity,
            "slot_similarity": found.slot_similarity_mean,
        }
        return {name: float(value) for name, value in chosen.items() if value is not None}


def split_in_two(texts: Sequence[str], most: int) -> list[tuple[str, str]]:
    """First and second half of the texts that are long enough, cut at the white space nearest to the middle.

    A text without white space near its middle, as in languages that write none, is cut there all the same.
    """
    long_enough = (text for text in map(str.strip, texts) if len(text) >= _LEAST_CHARACTERS)
    return [_halves(text) for text in islice(long_enough, most)]


def _halves(text: str) -> tuple[str, str]:
    middle = len(text) // 2
    spaces = (found.start() for found in re.finditer(r"\s+", text))
    cut = min(spaces, key=lambda place: abs(place - middle), default=middle)
    cut = cut if abs(cut - middle) <= middle // 2 else middle
    return text[:cut], text[cut:].strip()


def known_item_score(queries: NDArray[np.float32], documents: NDArray[np.float32]) -> float:
    """NDCG@10 times 100 when document i is the one answer to query i; NaN where a score is not finite.

    Args:
        queries: float32 [N, D], unit rows.
        documents: float32 [N, D], unit rows.
    """
    scores = queries @ documents.T
    if not np.isfinite(scores).all():
        return float("nan")
    own = np.diagonal(scores)[:, None]
    # A tie counts half, so that a collapsed space, where all are equal, finds nothing.
    rank = (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) / 2
    return 100 * float(np.where(rank < _DEPTH, 1 / np.log2(rank + 2), 0.0).mean())


def first_look(history: Sequence[Mapping[str, float]]) -> Measures:
    """The measures at the start of a run, from what its trainer logged; empty before the first look."""
    row = next((row for row in history if any(name.startswith(PREFIX) for name in row)), {})
    return {name.removeprefix(PREFIX): value for name, value in row.items() if name.startswith(PREFIX)}


def is_collapsed(start: Mapping[str, float], now: Mapping[str, float], share: float) -> bool:
    """True when the effective rank is below a share of that at the start, raw and centred.

    One alone is no collapse: a mean direction that grows lowers the raw rank, and centring takes it away.
    """
    return all(name in start and name in now and now[name] < share * start[name] for name in RANKS)
