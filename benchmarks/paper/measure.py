"""An encoder -> its scores on the development sets, what its space looks like, and what a decoder makes of it, as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from development import probe_texts
from plan import BACKBONE, UNTRAINED, Step
from scale import Scale
from stage_recipes import result_of, start_of, texts_of

from encoder import load_encoder
from encoder.checkpoint import read_checkpoint, text_tokenizer
from encoder.memory import MemoryModel
from encoder.spectrum import diagnose, slot_similarity
from encoder.weights import quiet_transformers, read_causal_lm
from train.compression.compressor import OBJECTIVES, Compressor
from train.compression.held_out import held_out_losses
from train.evaluation.baselines import fit_lsa
from train.evaluation.measured import MeasuredEncoder
from train.evaluation.scoring import Embed, score_task
from train.evaluation.tasks import Task
from train.settings import Compression
from train.texts.split_texts import SplitTexts
from train.texts.stream import TextStream

_SHARE_DIGITS = 6
_RANDOM_WIDTH = 192


def measure(step: Step, tasks: Sequence[Task], scale: Scale, work: Path, data: Path) -> dict[str, Any]:
    """The scores by set and the measures of the space, of the encoder that a step left; of a peer the scores."""
    if step.kind == "peer":
        return {
            "scores": {task.name: round(score_task(task, _peer(step, task)), 3) for task in tasks},
            "space": {},
        }
    with quiet_transformers():
        encoder: Any = load_encoder(_spec(step, scale, work), device="cpu", dtype=scale.dtype)
    embed = MeasuredEncoder(encoder)
    scores = {task.name: round(score_task(task, embed), 3) for task in tasks}
    return {
        "scores": scores,
        "tokens_per_s": round(embed.effort.tokens_per_s or 0.0, 1),
        "truncated": embed.effort.truncated,
        "texts": embed.effort.texts,
        "space": look(encoder, probe_texts(tasks, scale.probe_texts)),
        "continuation": _continuation(step, scale, work, data),
    }


def _peer(step: Step, task: Task) -> Embed:
    """Vectors without a language model: of a normal distribution, the same for the same text; or of its words."""
    random = _Random()
    return random if step.objective == "random" else fit_lsa(task.texts) or random


class _Random:
    def __init__(self) -> None:
        self._generator = np.random.default_rng(0)
        self._rows: dict[str, Any] = {}

    def __call__(self, texts: Sequence[str], role: str) -> Any:
        draw = self._generator.standard_normal
        return np.stack([self._rows.setdefault(text, draw(_RANDOM_WIDTH, np.float32)) for text in texts])


def _continuation(step: Step, scale: Scale, work: Path, data: Path) -> dict[str, float]:
    """KL in nats a token between the backbone that has read a held-out text and one that has its memory tokens.

    Also with the memory of another text, and with none. Of encoders before stage 2 that go through a decoder.
    """
    is_asked = step.kind in ("compress", "fresh") and step.objective in (*OBJECTIVES, UNTRAINED)
    if not is_asked or step.n_memory != scale.n_memory:
        return {}
    parts = read_checkpoint(result_of(step, work))
    settings = Compression(objective="ctkd", splits=1)
    decoder = read_causal_lm(work / BACKBONE / BACKBONE)
    compressor = Compressor(
        MemoryModel(parts.backbone, torch.nn.Parameter(parts.memory)),
        decoder,
        bos_id=parts.tokenizer.bos_token_id,
        settings=settings,
    )
    texts = SplitTexts(
        TextStream(texts_of(step, scale, data)),
        text_tokenizer(parts.tokenizer),
        longest=scale.max_tokens,
        settings=settings,
        seed=step.seed,
    )
    return held_out_losses(compressor, texts.held_out())


def _spec(step: Step, scale: Scale, work: Path) -> str:
    if step.kind == "pooling":
        return f"{start_of(step, work)}?pooling={step.objective}&max_tokens={scale.max_tokens}"
    return str(result_of(step, work))


def look(encoder: Any, texts: Sequence[str]) -> dict[str, Any]:
    """Spectrum, ranks and likeness of memory tokens on the texts.

    Returns:
        Numbers, and lists: "eigenvalues" of the covariance of unit rows, falling; "slots" [M][M] mean cosine of two
        memory states of one text, "slots_centred" the same without each memory token's own mean.
    """
    found: dict[str, Any] = {}
    if encoder.n_memory:
        memory = encoder.encode_memory(texts)
        rows = memory.mean(axis=1)
        if encoder.n_memory > 1:
            found["slots"] = _rounded(slot_similarity(memory))
            found["slots_centred"] = _rounded(slot_similarity(memory - memory.mean(axis=0)))
    else:
        rows = encoder.encode_document(texts)
    space = diagnose(rows)
    found |= {
        "texts": space.n,
        "effective_rank": space.effective_rank,
        "effective_rank_centred": space.effective_rank_centred,
        "n90": space.n90,
        "mean_cosine": space.mean_cosine,
        "uniformity": space.uniformity,
        "eigenvalues": [float(f"{value:.4g}") for value in space.eigenvalues],
    }
    return found


def _rounded(matrix: Any) -> list[list[float]] | None:
    return None if matrix is None else np.round(matrix, _SHARE_DIGITS).tolist()
