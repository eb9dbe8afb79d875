"""Part train: a step of stage 1 (CTKD) and a cached contrastive step of stage 3, as the stages take them.

On a GPU frozen weights are bfloat16 and products too, by autocast; an adapter is trained, nothing is computed twice that
the method does not ask for. Left out are reading texts, tokenising, the gradient's length and checkpoints.
Shapes of arrays: B texts, S splits of a text, T tokens, M memory tokens, D width.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from accelerator import Accelerator
from flops import DecoderSize, decoder_size, head_operations
from shapes import N_MEMORY, make_decoder, shape, word_tokenizer
from steps import Figure, NotRunError, Step, figure, free_memory, told

_SHAPE = "Qwen3-0.6B"
_LEARNING_RATE = 1e-4
_BOS = 1
_SEED = 20


@dataclass(frozen=True)
class _Load:
    """What a step reads: texts of stage 1, pairs of stage 3, tokens of a text, and texts embedded at a time."""

    texts: int
    pairs: int
    tokens: int
    mini_batches: tuple[int, ...]


_REAL = _Load(texts=32, pairs=8192, tokens=512, mini_batches=(64, 32, 16))
_SMALL = _Load(texts=4, pairs=16, tokens=32, mini_batches=(8,))


def train_steps(accelerator: Accelerator, _folder: Path) -> list[Step]:
    """The steps of the part; one text for each stage, one batch at a time."""
    load = _SMALL if accelerator.is_small else _REAL
    what = f"{_SHAPE}, {load.tokens} tokens"
    return [
        Step(f"train stage 1 (ctkd), {what}, {load.texts} texts", partial(_stage_1, accelerator, load), 1.5),
        Step(
            f"train stage 3 (cached), {what}, {load.pairs:,} pairs", partial(_stage_3, accelerator, load), 6
        ),
    ]


def stage_1_operations(size: DecoderSize, head: tuple[int, int], tokens: int, splits: Any) -> float:
    """Operations of a CTKD step.

    The encoder reads each context, the decoder each memory with its continuation, both forth and back to their inputs;
    the teacher reads each text once, forth. Each judged position has student's and teacher's logits and one way back.

    Args:
        size: of the decoder.
        head: vocabulary and width.
        tokens: of each text.
        splits: [B, S] int64, tokens of the contexts.
    """
    contexts = [int(split) for split in np.asarray(splits).ravel()]
    read = [1 + context + N_MEMORY for context in contexts]
    continued = [1 + N_MEMORY + tokens - context for context in contexts]
    judged = sum(tokens - context + 1 for context in contexts)
    both = size.forward(read) + size.backward(read)
    both += size.forward(continued, is_causal=True) + size.backward(continued, is_causal=True)
    return both + size.forward([1 + tokens] * len(splits), is_causal=True) + head_operations(*head, judged, 3)


def stage_3_operations(size: DecoderSize, texts: int, tokens: int) -> tuple[float, float]:
    """Operations of a contrastive step without and with the first pass of cached gradients, which is done again.

    Args:
        size: of the decoder.
        texts: queries and documents together.
        tokens: of a sequence, start and memory tokens included.
    """
    lengths = [tokens] * texts
    once = size.forward(lengths) + size.backward(lengths)
    return once, once + size.forward(lengths)


def _stage_1(accelerator: Accelerator, load: _Load) -> dict[str, Figure]:
    import torch

    from encoder.memory import MemoryModel, new_memory
    from train.adapter import attach_adapter, halve_frozen
    from train.compression.compressor import Compressor
    from train.compression.splits import draw_splits
    from train.compression.twin import share_decoder
    from train.settings import Adapter, Compression

    settings = Compression()
    causal_lm = make_decoder(shape(_SHAPE, is_small=accelerator.is_small), accelerator, has_head=True)
    size, config = decoder_size(causal_lm.base_model), causal_lm.config
    if accelerator.is_cuda:
        halve_frozen(causal_lm)
    decoder, backbone = share_decoder(causal_lm), causal_lm.base_model
    memory = new_memory(backbone, N_MEMORY)
    encoder = MemoryModel(attach_adapter(backbone, Adapter()), memory)
    trained = Compressor(encoder, decoder, bos_id=_BOS, settings=settings).to(accelerator.name).train()
    random = np.random.default_rng(_SEED)
    splits = np.stack([draw_splits(load.tokens, settings, random) for _ in range(load.texts)])
    ids_BT = torch.from_numpy(random.integers(3, config.vocab_size, size=(load.texts, load.tokens)))
    length_B = torch.full((load.texts,), load.tokens)
    batch = [tensor.to(accelerator.name) for tensor in (ids_BT, length_B, torch.from_numpy(splits))]
    step = _updating(accelerator, trained, lambda: trained(*batch)["loss"])
    times, memory_figure = _timed(accelerator, step, accelerator.repeats + 2)
    head = (config.vocab_size, config.hidden_size)
    shares = accelerator.share(stage_1_operations(size, head, load.tokens, splits), times, 0.45)
    return _rates(load.texts * load.tokens, times) | shares | memory_figure


def _stage_3(accelerator: Accelerator, load: _Load) -> dict[str, Figure]:
    """With the first of the mini-batches that fits."""
    import torch

    for mini_batch in load.mini_batches:
        with suppress(torch.OutOfMemoryError):  # the next one is half as large; none left is said below
            return _contrastive(accelerator, load, mini_batch)
        free_memory()  # out of the handler, whose traceback holds all
    raise NotRunError(f"out of memory with mini-batches of {', '.join(map(str, load.mini_batches))}")


def _contrastive(accelerator: Accelerator, load: _Load, mini_batch: int) -> dict[str, Figure]:
    import torch
    from sentence_transformers import SentenceTransformer

    from encoder.config import EncoderConfig
    from encoder.memory import new_memory
    from encoder.st import MemoryEncoder
    from train.adapter import attach_adapter, halve_frozen
    from train.contrast.loss import ContrastiveLoss
    from train.settings import Adapter, Contrast

    backbone = make_decoder(shape(_SHAPE, is_small=accelerator.is_small), accelerator, has_head=False)
    size, width, vocabulary = decoder_size(backbone), backbone.config.hidden_size, backbone.config.vocab_size
    if accelerator.is_cuda:
        halve_frozen(backbone)
    memory = new_memory(backbone, N_MEMORY).requires_grad_(False)
    config = EncoderConfig(n_memory=N_MEMORY, dimension=width, max_tokens=load.tokens)
    tokenizer = word_tokenizer(is_small=accelerator.is_small)
    module = MemoryEncoder(attach_adapter(backbone, Adapter()), memory, tokenizer, config)
    model = SentenceTransformer(modules=[module], device=accelerator.name).train()
    loss = ContrastiveLoss(model, Contrast(mini_batch=mini_batch), seed=_SEED)
    random = torch.Generator().manual_seed(_SEED)
    columns = []
    for _ in range(2):
        ids_BT = torch.randint(3, vocabulary, (load.pairs, load.tokens), generator=random).to(
            accelerator.name
        )
        columns.append({"input_ids": ids_BT, "attention_mask": torch.ones_like(ids_BT)})
    few = [{name: tensor[: 2 * mini_batch] for name, tensor in column.items()} for column in columns]
    _updating(accelerator, model, lambda: loss(few, None))()
    step = _updating(accelerator, model, lambda: loss(columns, None))
    times, memory_figure = _timed(accelerator, step, 2, warm_ups=0)
    once, twice = stage_3_operations(size, 2 * load.pairs, load.tokens + N_MEMORY)
    shares = accelerator.share(twice, times, 0.40)
    shares |= {
        f"{name}, the first pass not counted": each for name, each in accelerator.share(once, times).items()
    }
    return (
        _rates(2 * load.pairs * load.tokens, times)
        | shares
        | memory_figure
        | {"mini-batch": told(f"{mini_batch} texts")}
    )


def _updating(accelerator: Accelerator, trained: Any, loss_of: Callable[[], Any]) -> Callable[[], None]:
    """A step: loss under autocast on a GPU, gradient, AdamW over what is trainable."""
    import torch

    weights = [weight for weight in trained.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=_LEARNING_RATE)

    def step() -> None:
        with _autocast(accelerator):
            loss = loss_of()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if not torch.isfinite(loss.detach()):
            raise NotRunError(f"the loss is {float(loss.detach())}")

    return step


def _autocast(accelerator: Accelerator) -> AbstractContextManager:
    import torch

    return torch.autocast("cuda", dtype=torch.bfloat16) if accelerator.is_cuda else nullcontext()


def _timed(
    accelerator: Accelerator, step: Callable[[], None], repeats: int, warm_ups: int = 1
) -> tuple[list[float], dict[str, Figure]]:
    """Seconds of the repetitions, and the highest memory of the device where there is one."""
    if not accelerator.is_cuda:
        return accelerator.seconds(step, repeats, warm_ups), {}
    import torch

    torch.cuda.reset_peak_memory_stats(accelerator.name)
    times = accelerator.seconds(step, repeats, warm_ups)
    highest = torch.cuda.max_memory_allocated(accelerator.name) / 2**30
    return times, {"peak memory": figure([highest], "GiB")}


def _rates(tokens: int, times: list[float]) -> dict[str, Figure]:
    return {
        "text tokens": figure([tokens / seconds for seconds in times], "tokens/s"),
        "a step": figure(times, "s"),
    }
