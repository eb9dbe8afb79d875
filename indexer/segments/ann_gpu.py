"""A copy of an index on a GPU, for searches without a filter; whoever asks reranks on the CPU.

Filtered searches never come here: the classic GPU indexes take a filter and ignore it. FAISS clones flat fp16 and
IVF-SQ8 indexes only, and at most 2,048 candidates and cells (compiled into it).
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.segments.faiss_module import load_faiss

MOST_CANDIDATES = 2048
# What a GPU can do wrong, as FAISS and its wrapper raise it.
GPU_FAILURES = (RuntimeError, MemoryError, OSError, AssertionError, AttributeError, TypeError, ValueError)
_SPARE = 1.3


@dataclass(frozen=True, slots=True)
class GpuTwin:
    """An index on the GPU.

    Attributes:
        index: the cloned FAISS index.
        resources: FAISS's handle of the GPU, which must live as long.
        has_cells: the index is an IVF index.
        lock: searches one after the other, since a GPU index serves one thread at a time.
    """

    index: Any
    resources: Any
    has_cells: bool
    lock: threading.Lock = field(default_factory=threading.Lock)

    def can_search(self, depth: int, nprobe: int) -> bool:
        """Whether a search of this size fits what the GPU code was compiled for."""
        return depth <= MOST_CANDIDATES and nprobe <= MOST_CANDIDATES

    def candidates(self, query: NDArray[np.float32], depth: int, nprobe: int) -> NDArray[np.int64]:
        """Positions of about the best `depth` rows.

        Args:
            query: float32 [D].
            depth: most positions.
            nprobe: cells to visit; ignored without cells.
        """
        options = {}
        if self.has_cells:
            options["params"] = load_faiss().SearchParametersIVF(nprobe=max(1, nprobe))
        with self.lock:
            found = self.index.search(query[None], depth, **options)[1][0]
        return found[found >= 0]


OpenTwin = Callable[[Any, int], GpuTwin | None]


def open_twin(index: Any, size_bytes: int) -> GpuTwin | None:
    """A copy of `index` on the first GPU; None without a GPU, or without room for 1.3 times its size.

    Args:
        index: flat fp16 or IVF-SQ8.
        size_bytes: of its codes.
    """
    faiss = load_faiss()
    if faiss.get_num_gpus() < 1:  # asked first: with zero GPUs the clone is silently the CPU index
        return None
    if free_bytes() < _SPARE * size_bytes:
        return None
    resources = faiss.StandardGpuResources()
    options = faiss.GpuClonerOptions()
    options.useFloat16 = True
    clone = faiss.index_cpu_to_gpu(resources, 0, index, options)
    return GpuTwin(clone, resources, isinstance(index, faiss.IndexIVF))


def free_bytes() -> int:
    """Free memory of the first GPU, 0 when torch cannot tell."""
    try:
        import torch
    except ImportError:
        return 0
    return int(torch.cuda.mem_get_info(0)[0]) if torch.cuda.is_available() else 0
