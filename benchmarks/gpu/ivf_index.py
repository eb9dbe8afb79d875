"""Steps of the kind `ivf-sq8`: built on the CPU and cloned, built on the GPU; and of the kinds that only cuVS has."""

import json
import math
import time
from functools import partial

from accelerator import threads
from asking import DEPTH
from compared_index import SEED, ComparedIndex, opened
from gpu_faiss import build_cuvs, build_ivf, need_faiss_gpu
from steps import Figure, NotRunError, Step, figure, told

from indexer.segments.ann import build_ann, load_ann, save_ann
from indexer.segments.faiss_module import load_faiss
from indexer.segments.recall import choose_effort

_EFFORT_FILE = "effort.json"
_NPROBES = (16, 64, 256)
_ROWS_PER_CELL = 64
_CUVS_NPROBE = 64


def ivf_steps(index: ComparedIndex, *, has_twin: bool) -> list[Step]:
    """The steps of one size, behind those of `flat`, whose vector file and answers they use.

    Args:
        index: of the size.
        has_twin: the CPU's index is built, timed and cloned, too.
    """
    size, large = f"{index.count:,} x {index.dimension}", index.count * index.dimension / 1e9
    built = Step(f"index ivf-sq8 {size}: faiss-gpu, built there", partial(_built, index), 0.7 + large / 3)
    if not has_twin:
        return [built]
    return [
        Step(f"index ivf-sq8 {size}: CPU", partial(_on_processor, index), 1 + 3 * large),
        Step(f"index ivf-sq8 {size}: faiss-gpu, cloned", partial(_cloned, index), 0.4 + large / 8),
        built,
        *(
            Step(f"index cuvs {kind} {size}", partial(_cuvs, index, kind), 1 + large)
            for kind in ("cagra", "ivf-rabitq")
        ),
    ]


def _on_processor(index: ComparedIndex) -> dict[str, Figure]:
    vectors = index.vectors()
    load_faiss().omp_set_num_threads(threads())  # a search of the product in this thread has set it to 1
    start = time.perf_counter()
    ann = build_ann("ivf-sq8", vectors, SEED)
    build = figure([time.perf_counter() - start], "s")
    effort = choose_effort(ann, vectors, SEED)
    if effort is None:
        raise NotRunError("ivf-sq8 finds too few true neighbours of these vectors")
    save_ann(ann, index.folder)
    (index.folder / _EFFORT_FILE).write_text(json.dumps(effort))
    nprobe = effort["nprobe"]
    return {
        f"build, {threads()} threads": build,
        "setting": told(f"{ann.cells:,} cells, nprobe {nprobe}, ann recall@10 {effort['recall']:.4f}"),
        **index.on_processor(lambda query: ann.candidates(query, DEPTH, nprobe, None), "ivf"),
        **index.on_all_threads(ann.index, nprobe),
    }


def _cloned(index: ComparedIndex) -> dict[str, Figure]:
    need_faiss_gpu()
    truth, vectors = index.truth("ivf"), index.vectors()
    ann = load_ann("ivf-sq8", index.folder, index.count, index.dimension)
    nprobe = int(json.loads((index.folder / _EFFORT_FILE).read_text())["nprobe"])
    build = partial(opened, vectors, ann)
    times = index.accelerator.seconds(build, warm_ups=0)
    return {"clone": figure(times, "s"), "nprobe": told(str(nprobe))} | index.judge(build(), truth, nprobe)


def _built(index: ComparedIndex) -> dict[str, Figure]:
    need_faiss_gpu()
    truth, rows = index.truth("flat"), index.rows()
    cells = min(1 << round(math.log2(4 * math.sqrt(index.count))), index.count // _ROWS_PER_CELL)
    start = time.perf_counter()
    twin = build_ivf(rows, cells, cells * _ROWS_PER_CELL, SEED)
    found = {"build": figure([time.perf_counter() - start], "s"), "setting": told(f"{cells:,} cells")}
    for nprobe in _NPROBES:
        judged = index.judge(twin, truth, nprobe, is_twin=False)
        found |= {f"nprobe {nprobe}: {name}": each for name, each in judged.items()}
    return found


def _cuvs(index: ComparedIndex, kind: str) -> dict[str, Figure]:
    need_faiss_gpu()
    truth, rows = index.truth("flat"), index.rows()
    start = time.perf_counter()
    twin = build_cuvs(kind, rows)
    build = figure([time.perf_counter() - start], "s")
    return {"build": build} | index.judge(twin, truth, _CUVS_NPROBE, is_twin=False)
