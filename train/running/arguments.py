"""A recipe's schedule and watch -> the arguments, the optimizer and the rates of the libraries' trainers."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from encoder.device import choose_placement
from encoder.errors import ConfigError
from train.batch_plan import batch_plan
from train.running.devices import world_size
from train.running.run_folder import RunFolder
from train.settings import Schedule, Watch


def training_arguments(
    kind: type,
    schedule: Schedule,
    watch: Watch,
    folder: RunFolder,
    *,
    device: str = "auto",
    best_by: str = "known_items",
    **more: Any,
) -> Any:
    """Arguments of a trainer.

    Args:
        kind: `TrainingArguments` or a class made from it.
        schedule: of the recipe.
        watch: of the recipe.
        folder: of the run.
        device: "auto" or "cpu".
        best_by: the measure that "auto" stands for.
        more: arguments of that kind alone.

    Raises:
        ConfigError: the batch cannot be spread over the devices, AdamW cannot take the betas, or the rate does not
            rise to its highest.
    """
    check_betas(schedule)
    check_warmup(schedule)
    is_cpu = choose_placement(device).device.type == "cpu"
    device_batch, accumulation = batch_plan(schedule, world_size())
    best_by = best_by if watch.best_by == "auto" else watch.best_by
    arguments = kind(
        output_dir=str(folder.checkpoints),
        max_steps=schedule.steps,
        per_device_train_batch_size=device_batch,
        gradient_accumulation_steps=accumulation,
        learning_rate=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
        adam_beta1=schedule.betas[0],
        adam_beta2=schedule.betas[1],
        max_grad_norm=schedule.clip,
        seed=schedule.seed,
        data_seed=schedule.seed,
        bf16=compute_dtype(schedule, device) == torch.bfloat16,
        use_cpu=is_cpu,
        logging_steps=watch.log_steps,
        logging_nan_inf_filter=False,  # a loss that is not finite stops the run instead
        eval_strategy="no",  # the watch evaluates
        save_strategy="steps",
        save_steps=watch.evaluate_steps,
        metric_for_best_model=None if best_by == "last" else best_by,
        greater_is_better=best_by == "known_items",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        ddp_backend="gloo" if is_cpu and world_size() > 1 else None,
        # Every process reads the same stream and takes its part, so that a step is the same on any number of devices.
        accelerator_config={"dispatch_batches": False, "split_batches": False},
        **more,
    )
    # Several GPUs without torchrun: the library would spread a batch over them by threads, and multiply it.
    if getattr(arguments, "_n_gpu", 0) > 1:
        arguments._n_gpu = 1
    return arguments


def compute_dtype(schedule: Schedule, device: str = "auto") -> torch.dtype:
    """The dtype of matrix products: what the recipe says, or bfloat16 where it is fast."""
    return choose_placement(device, schedule.dtype).compute


def check_betas(schedule: Schedule) -> None:
    """Refuses what AdamW cannot take.

    Raises:
        ConfigError: there are not two of them, or one is outside of 0 to 1.
    """
    if len(schedule.betas) != 2 or not all(0 <= beta < 1 for beta in schedule.betas):
        raise ConfigError(
            f"schedule.betas is {list(schedule.betas)}, expected two numbers from 0, below 1",
            "schedule.betas",
            "write betas = [0.9, 0.999]",
        )


def check_warmup(schedule: Schedule) -> None:
    """Refuses a rate that does not rise to its highest.

    Raises:
        ConfigError: it begins above it.
    """
    if schedule.warmup_from > schedule.learning_rate:
        raise ConfigError(
            f"schedule.warmup_from is {schedule.warmup_from:g}, above schedule.learning_rate {schedule.learning_rate:g}",
            "schedule.warmup_from",
            f"set it to at most {schedule.learning_rate:g}, which is the highest rate",
        )


def rate_factor(schedule: Schedule) -> Callable[[int], float]:
    """Factor of the learning rate at each step: up from `warmup_from`, then down to 0 by `decay`."""
    highest = schedule.learning_rate or 1.0
    low = schedule.warmup_from / highest

    def factor(step: int) -> float:
        if step < schedule.warmup_steps:
            return low + (1 - low) * step / schedule.warmup_steps
        done = (step - schedule.warmup_steps) / max(1, schedule.steps - schedule.warmup_steps)
        if schedule.decay == "linear":
            return max(0.0, 1 - done)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done))) if schedule.decay == "cosine" else 1.0

    return factor


def decayed_names(parameters: Iterable[tuple[str, nn.Parameter]]) -> list[str]:
    """Names of the parameters that weight decay is for: matrices, memory tokens left out."""
    return [name for name, weight in parameters if weight.ndim >= 2 and name.rpartition(".")[2] != "memory"]
