"""What does an indexing job cost beside the encoder: its share of the time, and its memory?

The job runs once, in a fresh process; nothing else is measured in that process. The folder of `--keep` is what
`bench_query.py --collection` takes.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import material
import report
from child import PeakMemory, answer, memory, run_child
from machine import describe

COLLECTION, CORPUS, HELD_OUT = "collection", "corpus.parquet", "held_out.json"
_TENTHS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_material(parser)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave collection and material here")
    parser.add_argument("--half", action="store_true", help="also a job of half the passages, for its memory")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    report.add_out(parser, "index")
    args = parser.parse_args()
    if args.child:
        corpus, into, encoder, window, passages = args.child
        answer(_job(Path(corpus), Path(into), encoder, int(window), int(passages)))
        return
    head = describe("llm2comp", "torch", "pylance", "pyarrow", "faiss-cpu")
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        found = make_collection(args, folder)
        half = None
        if args.half:
            args.passages //= 2
            half = make_collection(args, Path(temporary) / "half")
    note = (
        f"{found['passages']:,} passages of at most {args.window} tokens, cut from {found['read']:,} texts of "
        f"{material.source_label(args.texts, args.column)}; encoder {Path(args.encoder).name} on {found['computed_on']}, "
        "one run in a fresh process."
    )
    report.publish("Indexing", [head, note, _table(found, half)], args.out)


def add_material(parser: argparse.ArgumentParser) -> None:
    """The options that say what is indexed."""
    parser.add_argument("--texts", type=Path, metavar="FILE", help="Parquet (default: the demo corpus)")
    parser.add_argument("--column", help="of the texts (default: text)")
    parser.add_argument("--passages", type=int, default=2000, help="about how many (default: 2000)")
    parser.add_argument("--window", type=int, default=128, help="tokens of a passage (default: 128)")
    parser.add_argument("--encoder", default="default", help="encoder (default: the bundled one)")


def make_collection(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Writes the material and runs the job on it; what the job measured.

    Raises:
        SystemExit: there is a collection already, or the job failed.
    """
    import pyarrow as pa
    from pyarrow import parquet

    from encoder import load_encoder

    if (folder / COLLECTION).exists():
        raise SystemExit(f"there is a collection in {folder} already; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    texts, held_out = material.hold_out(material.read_texts(args.texts, args.column, folder))
    chosen = material.cut_to_size(texts, load_encoder(args.encoder), args.window, args.passages)
    parquet.write_table(pa.table({"text": chosen}), folder / CORPUS, row_group_size=8192)
    material.write_json(folder / HELD_OUT, held_out)
    job = [folder / CORPUS, folder / COLLECTION, args.encoder, args.window, args.passages]
    return run_child(__file__, ["--child", *map(str, job)])


def _job(corpus: Path, into: Path, spec: str, window: int, passages: int) -> dict[str, Any]:
    """The measured process: loads the encoder, then indexes."""
    from encoder import load_encoder
    from indexer import Collection
    from indexer.progress import JobProgress
    from indexer.sources import open_sources

    encoder = load_encoder(spec)
    encoder.encode_document(["a first text, so that all of the model is in memory"])
    before = memory()
    with PeakMemory() as peak:

        def note(progress: JobProgress) -> None:
            is_indexing = progress.stage == "indexing"
            tenth = min(_TENTHS - 1, _TENTHS * progress.passages // passages)
            peak.phase = f"tenth {tenth}" if is_indexing else "publishing"

        began = time.monotonic()
        source = open_sources([corpus], text="text", metadata=[])
        collection = Collection.create(into, encoder=encoder, window=window)
        done = collection.add(source, encoder=encoder, report=note)
        wall_s = time.monotonic() - began
    return {
        "read": done.read,
        "passages": done.passages,
        "tokens": done.tokens,
        "encode_s": done.encode_s,
        "total_s": done.total_s,
        "wall_s": wall_s,
        "computed_on": encoder.card.get("computed_on", "an unknown device"),
        "before": before,
        "peaks": peak.peaks,
    }


def _table(found: dict[str, Any], half: dict[str, Any] | None) -> str:
    outside = found["total_s"] - found["encode_s"]
    share = 100 * outside / found["total_s"]
    rows = [
        [
            "whole job",
            f"{found['total_s']:.1f} s, {found['passages'] / found['total_s']:,.0f} passages/s",
            "",
        ],
        [
            "inside the encoder",
            f"{found['encode_s']:.1f} s, {found['tokens'] / found['encode_s']:,.0f} tokens/s",
            "",
        ],
        ["outside the encoder", f"{outside:.1f} s, {share:.1f} %", f"<= 10 %: {report.verdict(share <= 10)}"],
    ]
    if found["before"] is None:
        rows.append(["memory", f"{report.MISSING}: it needs /proc", ""])
    else:
        rows += _memory_rows(found, half)
    return report.table(["what", "measured", "target"], rows)


def _memory_rows(found: dict[str, Any], half: dict[str, Any] | None) -> list[list[str]]:
    before, peaks = found["before"], found["peaks"]
    beyond = {kind: _highest(peaks, kind) - before[kind] for kind in before}
    rows = [
        ["process with the model loaded", f"{_mb(before['rss'])}, anonymous {_mb(before['anonymous'])}", ""],
        [
            "peak beyond that, whole job",
            f"resident {_mb(beyond['rss'])}, anonymous {_mb(beyond['anonymous'])}",
            f"<= 1,500 MB: {report.verdict(beyond['rss'] <= 1.5e9)}",
        ],
    ]
    middle, last = (peaks.get(f"tenth {tenth}") for tenth in (_TENTHS // 2, _TENTHS - 1))
    if middle and last:
        rows.append(_growth("anonymous, peaks while the sixth and the last tenth were made", middle, last))
    if half:
        kind = "anonymous"
        names = f"anonymous, peaks of jobs of {half['passages']:,} and {found['passages']:,} passages"
        rows.append(_growth(names, {kind: _highest(half["peaks"], kind)}, {kind: _highest(peaks, kind)}))
    return rows


def _growth(name: str, first: dict[str, int], second: dict[str, int]) -> list[str]:
    growth = second["anonymous"] - first["anonymous"]
    shown = f"{_mb(first['anonymous'])}, {_mb(second['anonymous'])}: {_mb(growth)} more"
    return [name, shown, f"within 100 MB: {report.verdict(abs(growth) <= 100e6)}"]


def _highest(peaks: dict[str, dict[str, int]], kind: str) -> int:
    return max(peak[kind] for peak in peaks.values())


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


if __name__ == "__main__":
    main()
