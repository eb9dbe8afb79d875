"""The device that is measured: its name, driver and versions, and how long something takes on it."""

import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flops import share_of_peak
from machine import commit
from steps import Figure, NotRunError, figure

_PACKAGES = ("torch", "transformers", "sentence-transformers", "peft", "numpy", "pylance")
_FAISS = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs")
_DRIVER_ANSWERS_WITHIN_S = 30


@dataclass(frozen=True)
class Accelerator:
    """A device, and whether everything is made small.

    Attributes:
        name: of the device for torch, "cuda:0" or "cpu".
        is_small: sizes are those of a trial, which shows that all runs and measures nothing.
    """

    name: str
    is_small: bool

    @property
    def is_cuda(self) -> bool:
        """True for an NVIDIA GPU."""
        return self.name.startswith("cuda")

    @property
    def repeats(self) -> int:
        """Repetitions of what takes seconds."""
        return 1 if self.is_small else 3

    def label(self) -> str:
        """The device's name as its maker gives it."""
        if not self.is_cuda:
            return "cpu"
        import torch

        return str(torch.cuda.get_device_name(self.name))

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.is_cuda:
            import torch

            torch.cuda.synchronize(self.name)

    def seconds(self, call: Callable[[], Any], repeats: int | None = None, warm_ups: int = 1) -> list[float]:
        """How long a call takes, in seconds, for each repetition after the warm-ups."""
        for _ in range(warm_ups):
            call()
        times = []
        for _ in range(repeats or self.repeats):
            self.wait()
            start = time.perf_counter()
            call()
            self.wait()
            times.append(time.perf_counter() - start)
        return times

    def share(
        self, operations: float, times: list[float], at_least: float | None = None
    ) -> dict[str, Figure]:
        """The figure "share of the bf16 peak" for operations that took these seconds; {} for an unknown device."""
        shares = [share_of_peak(operations, seconds, self.label()) for seconds in times]
        known = [share for share in shares if share is not None]
        return {"share of the bf16 peak": figure(known, "%", at_least=at_least)} if known else {}

    def free_bytes(self) -> int:
        """Memory that a search may fill."""
        if not self.is_cuda:
            return 1 << 28
        from indexer.segments.ann_gpu import free_bytes

        return free_bytes() or 0


def open_accelerator(device: str, *, is_small: bool) -> Accelerator:
    """The device to measure.

    Args:
        device: "auto" (CUDA where there is one), "cpu" or "cuda".
        is_small: see `Accelerator`.

    Raises:
        NotRunError: CUDA is asked for and torch sees none.
    """
    import torch

    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise NotRunError(f"torch {torch.__version__} sees no CUDA device")
    return Accelerator("cuda:0" if has_cuda and device != "cpu" else "cpu", is_small)


def describe_device(accelerator: Accelerator) -> dict[str, Any]:
    """What is written beside every figure: commit, device, driver, threads and versions."""
    import torch

    return {
        "commit": commit(),
        "device": accelerator.label(),
        "driver": _driver() if accelerator.is_cuda else "none",
        "cuda": torch.version.cuda or "none",
        "threads": threads(),
        "versions": {"Python": platform.python_version()} | _versions(),
    }


def threads() -> int:
    """Threads that the processor's side may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(os.environ.get("OMP_NUM_THREADS") or cores)


def _versions() -> dict[str, str]:
    found = {}
    for name in (*_PACKAGES, *_FAISS):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            if name not in _FAISS:
                found[name] = "not installed"
    return found


def _driver() -> str:
    line = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            line, capture_output=True, text=True, check=True, timeout=_DRIVER_ANSWERS_WITHIN_S
        )
    except (OSError, subprocess.SubprocessError):
        return "not known: nvidia-smi did not answer"
    return done.stdout.splitlines()[0].strip() if done.stdout.strip() else "not known"
