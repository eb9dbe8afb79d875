"""The trainer of transformers with what every stage needs: our checkpoints, the watch, and a stop when it goes wrong.

`StageMixin` goes before a trainer class of a library; the loop, accumulation, devices and resuming are the library's.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState, set_seed
from transformers.trainer import TRAINER_STATE_NAME

from encoder.errors import CheckpointError, ConfigError, TrainingError
from encoder.weights import first_line
from train.running.arguments import decayed_names, rate_factor
from train.running.devices import is_first_process
from train.running.progress import ProgressCallback
from train.running.run_folder import RunFolder, clear_unfinished, last_checkpoint, seal, step_of, thin_out
from train.running.watcher import PREFIX, RANKS, Watcher, first_look, is_collapsed
from train.settings import Schedule, Watch

_MAKE_ROOM = "make room on the disk, then give the same command: it goes on from there"
_LESS = (
    "set schedule.gradient_checkpointing to true and give the same command: it goes on from there; or name another "
    "folder with --out and lower schedule.device_batch, or mini_batch where the stage has one"
)
_LOWER = "lower schedule.learning_rate, set schedule.clip to 1, or schedule.dtype to 'float32'"
# What a library may raise while it saves that no room on the disk would mend; both are a RuntimeError.
_NOT_THE_DISK: tuple[type[Exception], ...] = (
    torch.OutOfMemoryError,
    *((torch.distributed.DistError,) if torch.distributed.is_available() else ()),
)


@dataclass(frozen=True)
class Stage:
    """What a stage brings to its trainer."""

    folder: RunFolder
    schedule: Schedule
    watch: Watch
    watcher: Watcher
    save: Callable[
        [Path, int], None
    ]  # writes the model of this moment into an existing folder; told the step
    load: Callable[[Path], None]  # takes the weights of such a folder


class StageMixin:
    """What all stages add to a library's trainer; comes first among the bases."""

    stage: Stage
    args: Any
    state: Any
    model: Any
    optimizer: Any
    lr_scheduler: Any
    control: Any
    log: Any
    add_callback: Any
    remove_callback: Any
    callback_handler: Any

    def prepare(self, stage: Stage) -> None:
        """Takes what the stage brings; to be called once, before training."""
        self.stage = stage
        self.tokens_seen = 0
        self._numbers: list[int] = []
        self.remove_callback(PrinterCallback)  # we have lines of our own
        self.add_callback(_LookCallback(stage.watch.evaluate_steps))

    def run(self) -> dict[str, float]:
        """Trains from the latest complete checkpoint to the last step.

        Returns:
            The measures of the checkpoint that is best by the recipe.

        Raises:
            ConfigError: the recipe stops by a rank that cannot be measured.
            TrainingError: the loss or the gradient was not finite, the space collapsed, the device's memory was full,
                or a checkpoint or the log could not be written.
        """
        if is_first_process():
            clear_unfinished(self.stage.folder)
        found = last_checkpoint(self.stage.folder)
        if found is not None and step_of(found) >= self.stage.schedule.steps:
            self._take_state(found)  # the library would train a step beyond the last
        else:
            # Each process drops others than its neighbours do; what goes on takes the state it stopped with.
            set_seed(self.args.seed + self.args.process_index)
            self.args.eval_on_start = found is None
            self._train(str(found) if found else None)
        return self.measures_at(self.best_step())

    def _train(self, checkpoint: str | None) -> None:
        try:
            self.train(resume_from_checkpoint=checkpoint)  # type: ignore[attr-defined]
        except OSError as error:  # texts that cannot be read are an InputError
            what = f"The run's log could not be written: {first_line(error)}"
            raise TrainingError(what, self._place(), _MAKE_ROOM) from error
        except torch.OutOfMemoryError as error:
            what = f"The device has no memory left for step {self.state.global_step + 1}: {first_line(error)}"
            raise TrainingError(what, self._place(), _LESS) from error
        finally:
            for callback in self.callback_handler.callbacks:
                if isinstance(callback, ProgressCallback):
                    callback.close()

    def _place(self) -> str:
        """The run's folder and what is kept there, for an error."""
        folder = self.stage.folder
        kept = last_checkpoint(folder)
        return f"{folder.path}; the last good checkpoint is {kept}" if kept else str(folder.path)

    def _take_state(self, checkpoint: Path) -> None:
        self.stage.load(checkpoint)
        self.state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))

    def best_step(self) -> int:
        """The step of the best checkpoint, or of the last one where the recipe asks for that."""
        if self.args.metric_for_best_model is not None and self.state.best_global_step:
            return int(self.state.best_global_step)
        found = last_checkpoint(self.stage.folder)
        return step_of(found) if found else 0

    def measures_at(self, step: int) -> dict[str, float]:
        """What the watch saw at a step."""
        rows = [row for row in self.state.log_history if row.get("step") == step]
        return {
            key.removeprefix(PREFIX): value
            for row in rows
            for key, value in row.items()
            if key.startswith(PREFIX)
        }

    # What the library calls.

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *rest: Any) -> torch.Tensor:
        """The loss of one batch, shape [], which is refused when it is not finite."""
        numbers = inputs.pop("number", None)
        self._numbers = [] if numbers is None else numbers.flatten().tolist()
        loss = super().training_step(model, inputs, *rest)  # type: ignore[misc]
        if not torch.isfinite(loss):
            raise self._not_finite(f"loss is {float(loss)}", self.state.global_step + 1)
        return loss

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        # Before the weights change: a gradient that is not finite would spoil them all.
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[misc]
        if not torch.isfinite(torch.as_tensor(norm)):
            raise self._not_finite(f"gradient's length is {float(norm)}", self.state.global_step + 1)
        return norm

    def _not_finite(self, what: str, step: int) -> TrainingError:
        kept = last_checkpoint(self.stage.folder)
        return TrainingError(
            f"The {what} at step {step}"
            + (f", in a batch of the items {self._numbers}." if self._numbers else "."),
            f"the last good checkpoint is {kept}"
            if kept
            else f"{self.stage.folder.path}, before any checkpoint",
            _LOWER,
        )

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Looks at the held-out texts; the first process looks, all get its measures."""
        with _kept_random_state():
            measures = self.stage.watcher.look() if is_first_process() else {}
        return self._report(_from_first_process(measures))

    def _report(self, measures: dict[str, float]) -> dict[str, float]:
        found = {PREFIX + name: value for name, value in measures.items()}
        lost = sorted(first_look(self.state.log_history).keys() - measures)
        if lost:
            raise self._not_finite(f"{lost[0]} of held-out texts is not finite", self.state.global_step)
        best = self.args.metric_for_best_model
        if best is not None and PREFIX + best not in found:
            raise TrainingError(
                f"The best checkpoint goes by {best}, which cannot be measured.",
                "watch.best_by",
                "hold out more or longer texts (texts.held_out), or set watch.best_by to 'last'",
            )
        self.log(found)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
        self._stop_collapsed(measures)
        return found

    def _stop_collapsed(self, measures: dict[str, float]) -> None:
        share = self.stage.watch.stop_below_rank_share
        start = first_look(self.state.log_history)
        if share and not start.keys() >= set(RANKS):
            raise ConfigError(
                f"watch.stop_below_rank_share is {share:g}, and the rank cannot be measured.",
                "watch.stop_below_rank_share",
                "set it to 0, or hold out two texts or more (texts.held_out); pretraining has no such rank",
            )
        if share and is_collapsed(start, measures, share):
            name = "effective_rank_centred"
            raise TrainingError(
                f"The space collapses: the effective rank (centred) fell from {start[name]:.1f} to "
                f"{measures[name]:.1f} at step {self.state.global_step}, below {share} of it.",
                str(self.stage.folder.path),
                "lower the learning rate or the steps; earlier checkpoints are kept in checkpoints/",
            )

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        target = self.stage.folder.checkpoint(self.state.global_step)
        with self._kept_or_gone(target):
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
        # Each process writes its random state. That another one dies is no fault of these files.
        _wait_for_all()
        if is_first_process():
            with self._kept_or_gone(target):
                seal(target)
            best = self.state.best_global_step if self.args.metric_for_best_model is not None else None
            thin_out(self.stage.folder, keep=self.stage.watch.keep, best=best)

    @contextlib.contextmanager
    def _kept_or_gone(self, target: Path) -> Iterator[None]:
        try:
            yield
        except CheckpointError as error:  # weights that are not finite
            raise self._not_kept(target, error, _LOWER) from error
        except _NOT_THE_DISK:
            raise
        # For a full disk torch.save says RuntimeError.
        except (OSError, RuntimeError, SafetensorError) as error:
            raise self._not_kept(target, error, _MAKE_ROOM) from error

    def _not_kept(self, target: Path, error: Exception, fix: str) -> TrainingError:
        if is_first_process():
            shutil.rmtree(target, ignore_errors=True)
        kept = last_checkpoint(self.stage.folder)
        return TrainingError(
            f"The checkpoint after step {self.state.global_step} could not be written: {first_line(error)}",
            f"{target}; the last good one is {kept}" if kept else str(target),
            fix,
        )

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if is_first_process():
            folder = Path(output_dir or self.args.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            self.stage.save(folder, self.state.global_step)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.stage.load(Path(resume_from_checkpoint))

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Matrices decay; norms, biases and memory tokens do not."""
        return decayed_names(model.named_parameters())

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The rates of the recipe."""
        if self.lr_scheduler is None:
            factor = rate_factor(self.stage.schedule)
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, factor)
            self._created_lr_scheduler = True
        return self.lr_scheduler


class StageTrainer(StageMixin, Trainer):
    """For models whose `forward` gives `loss` and `tokens`: pretraining and compression."""

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The model's own loss; counts the tokens it read."""
        outputs = model(**inputs)
        self.tokens_seen += int(outputs["tokens"])
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]


class _LookCallback(TrainerCallback):
    """Asks for a look at the held-out texts at every checkpoint, the last one included.

    And for the loss: the library forgets at a stop what it summed up since it last said it.
    """

    def __init__(self, every: int) -> None:
        self._every = every

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Asks at the steps of the watch and at the last."""
        if state.global_step % self._every == 0 or state.global_step >= state.max_steps:
            control.should_evaluate = control.should_log = True


@contextlib.contextmanager
def _kept_random_state() -> Iterator[None]:
    """Looking must not change what comes after: a resumed run looks at other moments."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        yield


def _are_many() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _wait_for_all() -> None:
    if _are_many():
        torch.distributed.barrier()


def _from_first_process(measures: dict[str, float]) -> dict[str, float]:
    """The first process's measures, on all of them; decisions that rest on them then agree."""
    box = [measures]
    if _are_many():
        torch.distributed.broadcast_object_list(box, src=0)
    return box[0]
