"""What temperatures of attention do to an encoder: likeness by length, rank, and whether halves of a text find each other.

Dividing every attention score by a temperature below 1 (TempScale, Zhou et al.) needs no training, and gives other
vectors: a collection made at one temperature is searched at the same one. Nothing is stored here.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.embedder import Embedder
from encoder.errors import UsageError
from encoder.spec import with_temperature
from encoder.spectrum.diagnosis import diagnose
from encoder.spectrum.length_bias import LengthReport, length_bias
from encoder.spectrum.what_if import Gain, KnownPairs, gain_of, known_item_ranks

TEMPERATURES = (1.0, 0.95, 0.9, 0.8)
_LEAST_HALF = 8  # tokens
_LEAST_TEXTS = 10

Report = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class SweepRow:
    """An encoder at one temperature."""

    temperature: float
    spec: str
    lengths: LengthReport  # of whole texts
    mean_cosine: float | None  # of whole texts
    effective_rank: float | None  # raw
    effective_rank_centred: float | None
    recall: float  # of first halves, how many find their second half among the first k
    gain: Gain  # of that over the first temperature, the same texts compared one by one


@dataclass(frozen=True, slots=True)
class Sweep:
    """An encoder at several temperatures, on the same texts."""

    n: int  # texts
    halves: int  # of them, long enough to be cut in two
    k: int
    rows: tuple[SweepRow, ...]  # in the order asked for


def temperature_sweep(
    spec: str,
    texts: Sequence[str],
    *,
    temperatures: Sequence[float] = TEMPERATURES,
    bins: int = 5,
    k: int = 10,
    device: str = "auto",
    report: Report | None = None,
) -> Sweep:
    """The encoder at each temperature, on the same texts.

    Args:
        spec: as for `encoder.load_encoder`; a temperature in it is replaced.
        texts: some hundred or thousand; shorter ones than 16 tokens take no part in recall.
        temperatures: from 0.1 to 2, the first one is what the others are compared with.
        bins: of lengths.
        k: neighbours, and hits of a known item.
        device: where it computes.
        report: is told the share of the temperatures that is done.

    Raises:
        CheckpointError: the encoder cannot be loaded.
        UnsupportedBackboneError: its attention takes no temperature.
        UsageError: the spec takes no options, no temperature is given or one is out of range, or fewer than 10 texts
            can be cut in two.
    """
    from encoder.checkpoint import load_encoder

    specs = [with_temperature(spec, temperature) for temperature in temperatures]
    if not specs:
        raise UsageError("there is no temperature", "temperature_sweep", "give one at least")
    rows: list[SweepRow] = []
    first_ranks: NDArray[np.int64] | None = None
    halves: list[tuple[str, str]] = []
    for temperature, each in zip(temperatures, specs, strict=True):
        encoder = load_encoder(each, device=device)
        tokens = np.array([len(offsets) for offsets in encoder.tokenize(texts)], np.int64)
        halves = halves or text_halves(encoder, texts)
        ranks = _known_ranks(encoder, halves)
        first_ranks = ranks if first_ranks is None else first_ranks
        embeddings = encoder.encode_document(texts)
        whole = diagnose(embeddings)
        rows.append(
            SweepRow(
                temperature=float(temperature),
                spec=each,
                lengths=length_bias(embeddings, np.minimum(tokens, encoder.max_tokens), bins=bins, k=k),
                mean_cosine=whole.mean_cosine,
                effective_rank=whole.effective_rank,
                effective_rank_centred=whole.effective_rank_centred,
                recall=float((ranks <= k).mean()),
                gain=gain_of(first_ranks, ranks, k),
            )
        )
        if report is not None:
            report(len(rows) / len(specs))
    return Sweep(len(texts), len(halves), k, tuple(rows))


def sweep_to_json(sweep: Sweep) -> dict[str, Any]:
    """Every field in types that JSON knows."""
    return asdict(sweep)


def text_halves(encoder: Embedder, texts: Sequence[str]) -> list[tuple[str, str]]:
    """The first and the second half of each text of 16 tokens or more, cut between two tokens.

    Args:
        encoder: whose tokens count.
        texts: ten of them at least must be long enough.

    Raises:
        UsageError: too few texts are.
    """
    cut = []
    for text, offsets in zip(texts, encoder.tokenize(texts), strict=True):
        if len(offsets) >= 2 * _LEAST_HALF:
            middle = int(offsets[len(offsets) // 2, 0])
            cut.append((text[:middle], text[middle:]))
    if len(cut) < _LEAST_TEXTS:
        raise UsageError(
            f"{len(cut)} of {len(texts)} texts have {2 * _LEAST_HALF} tokens",
            "temperature_sweep",
            f"give {_LEAST_TEXTS} such texts at least",
        )
    return cut


def _known_ranks(encoder: Embedder, halves: Sequence[tuple[str, str]]) -> NDArray[np.int64]:
    """Rank [n] of each text's second half among all second halves, asked for by the first."""
    queries = encoder.encode_query([first for first, _ in halves])
    documents = encoder.encode_document([second for _, second in halves])
    return known_item_ranks(KnownPairs(queries, documents, np.arange(len(halves))))
