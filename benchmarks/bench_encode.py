"""How many tokens a second does `encode_document` read, beside sentence-transformers with the same weights?

Both sides in one process and one thread, repetitions interleaved. Texts in the order of the file.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import material
import report
from child import one_thread
from machine import describe

_PEER = "SentenceTransformer.encode, batch 32, float32"
_OURS = "encode_document, float32"
_HALF = "encode_document, bfloat16 autocast"
_WARM_UP_TEXTS = 64

Side = Callable[[Sequence[str]], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, metavar="FILE", help="Parquet (default: the demo corpus)")
    parser.add_argument("--column", help="of the texts (default: text)")
    parser.add_argument("--rows", type=int, default=500, help="most texts (default: 500)")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of each side (default: 5)")
    parser.add_argument("--encoder", default="default", help="encoder directory (default: the bundled one)")
    report.add_out(parser, "encode")
    args = parser.parse_args()
    one_thread()
    head = describe("llm2comp", "torch", "sentence-transformers", "transformers")
    with tempfile.TemporaryDirectory() as folder:
        texts = material.read_texts(args.texts, args.column, Path(folder), args.rows)
        sides, tokens = _sides(args.encoder, texts, Path(folder) / "export")
        times, cosines = _measure(sides, texts, args.rounds)
    label = material.source_label(args.texts, args.column)
    note = (
        f"{len(texts):,} texts of {label}, {tokens:,} text tokens after truncation, one thread, {args.rounds} "
        "interleaved repetitions; medians; ratios are medians of the ratios within a repetition."
    )
    report.publish("Encoding", [head, note, _table(times, cosines, tokens)], args.out)


def _sides(spec: str, texts: Sequence[str], folder: Path) -> tuple[dict[str, Side], int]:
    """What is compared, by name, and the text tokens of one repetition."""
    import torch
    from sentence_transformers import SentenceTransformer

    from encoder import load_encoder
    from encoder.export import export_encoder
    from encoder.stats import EncodingStats

    torch.set_num_threads(1)
    export_encoder(spec, folder)
    ours = load_encoder(spec, device="cpu", dtype="float32")
    peer = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    prompt = ours.config.prompts.document

    def ask_peer(some: Sequence[str]) -> Any:
        return peer.encode(list(some), batch_size=32, prompt=prompt, show_progress_bar=False)

    sides: dict[str, Side] = {_PEER: ask_peer, _OURS: ours.encode_document}
    if load_encoder(spec, device="cpu").card["computed_on"] == "cpu bfloat16":
        sides[_HALF] = load_encoder(spec, device="cpu", dtype="bfloat16").encode_document
    stats = EncodingStats()
    ours.encode_document(texts, stats=stats)
    return sides, stats.tokens


def _measure(
    sides: dict[str, Side], texts: Sequence[str], rounds: int
) -> tuple[dict[str, list[tuple[float, float]]], dict[str, float]]:
    """Wall and processor seconds of each repetition, and the least cosine with the peer's vectors."""
    for encode in sides.values():
        encode(texts[:_WARM_UP_TEXTS])
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    vectors = {}
    for _ in range(rounds):
        for name, encode in sides.items():
            wall, processor = time.perf_counter(), time.process_time()
            vectors[name] = encode(texts)
            times[name].append((time.perf_counter() - wall, time.process_time() - processor))
    peer = vectors[_PEER]
    return times, {name: float((found * peer).sum(axis=1).min()) for name, found in vectors.items()}


def _table(times: dict[str, list[tuple[float, float]]], cosines: dict[str, float], tokens: int) -> str:
    rows = []
    for name, target in ((_PEER, None), (_OURS, 1.5), (_HALF, 3.0)):
        if name not in times:
            rows.append([name, *["not run: the processor has no bfloat16"] * 2, "", "", "", ""])
            continue
        wall, processor = (median(run[kind] for run in times[name]) for kind in (0, 1))
        by_wall, by_processor = (
            median(peer[kind] / own[kind] for own, peer in zip(times[name], times[_PEER], strict=True))
            for kind in (0, 1)
        )
        reached = None if target is None else by_wall >= target and cosines[name] >= 0.999
        rows.append(
            [
                name,
                f"{tokens / wall:,.0f}",
                f"{tokens / processor:,.0f}",
                f"{by_wall:.2f}x",
                f"{by_processor:.2f}x",
                f"{cosines[name]:.6f}",
                "" if target is None else f">= {target:g}x, cosine >= 0.999: {report.verdict(reached)}",
            ]
        )
    header = ["side", "tokens/s", "tokens/processor second", "ratio", "ratio of processor time"]
    return report.table([*header, "least cosine with the peer", "target"], rows)


if __name__ == "__main__":
    main()
