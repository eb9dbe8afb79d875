"""An encoder -> its scores on the development sets and what its space looks like, as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from development import probe_texts
from plan import Step
from scale import Scale
from stage_recipes import result_of, start_of

from encoder import load_encoder
from encoder.spectrum import diagnose, slot_similarity
from encoder.weights import quiet_transformers
from train.evaluation.measured import MeasuredEncoder
from train.evaluation.scoring import score_task
from train.evaluation.tasks import Task

_SHARE_DIGITS = 6


def measure(step: Step, tasks: Sequence[Task], scale: Scale, work: Path) -> dict[str, Any]:
    """The scores by set and the measures of the space, of the encoder that a step left."""
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
    }


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
