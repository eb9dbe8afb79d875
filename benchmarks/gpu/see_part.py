"""Part see: the spectrum of many rows, and the neighbours that a map is laid out from.

The product computes both on the processor; beside it stands what torch on the device would take for the same.
Shapes: N rows, D dimension, K neighbours.
"""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from accelerator import Accelerator
from made_rows import MadeRows
from numpy.typing import NDArray
from steps import Figure, NotRunError, Step, figure, told

_SPECTRUM_SIZE, _SMALL_SPECTRUM_SIZE = (10_000_000, 1024), (20_000, 64)
_MAP_SIZE, _SMALL_MAP_SIZE = (1_000_000, 384), (5_000, 64)
_K = 15
_QUERIES = 2048
_BLOCK = 1 << 16
_SEED = 20


def see_steps(accelerator: Accelerator, folder: Path) -> list[Step]:
    """The steps of the part.

    Args:
        accelerator: what is measured.
        folder: for eigenvalues and neighbours, which are compared.
    """
    made, is_small = MadeRows(accelerator.name), accelerator.is_small
    rows, dimension = _SMALL_SPECTRUM_SIZE if is_small else _SPECTRUM_SIZE
    spectrum = f"see spectrum {rows:,} x {dimension}"
    mapped, numbers = _SMALL_MAP_SIZE if is_small else _MAP_SIZE
    near = f"see neighbours {mapped:,} x {numbers}"
    of_spectrum, of_map = partial(made.of, rows, dimension), partial(made.of, mapped, numbers)
    return [
        Step(f"{spectrum}: torch", partial(_spectrum_torch, accelerator, of_spectrum, folder), 0.5),
        Step(f"{spectrum}: the product, CPU", partial(_spectrum, of_spectrum, folder), 6),
        Step(f"{near}: torch, exact", partial(_near_torch, accelerator, of_map, folder), 2.5),
        Step(f"{near}: the product, CPU", partial(_near, accelerator, of_map, folder), 8.5),
    ]


def _spectrum_torch(accelerator: Accelerator, rows_of: Any, folder: Path) -> dict[str, Figure]:
    """Raw second moments of unit rows in float32 blocks, summed up in float64, and their eigenvalues."""
    import torch

    rows = rows_of()

    def compute() -> Any:
        total = torch.zeros((rows.shape[1], rows.shape[1]), dtype=torch.float64, device=rows.device)
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK].float()
            block = block / block.norm(dim=1, keepdim=True)
            total += (block.T @ block).double()
        return torch.linalg.eigvalsh(total / len(rows)).flip(0)

    times = accelerator.seconds(compute)
    np.save(folder / "eigenvalues.npy", compute().cpu().numpy())
    return {"moments and eigenvalues": figure(times, "s")}


def _spectrum(rows_of: Any, folder: Path) -> dict[str, Figure]:
    """As `diagnose` does it, from blocks; bringing them from the device is taken off."""
    from encoder.spectrum import gather, spectrum_measures
    from encoder.spectrum.diagnosis import MOST_PAIR_ROWS

    rows, moved = rows_of(), [0.0]

    def blocks() -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(rows), _BLOCK):
            began = time.perf_counter()
            block = rows[start : start + _BLOCK].float().cpu().numpy()
            moved[0] += time.perf_counter() - began
            yield block

    start = time.perf_counter()
    singular_values = gather(blocks(), MOST_PAIR_ROWS, seed=_SEED).total().spectra()[0]
    seconds = time.perf_counter() - start - moved[0]
    rank = spectrum_measures(singular_values).effective_rank
    found = {"one pass and eigenvalues": figure([seconds], "s"), "effective rank": told(f"{rank:.2f}")}
    if (file := folder / "eigenvalues.npy").exists():
        theirs = np.load(file)
        apart = np.abs(theirs - singular_values**2) / singular_values[0] ** 2
        found["difference of torch's eigenvalues, of the largest"] = figure([float(apart.max())])
    return found


def _near_torch(accelerator: Accelerator, rows_of: Any, folder: Path) -> dict[str, Figure]:
    """All rows compared with all, by the product's exact search in torch; the true neighbours are kept."""
    from indexer.segments.ann_gpu import TorchTwin

    rows = rows_of()
    twin = TorchTwin(rows, accelerator.free_bytes)
    found = np.empty((len(rows), _K), np.int64)
    began = time.perf_counter()
    for start in range(0, len(rows), _QUERIES):
        asked = rows[start : start + _QUERIES].float().cpu().numpy()
        near = np.stack(twin.candidates(asked, _K + 1, 0))
        found[start : start + len(asked)] = _without_self(near, start)
    seconds = time.perf_counter() - began
    np.save(folder / "neighbours.npy", found)
    return {f"{_K} neighbours of every row": figure([seconds], "s")}


def _without_self(near: NDArray[np.int64], first: int) -> NDArray[np.int64]:
    """Drops row `first` + i from the i-th of the lists [N, K + 1], or the last of a list without it: [N, K]."""
    own = near == np.arange(first, first + len(near))[:, None]
    own[~own.any(axis=1), -1] = True
    return near[~own].reshape(len(near), -1)


def _near(accelerator: Accelerator, rows_of: Any, folder: Path) -> dict[str, Figure]:
    """As a map has them: by a graph, in one thread, since its order decides the result."""
    from indexer.maps.neighbours import EXACT_ROWS, nearest_neighbours, overlap
    from indexer.progress import silent

    vectors = rows_of().float().cpu().numpy()
    exact_rows = len(vectors) // 2 if accelerator.is_small else EXACT_ROWS
    start = time.perf_counter()
    near = nearest_neighbours(vectors, _K, seed=_SEED, report=silent, exact_rows=exact_rows)
    seconds = time.perf_counter() - start
    if near.is_exact:
        raise NotRunError(f"{len(vectors)} rows are compared with all, without a graph")
    found = {
        f"{_K} neighbours of every row, one thread": figure([seconds], "s"),
        "recall as the product measures it": figure([near.recall]),
    }
    if (file := folder / "neighbours.npy").exists():
        found["recall over all rows"] = figure([float(overlap(near.positions, np.load(file)).mean())])
    return found
