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
# In smaller products than this a GPU is slower than a processor.
_LEAST_PRODUCT_ROWS = 4096


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
    free_bytes: Callable[[], int | None]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def can_search(self, depth: int, nprobe: int) -> bool:
        """Any depth can be searched."""
        return True

    def candidates(self, queries: NDArray[np.float32], depth: int, nprobe: int) -> list[NDArray[np.int64]]:
        """See `GpuTwin.candidates`; queries float32 [Q, D], in as many products as the free memory asks for.

        Raises:
            MemoryError: hardly any memory is free.
            RuntimeError: the device is lost.
        """
        import torch

        with self.lock, torch.inference_mode():
            asked = torch.from_numpy(np.ascontiguousarray(queries)).to(self.rows.device)
            scores = asked.new_empty((len(asked), 0))
            positions = torch.empty((len(asked), 0), dtype=torch.int64, device=asked.device)
            step = self._rows_at_once(len(asked))
            for start in range(0, len(self.rows), step):
                # Widened first: sums in float16 would round at 5e-4.
                product = asked @ self.rows[start : start + step].float().T
                best, at = product.topk(min(depth, product.shape[1]))
                scores, positions = torch.cat([scores, best], 1), torch.cat([positions, at + start], 1)
                scores, order = scores.topk(min(depth, scores.shape[1]))
                positions = positions.gather(1, order)
            return list(positions.cpu().numpy())

    def _rows_at_once(self, queries: int) -> int:
        row_bytes = 4 * (self.rows.shape[1] + queries)
        fitting = int(_PRODUCT_SHARE * (self.free_bytes() or 0)) // row_bytes
        if fitting < min(_LEAST_PRODUCT_ROWS, len(self.rows)):
            raise MemoryError("its memory is full")
        return fitting


OpenTwin = Callable[[VectorFile, AnnIndex | None], GpuTwin | None]


def open_twin(vectors: VectorFile, ann: AnnIndex | None) -> GpuTwin | None:
    """A copy of a segment's index on the first GPU; None where there is no GPU for it.

    Torch is only asked where it is loaded already, by the encoder: loading it takes longer than many searches. So the
    answer may be None at first and a copy later.

    Args:
        vectors: of the segment.
        ann: its approximate index; None for a flat segment.

    Raises:
        MemoryError: the GPU has no room for 1.3 times the size of the index.
        RuntimeError: the GPU failed.
    """
    if ann is not None and ann.kind != "ivf-sq8":  # FAISS cannot clone it
        return None
    # Asked first: with zero GPUs the clone would silently be the CPU index.
    has_faiss = load_faiss().get_num_gpus() >= 1
    if not has_faiss and (ann is not None or "torch" not in sys.modules):
        return None
    free = free_bytes()
    if free is None:
        return _clone(vectors.index if ann is None else ann.index) if has_faiss else None
    size = vectors.rows * vectors.dimension * (2 if ann is None else 1)
    if free < _SPARE * size:
        raise MemoryError(
            f"{free / 1e9:.1f} GB of its memory are free, and {_SPARE * size / 1e9:.1f} GB needed"
        )
    if has_faiss:
        return _clone(vectors.index if ann is None else ann.index)
    return torch_twin(vectors, "cuda:0", free_bytes)


def _clone(index: Any) -> FaissTwin:
    faiss = load_faiss()
    resources = faiss.StandardGpuResources()
    options = faiss.GpuClonerOptions()
    options.useFloat16 = True
    clone = faiss.index_cpu_to_gpu(resources, 0, index, options)
    return FaissTwin(clone, resources, isinstance(index, faiss.IndexIVF))


def torch_twin(vectors: VectorFile, device: str, free: Callable[[], int | None]) -> TorchTwin:
    """The rows of a flat segment on a device of torch.

    Args:
        vectors: to copy.
        device: such as "cuda:0".
        free: says how many bytes of its memory are free; see `free_bytes`.

    Raises:
        RuntimeError: the device is full or gone.
    """
    import torch

    rows = torch.empty((vectors.rows, vectors.dimension), dtype=torch.float16, device=device)
    for start in range(0, vectors.rows, _UPLOAD_ROWS):
        stop = min(start + _UPLOAD_ROWS, vectors.rows)
        rows[start:stop] = torch.from_numpy(vectors.half_block(start, stop))
    return TorchTwin(rows, free)


def free_bytes() -> int | None:
    """Free memory of the first GPU, with what torch keeps for itself and does not use; None when torch sees no GPU."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    unused = torch.cuda.memory_reserved(0) - torch.cuda.memory_allocated(0)
    return int(torch.cuda.mem_get_info(0)[0]) + int(unused)
