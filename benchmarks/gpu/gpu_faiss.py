"""FAISS's own GPU indexes, built on the GPU: what the product would only clone, and the kinds of cuVS.

Written from FAISS's headers. Shapes: N rows, S sampled rows, Q queries, D dimension.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from steps import NotRunError

from indexer.segments.ann_gpu import FaissTwin
from indexer.segments.faiss_module import installed_builds, load_faiss

_BLOCK = 1 << 17
_CUVS_KINDS = {"cagra": "GpuIndexCagra", "ivf-rabitq": "GpuIndexIVFRaBitQ"}


def need_faiss_gpu() -> Any:
    """The module faiss with a GPU.

    Raises:
        NotRunError: this build has none, or sees none.
    """
    faiss = load_faiss()
    builds = ", ".join(installed_builds())
    if not hasattr(faiss, "StandardGpuResources"):
        raise NotRunError(f"{builds} is a build without GPU")
    if faiss.get_num_gpus() < 1:
        raise NotRunError(f"{builds} sees no GPU")
    return faiss


def build_flat(rows: Any) -> FaissTwin:
    """A flat index in float16 over rows, a torch tensor float16 [N, D]."""
    faiss = need_faiss_gpu()
    resources = faiss.StandardGpuResources()
    config = faiss.GpuIndexFlatConfig()
    config.useFloat16 = True
    index = faiss.GpuIndexFlatIP(resources, rows.shape[1], config)
    for block in _blocks(rows):
        index.add(block)
    return FaissTwin(index, resources, False)


def build_ivf(rows: Any, cells: int, sample_rows: int, seed: int) -> FaissTwin:
    """An IVF-SQ8 index trained and filled on the GPU, with the settings of the product's own.

    Args:
        rows: a torch tensor float16 [N, D].
        cells: of the index.
        sample_rows: it is trained on.
        seed: of sample and clustering.
    """
    faiss = need_faiss_gpu()
    resources = faiss.StandardGpuResources()
    index = faiss.GpuIndexIVFScalarQuantizer(
        resources, rows.shape[1], cells, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.niter, index.cp.seed, index.cp.min_points_per_centroid = 10, seed, 1
    index.train(_sample(rows, sample_rows, seed))
    for block in _blocks(rows):
        index.add(block)
    return FaissTwin(index, resources, True)


def build_cuvs(kind: str, rows: Any) -> FaissTwin:
    """An index of cuVS, "cagra" or "ivf-rabitq", over rows, a torch tensor float16 [N, D].

    Raises:
        NotRunError: this build of FAISS has no cuVS, or not this kind.
    """
    faiss = need_faiss_gpu()
    if "CUVS" not in faiss.get_compile_options().upper():
        raise NotRunError(f"{', '.join(installed_builds())} is built without cuVS")
    made = getattr(faiss, _CUVS_KINDS[kind], None)
    if made is None:
        raise NotRunError(f"this build of FAISS has no {_CUVS_KINDS[kind]}")
    resources = faiss.StandardGpuResources()
    whole = np.concatenate(list(_blocks(rows)))
    if kind == "cagra":
        index = made(resources, rows.shape[1], faiss.METRIC_INNER_PRODUCT)
        index.train(whole)
        return FaissTwin(index, resources, False)
    index = made(resources, rows.shape[1], 4096, faiss.METRIC_INNER_PRODUCT)
    index.train(whole)
    index.add(whole)
    return FaissTwin(index, resources, True)


def _blocks(rows: Any) -> Iterator[NDArray[np.float32]]:
    """The rows on the processor, float32 [n, D] at a time: FAISS takes them from there."""
    for start in range(0, len(rows), _BLOCK):
        yield rows[start : start + _BLOCK].float().cpu().numpy()


def _sample(rows: Any, count: int, seed: int) -> NDArray[np.float32]:
    """Some rows, float32 [S, D]."""
    import torch

    if len(rows) <= count:
        return rows.float().cpu().numpy()
    chosen = np.sort(np.random.default_rng(seed).choice(len(rows), count, replace=False))
    return rows[torch.from_numpy(chosen).to(rows.device)].float().cpu().numpy()
