"""The tables of what was measured, put between two marks of a README; what was not run is listed with its reason."""

from pathlib import Path
from typing import Any

import report
from steps import Figure, NotRunError, read_results

BEGIN, END = "<!-- figures: written by measure.py report -->", "<!-- end of figures -->"
_TITLES = {"index": "Index", "encode": "Encode", "train": "Train", "see": "See"}
_HEADER = ("step", "figure", "median", "all repetitions", "target", "reached")


def publish(work: Path, into: Path, *, is_ours: bool) -> None:
    """Replaces what stands between the marks of a file by the tables of a work folder.

    Args:
        work: with the results.
        into: a Markdown file with both marks.
        is_ours: it is the committed README, which takes figures of a GPU only.

    Raises:
        NotRunError: there are no results, or they have no place in the committed README.
        SystemExit: the file has no marks.
    """
    results = read_results(work)
    if not results:
        raise NotRunError(f"{work} holds no results")
    if is_ours and (results[0]["small"] or results[0]["device"] == "cpu"):
        raise NotRunError("these are figures of a trial or of a processor: name another file, --into FILE")
    text = into.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{into} has no lines {BEGIN!r} and {END!r}")
    into.write_text(f"{before}{BEGIN}\n\n{tables(results)}\n\n{END}{after}", encoding="utf-8")


def tables(results: list[dict[str, Any]]) -> str:
    """Markdown of all results, part by part, each figure with its repetitions.

    Args:
        results: as they are kept.
    """
    parts = [_machine(results)]
    for part, title in _TITLES.items():
        rows = [row for result in results if result["part"] == part for row in _rows(result)]
        if rows:
            parts += [f"### {title}", report.table(_HEADER, rows)]
    missed = [(each["name"], _plain(each["reason"])) for each in results if each["status"] != "done"]
    parts += ["### Not run", report.table(("step", "reason"), missed) if missed else "Everything was run."]
    return "\n\n".join(parts)


def _machine(results: list[dict[str, Any]]) -> str:
    """What was the same, or each of what was not."""
    rows = [
        (
            "measured",
            f"{min(each['measured'] for each in results)} to {max(each['measured'] for each in results)}",
        )
    ]
    for name in ("command", "commit", "device", "driver", "cuda", "threads"):
        rows.append((name, "; ".join(dict.fromkeys(str(each[name]) for each in results))))
    versions = (
        ", ".join(f"{name} {version}" for name, version in each["versions"].items()) for each in results
    )
    rows.append(("versions", "; ".join(dict.fromkeys(versions))))
    if any(each["small"] for each in results):
        rows.append(("size", "a trial: these are no figures"))
    return report.table(("machine", ""), rows)


def _rows(result: dict[str, Any]) -> list[list[str]]:
    if result["status"] != "done":
        return []
    found = [[name, *_cells(figure)] for name, figure in result["figures"].items()]
    return [[result["name"] if number == 0 else "", *row] for number, row in enumerate(found)]


def _cells(figure: Figure) -> list[str]:
    if "text" in figure:
        return [_plain(figure["text"]), "", "", ""]
    unit, least, most = figure["unit"], figure["at_least"], figure["at_most"]
    target, reached = "", ""
    if least is not None:
        target, reached = f">= {_shown(least, unit)}", report.verdict(figure["median"] >= least)
    if most is not None:
        target, reached = f"<= {_shown(most, unit)}", report.verdict(figure["median"] <= most)
    runs = ", ".join(_shown(run, unit, with_unit=False) for run in figure["runs"])
    return [_shown(figure["median"], unit), runs, target, reached]


def _shown(value: float, unit: str, *, with_unit: bool = True) -> str:
    """A number with as many digits as tell something."""
    if unit == "%":
        return f"{value:.1%}"
    size = abs(value)
    if size and size < 1e-3:
        text = f"{value:.1e}"
    else:
        text = f"{value:,.{0 if size >= 100 or value == round(value) else 2 if size >= 1 else 4}f}"
    return f"{text} {unit}" if unit and with_unit else text


def _plain(text: str) -> str:
    """Text that does not end a cell."""
    return text.replace("|", "\\|").replace("\n", " ")
