"""Does the steps of the study, each once: what is done lies in the work folder, and the same command goes on after any stop.
Several processes with one work folder share the steps.

WORK/study.json          what the folder was begun with; another scale or other data is refused
WORK/NAME/               run folder of a step, `encoder` or `backbone` in it; `done.json` with its seconds comes last
WORK/scores/NAME.json    scores and measures of its encoder
WORK/locks/NAME          held by the process that does the step
WORK/train.log           what the stages say
"""

import contextlib
import fcntl
import gc
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from development import describe
from machine import commit
from plan import DONE_FILE, Step
from scale import Scale
from stage_recipes import PAIR_FILES, TEXT_FILES, files_of, recipe_of, result_of, start_of

from encoder.atomic import create_exclusive, write_json
from encoder.errors import ConfigError
from encoder.memory import new_memory
from train.evaluation.tasks import Task, content_sha256

FORMAT = 1
_LOOK_S = 5.0  # between two looks for a step that another process has made ready or given up


@dataclass
class Study:
    """A work folder, and what is done in it."""

    work: Path
    data: Path
    scale: Scale
    tasks: Sequence[Task]
    tell: Callable[[str], None] = lambda line: print(line, flush=True)
    _spent: dict[str, list[float]] = field(default_factory=dict)  # seconds by kind of step

    def begin(self) -> None:
        """Claims the folder, or sees that it is of the same study.

        Raises:
            ConfigError: it is of another.
        """
        claim = json.loads(json.dumps(self._claim()))
        path = self.work / "study.json"
        self.work.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            create_exclusive(path, json.dumps(claim, indent=1).encode())
        old = json.loads(path.read_text(encoding="utf-8"))
        changed = sorted(key for key in claim.keys() | old.keys() if claim.get(key) != old.get(key))
        if changed:
            raise ConfigError(
                f"the study there was begun with another {', '.join(changed)}",
                str(path),
                "name another folder with --work, or the data that it was begun with",
            )

    def _claim(self) -> dict[str, Any]:
        scale = asdict(replace(self.scale, seconds={}))
        files = [Path(name) for name in files_of(self.data, TEXT_FILES + PAIR_FILES)]
        return {
            "format": FORMAT,
            "scale": scale,
            "data": {path.name: path.stat().st_size for path in files},
            "sets": {task.name: content_sha256(task) for task in self.tasks},
            "described": describe(self.tasks),
        }

    def run(self, steps: Sequence[Step]) -> None:
        """Makes and scores what is not there yet, with a line for each: rate, done, time left.

        Raises:
            Llm2CompError: a stage had to stop; what was done is kept.
        """
        for step in steps:
            for kind, path in ((step.kind, self._done(step)), (_score_kind(step), self._score(step))):
                if path.exists():
                    self._learn(kind, json.loads(path.read_text(encoding="utf-8"))["seconds"])
        missing = self._missing(steps)
        self.tell(f"{len(steps) - len(missing)} of {len(steps)} steps are done; {self._left(missing)}")
        began, done, is_waiting = time.monotonic(), 0, False
        while missing:
            finished = self._next(missing)
            missing = self._missing(steps)
            if finished is None:
                if missing and not is_waiting:
                    self.tell(f"waiting for other processes: {', '.join(step.name for step in missing)}")
                is_waiting = True
                time.sleep(_LOOK_S)
                continue
            seconds, name = finished
            is_waiting = False
            done += 1
            count = len(steps) - len(missing)
            rate = 60 * done / max(time.monotonic() - began, 1e-9)
            self.tell(
                f"{name}: done in {seconds:.0f} s; {count} of {len(steps)} steps, {100 * count / len(steps):.0f} %, "
                f"{rate:.2f} steps a minute here; {self._left(missing)}"
            )

    def _missing(self, steps: Sequence[Step]) -> list[Step]:
        return [step for step in steps if not self.is_complete(step)]

    def _next(self, missing: Sequence[Step]) -> tuple[float, str] | None:
        """Does the first step that no process holds and that can begin; its seconds and name, None if there is none."""
        for step in missing:
            if step.start and not (self.work / step.start / DONE_FILE).exists():
                continue
            with self._held(step) as mine:
                if mine and not self.is_complete(step):
                    self.tell(f"{step.name}: begun")
                    return self._complete(step), step.name
        return None

    @contextlib.contextmanager
    def _held(self, step: Step) -> Iterator[bool]:
        """Whether this process has the step to itself; a process that dies lets go of its own."""
        path = self.work / "locks" / step.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def is_made(self, step: Step) -> bool:
        """Whether its encoder is there."""
        return not step.is_made or self._done(step).exists()

    def is_complete(self, step: Step) -> bool:
        """Whether its encoder is there, and its scores are."""
        return self.is_made(step) and (not step.is_scored or self._score(step).exists())

    def found(self, step: Step) -> dict[str, Any] | None:
        """What was measured of its encoder; None before."""
        path = self._score(step)
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def _done(self, step: Step) -> Path:
        return self.work / step.name / DONE_FILE

    def _score(self, step: Step) -> Path:
        return self.work / "scores" / f"{step.file_name}.json"

    def _complete(self, step: Step) -> float:
        """Makes and scores the encoder of a step; seconds that it took."""
        total = 0.0
        if not self.is_made(step):
            began, cpu = time.monotonic(), time.process_time()
            measures = self._make(step)
            total = time.monotonic() - began
            spent = {"seconds": total, "processor_seconds": time.process_time() - cpu}
            # Checkpoints are for going on, and a finished run has nothing to go on with.
            shutil.rmtree(self.work / step.name / "checkpoints", ignore_errors=True)
            write_json(self._done(step), {**spent, "measures": measures, "step": asdict(step)})
            self._learn(step.kind, total)
        if step.is_scored and not self._score(step).exists():
            from measure import measure

            began, cpu = time.monotonic(), time.process_time()
            found = measure(step, self.tasks, self.scale, self.work, self.data)
            seconds = time.monotonic() - began
            spent = {"seconds": seconds, "processor_seconds": time.process_time() - cpu, "commit": commit()}
            self._score(step).parent.mkdir(parents=True, exist_ok=True)
            write_json(self._score(step), {"step": asdict(step), **spent, **found})
            self._learn(_score_kind(step), seconds)
            total += seconds
        gc.collect()
        return total

    def _make(self, step: Step) -> Any:
        """Trains, or puts memory tokens on what is there; the measures of the stage."""
        if step.kind == "fresh":
            return _put_memory(step, self.scale, self.work)
        recipe = recipe_of(step, self.scale, self.data, self.work)
        with (self.work / "train.log").open("a", encoding="utf-8") as log:
            return _stage(step.kind)(recipe, lambda line: print(f"{step.name}: {line}", file=log, flush=True))

    def _learn(self, kind: str, seconds: float) -> None:
        self._spent.setdefault(kind, []).append(seconds)

    def _left(self, missing: Sequence[Step]) -> str:
        """The time left, by what steps of the same kind took."""
        if not missing:
            return "nothing is left"
        seconds = 0.0
        for step in missing:
            seconds += 0 if self.is_made(step) else self._expected(step.kind)
            if step.is_scored:
                seconds += self._expected(_score_kind(step))
        return f"about {seconds / 3600:.1f} processor hours left"

    def _expected(self, kind: str) -> float:
        spent = self._spent.get(kind)
        return sum(spent) / len(spent) if spent else self.scale.seconds.get(kind, 1.0)


def _score_kind(step: Step) -> str:
    """As what the scoring of a step is counted: poolings read a text twice, or with more around it."""
    return "pooling" if step.kind == "pooling" else "score"


def _stage(kind: str) -> Callable[[Any, Callable[[str], None]], Any]:
    from train.stages.compress import compress
    from train.stages.contrastive import contrastive
    from train.stages.pretrain import pretrain
    from train.stages.simcse import simcse

    return {"pretrain": pretrain, "compress": compress, "simcse": simcse, "contrastive": contrastive}[kind]


def _put_memory(step: Step, scale: Scale, work: Path) -> None:
    """An encoder with untrained memory tokens over the weights that the step begins from."""
    from encoder.checkpoint import read_checkpoint
    from encoder.config import EncoderConfig
    from encoder.save import save_encoder
    from encoder.weights import read_causal_lm, read_tokenizer

    start = start_of(step, work)
    if (start / "llm2comp.json").exists():
        parts = read_checkpoint(start)
        backbone, tokenizer = parts.backbone, parts.tokenizer
    else:
        backbone = read_causal_lm(start).base_model
        tokenizer = read_tokenizer(start, as_stored=False)
    memory = new_memory(backbone, step.n_memory, seed=step.seed)
    config = EncoderConfig(
        n_memory=step.n_memory, dimension=memory.shape[1], max_tokens=scale.max_tokens, pooling="memory_mean"
    )
    target = result_of(step, work)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_encoder(target, backbone=backbone, memory=memory.detach(), tokenizer=tokenizer, config=config)


def say_stopped(error: BaseException) -> None:
    """One line of why the study stopped; the same command goes on."""
    reason = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
    print(f"stopped: {reason}; what is done is kept, the same command goes on", file=sys.stderr)
