"""Steps of the kind `flat`: every row compared, on the CPU, by torch on the device, and by FAISS on the GPU."""

import time
from functools import partial
from typing import Any

import numpy as np
from asking import DEPTH, exact_answers
from compared_index import JUDGED, ComparedIndex, opened
from gpu_faiss import build_flat, need_faiss_gpu
from steps import Figure, Step, figure

from indexer.segments.ann_gpu import TorchTwin, torch_twin
from indexer.segments.vector_file import VECTOR_FILE, VectorFileWriter

_BLOCK = 1 << 16


def flat_steps(index: ComparedIndex, *, has_twin: bool) -> list[Step]:
    """The steps of one size; the CPU's first, with whose answers the others are compared.

    Args:
        index: of the size.
        has_twin: the CPU's index is built and timed, too; else only its answers are computed.
    """
    name, large = f"index flat {index.count:,} x {index.dimension}", index.count * index.dimension / 1e9
    first = Step(f"{name}: CPU", partial(_on_processor, index), 0.5 + large)
    if not has_twin:
        first = Step(f"{name}: true answers on the CPU", partial(_answers, index), 0.5 + large / 8)
    return [
        first,
        Step(f"{name}: torch", partial(_by_torch, index, has_twin), 0.3 + large / 8),
        Step(f"{name}: faiss-gpu", partial(_by_faiss, index, has_twin), 0.4 + large / 8),
    ]


def _answers(index: ComparedIndex) -> dict[str, Figure]:
    queries, start = index.queries()[:JUDGED], time.perf_counter()
    index.keep("flat", exact_answers(index.rows(), queries))
    return {f"{len(queries)} queries by blocks": figure([time.perf_counter() - start], "s")}


def _on_processor(index: ComparedIndex) -> dict[str, Figure]:
    build = figure([_write_vectors(index)], "s")
    vectors = index.vectors()
    found = index.on_processor(lambda query: vectors.nearest(query, DEPTH, None), "flat")
    return {"build": build} | found | index.on_all_threads(vectors.index)


def _write_vectors(index: ComparedIndex) -> float:
    """Seconds that writing the vector file took, without bringing the rows to the processor."""
    index.folder.mkdir(parents=True, exist_ok=True)
    rows, taken = index.rows(), 0.0
    writer = VectorFileWriter(index.folder / VECTOR_FILE, index.count, index.dimension)
    for start in range(0, index.count, _BLOCK):
        block = rows[start : start + _BLOCK].cpu().numpy()
        began = time.perf_counter()
        writer.put(np.arange(start, start + len(block)), block)
        taken += time.perf_counter() - began
    began = time.perf_counter()
    writer.close()
    return taken + time.perf_counter() - began


def _by_torch(index: ComparedIndex, has_twin: bool) -> dict[str, Figure]:
    truth, accelerator = index.truth("flat"), index.accelerator
    if not has_twin:
        rows = index.rows()
        build, twin = [_upload(index, rows)], TorchTwin(rows, accelerator.free_bytes)
    else:
        copy = partial(torch_twin, index.vectors(), accelerator.name, accelerator.free_bytes)
        build, twin = accelerator.seconds(copy), copy()
    return {"build": figure(build, "s")} | index.judge(twin, truth, 1)


def _upload(index: ComparedIndex, rows: Any) -> float:
    """Seconds that bringing all rows to the device takes, a block of the processor's memory at a time."""
    taken = 0.0
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK].cpu()
        taken += index.accelerator.seconds(partial(block.to, rows.device), repeats=1, warm_ups=0)[0]
    return taken


def _by_faiss(index: ComparedIndex, has_twin: bool) -> dict[str, Figure]:
    need_faiss_gpu()
    truth = index.truth("flat")
    build = partial(opened, index.vectors(), None) if has_twin else partial(build_flat, index.rows())
    start = time.perf_counter()
    twin = build()
    return {"build": figure([time.perf_counter() - start], "s")} | index.judge(twin, truth, 1)
