"""What does a contrastive step with cached gradients cost, beside the same batch in one graph?

Forward and backward of one batch of pairs, float32, weights of the encoder, no dropout. Each side runs in processes
of its own, in turns; the gradients of both are compared in the same run.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import material
import report
from child import PeakMemory, answer, memory, one_thread, run_child
from machine import describe

_PLAIN = "MultipleNegativesRankingLoss, one graph"
_OURS = "ContrastiveLoss, cached"
_PEER = "CachedMultipleNegativesRankingLoss"
_SIDES = (_PLAIN, _OURS, _PEER)
_TEMPERATURE = 0.05
_MOST_ERROR, _MOST_MEMORY = 1e-5, 0.25
_WARM_UP_ROWS = 2
_PAIRS = "pairs.json"
_HEADER = (
    "side",
    "text tokens/s",
    "per processor second",
    "peak memory",
    "with the process",
    "tokens/s",
    "memory",
)
_HEADER += ("difference of the gradient", "target")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, metavar="FILE", help="Parquet (default: the demo corpus)")
    parser.add_argument("--column", help="of the texts (default: text)")
    parser.add_argument("--batch", type=int, default=256, help="pairs (default: 256; the target is for 1024)")
    parser.add_argument("--tokens", type=int, default=48, help="most tokens of a text (default: 48)")
    parser.add_argument("--mini-batch", type=int, default=32, help="texts embedded at a time (default: 32)")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each side (default: 3)")
    parser.add_argument("--encoder", default="default", help="encoder directory (default: the bundled one)")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    report.add_out(parser, "cached")
    args = parser.parse_args()
    one_thread()
    if args.child:
        side, encoder, tokens, mini_batch, folder = args.child
        answer(_measure(side, encoder, int(tokens), int(mini_batch), Path(folder)))
        return
    head = describe("llm2comp", "torch", "sentence-transformers", "transformers")
    with tempfile.TemporaryDirectory() as folder:
        _write_pairs(args, Path(folder))
        found = _in_turns(args, Path(folder))
        errors = {side: _difference(side, Path(folder)) for side in (_OURS, _PEER)}
    tokens = found[_PLAIN][0]["tokens"]
    note = (
        f"{args.batch:,} pairs from {material.source_label(args.texts, args.column)}: a text's beginning and what "
        f"follows it, {tokens:,} text tokens in {2 * args.batch:,} texts of at most {args.tokens}; mini-batches of "
        f"{args.mini_batch} texts. Encoder {Path(args.encoder).name}, one thread. {args.rounds} processes of each side "
        "in turns, one step each after one of two pairs; medians; ratios are medians of the ratios within a turn. Peak "
        "memory is resident, beyond what the process held before the step with weights, gradient buffers and the "
        "tokenised batch. The difference is relative, of the Euclidean norm over all weights and memory tokens."
    )
    report.publish("Cached gradients: a contrastive step", [head, note, _table(found, errors)], args.out)


def _write_pairs(args: argparse.Namespace, folder: Path) -> None:
    """Two halves of texts that are long enough; no half is there twice, since ours would not count it as a negative.

    Raises:
        SystemExit: there are too few.
    """
    from encoder.spec import parse_spec
    from encoder.st import as_sentence_transformer
    from train.contrast.false_negatives import text_keys

    module: Any = as_sentence_transformer(parse_spec(args.encoder).place)[0]
    pairs: list[tuple[str, str]] = []
    seen: set[int] = set()
    for text in material.read_texts(args.texts, args.column, folder):
        words = text.split()
        if len(words) < args.tokens or len(pairs) == args.batch:
            continue
        # A word is a token or more, so each half fills the length more often than not.
        pair = (" ".join(words[: args.tokens // 2]), " ".join(words[args.tokens // 2 :][: args.tokens]))
        keys = set(text_keys(module.preprocess(pair, max_length=args.tokens)).tolist())
        if len(keys) == len(pair) and not keys & seen:
            seen |= keys
            pairs.append(pair)
    if len(pairs) < args.batch:
        raise SystemExit(
            f"only {len(pairs)} texts have {args.tokens} words of their own; give more --texts or a smaller --batch"
        )
    material.write_json(folder / _PAIRS, pairs)


def _in_turns(args: argparse.Namespace, folder: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in _SIDES}
    for _ in range(args.rounds):
        for side in _SIDES:
            job = [side, args.encoder, str(args.tokens), str(args.mini_batch), str(folder)]
            found[side].append(run_child(__file__, ["--child", *job]))
    return found


def _measure(side: str, encoder: str, tokens: int, mini_batch: int, folder: Path) -> dict[str, Any]:
    """The measured process: one step, its time and memory; the gradient goes into the folder."""
    import torch
    from safetensors.torch import save_file

    from encoder.spec import parse_spec
    from encoder.st import as_sentence_transformer

    torch.set_num_threads(1)
    model = as_sentence_transformer(parse_spec(encoder).place).train()
    loss = _loss(side, model, mini_batch)
    columns = list(zip(*material.read_json(folder / _PAIRS), strict=True))

    def tokenised(rows: int) -> list[dict[str, Any]]:
        return [model[0].preprocess(texts[:rows], max_length=tokens) for texts in columns]

    loss(tokenised(_WARM_UP_ROWS), None).backward()
    model.zero_grad(set_to_none=False)
    features = tokenised(len(columns[0]))
    before = memory()
    with PeakMemory() as peak:
        wall, processor = time.perf_counter(), time.process_time()
        loss(features, None).backward()
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    save_file({name: each.grad for name, each in model.named_parameters()}, _gradient_file(side, folder))
    return {
        "wall": wall,
        "processor": processor,
        "tokens": sum(int(each["attention_mask"].sum()) for each in features),
        "before": None if before is None else before["rss"],
        "peak": peak.highest("rss"),
    }


def _loss(side: str, model: Any, mini_batch: int) -> Callable[..., Any]:
    from sentence_transformers.sentence_transformer import losses

    from train.contrast.loss import ContrastiveLoss
    from train.settings import Contrast

    if side == _OURS:
        return ContrastiveLoss(model, Contrast(temperature=_TEMPERATURE, mini_batch=mini_batch))
    if side == _PEER:
        return losses.CachedMultipleNegativesRankingLoss(
            model, scale=1 / _TEMPERATURE, mini_batch_size=mini_batch
        )
    return losses.MultipleNegativesRankingLoss(model, scale=1 / _TEMPERATURE)


def _gradient_file(side: str, folder: Path) -> Path:
    return folder / f"{_SIDES.index(side)}.safetensors"


def _difference(side: str, folder: Path) -> float:
    """Of the gradient from that of the plain batch, relative."""
    import torch
    from safetensors.torch import load_file

    plain, other = (load_file(_gradient_file(each, folder)) for each in (_PLAIN, side))
    apart = torch.stack([(plain[name].double() - other[name].double()).norm() for name in plain]).norm()
    return float(apart / torch.stack([each.double().norm() for each in plain.values()]).norm())


def _table(found: dict[str, list[dict[str, Any]]], errors: dict[str, float]) -> str:
    rows = []
    for side in _SIDES:
        speeds = [median(run["tokens"] / run[kind] for run in found[side]) for kind in ("wall", "processor")]
        has_memory = found[side][0]["before"] is not None
        own = [run["peak"] - run["before"] for run in found[side]] if has_memory else []
        plain = [run["peak"] - run["before"] for run in found[_PLAIN]] if has_memory else []
        share = median(a / b for a, b in zip(own, plain, strict=True)) if own else None
        ratio = median(b["wall"] / a["wall"] for a, b in zip(found[side], found[_PLAIN], strict=True))
        cells = [
            side,
            *(report.number(speed, 0) for speed in speeds),
            report.number(median(own) / 1e6 if own else None, 0, "MB"),
            report.number(median(run["peak"] for run in found[side]) / 1e6 if own else None, 0, "MB"),
            report.number(ratio, 2, "x"),
            report.number(share, 3, "x"),
        ]
        cells += [f"{errors[side]:.1e}" if side in errors else "", _target(side, share, errors)]
        rows.append(cells)
    return report.table(_HEADER, rows)


def _target(side: str, share: float | None, errors: dict[str, float]) -> str:
    if side != _OURS:
        return ""
    reached = None if share is None else share <= _MOST_MEMORY and errors[side] <= _MOST_ERROR
    return f"<= {_MOST_MEMORY:g}x, difference <= {_MOST_ERROR:g}: {report.verdict(reached)}"


if __name__ == "__main__":
    main()
