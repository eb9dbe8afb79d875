"""How fast is a warm query, and how many of the true nearest does it find, beside lancedb and FAISS with pandas?

Every contender is asked in a process of its own with one thread; the processes of all take turns. Times are those of
whole queries: from text or vector to hits with their texts. Recall is against exact inner products.
"""

import argparse
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import material
import numpy as np
import report
from bench_index import COLLECTION, HELD_OUT, add_material, make_collection
from child import answer, memory, one_thread, run_child
from contenders import CONTENDERS, QUERY_VECTORS, TABLE, VECTORS, Contender, K, prepare
from machine import describe

_QUERIES, _TRUTH = "queries.json", "truth.npy"
_WARM_UP = 20
_LEAST_RECALL = 0.99


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_material(parser)
    parser.add_argument(
        "--collection", type=Path, metavar="DIR", help="of bench_index --keep; made when missing"
    )
    parser.add_argument("--queries", type=Path, metavar="FILE", help="Parquet (default: texts kept out)")
    parser.add_argument("--query-column", default="anchor", help="of the queries (default: anchor)")
    parser.add_argument("--count", type=int, default=300, help="queries (default: 300)")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each contender (default: 3)")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    report.add_out(parser, "query")
    args = parser.parse_args()
    one_thread()
    if args.child:
        verb, name, folder, kept = args.child
        contender = next(one for one in CONTENDERS if one.name == name)
        answer((_build if verb == "build" else _ask)(contender, Path(folder), Path(kept)))
        return
    head = describe("llm2comp", "torch", "pylance", "faiss-cpu", "lancedb", "pandas")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        kept = args.collection or folder / "kept"
        if not (kept / COLLECTION).exists():
            make_collection(args, kept)
        described = _prepare(args, kept, folder)
        built = _build_all(folder, kept)
        runs: dict[str, list[Any]] = {one.name: [] for one in CONTENDERS if "build_s" in built[one.place]}
        for _ in range(args.rounds):
            for name in runs:
                runs[name].append(_child("ask", name, folder, kept))
        truth, vectors = np.load(folder / _TRUTH), np.load(folder / VECTORS)
        recalls = _recalls(runs, folder, truth, vectors)
    note = (
        f"{described}; k = {K}, one thread, {_WARM_UP} queries to warm up, {args.rounds} processes each, medians. "
        "Build: ours makes the segments and has the word index already; lancedb makes the table and its index."
    )
    report.publish("Queries", [head, note, _table(built, runs, recalls), _steps(runs)], args.out)


def _child(verb: str, name: str, folder: Path, kept: Path) -> dict[str, Any]:
    return run_child(__file__, ["--child", verb, name, str(folder), str(kept)])


def _build_all(folder: Path, kept: Path) -> dict[str, dict[str, Any]]:
    """For each place its build time "build_s", or under "failed" why there is none."""
    built: dict[str, dict[str, Any]] = {}
    for one in CONTENDERS:
        if "lancedb" in one.name and not find_spec("lancedb"):
            built[one.place] = {"failed": "lancedb is not installed (pip install 'llm2comp[bench]')"}
        elif one.build:
            built[one.place] = _child("build", one.name, folder, kept)
    return built


def _prepare(args: argparse.Namespace, kept: Path, folder: Path) -> str:
    """Writes passages, vectors, queries and the exact answers to `folder`; says what they are."""
    import pyarrow as pa
    from pyarrow import parquet

    from encoder import load_encoder
    from indexer import Collection

    collection = Collection.open(kept / COLLECTION)
    collection.export(folder / "export.parquet", vectors=True)
    rows = parquet.read_table(folder / "export.parquet")
    flat = rows["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = np.ascontiguousarray(flat.reshape(len(rows), -1), np.float32)
    np.save(folder / VECTORS, vectors)
    parquet.write_table(pa.table({"id": rows["id"], "text": rows["text"]}), folder / TABLE)
    if args.queries:
        texts = material.read_texts(args.queries, args.query_column, folder)
    else:
        texts = material.read_json(kept / HELD_OUT)
    queries = material.choose_queries(texts, args.count)
    if not queries:
        raise SystemExit("no text of 3 to 40 words is left to be a query; name some with --queries")
    encoder = load_encoder(collection.settings.encoder_spec)
    asked = encoder.encode_query(queries)
    np.save(folder / QUERY_VECTORS, asked)
    np.save(folder / _TRUTH, -np.sort(-(asked @ vectors.T), axis=1)[:, :K])
    material.write_json(folder / _QUERIES, queries)
    whence = (
        material.source_label(args.queries, args.query_column) if args.queries else "texts kept out of it"
    )
    computed_on = encoder.card.get("computed_on", "an unknown device")
    return f"{len(vectors):,} passages, {len(queries)} queries from {whence}, encoder on {computed_on}"


def _build(contender: Contender, folder: Path, kept: Path) -> dict[str, Any]:
    assert contender.build is not None  # only those are sent here
    prepare(contender, kept / COLLECTION, folder / contender.place)
    began = time.perf_counter()
    try:
        contender.build(kept / COLLECTION, folder, folder / contender.place)
    except (RuntimeError, ValueError) as error:  # lancedb refuses to train on a few rows
        return {"failed": str(error).splitlines()[0][:100]}
    return {"build_s": time.perf_counter() - began}


def _ask(contender: Contender, folder: Path, kept: Path) -> dict[str, Any]:
    from indexer import Collection

    queries = material.read_json(folder / _QUERIES)
    vectors = np.load(folder / QUERY_VECTORS)
    spec = Collection.open(kept / COLLECTION).settings.encoder_spec
    before = memory()
    ask = contender.open(folder / contender.place, spec)
    for text, vector in list(zip(queries, vectors, strict=True))[:_WARM_UP]:
        ask(text, vector)
    times, ids, steps = [], [], []
    for text, vector in zip(queries, vectors, strict=True):
        began = time.perf_counter()
        found, spent = ask(text, vector)
        times.append(1000 * (time.perf_counter() - began))
        ids.append(found)
        steps.append(spent)
    return {"ms": times, "ids": ids, "steps": steps, "before": before, "after": memory()}


def _recalls(
    runs: dict[str, list[Any]], folder: Path, truth: np.ndarray, vectors: np.ndarray
) -> dict[str, float]:
    """Ann recall@10 of the dense contenders: by score, since among equal texts any is as right as the other."""
    from pyarrow import parquet

    asked = np.load(folder / QUERY_VECTORS)
    names = parquet.read_table(folder / TABLE, columns=["id"])["id"].to_pylist()
    position = {name: number for number, name in enumerate(names)}
    recalls = {}
    for one in CONTENDERS:
        if one.kind != "dense" or not runs.get(one.name):
            continue
        reached = 0
        for query, best, ids in zip(asked, truth, runs[one.name][0]["ids"], strict=True):
            scores = vectors[[position[name] for name in dict.fromkeys(ids)]] @ query
            reached += min(best.size, int(np.count_nonzero(scores >= best[-1] - 1e-5)))
        recalls[one.name] = reached / truth.size
    return recalls


def _table(built: dict[str, Any], runs: dict[str, list[Any]], recalls: dict[str, float]) -> str:
    rows = []
    p50s = {name: _percentile(found, 50) for name, found in runs.items()}
    for one in CONTENDERS:
        if one.name not in runs:
            rows.append([one.name, one.kind, f"not run: {built[one.place]['failed']}", *[""] * 7])
            continue
        p50, recall = p50s[one.name], recalls.get(one.name)
        rival = next(other.name for other in CONTENDERS if other.kind == one.kind)
        after = [run["after"] for run in runs[one.name] if run["after"]]
        rss, anonymous = (
            f"{median(run[kind] for run in after) / 1e6:,.0f} MB" if after else report.MISSING
            for kind in ("rss", "anonymous")
        )
        rows.append(
            [
                one.name,
                one.kind,
                f"{p50:.2f} ms",
                f"{_percentile(runs[one.name], 95):.2f} ms",
                f"{p50 / p50s[rival]:.2f}x",
                "" if recall is None else f"{recall:.4f}",
                rss,
                anonymous,
                f"{built[one.place]['build_s']:.1f} s",
                _target(one, p50, recall),
            ]
        )
    header = ["contender", "kind", "p50", "p95", "p50 to ours (first of its kind)", f"ann recall@{K}"]
    return report.table([*header, "memory of the process", "of that anonymous", "build", "target"], rows)


def _target(one: Contender, p50: float, recall: float | None) -> str:
    if one.target_ms is None:
        return ""
    is_reached = p50 <= one.target_ms and (recall is None or recall >= _LEAST_RECALL)
    wanted = f"<= {one.target_ms:g} ms" + ("" if recall is None else f", recall >= {_LEAST_RECALL}")
    return f"{wanted}: {report.verdict(is_reached)}"


def _percentile(found: list[Any], percent: int) -> float:
    return median(float(np.percentile(run["ms"], percent)) for run in found)


def _steps(runs: dict[str, list[Any]]) -> str:
    """Where our queries spend their time, from the provenance of each."""
    names = ("encode", "filter", "dense", "keyword", "fetch", "total")
    rows = []
    for name, found in runs.items():
        steps = [spent for run in found for spent in run["steps"] if spent]
        if steps:
            cells = [[spent[step] for spent in steps if step in spent] for step in names]
            rows.append([name, *(f"{median(cell):.2f} ms" if cell else "-" for cell in cells)])
    return "Median of each step of ours:\n\n" + report.table(["contender", *names], rows)


if __name__ == "__main__":
    main()
