"""What does a UMAP map cost with our neighbours and PCA start, beside umap-learn with its own, and which is more true?

Both lay out the same vectors with the same parameters in one thread, each in a process of its own that has compiled
before. Trustworthiness at 15 neighbours is scikit-learn's definition, measured at a sample of points against all.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import report
from child import answer, one_thread, run_child
from machine import describe

from indexer.maps.layouts import pca_layout, umap_layout
from indexer.maps.neighbours import nearest_neighbours
from indexer.progress import silent

K, MIN_DIST, SEED = 15, 0.1, 0
_SAMPLE = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--vectors", type=Path, nargs="*", default=[], metavar="FILE", help=".npy (default: made clusters)"
    )
    parser.add_argument("--rows", type=int, default=100_000, help="vectors (default: 100,000)")
    parser.add_argument("--rounds", type=int, default=1, help="processes of each (default: 1)")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    report.add_out(parser, "map")
    args = parser.parse_args()
    one_thread()
    os.environ["NUMBA_NUM_THREADS"] = "1"
    if args.child:
        answer(_lay_out(args.child[0], Path(args.child[1])))
        return
    head = describe("llm2comp", "umap-learn", "numba", "faiss-cpu", "numpy")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        vectors = _vectors(args.vectors, args.rows)
        np.save(folder / "vectors.npy", vectors)
        runs: dict[str, list[Any]] = {"ours": [], "umap-learn": []}
        for _ in range(args.rounds):
            for name in runs:
                runs[name].append(run_child(__file__, ["--child", name, str(folder)]))
        true = {name: _trustworthiness(vectors, np.load(folder / f"{name}.npy")) for name in runs}
    source = "real texts' vectors" if args.vectors else "made clusters"
    report.publish(
        "A map by UMAP",
        [head, f"{len(vectors):,} rows of {vectors.shape[1]} numbers, {source}.", *_tables(runs, true)],
        args.out,
    )


def _tables(runs: dict[str, list[Any]], true: dict[str, float]) -> list[str]:
    names = {
        "ours": "llm2comp: HNSW neighbours, PCA start",
        "umap-learn": "umap-learn: its own neighbours and start",
    }
    seconds = {name: median(run["seconds"] for run in runs[name]) for name in runs}
    worked = {name: median(run["processor_s"] for run in runs[name]) for name in runs}
    stored = median(run["processor_s"] - run["neighbours_s"] for run in runs["ours"])
    rows = [
        (
            names[name],
            report.number(stored if name == "ours" else None, 1, "s"),
            report.number(worked[name], 1, "s"),
            report.number(seconds[name], 1, "s"),
            report.number(true[name], 4),
            report.number(max(run["peak"] for run in runs[name]) / 2**20, 0, "MiB"),
        )
        for name in runs
    ]
    # Processor time holds on a machine that is not quiet.
    targets = [
        _speed(
            "a map from stored neighbours: not slower than a whole one of umap-learn",
            worked["umap-learn"] / stored,
        ),
        _speed("neighbours and map: not slower", worked["umap-learn"] / worked["ours"]),
        (
            "trustworthiness not lower (by more than 0.002, the error of the sample)",
            f"{true['ours'] - true['umap-learn']:+.4f}",
            report.verdict(true["ours"] >= true["umap-learn"] - 0.002),
        ),
    ]
    header = ("contender", "layout alone", "with neighbours", "wall time", "trustworthiness", "peak memory")
    return [
        report.table(header, rows),
        report.table(("target", "measured", "reached"), targets),
        f"The first two columns are processor time. Recall of our neighbours at 200 rows: "
        f"{runs['ours'][0]['recall']:.4f}; they serve trust and topics too, and are kept with the map.",
    ]


def _speed(target: str, ratio: float) -> tuple[str, str, str]:
    return target, f"{ratio:.2f} times as fast", report.verdict(ratio >= 1)


def _vectors(files: list[Path], rows: int) -> np.ndarray:
    if not files:
        rng = np.random.default_rng(SEED)
        centres = 2 * rng.standard_normal((200, 64))
        made = centres[rng.integers(0, 200, rows)] + rng.standard_normal((rows, 64))
    else:
        parts: list[np.ndarray] = []
        for file in sorted(files):
            parts.append(np.load(file, allow_pickle=False))
            if sum(map(len, parts)) >= rows:
                break
        made = np.concatenate(parts)[:rows].astype(np.float32)
    made = made[np.isfinite(made).all(axis=1) & (made != 0).any(axis=1)]
    made = np.unique(made, axis=0)
    made = made[np.random.default_rng(SEED).permutation(len(made))]  # not in the order of their first number
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def _lay_out(name: str, folder: Path) -> dict[str, Any]:
    vectors = np.load(folder / "vectors.npy")
    lay_out = _ours if name == "ours" else _theirs
    lay_out(vectors[:5000])  # compiles; both sides know nothing of it afterwards
    began, worked = time.perf_counter(), time.process_time()
    layout, facts = lay_out(vectors)
    seconds, processor_s = time.perf_counter() - began, time.process_time() - worked
    np.save(folder / f"{name}.npy", layout)
    return {
        "seconds": seconds,
        "processor_s": processor_s,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        **facts,
    }


def _ours(vectors: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    began = time.process_time()
    near = nearest_neighbours(vectors, K, seed=SEED, report=silent, exact_rows=4000)
    taken = time.process_time() - began
    start, _ = pca_layout(lambda: iter(np.array_split(vectors, 20)), vectors.shape[1])
    layout = umap_layout(
        near.positions, near.similarities, start, min_dist=MIN_DIST, seed=SEED, report=silent
    )
    return layout, {"neighbours_s": taken, "recall": near.recall}


def _theirs(vectors: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    import umap

    # Its n_neighbors counts the point itself.
    model = umap.UMAP(n_neighbors=K + 1, min_dist=MIN_DIST, metric="cosine", random_state=SEED, n_jobs=1)
    return model.fit_transform(vectors), {}


def _trustworthiness(vectors: np.ndarray, layout: np.ndarray) -> float:
    """1 minus what false neighbours on the map cost by their rank in the space; 1 is perfect, 0.5 is chance."""
    count = len(vectors)
    some = np.random.default_rng(SEED).choice(count, min(_SAMPLE, count), replace=False)
    cost = 0.0
    for row in some:
        apart = ((layout - layout[row]) ** 2).sum(axis=1)
        apart[row] = np.inf
        nearest = np.argpartition(apart, K)[:K]
        scores = vectors @ vectors[row]
        scores[row] = -np.inf
        ranks = (scores[None, :] > scores[nearest, None]).sum(axis=1) + 1
        cost += np.maximum(ranks - K, 0).sum()
    return 1 - 2 * cost / (len(some) * K * (2 * count - 3 * K - 1))


if __name__ == "__main__":
    main()
