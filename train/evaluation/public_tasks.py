"""Public tasks through `mteb`, for those who have the network: one of our encoders as a model for it.

Texts of queries go through `encode_query`, all others through `encode_document`.
Shapes: N texts, D embedding dimension.
"""

import contextlib
import logging
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.errors import InputError, MissingExtraError, UsageError
from train.evaluation.measured import MeasuredEncoder

PRESETS = {
    # The 14 tasks of the paper's tables, in their order.
    "paper14": (
        "BiorxivClusteringS2S", "MedrxivClusteringS2S", "TwentyNewsgroupsClustering", "SciFact", "NFCorpus",
        "ArguAna", "STS17:en-en", "SICK-R", "STSBenchmark", "Banking77Classification", "EmotionClassification",
        "SprintDuplicateQuestions", "StackOverflowDupQuestions", "SciDocsRR",
    ),
    "sts7": ("STS12", "STS13", "STS14", "STS15", "STS16", "STSBenchmark", "SICK-R"),
}  # fmt: skip
_WITH_QUERIES = ("retrieval", "reranking", "instruction retrieval", "instruction reranking")
_MOST_RECORDED = 2000  # texts of a task that its spectrum may be measured on
_BATCH = 1024  # rows that mteb hands over at a time; ours are cut by tokens afterwards


@dataclass(eq=False)
class PublicTask:
    """A task of mteb and the first texts it was seen to use."""

    name: str  # with the part asked for: STS17:en-en
    task: Any  # an instance of mteb's AbsTask
    texts: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """What mteb calls its type, in small letters: PairClassification is "pair classification"."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(self.task.metadata.type)).lower()

    @property
    def metric(self) -> str:
        """Its main score, as mteb names it."""
        return str(self.task.metadata.main_score)

    @property
    def version(self) -> str:
        """What its data and its scoring depend on."""
        from importlib.metadata import version

        return f"{self.name} {self.task.metadata.revision} mteb {version('mteb')}"


def find_public_tasks(names: Sequence[str]) -> list[PublicTask]:
    """The tasks of presets, of mteb's benchmarks, or of their own names, each once; nothing is downloaded.

    Args:
        names: `paper14`, `sts7`, a benchmark such as `MTEB(eng, v2)`, a task such as `SciFact`, or one part of
            a task such as `STS17:en-en`.

    Raises:
        MissingExtraError: mteb is not installed.
        UsageError: there is no such preset, benchmark, task or part.
    """
    mteb = _mteb()
    found: dict[str, PublicTask] = {}
    for name in names:
        if name.startswith("MTEB("):
            tasks: Iterable[PublicTask] = _benchmark(mteb, name)
        else:
            tasks = [_task(mteb, each) for each in PRESETS.get(name, (name,))]
        for task in tasks:
            found.setdefault(task.name, task)
    return list(found.values())


def fetch_data(task: PublicTask) -> None:
    """Loads a task's data, from the network or the Hub's cache on disk.

    Raises:
        InputError: it cannot be had.
    """
    if task.task.data_loaded:
        return
    try:
        with _quiet():
            task.task.load_data()
    except Exception as error:  # whatever the Hub's, the network's and the data set's own code raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"the data of {task.name} cannot be had: {reason}",
            f"mteb task {task.name}",
            "connect to the Hugging Face Hub once, or use sets on disk: --data DIR",
        ) from error


def score_public(task: PublicTask, encoder: MeasuredEncoder, *, own_instructions: bool = False) -> float:
    """The task's main score, times 100; its data is let go afterwards.

    Args:
        task: of `find_public_tasks`.
        encoder: what is scored.
        own_instructions: put the instruction that mteb has for the task before its queries, or before all
            texts where the task has no queries.

    Raises:
        InputError: the data cannot be had.
        MissingExtraError: mteb is not installed.
    """
    mteb = _mteb()
    fetch_data(task)
    try:
        with _quiet():
            result = mteb.evaluate(
                MtebModel(encoder, task, own_instructions=own_instructions),
                task.task,
                cache=None,
                co2_tracker=False,
                overwrite_strategy="always",
                show_progress_bar=False,
                encode_kwargs={"batch_size": _BATCH, "show_progress_bar": False},
            )
    finally:
        task.task.unload_data()
    score = float(result.task_results[0].get_score())
    return 0.0 if math.isnan(score) else 100.0 * score  # a correlation with vectors that are all equal


class MtebModel:
    """An encoder of ours as mteb's protocol wants it.

    Args:
        encoder: turns texts into rows.
        task: records the first texts that are no queries.
        own_instructions: as for `score_public`.
    """

    def __init__(self, encoder: MeasuredEncoder, task: PublicTask, *, own_instructions: bool) -> None:
        from mteb.models import ModelMeta
        from mteb.models.model_meta import ScoringFunction

        self._encoder, self._task, self._own_instructions = encoder, task, own_instructions
        embedder = encoder.embedder
        self.mteb_model_meta = ModelMeta.create_empty(
            {
                "name": "llm2comp/encoder",
                "revision": embedder.fingerprint[:12],
                "embed_dim": embedder.dimension,
                "max_tokens": embedder.max_tokens,
                "similarity_fn_name": ScoringFunction.COSINE,
            }
        )

    def encode(
        self, inputs: Any, *, task_metadata: Any, prompt_type: Any = None, **others: Any
    ) -> NDArray[np.float32]:
        """Unit rows, float32 [N, D].

        Args:
            inputs: batches that hold a list of texts under "text".
            task_metadata: of the task.
            prompt_type: mteb's word for the role; None where a task has no queries.
            others: what else mteb says; none of it matters here.
        """
        texts = [text for batch in inputs for text in batch["text"]]
        role = "document" if prompt_type is None else str(prompt_type.value)
        if role != "query":
            self._task.texts += texts[: _MOST_RECORDED - len(self._task.texts)]
        instruction = self._instruction(role, task_metadata.prompt) if self._own_instructions else ""
        if instruction:
            return self._encoder(texts, "query", instruction)
        return self._encoder(texts, "query" if role == "query" else "document")

    def _instruction(self, role: str, prompt: Any) -> str:
        """What mteb says the task asks for; "" for documents of queries, and where it says nothing."""
        if isinstance(prompt, dict):
            return str(prompt.get(role, ""))
        has_queries = self._task.kind in _WITH_QUERIES
        if has_queries and role != "query":
            return ""
        return str(prompt or getattr(self._task.task, "abstask_prompt", ""))

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines of every pair, a tensor [N, N']; arguments are [N, D] and [N', D]."""
        from mteb.similarity_functions import cos_sim

        return cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines of pairs, a tensor [N]; arguments are [N, D] each."""
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(embeddings1, embeddings2)


def _mteb() -> Any:
    try:
        import mteb
    except ImportError as error:
        raise MissingExtraError(
            "public tasks need the package mteb, which is not installed",
            "option --mteb",
            "pip install 'llm2comp[eval]'",
        ) from error
    return mteb


def _benchmark(mteb: Any, name: str) -> list[PublicTask]:
    try:
        tasks = mteb.get_benchmark(name).tasks
    except (KeyError, ValueError) as error:
        raise UsageError(f"mteb has no benchmark {name}", "option --mteb", "try 'MTEB(eng, v2)'") from error
    return [PublicTask(str(task.metadata.name), task) for task in tasks]


def _task(mteb: Any, name: str) -> PublicTask:
    whole, _, part = name.partition(":")
    try:
        task = mteb.get_task(whole)
    except KeyError as error:
        known = [*PRESETS, *(each.metadata.name for each in mteb.get_tasks())]
        near = get_close_matches(whole, known, n=1)
        fix = f"did you mean {near[0]}?" if near else "use a preset (paper14, sts7) or a name that mteb lists"
        raise UsageError(f"mteb has no task {whole}", "option --mteb", fix) from error
    parts = list(task.metadata.hf_subsets)
    if part and part not in parts:
        raise UsageError(
            f"the task {whole} has no part {part}", "option --mteb", "use one of " + ", ".join(parts)
        )
    return PublicTask(name, mteb.get_task(whole, hf_subsets=[part]) if part else task)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps off stderr what is no concern of ours: newer versions of a task, each try to reach the Hub."""
    loggers = [logging.getLogger(name) for name in ("mteb", "huggingface_hub", "datasets")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
