"""From the values of a column to one colour number a point, two palettes and a legend; pure arrays.

Colour 0 is always the grey of "no value". Categories are at most 8 colours and a grey for the others, never colour
alone: the browser names a point's entry when it is pointed at. Topics all have a colour, the same one again only far
off. Numbers are 255 steps of viridis, each step moved in
lightness until it can be told from the background.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app import formats

Rgb = tuple[int, int, int]

NO_VALUE = 0
MOST_CATEGORIES = 8
MOST_TOPICS = 200  # each has a number of its own, and numbers are a byte
STEPS = 255
LEAST_CONTRAST = 3.0  # of a point against the page

ON_LIGHT: Rgb = (255, 255, 255)
ON_DARK: Rgb = (23, 22, 20)

# Okabe and Ito's colours; on white without the yellow and with darker orange and blue, which fall below 3:1 there.
# The two that are added were taken for their distance from the rest.
_LIGHT = ("0072B2", "D55E00", "009E73", "CC79A7", "C27F00", "3A9BDC", "7A4FB5", "6B5B3A")
_DARK = ("56B4E9", "E69F00", "009E73", "CC79A7", "F0E442", "D55E00", "A48AE0", "C9B79C")
# Topics take these too, all 12 before any of them comes again.
_MORE_LIGHT = ("1B2A7A", "7A1230", "B5179E", "1F5C1A")
_MORE_DARK = ("4D7DFF", "FF5CE1", "4FD63C", "5FE8D0")
_GREY_LIGHT, _GREY_DARK = (138, 138, 138), (138, 138, 138)
_OTHER_LIGHT, _OTHER_DARK = (96, 104, 112), (176, 182, 190)

# Every tenth of viridis; between them a straight line is within two units of the original.
_VIRIDIS = (
    "440154", "482475", "414487", "355F8D", "2A788E", "21918C", "22A884", "44BF70", "7AD151", "BDDF26", "FDE725",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a legend: words, colour number, and how many points have it."""

    label: str
    colour: int
    count: int


@dataclass(frozen=True, slots=True)
class Legend:
    """What the colours mean.

    Attributes:
        title: the column's name, or what was computed.
        entries: categories with their counts; for numbers only "no value", where there is one.
        ends: the two ends of the scale in words; empty for categories.
        unlisted: categories that have colours and would make the legend too long; named where they are pointed at.
    """

    title: str
    entries: tuple[Entry, ...] = ()
    ends: tuple[str, ...] = ()
    unlisted: tuple[Entry, ...] = ()

    @property
    def rest(self) -> Entry | None:
        """One line for all that is not listed; its colour is none of theirs."""
        points = sum(entry.count for entry in self.unlisted)
        return Entry(f"{len(self.unlisted)} more, not listed", NO_VALUE, points) if self.unlisted else None


@dataclass(frozen=True, slots=True)
class Colouring:
    """Colours of N points.

    Attributes:
        numbers: uint8 [N], each below the length of the palettes.
        light: colours on a light page, one a number; [0] is the grey of "no value".
        dark: the same for a dark page.
        legend: what they mean.
    """

    numbers: NDArray[np.uint8]
    light: tuple[Rgb, ...]
    dark: tuple[Rgb, ...]
    legend: Legend


def one_colour(n: int) -> Colouring:
    """N points in the first colour, uint8 [N], without a legend."""
    light, dark = _categorical([0], has_other=False)
    return Colouring(np.ones(n, np.uint8), light, dark, Legend(""))


def by_category(values: Sequence[Any], title: str, *, order: Sequence[Any] | None = None) -> Colouring:
    """One colour a value for the 8 most frequent values, grey for the others; uint8 [N].

    Args:
        values: N hashable values; None and NaN are "no value".
        title: of the legend.
        order: the values to colour, in this order, instead of the most frequent ones.
    """
    given = [None if value is None or value != value else value for value in values]
    counts = Counter(value for value in given if value is not None)
    # Ties by text, so that one column has the same colours at each visit.
    ranked = sorted(counts, key=lambda value: (-counts[value], str(value)))
    chosen = [value for value in order if value in counts] if order is not None else ranked
    chosen = chosen[:MOST_CATEGORIES]
    other = len(chosen) + 1
    number_of = {None: NO_VALUE} | dict.fromkeys(counts, other) | {v: i + 1 for i, v in enumerate(chosen)}
    numbers = np.fromiter((number_of[value] for value in given), np.uint8, len(given))
    entries = [Entry(str(value), number_of[value], counts[value]) for value in chosen]
    return _with_greys(numbers, entries, title, other_name="other values")


def by_topic(
    topics: NDArray[np.int32],
    labels: Mapping[int, str],
    *,
    picked: Sequence[int] = (),
    places: NDArray[np.uint16] | None = None,
) -> Colouring:
    """The picked topics in colour, or all up to 200; grey for the other topics and for no topic; uint8 [N].

    The 12 largest have 12 colours. Each smaller one takes the colour whose topics lie farthest off, so that the same
    colour side by side means the same topic; the legend lists the 8 largest.

    Args:
        topics: int32 [N], -1 for no topic.
        labels: topic number to its words; a number without words is named by itself.
        picked: topics to colour, the first 8 count.
        places: uint16 [N, 2], where the points lie; without them the colours come again in turn.
    """
    found, sizes = np.unique(topics[topics >= 0], return_counts=True)
    size_of = dict(zip(found.tolist(), sizes.tolist(), strict=True))
    ranked = sorted(size_of, key=lambda topic: (-size_of[topic], topic))
    wanted = [topic for topic in dict.fromkeys(picked) if topic in size_of][:MOST_CATEGORIES]
    chosen = wanted or ranked[:MOST_TOPICS]
    table = np.full(len(found) + 1, len(chosen) + 1, np.uint8)
    table[-1] = NO_VALUE
    table[np.searchsorted(found, chosen)] = np.arange(1, len(chosen) + 1)
    numbers = table[np.where(topics >= 0, np.searchsorted(found, topics), len(found))]
    entries = [
        Entry(labels.get(topic, f"topic {topic}"), place + 1, size_of[topic])
        for place, topic in enumerate(chosen)
    ]
    middles = None if places is None else _middles(numbers, places, len(chosen))
    hues = hues_apart(len(chosen), len(_LIGHT) + len(_MORE_LIGHT), middles)
    return _with_greys(numbers, entries, "Topic", other_name="other topics", none_name="no topic", hues=hues)


def hues_apart(n: int, n_hues: int, middles: NDArray[np.float64] | None) -> list[int]:
    """A hue for each of N topics, largest first: an unused one, then the one that is used farthest off.

    Args:
        n: topics.
        n_hues: how many hues there are.
        middles: float64 [N, 2], where the topics lie; None to take hues in turn.
    """
    if middles is None:
        return [place % n_hues for place in range(n)]
    nearest = np.full((n, n_hues), np.inf)  # how far off a hue is used, from each topic
    given = []
    for place in range(n):
        hue = int(nearest[place].argmax())  # the first of equals
        given.append(hue)
        apart = np.square(middles - middles[place]).sum(axis=1)
        nearest[:, hue] = np.minimum(nearest[:, hue], apart)
    return given


def _middles(numbers: NDArray[np.uint8], places: NDArray[np.uint16], n: int) -> NDArray[np.float64]:
    """The median place of each colour number from 1 to n, float64 [n, 2]; uint8 [N] and uint16 [N, 2]."""
    order = np.argsort(numbers, kind="stable")
    starts = np.searchsorted(numbers[order], np.arange(1, n + 2))
    parts = [order[one:other] for one, other in pairwise(starts.tolist())]
    return np.array([np.median(places[part], axis=0) for part in parts], np.float64).reshape(-1, 2)


def by_flag(values: Sequence[bool | None], title: str) -> Colouring:
    """Yes and no in two colours, grey where there is neither; uint8 [N]."""
    words = [None if value is None or value != value else ("yes" if value else "no") for value in values]
    return by_category(words, title, order=("yes", "no"))


def by_number(
    values: NDArray[np.floating[Any]] | NDArray[np.integer[Any]],
    title: str,
    *,
    write: Callable[[float], str] | None = None,
    ends: tuple[float, float] | None = None,
) -> Colouring:
    """255 steps from low to high, grey where there is no number; uint8 [N].

    Args:
        values: [N]; NaN and the infinities are "no value".
        title: of the legend.
        write: how an end of the scale is written.
        ends: what the scale runs between; by default the 1 % and 99 % quantiles, so that a few far values do not
            push all others into one colour. Values beyond an end get its colour, and the legend says so.
    """
    numeric = np.asarray(values, np.float64)
    known = np.isfinite(numeric)
    present = numeric[known]
    low, high = ends or _robust_ends(present)
    # Halves first: the difference of two doubles can overflow.
    span = high / 2 - low / 2
    share = np.clip((present / 2 - low / 2) / span, 0, 1) if span > 0 else np.full(len(present), 0.5)
    numbers = np.zeros(len(numeric), np.uint8)
    numbers[known] = 1 + np.rint(share * (STEPS - 1)).astype(np.uint8)
    missing = int(len(numeric) - len(present))
    entries = (Entry("no value", NO_VALUE, missing),) if missing else ()
    words = _end_words(present, (low, high), write or _short)
    return Colouring(numbers, *_VIRIDIS_PALETTES, Legend(title, entries, words))


def by_date(values: NDArray[np.datetime64], title: str) -> Colouring:
    """Early to late in 255 steps, grey where there is no date (NaT); datetime64 [N] -> uint8 [N]."""
    seconds = values.astype("datetime64[s]")
    numeric = np.where(np.isnat(seconds), np.nan, seconds.astype(np.int64).astype(np.float64))
    return by_number(numeric, title, write=_day)


def by_trust(trust: NDArray[np.float32]) -> Colouring:
    """Trust from 0 to 1 on a fixed scale, so that two maps compare; float32 [N], NaN unknown -> uint8 [N]."""
    return by_number(trust, "Trust", ends=(0.0, 1.0), write=lambda value: f"{value:.0%}")


def by_similarity(scores: NDArray[np.float32], query: str) -> Colouring:
    """Closeness in meaning to a query; float32 [N], NaN unknown -> uint8 [N]."""
    return by_number(scores, f"Closeness to: {query}", write=formats.score)


def contrast(one: Rgb, other: Rgb) -> float:
    """Contrast ratio of two colours, 1 to 21, as the web accessibility guidelines define it."""
    lights = sorted((_luminance(one), _luminance(other)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _with_greys(
    numbers: NDArray[np.uint8],
    entries: list[Entry],
    title: str,
    *,
    other_name: str,
    none_name: str = "no value",
    hues: Sequence[int] | None = None,
) -> Colouring:
    """The palettes and the legend of numbers uint8 [N], of which the one after the last entry is "other"."""
    n_chosen = len(entries)
    counts = np.bincount(numbers, minlength=n_chosen + 2).tolist()
    listed, unlisted = entries[:MOST_CATEGORIES], entries[MOST_CATEGORIES:]
    has_other = counts[n_chosen + 1] > 0
    if has_other:
        listed = [*listed, Entry(other_name, n_chosen + 1, counts[n_chosen + 1])]
    if counts[NO_VALUE]:
        listed = [*listed, Entry(none_name, NO_VALUE, counts[NO_VALUE])]
    light, dark = _categorical(range(n_chosen) if hues is None else hues, has_other=has_other)
    return Colouring(numbers, light, dark, Legend(title, tuple(listed), unlisted=tuple(unlisted)))


def _categorical(hues: Iterable[int], *, has_other: bool) -> tuple[tuple[Rgb, ...], tuple[Rgb, ...]]:
    of_light, of_dark = (*_LIGHT, *_MORE_LIGHT), (*_DARK, *_MORE_DARK)
    given = list(hues)
    light = (_GREY_LIGHT, *(_rgb(of_light[hue]) for hue in given), *([_OTHER_LIGHT] if has_other else []))
    dark = (_GREY_DARK, *(_rgb(of_dark[hue]) for hue in given), *([_OTHER_DARK] if has_other else []))
    return light, dark


def _robust_ends(present: NDArray[np.float64]) -> tuple[float, float]:
    if not len(present):
        return 0.0, 0.0
    # Quantiles that are values themselves: nothing is interpolated, so nothing overflows.
    low, high = np.quantile(present, (0.01, 0.99), method="nearest").tolist()
    if low == high:
        low, high = float(present.min()), float(present.max())
    return low, high


def _end_words(
    present: NDArray[np.float64], ends: tuple[float, float], write: Callable[[float], str]
) -> tuple[str, ...]:
    if not len(present):
        return ()
    below = "\u2264 " if present.min() < ends[0] else ""
    above = "\u2265 " if present.max() > ends[1] else ""
    return below + write(ends[0]), above + write(ends[1])


def _short(value: float) -> str:
    whole = value.is_integer() and abs(value) < 1e6
    return str(int(value)) if whole else f"{value:.4g}"  # no thousands: most whole numbers here are years


def _day(seconds: float) -> str:
    return str(np.datetime64(int(seconds), "s").astype("datetime64[D]"))


def _rgb(code: str) -> Rgb:
    return int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)


def _luminance(colour: Rgb) -> float:
    parts = [part / 255 for part in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _readable(colour: Rgb, background: Rgb) -> Rgb:
    """The colour, moved away from the background's lightness until it has the least contrast."""
    target = 0 if _luminance(background) > 0.5 else 255
    moved = colour
    for hundredth in range(101):
        moved = tuple(round(part + (target - part) * hundredth / 100) for part in colour)  # type: ignore[assignment]
        if contrast(moved, background) >= LEAST_CONTRAST:
            break
    return moved


def _viridis(background: Rgb) -> tuple[Rgb, ...]:
    stops = np.array([_rgb(code) for code in _VIRIDIS], np.float64)
    places = np.linspace(0, len(stops) - 1, STEPS)
    steps = np.stack([np.interp(places, np.arange(len(stops)), stops[:, part]) for part in range(3)], axis=1)
    return tuple(_readable((round(r), round(g), round(b)), background) for r, g, b in steps.tolist())


_VIRIDIS_PALETTES = ((_GREY_LIGHT, *_viridis(ON_LIGHT)), (_GREY_DARK, *_viridis(ON_DARK)))
