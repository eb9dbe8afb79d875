"""Rows to groups: k-means on the vectors, or density on the map. Equal vectors always share a group.

Letters: N rows, U different vectors, D numbers per vector, C groups.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.errors import MissingExtraError
from indexer.segments.faiss_module import load_faiss
from indexer.topics.stored import NOISE, unit_rows

_LEAST_TOPICS, _MOST_TOPICS = 4, 100
MOST_KMEANS_TOPICS = 2000
_POINTS_A_CENTROID = 256  # more of them do not move a centroid by anything that shows
_ROUNDS = 25
_STARTS = 3  # of one alone, four clear groups came out as three in one seed of three
# Beyond, scikit-learn takes minutes where fast-hdbscan takes seconds (100,000 points: 107 s against 12 s).
MOST_SKLEARN_ROWS = 50_000
_TOO_MUCH = 0.8


def default_count(different: int) -> int:
    """How many k-means topics suit so many different vectors: about the root of half of them, 4 to 100."""
    return max(1, min(different, max(_LEAST_TOPICS, min(_MOST_TOPICS, round((different / 2) ** 0.5)))))


def default_min_size(different: int) -> int:
    """Fewest different passages of a density topic: 5 for small collections, growing as the root of the size."""
    return max(5, round(0.3 * different**0.5))


def group_equal(blocks: Iterator[NDArray[np.float32]]) -> NDArray[np.int64]:
    """The number of each row's group of equal vectors, int64 [N]: 0, 1, ... by first row.

    Rows without a direction (zero, or not finite) get -1.

    Args:
        blocks: float32 [n, D], all rows in order.
    """
    seen: dict[bytes, int] = {}
    groups: list[int] = []
    for block in blocks:
        is_good = np.isfinite(block).all(axis=1) & (block != 0).any(axis=1)
        rows = np.ascontiguousarray(block + np.float32(0))  # -0 is 0
        for row, good in zip(rows, is_good.tolist(), strict=True):
            key = hashlib.blake2b(row.tobytes(), digest_size=12).digest() if good else b""
            groups.append(seen.setdefault(key, len(seen)) if good else NOISE)
    return np.array(groups, np.int64)


def first_rows(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Position of the first row of each group, int64 [U].

    Args:
        groups: int64 [N], from `group_equal`.
    """
    numbers, first = np.unique(groups, return_index=True)
    return first[numbers >= 0].astype(np.int64)


def kmeans_centroids(vectors: NDArray[np.float32], count: int, *, seed: int) -> NDArray[np.float32]:
    """Unit centroids float32 [C, D] by spherical k-means, one thread, the same for the same seed.

    Args:
        vectors: float32 [U, D] unit rows, all different; a sample of 256 a centroid is enough.
        count: of centroids, at most U.
        seed: of the start and the sample.
    """
    faiss = load_faiss()
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # sums in another order would move rows that lie between two centroids
    try:
        kmeans = faiss.Kmeans(
            vectors.shape[1],
            count,
            niter=_ROUNDS,
            nredo=_STARTS,
            seed=seed + 1,
            spherical=True,
            min_points_per_centroid=1,
            max_points_per_centroid=_POINTS_A_CENTROID,
        )
        kmeans.train(np.ascontiguousarray(vectors, np.float32))
    finally:
        faiss.omp_set_num_threads(threads)
    return unit_rows(kmeans.centroids)


def nearest_centroids(vectors: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.int32]:
    """The centroid with the greatest cosine for each row, int32 [n], ties to the first.

    Args:
        vectors: float32 [n, D].
        centroids: float32 [C, D] unit rows, at least one.
    """
    return (vectors @ centroids.T).argmax(axis=1).astype(np.int32)


def sample_size(count: int) -> int:
    """How many different vectors k-means with so many centroids looks at."""
    return count * _POINTS_A_CENTROID


def density_groups(points: NDArray[np.float64], *, min_size: int, min_samples: int) -> NDArray[np.int32]:
    """Groups of dense regions by HDBSCAN, int32 [U], -1 outside of all of them.

    Args:
        points: [U, 2] positions on the map.
        min_size: fewest points of a group.
        min_samples: how many neighbours make a point dense.

    Raises:
        MissingExtraError: there are too many points for what is installed.
    """
    if points.shape[0] < max(min_size, 2) or (points == points[0]).all():
        # Nothing to split: one region, or too few points for any.
        return np.full(points.shape[0], 0 if points.shape[0] >= min_size else NOISE, np.int32)
    found = _hdbscan(points, min_size, min_samples, "eom")
    if np.bincount(found[found >= 0], minlength=1).max() > _TOO_MUCH * len(points):
        # On maps of one large continent a small island is enough to win over all that the continent consists of.
        leaves = _hdbscan(points, min_size, min_samples, "leaf")
        found = leaves if leaves.max() > found.max() else found
    return found


def _hdbscan(
    points: NDArray[np.float64], min_size: int, min_samples: int, selection: str
) -> NDArray[np.int32]:
    from importlib.util import find_spec

    options: dict[str, Any] = {
        "min_cluster_size": min_size,
        "min_samples": min(min_samples, len(points) - 1),
        "cluster_selection_method": selection,
    }
    if find_spec("fast_hdbscan"):
        _keep_compiled()
        from fast_hdbscan import HDBSCAN

        return np.asarray(HDBSCAN(**options).fit_predict(points), np.int32)
    if len(points) > MOST_SKLEARN_ROWS:
        raise MissingExtraError(
            f"density topics of {len(points):,} passages need fast-hdbscan",
            "--method hdbscan",
            "pip install 'llm2comp[map]', or use --method kmeans",
        )
    from sklearn.cluster import HDBSCAN as SlowHDBSCAN

    return np.asarray(SlowHDBSCAN(copy=True, **options).fit_predict(points), np.int32)


def _keep_compiled() -> None:
    """Tells numba where to keep what it compiled: beside the library, its own choice, a server often may not write."""
    from platformdirs import user_cache_path

    folder = user_cache_path("llm2comp") / "numba"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir())
    os.environ.setdefault("NUMBA_CACHE_DIR", str(folder))


def by_size(groups: NDArray[np.int32]) -> NDArray[np.int32]:
    """The same groups numbered 0, 1, ... by falling size, ties by first row; int32 [N], noise stays -1.

    Args:
        groups: int32 [N].
    """
    numbers, first, sizes = np.unique(groups, return_index=True, return_counts=True)
    kept = numbers >= 0
    numbers, first, sizes = numbers[kept], first[kept], sizes[kept]
    renamed = np.full((int(numbers.max()) + 2) if numbers.size else 1, NOISE, np.int32)
    renamed[numbers[np.lexsort((first, -sizes))]] = np.arange(numbers.size, dtype=np.int32)
    return renamed[groups]  # -1 reads the last entry, which no group has
