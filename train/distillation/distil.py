"""A student learns the teacher's vectors: stage B, one loop that a killed run goes on with.

Own and not a library's trainer: there is no label, no padding and no evaluation batch, the batches come from
numpy, and a step is five lines. Shapes: B texts in a batch, T tokens, D numbers per vector, N texts.
"""

import json
import time
from collections.abc import Iterator
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor, nn

from encoder.atomic import write_bytes
from encoder.errors import ConfigError
from encoder.memory import MemoryModel
from encoder.pooling import normalise, pool_memory
from train.distillation.lessons import Lessons, batches
from train.distillation.partners import Partners, found_first
from train.distillation.recipe import DistilConfig

STATE = "state.safetensors"
_LOG = "log.jsonl"
_REGRESSION_WEIGHT = 5.0


def distil(
    student: MemoryModel,
    lessons: Lessons,
    held_out: Lessons,
    schedule: DistilConfig,
    run: Path,
    *,
    partners: Partners | None = None,
) -> None:
    """Trains a student in place until the schedule's last step.

    Args:
        student: trained from its own weights, or from those of the run if that has begun.
        lessons: with targets as wide as the student.
        held_out: never trained on; its cosine is logged.
        schedule: the rate falls linearly to 0 at its end.
        run: holds the state to go on with, and the log; created. It belongs to these arguments: only the
            schedule's last step may be another than when it began.
        partners: pairs to learn from beside the lessons; None for none.

    Raises:
        ConfigError: the run has gone beyond the schedule's last step.
    """
    run.mkdir(parents=True, exist_ok=True)
    optimizer = _new_optimizer(student, schedule)
    first = _restore(student, optimizer, run / STATE)
    if first > schedule.steps:
        message = f"The run has done {first} steps, the recipe ends at {schedule.steps}."
        raise ConfigError(message, str(run / STATE), "raise distil.steps, or name another --work folder")
    stream = _mixed_batches(lessons, partners, schedule, student.n_memory)
    forward = torch.compile(student, dynamic=True) if schedule.compile else student
    begin, tokens, losses = time.monotonic(), 0, []
    for step, (texts, is_paired) in enumerate(islice(stream, first, schedule.steps), first):
        source = partners.lessons if partners is not None and is_paired else lessons
        _set_rates(optimizer, schedule, step)
        vectors_BD = _vectors(forward, source, texts, autocast=schedule.autocast)
        target_BD = torch.from_numpy(source.targets[texts].astype(np.float32))
        loss = _REGRESSION_WEIGHT * (1 - (vectors_BD * target_BD).sum(-1)).mean()
        if partners is not None and is_paired:
            loss = loss + partners.config.weight * partners.loss(vectors_BD, texts, step)
        _descend(optimizer, student, loss)
        losses.append(float(loss.detach()))
        tokens += len(texts) * int(source.lengths[texts].min())
        if (step + 1) % schedule.checkpoint_steps == 0 or step + 1 == schedule.steps:
            _store(student, optimizer, run / STATE, step + 1)
            entry = {"step": step + 1, "loss": float(np.mean(losses)), "seconds": time.monotonic() - begin}
            entry |= {"tokens": tokens, **held_out_cosine(student, held_out, autocast=schedule.autocast)}
            if partners is not None and len(partners.held_out):
                vectors_ND = student_vectors(student, partners.held_out, autocast=schedule.autocast)
                entry["held_out_found_first"] = found_first(vectors_ND)
            _log(run / _LOG, entry)
            losses = []


def _mixed_batches(
    lessons: Lessons, partners: Partners | None, schedule: DistilConfig, n_memory: int
) -> Iterator[tuple[NDArray[np.int64], bool]]:
    """Numbers of texts, and whether they are members of pairs and not lessons, without end."""
    budget = {"budget_tokens": schedule.batch_tokens, "extra_tokens": n_memory}
    stream = batches(lessons, **budget, long_share=schedule.long_share, seed=schedule.seed)
    if partners is None:
        yield from zip(stream, repeat(False))
        return
    seed = partners.config.seed
    paired = batches(partners.lessons, **budget, long_share=schedule.long_share, seed=seed)
    generator = np.random.default_rng((schedule.seed, seed))
    while True:
        is_paired = bool(generator.random() < partners.config.share)
        yield next(paired if is_paired else stream), is_paired


def _vectors(forward: Any, lessons: Lessons, texts: NDArray[np.int64], *, autocast: bool) -> Tensor:
    """Unit rows [B, D] of texts cut to the shortest of them, with a graph."""
    ids_BT = torch.from_numpy(lessons.rows(texts))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        memory_BMD = forward(ids_BT, torch.ones_like(ids_BT))
    return normalise(pool_memory(memory_BMD))


def _descend(optimizer: torch.optim.Optimizer, student: nn.Module, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(student.parameters(), 1.0)
    optimizer.step()


def held_out_cosine(student: MemoryModel, lessons: Lessons, *, autocast: bool = False) -> dict[str, float]:
    """Mean cosine to the teacher of short and of long texts, which differ by 0.02 and more.

    Args:
        student: as wide as the targets.
        lessons: N texts, at least one; a kind that does not occur is left out of the result.
        autocast: compute in bfloat16.
    """
    vectors_ND = student_vectors(student, lessons, autocast=autocast)
    cosine_N = (vectors_ND * lessons.targets).sum(-1)
    kinds = {"held_out_short": ~lessons.is_long, "held_out_long": lessons.is_long}
    return {name: float(cosine_N[rows].mean()) for name, rows in kinds.items() if rows.any()}


def student_vectors(student: MemoryModel, lessons: Lessons, *, autocast: bool) -> NDArray[np.float32]:
    """Unit rows [N, D] float32 of whole texts, in their order."""
    vectors_ND = np.empty((len(lessons), student.dimension), np.float32)
    order = np.argsort(lessons.lengths, kind="stable")
    for texts in np.array_split(order, max(1, len(order) // 64)):
        length = int(lessons.lengths[texts].max())
        place = np.minimum(lessons.start[texts][:, None] + np.arange(length), len(lessons.ids) - 1)
        mask_BT = torch.from_numpy(np.arange(length) < lessons.lengths[texts][:, None])
        ids_BT = torch.from_numpy(lessons.ids[place].astype(np.int64))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            vectors_ND[texts] = normalise(pool_memory(student(ids_BT, mask_BT))).numpy()
    return vectors_ND


def _new_optimizer(student: MemoryModel, schedule: DistilConfig) -> torch.optim.Optimizer:
    table = student.backbone.get_input_embeddings().weight  # type: ignore[operator]
    layers = [weight for weight in student.backbone.parameters() if weight is not table]
    matrices = [weight for weight in layers if weight.ndim == 2]
    rest = [weight for weight in layers if weight.ndim != 2]
    groups = [
        {"params": [table], "rate": schedule.table_learning_rate, "weight_decay": 0.05},
        {"params": matrices, "rate": schedule.learning_rate, "weight_decay": 0.05},
        {"params": rest, "rate": schedule.learning_rate, "weight_decay": 0.0},
        {"params": [student.memory], "rate": schedule.memory_learning_rate, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)


def _set_rates(optimizer: torch.optim.Optimizer, schedule: DistilConfig, step: int) -> None:
    share = min((step + 1) / schedule.warmup_steps, 1 - step / schedule.steps)
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * share


def _store(student: nn.Module, optimizer: torch.optim.Optimizer, path: Path, step: int) -> None:
    tensors = {f"student.{name}": weight for name, weight in student.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
    tensors["step"] = torch.tensor(step)
    write_bytes(path, save({name: value.contiguous() for name, value in tensors.items()}))


def _restore(student: nn.Module, optimizer: torch.optim.Optimizer, path: Path) -> int:
    """Takes weights and moments from a state, and returns its step; 0 without one."""
    if not path.exists():
        return 0
    tensors = load_file(path)
    weights = {name.removeprefix("student."): t for name, t in tensors.items() if name.startswith("student.")}
    student.load_state_dict(weights)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, kind = name.split(".")
            moments.setdefault(int(number), {})[kind] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
    return int(tensors["step"])


def _log(path: Path, entry: dict[str, float]) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry) + "\n")
