"""What do memory tokens say each, do long texts crowd, and what do cluster pooling and attention temperature change?

Nothing is timed. Queries are first halves of texts, their answers the second halves, among the halves of all texts.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import material
import numpy as np
import report
from child import one_thread
from machine import describe

_TOKEN_COUNTS = (16, 32, 64, 128, 254)
_CLUSTERS: tuple[dict[str, float], ...] = (
    {"n_clusters": 2},
    {"n_clusters": 4},
    {"n_clusters": 6},
    {"threshold": 0.5},
    {"threshold": 0.7},
)
_LIKE = 1000  # texts whose neighbours are compared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, metavar="FILE", help="Parquet (default: the demo corpus)")
    parser.add_argument("--column", help="of the texts (default: text)")
    parser.add_argument("--rows", type=int, default=2000, help="most texts (default: 2000)")
    parser.add_argument(
        "--encoder", nargs="+", default=["default"], help="encoder directories (default: the bundled one)"
    )
    report.add_out(parser, "memory_tokens")
    args = parser.parse_args()
    one_thread()
    parts = [describe("llm2comp", "torch", "transformers", "numpy")]
    with tempfile.TemporaryDirectory() as folder:
        texts = material.read_texts(args.texts, args.column, Path(folder), args.rows)
    label = material.source_label(args.texts, args.column)
    parts.append(
        f"{len(texts):,} texts of {label}; float32, temperatures in what suits the processor; seed 0. After a "
        "± stands a standard deviation (lengths) or a standard error (cosines), in brackets a 95 % interval."
    )
    for spec in args.encoder:
        parts += [f"## {spec}", *_of_encoder(spec, texts)]
    report.publish("Memory tokens, length and temperature", parts, args.out)


def _of_encoder(spec: str, texts: Sequence[str]) -> list[str]:
    import torch

    from encoder import load_encoder
    from encoder.temperature import text_halves

    torch.set_num_threads(1)
    encoder = load_encoder(spec, device="cpu", dtype="float32")
    halves = text_halves(encoder, texts)
    queries, answers = (encoder.encode_memory([half[side] for half in halves]) for side in (0, 1))
    whole = encoder.encode_memory(texts)
    return [
        *_slots(whole, queries, answers),
        *_pooling(whole, queries, answers),
        *_lengths(encoder, texts),
        *_sweep(spec, texts),
    ]


def _slots(whole: Any, queries: Any, answers: Any) -> list[str]:
    """What each memory token says, neighbours and likeness from whole texts, hits from halves."""
    from encoder.spectrum.slots import examine_slots

    found, hits = examine_slots(whole), examine_slots(answers, queries=queries, k=1)
    rows = [
        [
            number,
            f"{slot.norm:.2f} ± {slot.norm_spread:.2f}",
            f"{slot.constant_share:.2f}",
            report.number(slot.effective_rank_centred),
            report.number(slot.overlap, 3),
            _gain(hit.recall_change),
        ]
        for number, (slot, hit) in enumerate(zip(found.slots, hits.slots, strict=True), 1)
    ]
    header = [
        "memory token",
        "length",
        "constant share",
        "effective rank, centred",
        f"overlap@{found.k} without it",
        "change of recall@1 without it",
    ]
    likeness = [
        ["same text", *_off_diagonal(found.within)],
        ["same text, each token's own mean taken off", *_off_diagonal(found.within_centred)],
        ["two texts", *_off_diagonal(found.across)],
        ["two texts, the same memory token", *_range(np.diag(found.across))],
    ]
    return [
        f"{found.sentence} Recall@1 of known items with all memory tokens: {report.number(hits.recall, 3)}.",
        report.table(header, rows),
        report.table(["cosine of two memory states", "mean", "least", "most"], likeness),
    ]


def _pooling(whole: Any, queries: Any, answers: Any) -> list[str]:
    """Cluster pooling beside the mean."""
    from encoder.spectrum.slot_clusters import cluster_pool
    from encoder.spectrum.what_if import KnownPairs, gain_of, known_item_ranks

    right = np.arange(len(queries))
    before = known_item_ranks(KnownPairs(queries.mean(axis=1), answers.mean(axis=1), right))
    plain = _unit(whole.mean(axis=1))
    rows = [["mean", *_scores(plain, plain, before), "", ""]]
    for bound in (each for each in _CLUSTERS if each.get("n_clusters", 0) < whole.shape[1]):
        ranks = known_item_ranks(
            KnownPairs(cluster_pool(queries, **bound), cluster_pool(answers, **bound), right)  # type: ignore[arg-type]
        )
        pooled = _unit(cluster_pool(whole, **bound))  # type: ignore[arg-type]
        gains = [_gain(gain_of(before, ranks, k)) for k in (1, 10)]
        name = ", ".join(f"{key} {value:g}" for key, value in bound.items())
        rows.append([f"clusters, {name}", *_scores(pooled, plain, ranks), *gains])
    header = ["pooling", "recall@1", "recall@10", "effective rank, centred", "overlap@10 with the mean"]
    return [report.table([*header, "gain at 1", "gain at 10"], rows)]


def _scores(pooled: Any, plain: Any, ranks: Any) -> list[str]:
    from encoder.spectrum import diagnose
    from encoder.spectrum.neighbourhood import nearest

    first, second = (nearest(rows[:_LIKE], 10).positions for rows in (plain, pooled))
    overlap = (first[:, :, None] == second[:, None, :]).sum(axis=(1, 2)).mean() / first.shape[1]
    recalls = [f"{(ranks <= k).mean():.3f}" for k in (1, 10)]
    rank = diagnose(pooled, most_pair_rows=1).effective_rank_centred
    return [*recalls, report.number(rank), f"{overlap:.3f}"]


def _lengths(encoder: Any, texts: Sequence[str]) -> list[str]:
    """Texts as they are by length, and the same texts cut to several lengths."""
    from encoder.spectrum.length_bias import length_bias, same_text_lengths

    tokens = np.array([len(offsets) for offsets in encoder.tokenize(texts)])
    found = length_bias(encoder.encode_document(texts), np.minimum(tokens, encoder.max_tokens))
    rows = [
        [
            _tokens(each),
            each.n,
            _with_error(each),
            report.number(each.effective_rank),
            f"{each.row_share:.3f}",
            report.number(each.neighbour_share, 3),
        ]
        for each in found.bins
    ]
    header = ["tokens", "texts", "mean cosine", f"effective rank, centred, of {found.rank_rows}"]
    counts = [count for count in _TOKEN_COUNTS if count <= encoder.max_tokens]
    counts = [count for count in counts if (tokens >= count).sum() >= max(2, min(200, len(texts) // 10))]
    cut = same_text_lengths(encoder, texts, counts or [1])
    return [
        f"{found.sentence} Spearman {report.number(found.spearman, 2)}; "
        f"the longest bin attracts {report.number(found.attraction, 2)} times its share of neighbours.",
        report.table([*header, "share of texts", f"share of the {found.k} nearest"], rows),
        f"The same {cut[0].n:,} texts cut to several lengths:",
        report.table(
            ["first tokens", "mean cosine of different texts", "effective rank, centred"],
            [[each.tokens, _with_error(each), report.number(each.effective_rank)] for each in cut],
        ),
    ]


def _sweep(spec: str, texts: Sequence[str]) -> list[str]:
    """The encoder at several temperatures."""
    from encoder.temperature import temperature_sweep

    found = temperature_sweep(spec, texts, device="cpu", k=1)
    rows = [
        [
            f"{row.temperature:g}",
            *(report.number(each.mean_cosine, 3) for each in row.lengths.bins),
            report.number(row.lengths.collapse, 3),
            report.number(row.effective_rank_centred),
            f"{row.recall:.3f}",
            _gain(row.gain),
        ]
        for row in found.rows
    ]
    borders = [f"cosine, {_tokens(each)} tokens" for each in found.rows[0].lengths.bins]
    header = ["temperature", *borders, "collapse", "effective rank, centred", "recall@1", "gain"]
    return [report.table(header, rows)]


def _gain(gain: Any) -> str:
    return report.MISSING if gain is None else f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"


def _tokens(each: Any) -> str:
    return f"{each.least}" if each.least == each.most else f"{each.least} to {each.most}"


def _with_error(each: Any) -> str:
    return f"{report.number(each.mean_cosine, 3)} ± {report.number(each.error, 3)}"


def _off_diagonal(matrix: Any) -> list[str]:
    return _range(matrix[~np.eye(len(matrix), dtype=bool)])


def _range(values: Any) -> list[str]:
    return [f"{value:.2f}" for value in (values.mean(), values.min(), values.max())]


def _unit(rows: Any) -> Any:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


if __name__ == "__main__":
    main()
