"""The card of what a run made: data, recipe, scores, spectrum, and how to use it; `README.md` in its folder."""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from encoder.atomic import write_bytes

_MEASURES = {
    "held_out_loss": "loss of the objective on held-out texts",
    "loss_without_memory": "the same with no memory for the decoder to read",
    "loss_with_other_memory": "the same with the memory of another text",
    "bits_per_byte": "bits that a byte of held-out text costs",
    "known_items": "nDCG@10 x 100: held-out queries, or first halves of texts, look for their document or second half",
    "effective_rank": "directions that the held-out vectors fill (raw)",
    "effective_rank_centred": "the same without their mean",
    "rank_me": "RankMe of the held-out vectors",
    "mean_cosine": "mean cosine between held-out texts; 1 is a collapsed space",
    "uniformity": "lower is more evenly spread (Wang & Isola)",
    "slot_similarity": "mean cosine between the memory tokens of a text; 1 means that one would do",
}

_MEASURED = ("measures", "hybrid", "held_out_short", "held_out_long")


def inherited(card: Mapping[str, Any]) -> dict[str, Any]:
    """What of the card in `llm2comp.json` holds of other weights that were made from these: all but what was measured."""
    return {key: value for key, value in card.items() if key not in _MEASURED}


def versions() -> dict[str, str]:
    """Of Python and of the libraries that decide the numbers."""
    names = ("torch", "transformers", "peft", "sentence-transformers")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def write_card(
    folder: Path,
    *,
    title: str,
    facts: Mapping[str, Any],
    measures: Mapping[str, float],
    recipe: Mapping[str, Any],
    use: str,
) -> None:
    """Writes `README.md`.

    Args:
        folder: of the model.
        title: its heading.
        facts: a line each.
        measures: of the kept checkpoint, as the watch saw them.
        recipe: every value, as JSON.
        use: the command that comes next.
    """
    lines = [f"# {title}", "", "| | |", "|---|---|"]
    lines += [f"| {_cell(name)} | {_cell(value)} |" for name, value in facts.items()]
    lines += ["", "## Measured on held-out texts", "", "| measure | value | meaning |", "|---|---|---|"]
    lines += [
        f"| {name} | {measures[name]:.4g} | {meaning} |"
        for name, meaning in _MEASURES.items()
        if name in measures
    ]
    lines += ["", "## Next", "", "```sh", use, "```", "", "## Recipe", "", "```json"]
    lines += [json.dumps(recipe, indent=2, ensure_ascii=False), "```", ""]
    write_bytes(folder / "README.md", "\n".join(lines).encode())


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split()).replace("|", "\\|")
