"""The steps of the study in the order they are done, the most telling comparison first. Does none of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scale import OBJECTIVES, Scale

PARTS = ("pretext", "stages", "memory", "pairs")
BACKBONE = "backbone"
UNTRAINED = "untrained"  # memory tokens before any stage
PEERS = (
    "random",
    "lsa",
)  # a floor, and what needs no language model: random vectors, TF-IDF with singular vectors
DONE_FILE = "done.json"


@dataclass(frozen=True)
class Step:
    """An encoder to be made and scored; or the backbone, which is only made; or a peer, which is only scored."""

    name: str  # of its folder below the work folder
    kind: str  # pretrain, peer, pooling, fresh (new memory tokens), compress, simcse or contrastive
    seed: int = 0
    start: str = ""  # the step whose result it begins from
    objective: str = ""  # of stage 1; of a pooling or a peer its name
    n_memory: int = 0
    pairs: int = 0  # labelled pairs that it learns from

    @property
    def is_scored(self) -> bool:
        """Whether the development sets are asked of it; memory tokens put on another encoder are a start alone."""
        return self.kind != "pretrain" and not (self.kind == "fresh" and self.objective != UNTRAINED)

    @property
    def is_made(self) -> bool:
        """Whether it leaves a folder of its own."""
        return self.kind not in ("peer", "pooling")

    @property
    def file_name(self) -> str:
        """Its name where it names a file."""
        return self.name.replace("/", ".")


def stage1_name(seed: int, objective: str, n_memory: int) -> str:
    """The encoder after stage 1; mntp has no memory tokens."""
    return f"seed{seed}/{objective}-{0 if objective == 'mntp' else n_memory}"


def start_name(seed: int, objective: str, n_memory: int) -> str:
    """The encoder that stages 2 and 3 begin from: mntp gets memory tokens, for these stages train their states."""
    return f"seed{seed}/{objective}-{n_memory}"


def simcse_name(seed: int, objective: str, n_memory: int) -> str:
    """The encoder after stages 1 and 2."""
    return f"{start_name(seed, objective, n_memory)}.simcse"


def pairs_name(start: str, pairs: int) -> str:
    """The encoder after stage 3."""
    return f"{start}.pairs{pairs}"


def pooling_name(pooling: str) -> str:
    """The untouched backbone, pooled."""
    return f"untouched/{pooling}"


def peer_name(peer: str) -> str:
    """What has no language model behind it."""
    return f"peers/{peer}"


def make_plan(
    scale: Scale, seeds: int, poolings: Sequence[str], parts: Iterable[str] = PARTS
) -> dict[str, list[Step]]:
    """Name of a part to its steps, in the order they are done; what two parts need stands in both.

    Args:
        scale: the sizes.
        seeds: how many, from 0.
        poolings: training-free ones.
        parts: of `PARTS`.
    """
    makers = {"pretext": _pretext, "stages": _stages, "memory": _memory, "pairs": _pairs}
    backbone = Step(BACKBONE, "pretrain")
    free = [Step(peer_name(name), "peer", objective=name) for name in PEERS]
    free += [Step(pooling_name(name), "pooling", start=BACKBONE, objective=name) for name in poolings]
    return {
        part: [
            backbone,
            *(free if part == "pretext" else []),
            *(step for seed in range(seeds) for step in makers[part](scale, seed)),
        ]
        for part in PARTS
        if part in set(parts)
    }


def in_order(plan: dict[str, list[Step]]) -> list[Step]:
    """Every step once: the first two parts seed by seed, then the others seed by seed."""
    ordered: dict[str, Step] = {}
    seeds = 1 + max(step.seed for steps in plan.values() for step in steps)
    for group in (PARTS[:2], PARTS[2:]):
        for seed in range(seeds):
            for part in group:
                ordered |= {step.name: step for step in plan.get(part, []) if step.seed == seed}
    return list(ordered.values())


def _stage1(scale: Scale, seed: int, objective: str, n_memory: int) -> Step:
    name = stage1_name(seed, objective, n_memory)
    if objective == UNTRAINED:
        return Step(name, "fresh", seed, BACKBONE, objective, n_memory)
    return Step(name, "compress", seed, BACKBONE, objective, 0 if objective == "mntp" else n_memory)


def _pretext(scale: Scale, seed: int) -> list[Step]:
    return [_stage1(scale, seed, each, scale.n_memory) for each in (UNTRAINED, *_by_weight(OBJECTIVES))]


def _by_weight(objectives: Iterable[str]) -> list[str]:
    """The paper's own first, so that a part of the run already answers its question."""
    first = ("ctkd", "nll", "reconstruction")
    return sorted(objectives, key=lambda each: first.index(each) if each in first else len(first))


def _stages(scale: Scale, seed: int) -> list[Step]:
    k, steps = scale.n_memory, []
    for objective in (*_by_weight(OBJECTIVES), UNTRAINED):
        first = _stage1(scale, seed, objective, k)
        steps.append(first)
        start = start_name(seed, objective, k)
        if start != first.name:
            steps.append(Step(start, "fresh", seed, first.name, objective, k))
        second = Step(simcse_name(seed, objective, k), "simcse", seed, start, objective, k)
        steps += [second, _contrastive(second, scale.pairs)]
    return steps


def _contrastive(start: Step, pairs: int) -> Step:
    name = pairs_name(start.name, pairs)
    return Step(name, "contrastive", start.seed, start.name, start.objective, start.n_memory, pairs)


def _memory(scale: Scale, seed: int) -> list[Step]:
    firsts = [_stage1(scale, seed, "ctkd", count) for count in scale.memory_counts]
    return [step for first in firsts for step in (first, _contrastive(first, scale.pairs))]


def _pairs(scale: Scale, seed: int) -> list[Step]:
    firsts = [_stage1(scale, seed, each, scale.n_memory) for each in ("ctkd", UNTRAINED)]
    counts = [_contrastive(first, count) for count in scale.pair_counts for first in firsts]
    return [*firsts, *counts]
