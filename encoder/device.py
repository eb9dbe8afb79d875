"""Where and in which precision an encoder computes."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from encoder.errors import UsageError

# Measured on two cores: above about 2,048 tokens a batch leaves the processor's cache and slows down.
_CPU_BATCH_TOKENS = 2048
_GPU_BATCH_TOKENS = 65536
_KERNEL_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
_KEPT_KERNELS = 64


@dataclass(frozen=True)
class Placement:
    """A device, the dtype that the weights have there, and the dtype of the matrix products."""

    device: torch.device
    weights: torch.dtype
    compute: torch.dtype

    @property
    def batch_tokens(self) -> int:
        """Tokens per batch to begin with."""
        return _CPU_BATCH_TOKENS if self.device.type == "cpu" else _GPU_BATCH_TOKENS

    @property
    def label(self) -> str:
        """What is written into a collection: device and compute dtype, such as `cpu bfloat16`."""
        return f"{self.device.type} {str(self.compute).removeprefix('torch.')}"

    def place(self, model: nn.Module) -> None:
        """Moves a model to the device and casts its weights, in place.

        Buffers keep their dtype: in bfloat16 the frequencies of rotary positions give wrong angles.
        """
        for weight in model.parameters():
            weight.data = weight.data.to(self.device, self.weights if weight.is_floating_point() else None)
        model.to(self.device)

    def autocast(self) -> AbstractContextManager:
        """The context a forward pass runs in."""
        if self.compute == self.weights:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.compute)


def choose_placement(device: str = "auto", dtype: str = "auto") -> Placement:
    """The device and precision for what the user asked for.

    Args:
        device: "auto" (CUDA, else Apple's MPS, else the processor) or a name that torch knows, such as "cuda:1".
        dtype: "auto", "float32" or "bfloat16". On a processor bfloat16 means autocast over float32 weights.

    Raises:
        UsageError: no such device here, or no such dtype.
    """
    chosen = _device(device)
    if dtype not in ("auto", "float32", "bfloat16"):
        raise UsageError(
            f"there is no dtype {dtype!r} for encoding", "option dtype", "use auto, float32 or bfloat16"
        )
    is_half = dtype == "bfloat16" or (dtype == "auto" and _is_bfloat16_fast(chosen))
    compute = torch.bfloat16 if is_half else torch.float32
    # Autocast keeps the norms and the pooling in float32; on a GPU half the memory matters more.
    weights = torch.float32 if chosen.type == "cpu" else compute
    return Placement(chosen, weights, compute)


def bound_kernel_caches() -> None:
    """Lets oneDNN, and torch around it, keep 64 kernels each: of 1,024, their default, they come to fill a gigabyte.

    They make a kernel for every shape of a product, and every batch of texts has other shapes. Both look at the
    environment when they make the first one, and not again; what the user has set stays.
    """
    for name in _KERNEL_CACHES:
        os.environ.setdefault(name, str(_KEPT_KERNELS))


def _device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"device {name!r} cannot be used: {reason}",
            "option device",
            "use auto, cpu, or a device torch sees",
        ) from error
    return device


def _is_bfloat16_fast(device: torch.device) -> bool:
    """True where bfloat16 products were measured faster; a processor without the instructions is slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
