"""Results -> the Markdown tables of the README. A cell that was not measured says so."""

from collections.abc import Callable
from statistics import mean as average
from statistics import stdev
from typing import Any

from plan import PARTS, PEERS, UNTRAINED, pairs_name, peer_name, pooling_name, simcse_name, stage1_name
from report import MISSING, table
from results import KINDS, Results, Spread

SHOWN = ("ctkd", "nll", "reconstruction", "mntp", "ebae", "ebar", UNTRAINED)
_CONTINUATIONS = ("held_out_loss", "loss_without_memory", "loss_with_other_memory")
_TITLES = {
    "pretext": "1. objectives and poolings",
    "stages": "2. after stages 2 and 3, spectra, likeness of memory tokens",
    "memory": "3. number of memory tokens",
    "pairs": "6. number of labelled pairs",
}
PEER_TITLES = {"random": "random vectors", "lsa": "TF-IDF, 256 singular vectors"}
# The paper's means over its 14 sets, Llama-2-7b.
PAPER_PRETEXT = {
    "ctkd": 52.49,
    "nll": 46.22,
    "reconstruction": 35.79,
    "mntp": 46.87,
    "last": 33.05,
    "weighted": 40.46,
    "echo": 46.54,
    "prompteol": 43.55,
}
PAPER_SIMCSE = {"ctkd": 58.51, "nll": 56.84, "reconstruction": 45.41, "mntp": 57.82}
PAPER_PAIRS = {"ctkd": 66.78, "nll": 65.90, "reconstruction": 65.49, "mntp": 66.11}


def stage_names(results: Results, objective: str, stage: int) -> Callable[[int], str]:
    """Seed to the name of the encoder after so many stages of an objective; 0: before any."""
    k, pairs = results.scale["n_memory"], results.scale["pairs"]

    def name(seed: int) -> str:
        if stage == 0:
            return stage1_name(seed, UNTRAINED, k)
        if stage == 1:
            return stage1_name(seed, objective, k)
        second = simcse_name(seed, objective, k)
        return second if stage == 2 else pairs_name(second, pairs)

    return name


def memory_names(results: Results, count: int, *, with_pairs: bool) -> Callable[[int], str]:
    """Seed to the name of the ctkd encoder with so many memory tokens."""
    pairs = results.scale["pairs"]

    def name(seed: int) -> str:
        first = stage1_name(seed, "ctkd", count)
        return pairs_name(first, pairs) if with_pairs else first

    return name


def pairs_names(results: Results, objective: str, pairs: int) -> Callable[[int], str]:
    """Seed to the name of the encoder after so many labelled pairs, without stage 2."""

    def name(seed: int) -> str:
        first = stage1_name(seed, objective, results.scale["n_memory"])
        return pairs_name(first, pairs) if pairs else first

    return name


def complete(results: Results) -> str:
    """Which parts are done."""
    rows = []
    for part in PARTS:
        count = results.content["complete"][part]
        is_done = count["done"] == count["of"]
        rows.append([_TITLES[part], f"{count['done']} of {count['of']}", "yes" if is_done else "no"])
    return table(["part", "encoders measured", "complete"], rows)


def pretext(results: Results) -> str:
    """Objectives of stage 1 and poolings of the untouched backbone, by kind of task."""
    poolings = [
        name.split("/")[1] for name in results.content["encoders"] if name.startswith(pooling_name(""))
    ]
    rows = [[f"*{PEER_TITLES[name]}*", *_lone_cells(results, peer_name(name)), "-"] for name in PEERS]
    rows += [
        [f"*untouched, {name}*", *_lone_cells(results, pooling_name(name)), _paper(PAPER_PRETEXT, name)]
        for name in poolings
    ]
    rows += [
        [
            "*untrained memory tokens*" if name == UNTRAINED else name,
            *_cells(results, stage_names(results, name, 1)),
            _paper(PAPER_PRETEXT, name),
        ]
        for name in SHOWN
    ]
    return table(["", "mean of all sets", *_kinds(results), "seeds", "paper's mean"], rows)


def stages(results: Results) -> str:
    """The mean over all sets after each stage."""
    rows = []
    for name in SHOWN:
        cells = [results.over_seeds(stage_names(results, name, stage), "mean") for stage in (1, 2, 3)]
        paper = [_paper(each, name) for each in (PAPER_PRETEXT, PAPER_SIMCSE, PAPER_PAIRS)]
        label = "*no stage 1*" if name == UNTRAINED else name
        rows.append([label, *(_shown(cell) for cell in cells), " / ".join(paper)])
    return table(
        ["stage 1 by", "after stage 1", "after stage 2", "after stage 3", "paper, stages 1 / 2 / 3"], rows
    )


def memory(results: Results) -> str:
    """Scores by kind of task against the number of memory tokens."""
    rows = []
    for with_pairs in (False, True):
        for count in results.scale["memory_counts"]:
            cells = _cells(results, memory_names(results, count, with_pairs=with_pairs))
            rows.append([count, "ctkd, pairs" if with_pairs else "ctkd", *cells])
    return table(["memory tokens", "trained by", "mean of all sets", *_kinds(results), "seeds"], rows)


def pairs(results: Results) -> str:
    """Scores against the number of labelled pairs, with stage 1 and without."""
    rows = []
    for count in (0, *results.scale["pair_counts"]):
        for objective in ("ctkd", UNTRAINED):
            cells = _cells(results, pairs_names(results, objective, count))
            rows.append([f"{count:,}", "no" if objective == UNTRAINED else "ctkd", *cells])
    return table(["labelled pairs", "stage 1", "mean of all sets", *_kinds(results), "seeds"], rows)


def spectra(results: Results) -> str:
    """Effective rank and mean cosine before and after each stage."""
    rows = []
    for name in SHOWN:
        names = [stage_names(results, name, stage) for stage in (0, 1, 2, 3)]
        ranks = [results.over_seeds(each, "effective_rank_centred") for each in names]
        cosines = [results.over_seeds(each, "mean_cosine") for each in names]
        rows.append(
            [
                "*no stage 1*" if name == UNTRAINED else name,
                *(_shown(cell) for cell in ranks),
                " → ".join(MISSING if cell is None else f"{cell.mean:.2f}" for cell in cosines),
            ]
        )
    header = [
        "stage 1 by",
        "before",
        "after stage 1",
        "after stage 2",
        "after stage 3",
        "mean cosine at the same four points",
    ]
    return table(header, rows)


def slots(results: Results) -> str:
    """Likeness of the memory tokens of one text, of nll and ctkd, after stage 1 and before."""
    rows = []
    for name in (UNTRAINED, "nll", "ctkd"):
        for key, label in (("slots", "as they are"), ("slots_centred", "each token's own mean taken off")):
            found = off_diagonals(results, stage_names(results, name, 1), key)
            label_of = "*untrained*" if name == UNTRAINED else name
            rows.append([label_of, label, *(_range(found))])
    return table(["memory tokens of", "states", "mean cosine", "least", "most", "seeds"], rows)


def continuation(results: Results) -> str:
    """What a decoder loses that reads memory tokens in place of the text."""
    rows = []
    for name in (UNTRAINED, "nll", "ctkd", "reconstruction"):
        found = [results.over_seeds(stage_names(results, name, 1), key) for key in _CONTINUATIONS]
        label = "*untrained*" if name == UNTRAINED else name
        seeds = 0 if found[0] is None else found[0].seeds
        rows.append([label, *(MISSING if cell is None else cell.to_digits(3) for cell in found), seeds])
    return table(
        ["memory tokens of", "its own memory tokens", "no memory tokens", "those of another text", "seeds"],
        rows,
    )


def off_diagonals(results: Results, name_of: Callable[[int], str], key: str) -> list[list[float]]:
    """The cosines of two different memory tokens, a list a seed."""
    found = []
    for seed in results.seeds:
        record = results.record(name_of(seed))
        if record is not None and (matrix := record["space"].get(key)):
            found.append(
                [value for row, line in enumerate(matrix) for at, value in enumerate(line) if row != at]
            )
    return found


def _range(found: list[list[float]]) -> list[str]:
    if not found:
        return [MISSING, MISSING, MISSING, "0"]
    means = [average(each) for each in found]
    deviation = f" ± {stdev(means):.3f}" if len(means) > 1 else ""
    return [
        f"{average(means):.3f}{deviation}",
        f"{min(map(min, found)):.3f}",
        f"{max(map(max, found)):.3f}",
        str(len(found)),
    ]


def _kinds(results: Results) -> list[str]:
    present = {each["kind"] for each in results.content["sets"]}
    return [kind for kind in KINDS if kind in present]


def _cells(results: Results, name_of: Callable[[int], str]) -> list[Any]:
    found = [results.over_seeds(name_of, what) for what in ("mean", *_kinds(results))]
    return [*(_shown(cell) for cell in found), 0 if found[0] is None else found[0].seeds]


def _lone_cells(results: Results, name: str) -> list[Any]:
    """Of what has no seed."""
    values = [results.value(name, what) for what in ("mean", *_kinds(results))]
    return [*(MISSING if value is None else f"{value:.1f}" for value in values), "-"]


def _shown(cell: Spread | None) -> str:
    return MISSING if cell is None else str(cell)


def _paper(figures: dict[str, float], name: str) -> str:
    return f"{figures[name]:.1f}" if name in figures else "-"
