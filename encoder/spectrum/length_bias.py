"""Whether long texts crowd together: likeness, spectrum and neighbours by length in tokens.

Attention mixes the tokens of a text, the more the longer it is, so embeddings of long texts can move into a narrow
region ("length collapse", Zhou et al.). Lengths and subjects go together in most corpora: `same_text_lengths`
cuts the same texts to several lengths, so that only the length differs.

Shapes: N texts, D embedding dimension.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.embedder import Embedder
from encoder.errors import ShapeError, UsageError
from encoder.spectrum.closeness import directions
from encoder.spectrum.covariance import Covariance, checked_rows, spectrum_measures
from encoder.spectrum.diagnosis import MOST_PAIR_ROWS
from encoder.spectrum.neighbourhood import nearest

MATTERS = 0.05  # a difference of mean cosines that is worth a word; beside it, two standard errors
MOST_BINS = 100
_LEAST_BINS = 3  # an order of two is no evidence

Report = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class LengthBin:
    """Texts of about one length."""

    n: int
    least: int  # tokens
    most: int
    mean_tokens: float
    mean_cosine: float | None  # of all pairs inside the bin, exact; None from one text
    error: float | None  # standard error of that
    effective_rank: float | None  # centred, of as many texts of each bin as the smallest has
    row_share: float  # of the sampled texts, how many are of this bin
    neighbour_share: float | None  # of their nearest neighbours; above row_share: this bin attracts
    singular_values: tuple[
        float, ...
    ] = ()  # raw, falling, of `curve_rows` texts; empty for fewer texts than D
    eigenvalues: tuple[float, ...] = ()  # of the covariance of the same


@dataclass(frozen=True)
class LengthReport:
    """Embeddings by the length of their texts."""

    bins: tuple[LengthBin, ...]  # from short to long
    n: int
    left_out: int  # zero or not finite
    dimension: int
    rank_rows: int  # texts of each bin behind the effective ranks
    curve_rows: int  # texts of each bin behind the spectra, D or more; 0 where no bin has so many
    k: int
    sampled: int  # texts whose neighbours were looked for
    seed: int  # that drew them, and those behind the ranks
    collapse: float | None  # mean cosine of the longest bin minus that of the shortest
    collapse_error: float | None  # standard error of that
    spearman: float | None  # of mean tokens and mean cosine over bins, from three bins on
    attraction: float | None  # neighbour_share over row_share of the longest bin; 1 is fair
    sentence: str


@dataclass(frozen=True, slots=True)
class SameTextLength:
    """The same texts cut to one length."""

    tokens: int
    n: int
    mean_cosine: float | None  # of different texts
    error: float | None
    effective_rank: float | None  # centred


def length_bias(
    embeddings: NDArray[np.floating],
    lengths: NDArray[np.integer],
    *,
    bins: int = 5,
    k: int = 10,
    most_rows: int = MOST_PAIR_ROWS,
    seed: int = 0,
    report: Report | None = None,
) -> LengthReport:
    """Likeness, rank and neighbours of embeddings by the length of their texts.

    Args:
        embeddings: [N, D] floating; rows that are zero or not finite are left out.
        lengths: [N] tokens of each text, 0 or more.
        bins: at most so many of about equal size; texts of one length are never apart.
        k: neighbours of each sampled text, fewer where there are fewer.
        most_rows: texts whose neighbours are looked for, drawn at random from more.
        seed: for the draws.
        report: is told the share of the neighbours that is done.

    Raises:
        ShapeError: there is not one length for each row.
        UsageError: bins, k or most_rows is out of range, or a length below 0.
    """
    _check(embeddings, lengths, bins, k, most_rows)
    found = directions(checked_rows(embeddings, None))
    unit, tokens = found.unit, np.asarray(lengths)[found.kept].astype(np.int64)
    label = _labels(tokens, bins)
    count = int(label.max(initial=-1)) + 1
    random = np.random.default_rng(seed)
    spectra = _spectra_of_bins(unit, label, random)
    rows = np.sort(random.permutation(len(unit))[:most_rows])
    k = max(0, min(k, len(rows) - 1))
    shares = _neighbour_shares(unit[rows].astype(np.float32), label[rows], k, count, report)
    made = tuple(
        _bin(unit[label == at], tokens[label == at], spectra, at, ((label[rows] == at).mean(), shares[at]))
        for at in range(count)
    )
    collapse, error = _collapse(made)
    return LengthReport(
        bins=made,
        n=len(unit),
        left_out=len(embeddings) - len(unit),
        dimension=unit.shape[1],
        rank_rows=spectra.rank_rows,
        curve_rows=spectra.curve_rows,
        k=k,
        sampled=len(rows),
        seed=seed,
        collapse=collapse,
        collapse_error=error,
        spearman=_spearman(made),
        attraction=_attraction(made),
        sentence=_sentence(made, collapse, error),
    )


def length_report_to_json(report: LengthReport) -> dict[str, Any]:
    """Every field in types that JSON knows."""
    return asdict(report)


def same_text_lengths(
    encoder: Embedder, texts: Sequence[str], token_counts: Sequence[int], *, report: Report | None = None
) -> list[SameTextLength]:
    """How alike different texts are when each is cut to so many tokens: subjects are the same at every length.

    A text with fewer tokens than the largest count takes no part at any length. A cut text is tokenised again, which
    may differ by a token where a word is cut through.

    Args:
        encoder: of documents.
        texts: two at least as long as the largest count.
        token_counts: numbers of tokens, from 1 to what the encoder takes in.
        report: is told the share of the lengths that is done.

    Returns:
        One a count, in rising order.

    Raises:
        UsageError: a count is out of range, there is none, or fewer than two texts are long enough.
    """
    counts = sorted(set(token_counts))
    if not counts or counts[0] < 1 or counts[-1] > encoder.max_tokens:
        raise UsageError(
            f"token counts are {', '.join(map(str, counts)) or 'missing'}",
            "same_text_lengths",
            f"give whole numbers from 1 to {encoder.max_tokens}, which is all that {encoder.name} can take in",
        )
    tokens = encoder.tokenize(texts)
    chosen = [(text, at) for text, at in zip(texts, tokens, strict=True) if len(at) >= counts[-1]]
    if len(chosen) < 2:
        raise UsageError(
            f"{len(chosen)} of {len(texts)} texts have {counts[-1]} tokens",
            "same_text_lengths",
            "give longer texts, or smaller counts",
        )
    made = []
    for number, count in enumerate(counts, 1):
        cut = [text[: int(at[count - 1, 1])] for text, at in chosen]
        unit = directions(checked_rows(encoder.encode_document(cut), None)).unit
        made.append(SameTextLength(count, len(unit), *_mean_cosine(unit), _rank(unit)))
        if report is not None:
            report(number / len(counts))
    return made


def _labels(lengths: NDArray[np.int64], bins: int) -> NDArray[np.int64]:
    """Bin of each text, 0 for the shortest: borders are lengths that occur, so equal lengths stay together."""
    is_longest = lengths == lengths.max(initial=0)
    if is_longest.all():
        return np.zeros(len(lengths), np.int64)
    borders = np.quantile(lengths, np.arange(1, bins) / bins, method="inverted_cdf")
    # Where many texts are cut at the same length, these are a bin of their own.
    borders = np.minimum(borders, lengths[~is_longest].max())
    return np.unique(np.searchsorted(np.unique(borders), lengths), return_inverse=True)[1].reshape(-1)


@dataclass(frozen=True, slots=True)
class _BinSpectra:
    """Ranks and spectra by bin, each of as many texts of every bin."""

    rank_rows: int
    ranks: list[float | None]
    curve_rows: int
    curves: list[tuple[tuple[float, ...], tuple[float, ...]]]  # singular values and eigenvalues


def _spectra_of_bins(
    unit: NDArray[np.float64], label: NDArray[np.int64], random: np.random.Generator
) -> _BinSpectra:
    """Spectra of unit rows [n, D] by their bins [n]; more texts show more directions, so all have equally many.

    Fewer texts than dimensions cannot fill them: a bin of so few has no curve, and does not shorten those of others.
    """
    sizes = np.bincount(label)
    enough = sizes[sizes >= unit.shape[1]]
    rank_rows, curve_rows = (int(each.min()) if each.size else 0 for each in (sizes, enough))
    ranks: list[float | None] = []
    curves: list[tuple[tuple[float, ...], tuple[float, ...]]] = []
    for at, size in enumerate(sizes):
        drawn = unit[random.permutation(np.flatnonzero(label == at))]
        ranks.append(_rank(drawn[:rank_rows]))
        curves.append(_spectra(drawn[:curve_rows]) if size >= unit.shape[1] else ((), ()))
    return _BinSpectra(rank_rows, ranks, curve_rows, curves)


def _bin(
    unit: NDArray[np.float64],
    lengths: NDArray[np.int64],
    spectra: _BinSpectra,
    at: int,
    shares: tuple[float, float | None],
) -> LengthBin:
    """Measures of bin `at` from its unit rows [n, D], their lengths [n] and its shares of rows and neighbours."""
    cosine, error = _mean_cosine(unit)
    return LengthBin(
        n=len(unit),
        least=int(lengths.min()),
        most=int(lengths.max()),
        mean_tokens=float(lengths.mean()),
        mean_cosine=cosine,
        error=error,
        effective_rank=spectra.ranks[at],
        row_share=float(shares[0]),
        neighbour_share=shares[1],
        singular_values=spectra.curves[at][0],
        eigenvalues=spectra.curves[at][1],
    )


def _mean_cosine(unit: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Mean cosine over all pairs of unit rows [n, D], and its standard error.

    A mean over pairs varies as twice the mean, over rows, of each row's mean cosine with all others.
    """
    n = len(unit)
    if n < 2:
        return None, None
    each = (unit @ unit.sum(axis=0) - 1) / (n - 1)
    # Two rows have one cosine, which has no spread.
    return float(each.mean()), float(2 * each.std(ddof=1) / n**0.5) if n > 2 else None


def _rank(unit: NDArray[np.float64]) -> float | None:
    return spectrum_measures(np.sqrt(_spectra(unit)[1])).effective_rank


def _spectra(unit: NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Singular values and eigenvalues of unit rows [n, D], as `Covariance.spectra` gives them."""
    covariance = Covariance(unit.shape[1])
    covariance.add(unit)
    singular_values, eigenvalues = covariance.spectra()
    return tuple(singular_values.tolist()), tuple(eigenvalues.tolist())


def _neighbour_shares(
    unit: NDArray[np.float32], label: NDArray[np.int64], k: int, count: int, report: Report | None
) -> list[float | None]:
    """Of all k nearest neighbours of unit rows [n, D], the share in each bin."""
    if not k:
        return [None] * count
    found = nearest(unit, k, report=report or (lambda _fraction: None)).positions
    held = np.bincount(label[found].ravel(), minlength=count)
    return [float(share) for share in held / held.sum()]


def _collapse(bins: tuple[LengthBin, ...]) -> tuple[float | None, float | None]:
    """Mean cosine of the last bin minus that of the first, and its standard error."""
    if len(bins) < 2:
        return None, None
    first, last = bins[0], bins[-1]
    if first.mean_cosine is None or last.mean_cosine is None or first.error is None or last.error is None:
        return None, None
    return last.mean_cosine - first.mean_cosine, (first.error**2 + last.error**2) ** 0.5


def _spearman(bins: tuple[LengthBin, ...]) -> float | None:
    """Rank correlation of mean tokens, which rise from bin to bin, and mean cosine."""
    cosines = np.array([each.mean_cosine for each in bins if each.mean_cosine is not None])
    if len(cosines) < max(_LEAST_BINS, len(bins)):
        return None
    below = (cosines[:, None] > cosines).sum(axis=1)
    equal = (cosines[:, None] == cosines).sum(axis=1)
    ranks = below + (equal + 1) / 2  # equal ones share the middle of their ranks
    if ranks.std() == 0:
        return None
    return float(np.corrcoef(np.arange(len(ranks)), ranks)[0, 1])


def _attraction(bins: tuple[LengthBin, ...]) -> float | None:
    if not bins or bins[-1].neighbour_share is None or not bins[-1].row_share:
        return None
    return bins[-1].neighbour_share / bins[-1].row_share


def _sentence(bins: tuple[LengthBin, ...], collapse: float | None, error: float | None) -> str:
    """The report in a sentence."""
    if collapse is None or error is None:
        return "Texts of several lengths are needed to compare them."
    facts = (
        f"mean cosine {_shown(bins[0])} among the shortest (about {bins[0].mean_tokens:.0f} tokens), "
        f"{_shown(bins[-1])} among the longest (about {bins[-1].mean_tokens:.0f})"
    )
    if abs(collapse) < max(MATTERS, 2 * error):
        return f"Length makes little difference: {facts}."
    return f"{'Long' if collapse > 0 else 'Short'} texts crowd together: {facts}."


def _shown(each: LengthBin) -> str:
    return f"{round(each.mean_cosine or 0.0, 2) + 0.0:.2f}"  # never -0.00


def _check(
    embeddings: NDArray[np.floating], lengths: NDArray[np.integer], bins: int, k: int, most_rows: int
) -> None:
    """Refuses shapes and numbers that make no sense.

    Raises:
        ShapeError: there is not one length for each row.
        UsageError: bins, k or most_rows is out of range, or a length below 0.
    """
    lengths = np.asarray(lengths)
    if lengths.shape != embeddings.shape[:1] or not np.issubdtype(lengths.dtype, np.integer):
        raise ShapeError(
            f"lengths have the shape {lengths.shape} and type {lengths.dtype}, embeddings {embeddings.shape}",
            "length_bias",
            "give a whole number of tokens for each row",
        )
    if not 1 <= bins <= MOST_BINS:
        raise UsageError(f"bins is {bins}", "length_bias", f"give 1 to {MOST_BINS}")
    for name, value in (("k", k), ("most_rows", most_rows)):
        if value < 1:
            raise UsageError(f"{name} is {value}", "length_bias", "give a whole number from 1")
    if len(lengths) and lengths.min() < 0:
        raise UsageError(f"a length is {lengths.min()}", "length_bias", "give tokens, 0 or more")
