"""Two dimensions from many: PCA, at once and in one pass over the rows; UMAP, from neighbours that are known already."""

import os
import threading
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.errors import MissingExtraError
from indexer.progress import JobProgress, Report

LEAST_UMAP_POINTS = 16  # fewer have no structure that PCA would not show
_HEARTBEAT_S = 1.0

Blocks = Callable[[], Iterator[NDArray[np.float32]]]


def pca_layout(blocks: Blocks, dimension: int) -> tuple[NDArray[np.float32], float]:
    """The two directions of greatest variance.

    Args:
        blocks: gives the rows block by block, float32 [n, D]; asked twice.
        dimension: D.

    Returns:
        float32 [N, 2], the greatest part of each direction positive, so that no axis turns around between runs; and
        the share of the variance that they carry, 0 to 1.
    """
    count, total = 0, np.zeros(dimension)
    products = np.zeros((dimension, dimension))
    for block in blocks():
        wide = block.astype(np.float64)
        count += block.shape[0]
        total += wide.sum(axis=0)
        products += wide.T @ wide
    if not count:
        return np.zeros((0, 2), np.float32), 0.0
    mean = total / count
    values, directions = np.linalg.eigh(products / count - np.outer(mean, mean))
    axes = np.zeros((dimension, 2))
    two = directions[:, ::-1][:, :2]
    axes[:, : two.shape[1]] = two * np.sign(two[np.abs(two).argmax(axis=0), np.arange(two.shape[1])])
    placed = [(block.astype(np.float64) - mean) @ axes for block in blocks()]
    whole = float(np.clip(values, 0, None).sum())
    share = float(np.clip(values[::-1][:2], 0, None).sum() / whole) if whole > 0 else 0.0
    return np.concatenate(placed).astype(np.float32), share


def check_umap() -> None:
    """Makes sure that UMAP is installed, without importing it.

    Raises:
        MissingExtraError: it is not.
    """
    if find_spec("umap") is None or find_spec("numba") is None:
        raise MissingExtraError(
            "UMAP is not installed",
            "the Python packages",
            "pip install 'llm2comp[map]', or draw at once with --method pca",
        )


def umap_layout(
    neighbours: NDArray[np.int64],
    similarities: NDArray[np.float32],
    start: NDArray[np.float32],
    *,
    min_dist: float,
    seed: int,
    report: Report,
) -> NDArray[np.float32]:
    """The UMAP layout of a graph of neighbours; the same input and seed give the same numbers.

    Args:
        neighbours: int64 [N, k], positions of the nearest, without the row itself.
        similarities: float32 [N, k], their inner products.
        start: float32 [N, 2], where the points begin.
        min_dist: how close points may lie, 0 to 1.
        seed: of the random choices.
        report: hears of it about once a second, since the first use compiles for half a minute.

    Returns:
        float32 [N, 2].

    Raises:
        MissingExtraError: UMAP is not installed.
    """
    check_umap()
    # numba keeps what it compiled beside the library, where an app often may not write.
    os.environ.setdefault("NUMBA_CACHE_DIR", _cache_folder())
    count, k = neighbours.shape
    rows = np.arange(count)
    graph = np.concatenate([rows[:, None], neighbours], axis=1).astype(np.int32)
    distances = np.concatenate([np.zeros((count, 1)), np.clip(1 - similarities, 0, 2)], axis=1)
    with _Heartbeat(report, count), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it cannot place new points after this, and has one thread: we know
        import umap

        model: Any = umap.UMAP(
            n_neighbors=k + 1,
            min_dist=min_dist,
            metric="cosine",
            init=_spread(start, seed),
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(graph, distances.astype(np.float32)),
        )
        # The vectors themselves are not looked at once the neighbours are known.
        layout: NDArray[np.float32] = model.fit_transform(start)
    return layout


def _spread(start: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """The start scaled to 10 with a trace of noise, float32 [N, 2]: equal points would never part."""
    noise = np.random.default_rng(seed).normal(0, 1e-4, start.shape)
    return (10 * start / max(float(np.abs(start).max()), 1e-12) + noise).astype(np.float32)


def _cache_folder() -> str:
    from platformdirs import user_cache_path

    folder = user_cache_path("llm2comp") / "numba"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        import tempfile

        return str(tempfile.gettempdir())
    return str(folder)


class _Heartbeat:
    """Reports the stage once a second while something works that reports nothing itself."""

    def __init__(self, report: Report, count: int) -> None:
        self._report, self._count = report, count
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> None:
        self._report(JobProgress("layout"))
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._done.wait(_HEARTBEAT_S):
            self._report(JobProgress("layout", passages=self._count))
