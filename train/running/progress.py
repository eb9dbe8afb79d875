"""What a run says while it goes: lines for people, a line of JSON for programs, curves for TensorBoard."""

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from transformers import TrainerCallback

from encoder.atomic import write_bytes
from train.running.devices import is_first_process, world_size
from train.running.run_folder import RunFolder
from train.running.watcher import PREFIX, first_look, is_collapsed

Note = Callable[[str], None]

# Names of the measures in the order they are shown.
_SHOWN = {
    "eval_held_out_loss": ("held-out loss", ".4g"),
    "eval_loss_without_memory": ("without memory", ".4g"),
    "eval_loss_with_other_memory": ("with another text's", ".4g"),
    "eval_known_items": ("known items", ".1f"),
    "eval_effective_rank": ("effective rank", ".1f"),
    "eval_mean_cosine": ("mean cosine", ".3f"),
    "eval_slot_similarity": ("slot similarity", ".3f"),
    "eval_bits_per_byte": ("bits per byte", ".3f"),
}
_COLLAPSE_SHARE = 0.5  # of the effective rank at the start; a run that falls below is told so


class ProgressCallback(TrainerCallback):
    """Tells people, the metrics file and TensorBoard what a trainer logs; the first process alone speaks.

    Args:
        folder: of the run.
        note: told lines for people.
        tokens: tokens read so far on this process.
    """

    def __init__(self, folder: RunFolder, note: Note, tokens: Callable[[], int]) -> None:
        self._folder = folder
        self._note = note
        self._tokens = tokens
        self._began = self._last = (0.0, 0, 0)  # seconds, step, tokens
        self._curves: Any = None
        self._start: Mapping[str, float] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Starts the clock, after what a killed run wrote too much is gone."""
        self._began = self._last = self._now(state)
        self._start = first_look(state.log_history)  # of the run before a resume
        if is_first_process():
            self._forget_after(state.global_step)
            if state.global_step:
                self._note(f"going on after step {state.global_step:,}")

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, float] | None = None, **kwargs: Any
    ) -> None:
        """Says what was logged: a line, a row, points on curves."""
        if not is_first_process() or not logs or "train_runtime" in logs:
            return
        values = {name: value for name, value in logs.items() if name != "epoch"}
        if "loss" in values:
            values |= self._pace(state)
        self._write({"step": state.global_step, **values})
        for line in self._lines(state, values):
            self._note(line)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Starts the clock again at the first step: the first look, or reading up to where a run stopped, is over."""
        if state.global_step == self._began[1]:
            self._began = self._last = self._now(state)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keeps the time of a look out of the tokens per second."""
        self._last = self._now(state)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keeps the time of a checkpoint out of the tokens per second."""
        self._last = self._now(state)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Says so where the model was better before it was trained: that look is no candidate for the result."""
        name, best = args.metric_for_best_model, state.best_metric
        start = first_look(state.log_history).get(str(name))
        if not is_first_process() or start is None or best is None:
            return
        if (best < start) if args.greater_is_better else (best > start):
            shown = _SHOWN[PREFIX + name][0]
            self._note(
                f"{shown} was better at the start ({start:.4g}) than at any checkpoint, of which the best "
                f"({best:.4g}, step {state.best_global_step:,}) is kept"
            )

    def close(self) -> None:
        """Closes the curves, however the run ended."""
        if self._curves is not None:
            self._curves.close()
            self._curves = None

    def _forget_after(self, step: int) -> None:
        """Drops what a killed run wrote after the checkpoint that this one goes on from; it comes again."""
        from torch.utils.tensorboard import SummaryWriter

        rows = self._folder.metrics.read_text(encoding="utf-8") if self._folder.metrics.exists() else ""
        kept = [line for line in rows.splitlines() if step and _step(line) <= step]
        write_bytes(self._folder.metrics, "".join(line + "\n" for line in kept).encode())
        shutil.rmtree(self._folder.tensorboard, ignore_errors=True)  # what it holds cannot be taken out
        self._curves = SummaryWriter(log_dir=str(self._folder.tensorboard))
        for line in kept:
            self._draw(json.loads(line))
        self._curves.flush()

    def _now(self, state: Any) -> tuple[float, int, int]:
        return time.monotonic(), state.global_step, self._tokens()

    def _pace(self, state: Any) -> dict[str, float]:
        """Tokens a second since the last line, seconds left by the pace since the beginning, memory in bytes."""
        now = self._now(state)
        seconds = max(1e-9, now[0] - self._last[0])
        steps_a_second = (now[1] - self._began[1]) / max(1e-9, now[0] - self._began[0])
        pace = {
            "tokens_per_s": (now[2] - self._last[2]) * world_size() / seconds,
            "seconds_left": (state.max_steps - now[1]) / max(1e-9, steps_a_second),
            "memory_bytes": float(peak_memory()),
        }
        self._last = now
        return pace

    def _lines(self, state: Any, values: Mapping[str, float]) -> list[str]:
        place = f"step {state.global_step:,} of {state.max_steps:,}" if state.max_steps else "step 0"
        if "loss" in values:
            return [
                f"{place} · loss {values['loss']:.4g} · {values['tokens_per_s']:,.0f} tokens/s · "
                f"{duration(values['seconds_left'])} left · {values['memory_bytes'] / 1e9:.2f} GB"
            ]
        shown = [f"{name} {values[key]:{form}}" for key, (name, form) in _SHOWN.items() if key in values]
        lines = [f"{place} · held out: " + " · ".join(shown)] if shown else []
        now = {name.removeprefix(PREFIX): value for name, value in values.items() if name.startswith(PREFIX)}
        self._start = self._start or now
        if is_collapsed(self._start, now, _COLLAPSE_SHARE):
            ranks = f"{now['effective_rank_centred']:.1f}, at the start {self._start['effective_rank_centred']:.1f}"
            lines.append(f"the space is collapsing: effective rank (centred) {ranks}")
        return lines

    def _write(self, values: Mapping[str, float]) -> None:
        row = {**values, "time": round(time.time(), 3)}
        with self._folder.metrics.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        self._draw(row)
        self._curves.flush()  # to be seen now, not in two minutes

    def _draw(self, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name not in ("step", "time"):
                self._curves.add_scalar(_curve(name), value, row["step"], walltime=row.get("time"))


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # the line that a kill cut short
        return float("inf")


def _curve(name: str) -> str:
    return f"held_out/{name.removeprefix(PREFIX)}" if name.startswith(PREFIX) else f"train/{name}"


def peak_memory() -> int:
    """Most bytes this process has held: of the GPU where there is one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def duration(seconds: float) -> str:
    """Seconds in words: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
