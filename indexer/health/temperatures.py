"""What temperatures of attention would do to a collection's encoder, on some of its passages; nothing is stored."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from encoder.errors import InputError
from encoder.spec import with_temperature
from encoder.temperature import Sweep, temperature_sweep
from indexer.health.passages import drawn, texts_of
from indexer.progress import JobProgress, Report, silent
from indexer.search import Searcher

MOST_TEXTS = 200


def check_temperatures(temperatures: Sequence[float]) -> None:
    """Refuses impossible temperatures before minutes of work.

    Raises:
        UsageError: one is out of range.
    """
    for temperature in temperatures:
        with_temperature("default", temperature)


def temperature_report(
    searcher: Searcher,
    row_ids: NDArray[np.uint64],
    temperatures: Sequence[float],
    *,
    most: int = MOST_TEXTS,
    seed: int = 0,
    report: Report = silent,
) -> Sweep:
    """The collection's encoder at each temperature, without the collection's transformation.

    Args:
        searcher: of the collection.
        row_ids: uint64 [N] to draw from.
        temperatures: the first is what the others are compared with.
        most: passages to encode at every temperature, whole and in halves.
        seed: of the draw.
        report: called after each temperature.

    Raises:
        InputError: there is no passage.
        CheckpointError: the encoder is gone.
        IndexMismatchError: what the collection names is another encoder by now.
        UnsupportedBackboneError: its attention takes no temperature.
        UsageError: it takes no options, or fewer than 10 passages can be cut in two.
    """
    collection = searcher.snapshot.collection
    if not row_ids.size:
        raise InputError("there is no passage to try a temperature on", str(collection.path), "choose some")
    _ = searcher.embedder.max_tokens  # loads it, and holds it against the collection
    texts = texts_of(searcher.snapshot, drawn(row_ids, most, seed))
    report(JobProgress("temperatures", fraction=0.0))
    return temperature_sweep(
        collection.settings.encoder_spec,
        texts,
        temperatures=temperatures,
        report=lambda fraction: report(JobProgress("temperatures", fraction=fraction)),
    )
