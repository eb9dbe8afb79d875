"""Markdown tables of measured figures, printed and kept. A figure that was not measured is written as "not measured"."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
MISSING = "not measured"


def add_out(parser: argparse.ArgumentParser, name: str) -> None:
    """The option --out: a file for the tables, `benchmarks/results/<name>.md` when none is named."""
    parser.add_argument(
        "--out",
        nargs="?",
        const=RESULTS / f"{name}.md",
        type=Path,
        metavar="FILE",
        help=f"also write the tables to a file (without a name: benchmarks/results/{name}.md)",
    )


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def number(value: float | None, digits: int = 1, unit: str = "") -> str:
    """A figure with its unit, or that it was not measured."""
    if value is None:
        return MISSING
    return f"{value:,.{digits}f}{' ' if unit else ''}{unit}"


def verdict(is_reached: bool | None) -> str:
    """Whether a target is reached, for a table."""
    return {True: "yes", False: "no", None: MISSING}[is_reached]


def publish(title: str, parts: Sequence[str], out: Path | None) -> None:
    """Prints the parts under a title, and writes them to `out`."""
    text = "\n\n".join([f"# {title}", *parts]) + "\n"
    sys.stdout.write(text)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
