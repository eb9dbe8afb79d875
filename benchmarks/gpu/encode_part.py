"""Part encode: tokens a second of `encode_document` and the share of the device's peak that they are.

The peer is `SentenceTransformer.encode` with the same weights. Beside both stands the model alone, on ids that are on the
device already: what it is faster is lost in tokenising, batching and copying.
Shapes of arrays: N texts, B batch, T tokens.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from accelerator import Accelerator
from loaded_encoder import BUNDLED, LONGEST, Encoders, LoadedEncoder, load_bundled, random_pair
from numpy.typing import NDArray
from shapes import fixed_lengths, made_texts, mixed_lengths
from steps import Figure, Step, figure, told

_LENGTHS = (128, LONGEST)
_PEER_BATCHES = (32, 256)
_PROFILED_CALLS = 3
_KERNELS_TOLD = 6
_PRODUCT, _SMALL_PRODUCT = 8192, 256


def encode_steps(accelerator: Accelerator, folder: Path) -> list[Step]:
    """The steps of the part.

    Args:
        accelerator: what is measured.
        folder: for the table of kernels.
    """
    encoders = Encoders(accelerator)
    steps = [
        Step("encode: a bf16 matrix product alone", partial(_product, accelerator), 0.2),
        Step("encode bundled: vectors beside those of the CPU", partial(_compare_bundled, accelerator), 0.5),
        Step(
            "encode Qwen3-0.6B: vectors beside those of the CPU",
            partial(_compare_random, accelerator, "Qwen3-0.6B"),
            1.0,
        ),
    ]
    for name, minutes in ((BUNDLED, 1.0), ("Qwen3-0.6B", 1.5), ("7B", 3.0)):
        for longest in _LENGTHS:
            measured = partial(_measure, accelerator, encoders, name, longest)
            steps.append(Step(f"encode {name}, {longest} tokens", measured, minutes))
        if name == "Qwen3-0.6B":
            profile = partial(_profile, accelerator, encoders, name, folder / "profile.txt")
            steps.append(Step(f"encode {name}, 512 tokens: kernels", profile, 1))
    return steps


def _measure(accelerator: Accelerator, encoders: Encoders, name: str, longest: int) -> dict[str, Figure]:
    loaded = encoders.of(name)
    longest = min(longest, loaded.encoder.max_tokens)
    fixed, mixed = fixed_lengths(loaded.tokens, longest), mixed_lengths(loaded.tokens, longest)
    found = {"tokens of a text": figure([longest])}
    times = {}
    for label, lengths in (("fixed", fixed), ("mixed", mixed)):
        texts = made_texts(loaded.words, lengths)
        times[label] = accelerator.seconds(partial(loaded.encoder.encode_document, texts))
        found[f"{label} lengths"] = _rate(lengths, times[label])
    goal = 0.45 if name == "Qwen3-0.6B" and longest == LONGEST else None
    found |= accelerator.share(loaded.size.forward(loaded.sequences(fixed)), times["fixed"], goal)
    ratio = found["mixed lengths"]["median"] / found["fixed lengths"]["median"]
    found["mixed of fixed"] = figure([ratio], "%", at_least=0.9)
    return found | _alone(accelerator, loaded, longest) | _peer(accelerator, loaded, fixed, times["fixed"])


def _rate(lengths: NDArray[np.int64], times: list[float]) -> Figure:
    """Text tokens a second of texts of these lengths [N]."""
    return figure([int(lengths.sum()) / seconds for seconds in times], "tokens/s")


def _peer(
    accelerator: Accelerator, loaded: LoadedEncoder, lengths: NDArray[np.int64], ours: list[float]
) -> dict[str, Figure]:
    """`SentenceTransformer.encode` on texts of these lengths [N], and how many times as fast ours is."""
    texts, found = made_texts(loaded.words, lengths), {}
    best = 0.0
    for size in _PEER_BATCHES:
        encode = partial(loaded.peer.encode, texts, batch_size=size, show_progress_bar=False)
        rate = _rate(lengths, accelerator.seconds(encode))
        found[f"SentenceTransformer.encode, batch {size}"] = rate
        best = max(best, rate["median"])
    ratio = int(lengths.sum()) / median(ours) / best
    return found | {"times as fast as the faster of them": figure([ratio])}


def _alone(accelerator: Accelerator, loaded: LoadedEncoder, longest: int) -> dict[str, Figure]:
    call, lengths = _forward(accelerator, loaded, longest)
    times = accelerator.seconds(call, 3 * accelerator.repeats)
    found = {"the model alone": _rate(lengths, times)}
    shares = accelerator.share(loaded.size.forward(loaded.sequences(lengths)), times)
    return found | {f"the model alone: {name}": each for name, each in shares.items()}


def _forward(
    accelerator: Accelerator, loaded: LoadedEncoder, longest: int
) -> tuple[Callable[[], Any], NDArray[np.int64]]:
    """A pass of the model over a batch as large as the encoder takes, and the lengths [B] of its texts."""
    import torch

    from encoder.device import choose_placement

    budget = choose_placement(accelerator.name).batch_tokens
    lengths = fixed_lengths(min(budget, loaded.tokens), longest)
    features = loaded.peer[0].preprocess(made_texts(loaded.words, lengths))
    ids_BT, mask_BT = (features[key].to(accelerator.name) for key in ("input_ids", "attention_mask"))

    def call() -> Any:
        with torch.inference_mode():
            return loaded.peer[0].model(ids_BT, mask_BT)

    return call, lengths


def _product(accelerator: Accelerator) -> dict[str, Figure]:
    """What the device reaches with nothing around it: the ceiling of every share."""
    import torch

    width = _SMALL_PRODUCT if accelerator.is_small else _PRODUCT
    sides = [torch.randn((width, width), device=accelerator.name).bfloat16() for _ in range(2)]
    times = accelerator.seconds(lambda: sides[0] @ sides[1], 10, 3)
    rate = figure([2 * width**3 / seconds / 1e12 for seconds in times], "TFLOP/s")
    return {f"{width:,} squared": rate} | accelerator.share(2 * width**3, times)


def _compare_bundled(accelerator: Accelerator) -> dict[str, Figure]:
    from encoder import load_encoder

    loaded = load_bundled(accelerator)
    expected = load_encoder("default", device="cpu", dtype="float32")
    return _compare(loaded.encoder, expected, loaded.words, 8 if accelerator.is_small else 64)


def _compare_random(accelerator: Accelerator, name: str) -> dict[str, Figure]:
    return _compare(*random_pair(name, accelerator), 4 if accelerator.is_small else 16)


def _compare(there: Any, here: Any, words: list[str], count: int) -> dict[str, Figure]:
    """Vectors on the device and float32 ones of the processor, of texts of all lengths."""
    lengths = np.random.default_rng(0).integers(1, there.max_tokens + 1, size=count)
    texts = made_texts(words, lengths)
    cosine_N = (there.encode_document(texts) * here.encode_document(texts)).sum(axis=1)
    computed = told(there.card["computed_on"])
    return {"least cosine": figure([float(cosine_N.min())], at_least=0.999), "computed on": computed}


def _profile(accelerator: Accelerator, encoders: Encoders, name: str, file: Path) -> dict[str, Figure]:
    """The kernels that take the time; their table goes into the file."""
    from torch.profiler import ProfilerActivity, profile

    loaded = encoders.of(name)
    call, _ = _forward(accelerator, loaded, min(LONGEST, loaded.encoder.max_tokens))
    call()
    kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if accelerator.is_cuda else [])
    with profile(activities=kinds) as profiled:
        for _ in range(_PROFILED_CALLS):
            call()
        accelerator.wait()
    events = profiled.key_averages()
    by = "self_device_time_total" if accelerator.is_cuda else "self_cpu_time_total"
    file.write_text(events.table(sort_by=by, row_limit=40, max_name_column_width=120) + "\n")
    total = sum(getattr(event, by) for event in events)
    first = sorted(events, key=lambda event: -getattr(event, by))[:_KERNELS_TOLD]
    shares = [f"{event.key[:90]} {getattr(event, by) / total:.0%}" for event in first]
    return {"kernels with most time": told("; ".join(shares)), "table": told(file.name)}
