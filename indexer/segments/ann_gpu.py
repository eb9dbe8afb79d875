"""A copy of a segment's index on a GPU, for searches without a filter; whoever asks reranks on the CPU.

Two kinds: a FAISS index where faiss is a GPU build, else the float16 rows themselves in torch, compared by a matrix
product. Filtered searches never come here: the classic GPU indexes of FAISS take a filter and ignore it.
"""

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.segments.ann import AnnIndex
from indexer.segments.faiss_module import load_faiss
from indexer.segments.vector_file import VectorFile

# FAISS compiles its GPU searches for at most this many candidates and cells.
MOST_CANDIDATES = 2048
# What a GPU can do wrong, as FAISS, its wrapper and torch raise it.
GPU_FAILURES = (RuntimeError, MemoryError, OSError, AssertionError, AttributeError, TypeError, ValueError)
_SPARE = 1.3
_UPLOAD_ROWS = 65536
# Of free GPU memory, for the float32 rows and scores of one product; sorting them takes as much again.
_PRODUCT_SHARE = 0.25


class GpuTwin(Protocol):
    """An index on a GPU."""

    def can_search(self, depth: int, nprobe: int) -> bool:
        """Whether the GPU code takes a search of this size."""

    def candidates(self, queries: NDArray[np.float32], depth: int, nprobe: int) -> list[NDArray[np.int64]]:
        """Positions of about the best `depth` rows of each query.

        Args:
            queries: float32 [Q, D].
            depth: most positions.
            nprobe: cells to visit; ignored without cells.

        Returns:
            Q arrays int64 [<= depth], best first.
        """


@dataclass(frozen=True, slots=True)
class FaissTwin:
    """A FAISS index that was cloned to the GPU.

    Attributes:
        index: the clone.
        resources: FAISS's handle of the GPU, which must live as long.
        has_cells: the index is an IVF index.
        lock: searches one after the other, since a GPU index serves one thread at a time.
    """

    index: Any
    resources: Any
    has_cells: bool
    lock: threading.Lock = field(default_factory=threading.Lock)

    def can_search(self, depth: int, nprobe: int) -> bool:
        """Whether a search of this size fits what FAISS's GPU code was compiled for."""
        return depth <= MOST_CANDIDATES and nprobe <= MOST_CANDIDATES

    def candidates(self, queries: NDArray[np.float32], depth: int, nprobe: int) -> list[NDArray[np.int64]]:
        """See `GpuTwin.candidates`; queries float32 [Q, D]."""
        options = {}
        if self.has_cells:
            options["params"] = load_faiss().SearchParametersIVF(nprobe=max(1, nprobe))
        with self.lock:
            found = self.index.search(np.ascontiguousarray(queries), depth, **options)[1]
        return [positions[positions >= 0] for positions in found]


@dataclass(frozen=True, slots=True)
class TorchTwin:
    """The rows of a flat segment on a device of torch; every row is compared, in float32.

    Attributes:
        rows: float16 [N, D], a torch tensor.
        free_bytes: asked before each search, so that the product fits beside what else is there.
        lock: searches one after the other, since two would not fit the memory that each was given.
    """

    rows: Any
    free_bytes: Callable[[], int]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def can_search(self, depth: int, nprobe: int) -> bool:
        """Any depth can be searched."""
        return True

    def candidates(self, queries: NDArray[np.float32], depth: int, nprobe: int) -> list[NDArray[np.int64]]:
        """See `GpuTwin.candidates`; queries float32 [Q, D], in as many products as the free memory asks for."""
        import torch

        with self.lock, torch.inference_mode():
            asked = torch.from_numpy(np.ascontiguousarray(queries)).to(self.rows.device)
            scores = asked.new_empty((len(asked), 0))
            positions = torch.empty((len(asked), 0), dtype=torch.int64, device=asked.device)
            step = self._rows_at_once(len(asked))
            for start in range(0, len(self.rows), step):
                product = (
                    asked @ self.rows[start : start + step].float().T
                )  # float16 sums would round at 5e-4
                best, at = product.topk(min(depth, product.shape[1]))
                scores, positions = torch.cat([scores, best], 1), torch.cat([positions, at + start], 1)
                scores, order = scores.topk(min(depth, scores.shape[1]))
                positions = positions.gather(1, order)
            return list(positions.cpu().numpy())

    def _rows_at_once(self, queries: int) -> int:
        row_bytes = 4 * (self.rows.shape[1] + queries)
        return max(1, int(_PRODUCT_SHARE * self.free_bytes()) // row_bytes)


OpenTwin = Callable[[VectorFile, AnnIndex | None], GpuTwin | None]


def open_twin(vectors: VectorFile, ann: AnnIndex | None) -> GpuTwin | None:
    """A copy of a segment's index on the first GPU; None without a GPU, or without room for 1.3 times its size.

    Torch is only asked where it is loaded already, by the encoder: loading it takes longer than many searches.

    Args:
        vectors: of the segment.
        ann: its approximate index; None for a flat segment.
    """
    if ann is not None and ann.kind != "ivf-sq8":  # FAISS cannot clone it
        return None
    size = vectors.rows * vectors.dimension * (2 if ann is None else 1)
    if load_faiss().get_num_gpus() >= 1:  # asked first: with zero GPUs the clone is silently the CPU index
        return _clone(vectors.index if ann is None else ann.index) if free_bytes() >= _SPARE * size else None
    if ann is None and "torch" in sys.modules and free_bytes() >= _SPARE * size:
        return torch_twin(vectors, "cuda:0", free_bytes)
    return None


def _clone(index: Any) -> FaissTwin:
    faiss = load_faiss()
    resources = faiss.StandardGpuResources()
    options = faiss.GpuClonerOptions()
    options.useFloat16 = True
    clone = faiss.index_cpu_to_gpu(resources, 0, index, options)
    return FaissTwin(clone, resources, isinstance(index, faiss.IndexIVF))


def torch_twin(vectors: VectorFile, device: str, free: Callable[[], int]) -> TorchTwin:
    """The rows of a flat segment on a device of torch.

    Args:
        vectors: to copy.
        device: such as "cuda:0".
        free: says how many bytes of its memory are free.

    Raises:
        RuntimeError: the device is full or gone.
    """
    import torch

    rows = torch.empty((vectors.rows, vectors.dimension), dtype=torch.float16, device=device)
    for start in range(0, vectors.rows, _UPLOAD_ROWS):
        stop = min(start + _UPLOAD_ROWS, vectors.rows)
        rows[start:stop] = torch.from_numpy(vectors.half_block(start, stop))
    return TorchTwin(rows, free)


def free_bytes() -> int:
    """Free memory of the first GPU, 0 when torch cannot tell."""
    try:
        import torch
    except ImportError:
        return 0
    return int(torch.cuda.mem_get_info(0)[0]) if torch.cuda.is_available() else 0
