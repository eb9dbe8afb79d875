"""What does a diagnosis of an embedding space cost, beside a singular value decomposition of all rows?

The spectrum alone, all that needs no neighbours, and everything; and what memory a million rows in blocks take.
"""

import argparse
import os
import resource
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import report
from child import PeakMemory, answer, memory, run_child
from machine import describe

_DIMENSION = 384
_BLOCK = 8192
_SEED = 9
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_MILLION = 1_000_000
_HEADER = (
    "what",
    "rows",
    "seconds",
    "processor seconds",
    "of the peer's",
    "memory beyond the rows",
    "target",
    "reached",
)
_SPECTRUM_S, _DIAGNOSIS_S = 1.0, 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000, help="of the comparison (default: 100000)")
    parser.add_argument(
        "--many", type=int, default=_MILLION, help="rows that come in blocks (default: 1000000)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="processes of each side, in turns (default: 3)")
    parser.add_argument("--threads", type=int, default=2, help="of BLAS (default: 2)")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    report.add_out(parser, "diagnose")
    args = parser.parse_args()
    os.environ.update(dict.fromkeys(_THREADS, str(args.threads)))  # before numpy is imported
    if args.child:
        side, rows, _ = args.child
        answer(_measure(side, int(rows)))
        return
    head = describe("llm2comp", "numpy")
    sides = ("peer", "spectrum", "diagnose", "intervals", "examine")
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for _ in range(args.rounds):
        for side in sides:
            found[side].append(_child(side, args.rows, args.threads))
    many = {side: _child(side, args.many, args.threads) for side in ("making", "blocks", "blocks in detail")}
    parts = [head, _note(args, found, many), report.table(_HEADER, _rows(args, found, many))]
    report.publish("A diagnosis of an embedding space", parts, args.out)


def _child(side: str, rows: int, count: int) -> dict[str, Any]:
    return run_child(__file__, ["--threads", str(count), "--child", side, str(rows), "-"])


def _note(args: argparse.Namespace, found: dict[str, Any], many: dict[str, Any]) -> str:
    error = max(each["error"] for each in found["spectrum"])
    return (
        f"Rows of {_DIMENSION} float32 numbers with falling variances and a mean. BLAS threads: {args.threads}; "
        f"{args.rounds} processes of each side in turns, medians. The peer is `numpy.linalg.svd` of all unit rows in "
        "float64 without vectors; the ratio is of processor time, which holds on a machine that is not quiet. `diagnose` adds the uniformity of 20,000 sampled rows, `intervals` lengths, hashes and "
        "95% intervals, `examine` exact neighbours of the sample. Memory is the raw peak of a process less what it held "
        f"with the rows made; for the {args.many:,} rows in blocks of {_BLOCK:,} nothing is held before. Making those "
        f"blocks alone takes {many['making']['seconds']:.1f} s, which is taken off. The largest relative difference of "
        f"the eigenvalues to the peer's is {error:.1e}."
    )


def _rows(args: argparse.Namespace, found: dict[str, Any], many: dict[str, Any]) -> list[list[str]]:
    names = {
        "peer": "singular value decomposition",
        "spectrum": "our spectrum",
        "diagnose": "our `diagnose`",
        "intervals": "the same, intervals, duplicates, lengths",
        "examine": "our `examine`: everything",
    }
    targets = {"spectrum": _SPECTRUM_S, "intervals": _DIAGNOSIS_S}
    peer = median(each["processor"] for each in found["peer"])
    rows = []
    for side, label in names.items():
        seconds = median(each["seconds"] for each in found[side])
        worked = median(each["processor"] for each in found[side])
        size = median(each["bytes"] for each in found[side])
        target = targets.get(side)
        judged = ["", ""] if target is None else [f"{target:.0f} s", report.verdict(seconds <= target)]
        rows.append(
            [
                label,
                f"{args.rows:,}",
                f"{seconds:.2f}",
                f"{worked:.2f}",
                f"{worked / peer:.2f}",
                _mebibytes(size),
                *judged,
            ]
        )
    for side, label in (
        ("blocks", "our spectrum, in blocks"),
        ("blocks in detail", "with intervals and duplicates"),
    ):
        seconds = many[side]["seconds"] - many["making"]["seconds"]
        worked = many[side]["processor"] - many["making"]["processor"]
        rows.append(
            [
                label,
                f"{args.many:,}",
                f"{seconds:.2f}",
                f"{worked:.2f}",
                "",
                _mebibytes(many[side]["bytes"]),
                "",
                "",
            ]
        )
    return rows


def _mebibytes(size: float) -> str:
    return f"{size / 2**20:,.0f} MiB"


def _blocks(count: int) -> Iterator[Any]:
    import numpy as np

    random = np.random.default_rng(_SEED)
    scales = np.arange(1, _DIMENSION + 1, dtype=np.float32) ** np.float32(-0.3)
    for start in range(0, count, _BLOCK):
        block = random.standard_normal((min(_BLOCK, count - start), _DIMENSION), dtype=np.float32)
        block *= scales
        block[:, 0] += 1
        yield block


def _measure(side: str, count: int) -> dict[str, Any]:
    """One run of a side: seconds, bytes beyond the rows, and the error of eigenvalues where it is looked at."""
    import numpy as np

    from encoder.spectrum import diagnosis_of, examine, gather, spectrum_intervals

    if side in ("making", "blocks", "blocks in detail"):
        return _in_blocks(side, count)
    rows = np.concatenate(list(_blocks(count)))
    runs = {
        "peer": lambda: _decompose(rows),
        "spectrum": lambda: gather(rows, 2, seed=0).total().spectra()[0],
        "diagnose": lambda: diagnosis_of(gather(rows, 20_000, seed=0)),
        "intervals": lambda: _without_neighbours(
            gather(rows, 20_000, seed=0, in_detail=True), spectrum_intervals
        ),
        "examine": lambda: examine(rows),
    }
    before, start, worked = _held(), time.perf_counter(), time.process_time()
    with PeakMemory() as peak:
        result = runs[side]()
        seconds, worked = time.perf_counter() - start, time.process_time() - worked
    found: dict[str, Any] = {
        "seconds": seconds,
        "processor": worked,
        "bytes": (peak.highest("rss") or 0) - before,
    }
    if side == "spectrum":
        expected = _decompose(rows)
        found["error"] = float((np.abs(result**2 - expected**2) / expected**2).max())
    return found


def _without_neighbours(gathering: Any, spectrum_intervals: Any) -> None:
    from encoder.spectrum import diagnosis_of, judge
    from encoder.spectrum.duplicates import exact_duplicates
    from encoder.spectrum.norms import norms_of

    diagnosis = diagnosis_of(gathering)
    spectrum_intervals(gathering)
    norms_of(gathering.norms)
    judge(diagnosis, equal=exact_duplicates(gathering.hashes, gathering.positions))


def _in_blocks(side: str, count: int) -> dict[str, Any]:
    from encoder.spectrum import gather, spectrum_intervals
    from encoder.spectrum.duplicates import exact_duplicates

    before, start, worked = _held(), time.perf_counter(), time.process_time()
    if side == "making":
        for _ in _blocks(count):
            pass
    elif side == "blocks":
        gather(_blocks(count), 20_000, seed=0).total().spectra()
    else:
        gathering = gather(_blocks(count), 20_000, seed=0, in_detail=True)
        spectrum_intervals(gathering)
        exact_duplicates(gathering.hashes, gathering.positions)
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    return {
        "seconds": seconds,
        "processor": worked,
        "bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before,
    }


def _decompose(rows: Any) -> Any:
    import numpy as np

    unit = rows.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return np.linalg.svd(unit / np.sqrt(len(unit)), compute_uv=False)


def _held() -> int:
    now = memory()
    return now["rss"] if now else 0


if __name__ == "__main__":
    main()
