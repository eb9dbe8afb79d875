"""Results -> the pictures of the README, by file name."""

from collections.abc import Callable
from typing import Any

from plan import PEERS, UNTRAINED, peer_name, pooling_name
from plots import Axes, Line, Point, dot_chart, heat_maps, line_chart
from results import Results
from tables import PEER_TITLES, SHOWN, memory_names, pairs_names, stage_names

_STAGES = ("before", "stage 1", "stage 2", "stage 3")


def figures(results: Results) -> dict[str, str]:
    """File name to SVG; what was not measured is left out of a picture."""
    return {
        "pretext.svg": _pretext(results),
        "stages.svg": _stages(results),
        "memory.svg": _memory(results),
        "rank.svg": _ranks(results),
        "spectra.svg": _spectra(results),
        "slots.svg": _slots(results),
        "pairs.svg": _pairs(results),
    }


def _pretext(results: Results) -> str:
    rows = []
    for name in SHOWN:
        cell = results.over_seeds(stage_names(results, name, 1), "mean")
        if cell is not None:
            label = "untrained memory tokens" if name == UNTRAINED else name
            rows.append((label, cell.mean, cell.deviation or 0.0))
    prefix = pooling_name("")
    for name in results.content["encoders"]:
        if name.startswith(prefix) and (value := results.value(name, "mean")) is not None:
            rows.append((f"untouched, {name.removeprefix(prefix)}", value, 0.0))
    for name in PEERS:
        if (value := results.value(peer_name(name), "mean")) is not None:
            rows.append((PEER_TITLES[name], value, 0.0))
    rows.sort(key=lambda row: -row[1])
    return dot_chart(Axes("After stage 1", "mean score of all sets; whisker: deviation over seeds", ""), rows)


def _stages(results: Results) -> str:
    lines = [
        Line(
            "no stage 1" if name == UNTRAINED else name,
            _points(results, {stage: stage_names(results, name, stage) for stage in (1, 2, 3)}, "mean"),
            name == UNTRAINED,
        )
        for name in SHOWN
    ]
    return line_chart(
        Axes("After each stage", "after stage", "mean score of all sets", ticks=(1, 2, 3)), _known(lines)
    )


def _memory(results: Results) -> str:
    counts = results.scale["memory_counts"]
    kinds = dict.fromkeys(each["kind"] for each in results.content["sets"])
    lines = [
        Line(
            kind,
            _points(
                results, {count: memory_names(results, count, with_pairs=True) for count in counts}, kind
            ),
        )
        for kind in kinds
    ]
    axes = Axes(
        "Memory tokens, after ctkd and pairs", "memory tokens", "score", is_log=True, ticks=tuple(counts)
    )
    return line_chart(axes, _known(lines))


def _ranks(results: Results) -> str:
    lines = [
        Line(
            "no stage 1" if name == UNTRAINED else name,
            _points(
                results,
                {stage: stage_names(results, name, stage) for stage in range(len(_STAGES))},
                "effective_rank_centred",
            ),
            name == UNTRAINED,
        )
        for name in SHOWN
    ]
    axes = Axes(
        "Effective rank (0: untrained memory tokens)",
        "after stage",
        "effective rank, centred",
        ticks=(0, 1, 2, 3),
    )
    return line_chart(axes, _known(lines))


def _spectra(results: Results) -> str:
    """Of the first seed, as the paper draws them: eigenvalues linear, their number logarithmic."""
    lines = []
    for name in ("ctkd", "nll"):
        for stage, label in enumerate(_STAGES):
            if stage == 0 and name != "ctkd":
                continue  # the same encoder
            record = results.record(stage_names(results, name, stage)(0))
            if record is not None:
                values = record["space"]["eigenvalues"]
                points = [Point(number, value) for number, value in enumerate(values, 1)]
                lines.append(Line(label if stage == 0 else f"{name}, {label}", points, name == "nll"))
    axes = Axes(
        "Spectra, seed 0",
        "number of the direction",
        "eigenvalue of the covariance of unit rows",
        is_log=True,
        marks=False,
        height=340,
    )
    return line_chart(axes, lines)


def _slots(results: Results) -> str:
    maps: list[tuple[str, Any]] = []
    for name in ("nll", "ctkd"):
        record = results.record(stage_names(results, name, 1)(0))
        if record is not None:
            for key, label in (("slots", name), ("slots_centred", f"{name}, own means taken off")):
                if record["space"].get(key):
                    maps.append((label, record["space"][key]))
    return heat_maps("Mean cosine of the memory tokens of one text, after stage 1, seed 0", maps)


def _pairs(results: Results) -> str:
    # None has no place on a logarithmic axis: it stands at a quarter of the fewest.
    counts = results.scale["pair_counts"]
    places = {counts[0] / 4: 0, **{count: count for count in counts}}
    lines = [
        Line(
            label,
            _points(
                results,
                {place: pairs_names(results, objective, count) for place, count in places.items()},
                "mean",
            ),
            objective == UNTRAINED,
        )
        for objective, label in (("ctkd", "with stage 1 (ctkd)"), (UNTRAINED, "without"))
    ]
    axes = Axes(
        "Labelled pairs",
        f"labelled pairs, each seen once (leftmost: none, drawn at {counts[0] / 4:g})",
        "mean score of all sets",
        is_log=True,
        ticks=tuple(counts),
    )
    return line_chart(axes, _known(lines))


def _points(results: Results, names: dict[Any, Callable[[int], str]], what: str) -> list[Point]:
    cells = {x: results.over_seeds(name_of, what) for x, name_of in names.items()}
    return [Point(x, cell.mean, cell.deviation or 0.0) for x, cell in cells.items() if cell is not None]


def _known(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line.points]
