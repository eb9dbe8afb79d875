"""What does a training step of stage 1 cost, beside a plain implementation with two copies and all logits?

CTKD with the default adapter and two splits a text: forward, backward and AdamW, float32, random weights. Each side
runs in processes of its own, in turns; loss and gradient of both are compared in the same run.
"""

import argparse
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import material
import report
from child import answer, memory, one_thread, run_child
from machine import describe

ROOT = Path(__file__).parents[1]
_SIDES = ("plain", "ours")
_BOS = 1
_N_MEMORY = 8
_SPLITS = 2
_WARM_UP_STEPS = 1
_TEXTS_READ = 4000
_TEXTS = "texts.npz"
_HEAD_WIDTH = 64
# At least so fast with at most so much memory, or the other pair; at the largest vocabulary its own.
_FAST_SPEED, _FAST_MEMORY = 1.2, 0.75
_LEAN_SPEED, _LEAN_MEMORY = 0.95, 0.65
_MOST_ERROR = 1e-5
_LEARNING_RATE = 1e-4
_KILO = 1024
_SEED = 8
_HEADER = ("shape", "side", "text tokens/s", "per processor second", "peak memory", "raw peak")
_HEADER += ("tokens/s", "per processor second", "memory", "error of loss, gradient", "target")


@dataclass(frozen=True)
class Shape:
    """A decoder, and the batches it is trained with."""

    width: int
    layers: int
    mlp: int
    vocabulary: int
    texts: int  # a step
    longest: int  # tokens of a text
    memory_target: float  # of the peer's, at 0.95 times its speed or more
    spread: float = 0.02  # of random weights; Llama starts with 0.02

    def __str__(self) -> str:
        return f"{self.width} x {self.layers}, V = {self.vocabulary:,}, {self.texts} texts of {self.longest}"


SHAPES = {
    "small": Shape(256, 4, 680, 16000, 16, 256, 0.65),
    "medium": Shape(384, 6, 1024, 32000, 8, 512, 0.65),
    "large": Shape(512, 8, 1376, 128000, 4, 256, 0.35),
    # So narrow a model says the same of every token unless its weights are wide: a loss near 0 has no digits left.
    "tiny": Shape(32, 2, 48, 9000, 3, 64, 0.65, spread=0.2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["small", "medium", "large"])
    parser.add_argument("--texts", type=Path, metavar="FILE", help="Parquet (default: the demo corpus)")
    parser.add_argument("--column", help="of the texts (default: text)")
    parser.add_argument("--shortest", type=int, default=64, help="tokens of a text, at least (default: 64)")
    parser.add_argument("--steps", type=int, default=3, help="timed steps of a process (default: 3)")
    parser.add_argument("--rounds", type=int, default=5, help="processes of each side (default: 5)")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    report.add_out(parser, "ctkd")
    args = parser.parse_args()
    one_thread()
    if args.child:
        side, shape, steps, folder = args.child
        answer(_measure(side, shape, int(steps), Path(folder)))
        return
    head = describe("llm2comp", "torch", "transformers", "peft")
    with tempfile.TemporaryDirectory() as folder:
        lengths = _write_texts(args, Path(folder))
        rows = [row for name in args.shapes for row in _compare(name, args, Path(folder))]
    parts = [head, _note(args, lengths), report.table(_HEADER, rows)]
    report.publish("Stage 1, CTKD: a training step", parts, args.out)


def _note(args: argparse.Namespace, lengths: str) -> str:
    return (
        f"Texts of {material.source_label(args.texts, args.column)} of at least {args.shortest} tokens by the "
        f"bundled tokenizer (quartiles {lengths}), cut to the length in the table; {_SPLITS} random splits a text, "
        f"{_N_MEMORY} memory tokens, random weights as Llama starts with. One thread. {args.rounds} processes of each "
        f"side in turns, {args.steps} timed steps each after {_WARM_UP_STEPS}; medians; ratios are medians over the "
        "turns. Text tokens count once, however often a side reads them. The raw peak is ru_maxrss of a process; peak "
        "memory is that less what the process held with all imports done and no model made. Errors are relative to "
        "the peer, of the Euclidean norm for the gradient (adapter and memory tokens together), with an adapter that "
        "is not at its start and without dropout."
    )


def _write_texts(args: argparse.Namespace, folder: Path) -> str:
    """Token ids of the texts that are long enough, into the folder; quartiles of their lengths."""
    import numpy as np
    from tokenizers import Tokenizer

    texts = material.read_texts(args.texts, args.column, folder, _TEXTS_READ)
    tokenizer = Tokenizer.from_file(str(ROOT / "encoder" / "bundled" / "tokenizer.json"))
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    ids = [np.array(found.ids) for found in encodings if len(found.ids) >= args.shortest]
    np.savez(folder / _TEXTS, *ids)
    return ", ".join(f"{value:.0f}" for value in np.percentile([len(each) for each in ids], (25, 50, 75)))


def _compare(name: str, args: argparse.Namespace, folder: Path) -> list[list[str]]:
    """Both sides in turns; a row of the table for each."""
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in _SIDES}
    for _ in range(args.rounds):
        for side in _SIDES:
            job = [side, name, str(args.steps), str(folder)]
            found[side].append(run_child(__file__, ["--child", *job]))
    errors = _errors(found, name, folder)
    rows = []
    for side in _SIDES:
        ratios = [_ratios(ours, plain) for ours, plain in zip(found[side], found["plain"], strict=True)]
        speed, by_processor, memory_ratio = (median(kind) for kind in zip(*ratios, strict=True))
        rows.append(
            [
                str(SHAPES[name]),
                side,
                f"{median(run['tokens_per_s'] for run in found[side]):,.0f}",
                f"{median(run['tokens_per_processor_s'] for run in found[side]):,.0f}",
                _mebibytes(median(run["peak"] for run in found[side])),
                _mebibytes(median(run["raw_peak"] for run in found[side])),
                f"{speed:.2f}x",
                f"{by_processor:.2f}x",
                f"{memory_ratio:.2f}x",
            ]
        )
        rows[-1] += (
            ["", ""] if side == "plain" else _against_targets(SHAPES[name], speed, memory_ratio, errors)
        )
    return rows


def _ratios(ours: dict[str, Any], plain: dict[str, Any]) -> tuple[float, float, float]:
    kinds = ("tokens_per_s", "tokens_per_processor_s", "peak")
    speed, by_processor, peak = (ours[kind] / plain[kind] for kind in kinds)
    return speed, by_processor, peak


def _against_targets(
    shape: Shape, speed: float, memory_ratio: float, errors: tuple[float, float]
) -> list[str]:
    is_reached = speed >= _LEAN_SPEED and memory_ratio <= shape.memory_target
    is_reached |= (
        shape.memory_target == _LEAN_MEMORY and speed >= _FAST_SPEED and memory_ratio <= _FAST_MEMORY
    )
    is_exact = max(errors) <= _MOST_ERROR
    wanted = f">= {_LEAN_SPEED}x at <= {shape.memory_target}x memory"
    if shape.memory_target == _LEAN_MEMORY:
        wanted = f">= {_FAST_SPEED}x at <= {_FAST_MEMORY}x memory, or {wanted}"
    said = f"{wanted}: {report.verdict(is_reached)}; error <= {_MOST_ERROR:.0e}: {report.verdict(is_exact)}"
    return [f"{errors[0]:.1e}, {errors[1]:.1e}", said]


def _errors(found: dict[str, list[dict[str, Any]]], name: str, folder: Path) -> tuple[float, float]:
    """Relative errors of our loss and gradient against the peer's."""
    import numpy as np

    ours, plain = (np.load(folder / f"{name}-{side}.npy").astype(np.float64) for side in ("ours", "plain"))
    losses = {side: found[side][0]["loss"] for side in _SIDES}
    of_loss = abs(losses["ours"] - losses["plain"]) / losses["plain"]
    return of_loss, float(np.linalg.norm(ours - plain) / np.linalg.norm(plain))


def _mebibytes(size: float) -> str:
    return f"{size / 2**20:,.0f} MiB"


def _measure(side: str, name: str, steps: int, folder: Path) -> dict[str, Any]:
    """The measured process: one comparison step, then timed ones."""
    import numpy as np
    import torch
    from plain_ctkd import PlainCompressor  # noqa: F401

    import train.compression.compressor  # noqa: F401 - no import may count as memory of the model

    torch.set_num_threads(1)
    imported = (memory() or {"rss": 0})["rss"]
    shape = SHAPES[name]
    trained = _build(side, shape)
    with np.load(folder / _TEXTS) as stored:
        texts = [stored[key][: shape.longest] % shape.vocabulary for key in stored.files]
    random = np.random.default_rng(_SEED)
    batches = [_draw(texts, shape, random) for _ in range(1 + _WARM_UP_STEPS + steps)]
    loss = _compare_step(trained, batches[0], folder / f"{name}-{side}.npy")
    optimizer = torch.optim.AdamW([p for p in trained.parameters() if p.requires_grad], lr=_LEARNING_RATE)
    trained.train()
    times = [_timed_step(trained, optimizer, batch) for batch in batches[1:]][_WARM_UP_STEPS:]
    raw_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILO
    wall, processor, tokens = (sum(kind) for kind in zip(*times, strict=True))
    return {
        "loss": loss,
        "tokens_per_s": tokens / wall,
        "tokens_per_processor_s": tokens / processor,
        "peak": raw_peak - imported,
        "raw_peak": raw_peak,
    }


def _build(side: str, shape: Shape) -> Any:
    """The side's model: called with texts and splits it gives the loss."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(_SEED)
    config = LlamaConfig(
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        intermediate_size=shape.mlp,
        num_attention_heads=max(1, shape.width // _HEAD_WIDTH),
        vocab_size=shape.vocabulary,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=shape.spread,
    )
    causal_lm = LlamaForCausalLM(config).eval()
    trained = _ours(causal_lm) if side == "ours" else _plain(causal_lm)
    torch.manual_seed(_SEED)
    with torch.no_grad():
        for _, parameter in sorted(trained.named_parameters(), key=lambda item: item[0]):
            # The second matrix of an adapter begins as zeros, which would hide the first one's gradient.
            if parameter.requires_grad and not parameter.any():
                parameter.normal_(0, shape.spread)
    return trained


def _ours(causal_lm: Any) -> Any:
    import torch

    from encoder.memory import MemoryModel, new_memory
    from train.adapter import attach_adapter
    from train.compression.compressor import Compressor
    from train.compression.twin import share_decoder
    from train.settings import Adapter, Compression

    decoder = share_decoder(causal_lm)
    memory_MD = new_memory(causal_lm.base_model, _N_MEMORY)
    torch.manual_seed(_SEED)
    encoder = MemoryModel(attach_adapter(causal_lm.base_model, Adapter()), memory_MD)
    return Compressor(encoder, decoder, bos_id=_BOS, settings=Compression(splits=_SPLITS))


def _plain(causal_lm: Any) -> Any:
    import torch
    from plain_ctkd import PlainCompressor

    from encoder.memory import new_memory

    memory_MD = new_memory(causal_lm.base_model, _N_MEMORY)
    torch.manual_seed(_SEED)
    return PlainCompressor(causal_lm, memory_MD, _BOS)


def _draw(texts: list[Any], shape: Shape, random: Any) -> tuple[list[Any], Any]:
    """Texts and their splits for a step."""
    import numpy as np
    import torch

    from train.compression.splits import draw_splits
    from train.settings import Compression

    chosen = [texts[number] for number in random.choice(len(texts), shape.texts, replace=False)]
    splits = [draw_splits(len(text), Compression(splits=_SPLITS), random) for text in chosen]
    return [torch.from_numpy(text) for text in chosen], np.stack(splits)


def _loss(trained: Any, texts: list[Any], splits: Any) -> Any:
    import torch
    from torch.nn.utils.rnn import pad_sequence

    if hasattr(trained, "loss"):
        return trained.loss("ctkd", texts, splits.tolist())
    length = torch.tensor([len(text) for text in texts])
    return trained(pad_sequence(texts, batch_first=True), length, torch.from_numpy(splits))["loss"]


def _compare_step(trained: Any, batch: tuple[list[Any], Any], file: Path) -> float:
    """The loss without dropout; its gradient goes into the file."""
    import numpy as np
    import torch

    trained.eval()
    loss = _loss(trained, *batch)
    loss.backward()
    named = sorted(trained.named_parameters(), key=lambda item: item[0].removeprefix("encoder."))
    gradient = [parameter.grad.flatten() for _, parameter in named if parameter.requires_grad]
    np.save(file, torch.cat(gradient).numpy())
    trained.zero_grad(set_to_none=True)
    return float(loss.detach())


def _timed_step(trained: Any, optimizer: Any, batch: tuple[list[Any], Any]) -> tuple[float, float, int]:
    """Seconds on the clock, seconds of the processor and text tokens of one step."""
    wall, processor = time.perf_counter(), time.process_time()
    _loss(trained, *batch).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return wall, processor, sum(len(text) for text in batch[0])


if __name__ == "__main__":
    main()
