"""Where an answer came from, in one line, the same on the terminal and on the page."""

from collections.abc import Callable

from app.formats import count, milliseconds, plural, score
from indexer.hits import Provenance


def provenance_line(provenance: Provenance, quote: Callable[[str], str]) -> str:
    """Passages searched, version, encoder, time and index.

    Args:
        provenance: of the answer.
        quote: makes names that are not ours harmless where the line is shown.
    """
    rows = plural(provenance.rows, "passage")
    if provenance.matching != provenance.rows:
        rows = f"{count(provenance.matching)} of {rows}"
    trust = "exact" if provenance.mode == "exact" else f"measured recall@10 {score(provenance.recall)}"
    parts = (
        rows,
        f"version {count(provenance.version)}",
        f"encoder {quote(provenance.encoder)}",
        milliseconds(provenance.milliseconds.get("total", sum(provenance.milliseconds.values()))),
        f"index {quote(provenance.index)}, {trust}",
    )
    return " · ".join(parts)
