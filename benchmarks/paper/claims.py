"""What the paper says beside what was measured here, and whether the two agree. Decides by the seeds, not by taste.

A comparison of two encoders agrees when the difference has the paper's sign in every seed, disagrees when it has the
other one in every seed, and is undecided otherwise.
"""

from collections.abc import Callable, Sequence
from statistics import mean

from plan import UNTRAINED
from report import MISSING, table
from results import Results, spread
from tables import memory_names, off_diagonals, pairs_names, stage_names

_NAMES = {UNTRAINED: "untrained memory tokens"}
_OPEN = "undecided: the seeds differ"
_ONE = 0.9  # ours, for "nearly one"; the paper gives no threshold


def claims(results: Results) -> str:
    """A table: the claim, the paper's figure, ours, whether they agree."""
    rows = [each(results) for each in _CLAIMS]
    return table(["the paper", "its figures", "here", "agrees"], rows)


def _verdict(differences: Sequence[float], wanted: int) -> str:
    """Whether all differences have the sign that the paper's has."""
    if not differences:
        return MISSING
    if all(wanted * each > 0 for each in differences):
        return "yes" if len(differences) > 1 else "yes, in one seed"
    if all(wanted * each < 0 for each in differences):
        return "no" if len(differences) > 1 else "no, in one seed"
    return _OPEN


def _difference(values: Sequence[float]) -> str:
    found = spread(values)
    return (
        MISSING
        if found is None
        else f"{found.mean:+.1f}" + ("" if found.deviation is None else f" ± {found.deviation:.1f}")
    )


def _pretext_against(other: str, paper: str) -> Callable[[Results], list[str]]:
    def row(results: Results) -> list[str]:
        found = results.differences(stage_names(results, "ctkd", 1), stage_names(results, other, 1), "mean")
        return [
            f"After stage 1 ctkd is better than {_NAMES.get(other, other)}.",
            paper,
            _difference(found),
            _verdict(found, 1),
        ]

    return row


def _stability(results: Results) -> list[str]:
    said = "After stage 1 ctkd scatters less over runs than nll."
    cells = [results.over_seeds(stage_names(results, name, 1), "mean") for name in ("ctkd", "nll")]
    known = [cell.deviation for cell in cells if cell is not None and cell.deviation is not None]
    if len(known) < 2:
        return [said, "± 1.4 against ± 5.3, 5 runs", MISSING, MISSING]
    count = min(cell.seeds for cell in cells if cell is not None)
    agrees = f"{'yes' if known[0] < known[1] else 'no'}, but {count} runs say little of a deviation"
    return [said, "± 1.4 against ± 5.3, 5 runs", f"± {known[0]:.1f} against ± {known[1]:.1f}", agrees]


def _beats_poolings(results: Results) -> list[str]:
    said = "After stage 1 ctkd is better than last token, weighted mean, echo and PromptEOL of the untouched backbone."
    free = [results.value(f"untouched/{name}", "mean") for name in ("last", "weighted", "echo", "prompteol")]
    known = [value for value in free if value is not None]
    name_of = stage_names(results, "ctkd", 1)
    ours = [value for seed in results.seeds if (value := results.value(name_of(seed), "mean")) is not None]
    if len(known) < len(free) or not ours:
        return [said, "+5.9 over the best of them", MISSING, MISSING]
    found = [value - max(known) for value in ours]
    return [said, "+5.9 over the best of them", f"{_difference(found)} over the best", _verdict(found, 1)]


def _narrows(stage: int, paper: str) -> Callable[[Results], list[str]]:
    def row(results: Results) -> list[str]:
        said = f"After stage {stage} ctkd stays ahead of nll, by less."
        first, now = (
            results.differences(stage_names(results, "ctkd", each), stage_names(results, "nll", each), "mean")
            for each in (1, stage)
        )
        if not first or not now:
            return [said, paper, MISSING, MISSING]
        shown = f"{_difference(first)} → {_difference(now)}"
        if not all(each > 0 for each in first):
            return [said, paper, shown, "no gap after stage 1 that could narrow"]
        less = "smaller" if abs(mean(now)) < mean(first) else "not smaller"
        return [said, paper, shown, f"ahead: {_verdict(now, 1)}; gap: {less}"]

    return row


def _retrieval_wants_memory(results: Results) -> list[str]:
    said, paper = "Retrieval is better with 8 memory tokens than with 1.", "shown as a plot"
    counts = results.scale["memory_counts"]
    if not {1, 8} <= set(counts):
        return [said, paper, MISSING, MISSING]
    found = results.differences(
        memory_names(results, 8, with_pairs=True), memory_names(results, 1, with_pairs=True), "retrieval"
    )
    return [said, paper, f"{_difference(found)}, after pairs", _verdict(found, 1)]


def _many_are_worse(results: Results) -> list[str]:
    said, paper = "More than 16 memory tokens are worse than 8.", "shown as a plot"
    if not {8, 32} <= set(results.scale["memory_counts"]):
        return [said, paper, MISSING, MISSING]
    found = results.differences(
        memory_names(results, 32, with_pairs=True), memory_names(results, 8, with_pairs=True), "mean"
    )
    return [said, paper, f"32 less 8: {_difference(found)}, after pairs", _verdict(found, -1)]


def _rank_rises(stage: int) -> Callable[[Results], list[str]]:
    def row(results: Results) -> list[str]:
        said = f"After stage {stage} the space of ctkd uses more directions than after stage 1."
        found = results.differences(
            stage_names(results, "ctkd", stage), stage_names(results, "ctkd", 1), "effective_rank_centred"
        )
        shown = f"effective rank {_difference(found)}" if found else MISSING
        return [said, "about 10 → more than 100", shown, _verdict(found, 1)]

    return row


def _slots_alike(results: Results) -> list[str]:
    said = "After stage 1 the memory tokens of nll are more alike than those of ctkd."
    paper = "nll 1.00 among seven of eight; ctkd 0.04 to 0.79"
    each = [off_diagonals(results, stage_names(results, name, 1), "slots") for name in ("nll", "ctkd")]
    if not all(each):
        return [said, paper, MISSING, MISSING]
    nll, ctkd = ([mean(seed) for seed in found] for found in each)
    shown = f"mean cosine nll {mean(nll):.2f}, ctkd {mean(ctkd):.2f}"
    return [said, paper, shown, _verdict([a - b for a, b in zip(nll, ctkd, strict=False)], 1)]


def _nll_is_one(results: Results) -> list[str]:
    said = f"After stage 1 most memory tokens of nll are one: a mean cosine above {_ONE}."
    found = off_diagonals(results, stage_names(results, "nll", 1), "slots")
    shown = " / ".join(f"{mean(seed):.2f}" for seed in found) or MISSING
    return [said, "1.00 among seven of eight", shown, _verdict([mean(seed) - _ONE for seed in found], 1)]


def _stage1_saves_pairs(results: Results) -> list[str]:
    said = "Stage 1 makes labelled pairs go further."
    counts = results.scale["pair_counts"]
    found = [
        results.differences(
            pairs_names(results, "ctkd", count), pairs_names(results, UNTRAINED, count), "mean"
        )
        for count in counts
    ]
    shown = "; ".join(
        f"{count:,} pairs: {_difference(each)}" for count, each in zip(counts, found, strict=True)
    )
    verdicts = list(dict.fromkeys(_verdict(each, 1) for each in found))
    agrees = (
        verdicts[0]
        if len(verdicts) == 1
        else "; ".join(f"{count:,}: {_verdict(each, 1)}" for count, each in zip(counts, found, strict=True))
    )
    return [said, "0.36 M samples beat others' 1.2 to 3 M", shown, agrees]


_CLAIMS: tuple[Callable[[Results], list[str]], ...] = (
    _pretext_against("nll", "52.5 against 46.2"),
    _pretext_against("reconstruction", "52.5 against 35.8"),
    _pretext_against("mntp", "52.5 against 46.9"),
    _pretext_against(UNTRAINED, "not in the paper"),
    _beats_poolings,
    _stability,
    _narrows(2, "+6.3 → +1.7"),
    _narrows(3, "+6.3 → +0.9"),
    _retrieval_wants_memory,
    _many_are_worse,
    _rank_rises(2),
    _rank_rises(3),
    _slots_alike,
    _nll_is_one,
    _stage1_saves_pairs,
)
