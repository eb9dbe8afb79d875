"""Candidates and tasks -> scores and measures of the embedding space, one candidate in memory at a time.

Shapes: N texts, M memory tokens, D embedding dimension.
"""

import gc
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from encoder.checkpoint import load_encoder
from encoder.embedder import Embedder
from encoder.errors import UnsupportedBackboneError, UsageError
from encoder.spec import parse_spec
from encoder.spectrum import diagnose, diagnosis_to_json
from encoder.weights import quiet_transformers
from train.evaluation.baselines import score_bm25, score_lsa
from train.evaluation.candidates import Candidate
from train.evaluation.kept import KeptScores
from train.evaluation.measured import Effort, MeasuredEncoder
from train.evaluation.public_tasks import PublicTask, fetch_data, score_public
from train.evaluation.scoring import score_task
from train.evaluation.tasks import Task, content_sha256

SPECTRUM_TEXTS = 2000
_PROTOCOL = 1  # of measuring: one more with every change that lets a score come out otherwise
_DECIDING = ("scikit-learn", "scipy")  # libraries that clusters, regressions and ranks come from
# Long lists that a report has no use for; `diagnose` shows them.
_NOT_REPORTED = ("singular_values", "eigenvalues")
_CARD_KEYS = ("fingerprint", "computed_on", "dimension", "max_tokens", "n_memory", "pooling", "card")

AnyTask = Task | PublicTask


@dataclass(frozen=True)
class Settings:
    """How is encoded."""

    instruction: str | None = None  # of retrieval queries; None for the prompt stored with each encoder
    own_instructions: bool = False  # of public tasks: those that mteb has for them
    device: str = "auto"
    dtype: str = "auto"
    work: Path | None = None  # where scores are kept, so that a stopped evaluation goes on


@dataclass(frozen=True)
class Moment:
    """Where an evaluation is; with the score once there is one."""

    candidate: str
    task: str
    number: int  # of the task, from 1
    tasks: int
    texts: int = 0  # encoded so far for this task
    score: float | None = None
    is_done: bool = False


@dataclass
class Column:
    """What became of a candidate."""

    candidate: Candidate
    absent: str = ""  # why there is no score at all
    scores: dict[str, float] = field(default_factory=dict)  # by task, times 100
    effort: Effort = field(default_factory=Effort)
    kept: int = 0  # scores of an earlier run, not measured again
    card: dict[str, Any] = field(default_factory=dict)
    spectrum: dict[str, Any] | None = None

    def mean(self, tasks: Sequence[str]) -> float | None:
        """Mean score over tasks; None unless it has them all, and when there are none."""
        if not tasks or any(name not in self.scores for name in tasks):
            return None
        return float(np.mean([self.scores[name] for name in tasks]))


@dataclass
class Evaluation:
    """All scores: what a report is made of."""

    tasks: list[AnyTask]
    columns: list[Column]
    spectrum_texts: int  # texts that the measures of the embedding space were taken on

    @property
    def names(self) -> list[str]:
        """Of the tasks."""
        return [task.name for task in self.tasks]

    @property
    def shared(self) -> list[str]:
        """Names of the tasks that every column with any score has."""
        present = [column for column in self.columns if column.scores]
        return [name for name in self.names if all(name in column.scores for column in present)]


Watch = Callable[[Moment], None]


def evaluate(
    candidates: Sequence[Candidate], tasks: Sequence[AnyTask], settings: Settings, watch: Watch
) -> Evaluation:
    """The scores of every candidate on every task it can do.

    Args:
        candidates: at least one; titles differ.
        tasks: at least one; names differ.
        settings: how is encoded.
        watch: called as it goes on.

    Raises:
        CheckpointError: an encoder cannot be loaded.
        InputError: the data of a public task cannot be had, an encoder gives NaN, or scores cannot be kept.
        MissingExtraError: a public task is asked for and mteb is not installed.
        UnsupportedBackboneError: an encoder's decoder cannot attend in both directions.
        UsageError: two candidates or two tasks have one name, or there is no device of that name.
    """
    _check_names([candidate.title for candidate in candidates], "candidates")
    _check_names([task.name for task in tasks], "tasks")
    for candidate in candidates:
        place = parse_spec(candidate.spec) if candidate.spec else None
        if place is not None and place.kind == "path" and not Path(place.place).is_dir():
            load_encoder(candidate.spec)  # says at once what is wrong, and not after hours
    for task in tasks:
        if isinstance(task, PublicTask):
            fetch_data(task)
            task.task.unload_data()
    evaluation = Evaluation(list(tasks), [], 0)
    sample: list[str] = []
    for candidate in candidates:
        column = Column(candidate)
        evaluation.columns.append(column)
        run = _Run(column, settings, KeptScores(settings.work), watch)
        if candidate.kind == "baseline" and candidate.title != "minilm":
            run.score_baseline(evaluation.tasks)
        elif not candidate.spec:
            column.absent = "not installed"
        elif run.load():
            run.score(evaluation.tasks)
            # Public tasks show their texts only while they run, so the first encoder decides the sample.
            sample = sample or sample_texts(evaluation.tasks, SPECTRUM_TEXTS)
            run.measure(sample)
            run.unload()
    evaluation.spectrum_texts = len(sample)
    return evaluation


def sample_texts(tasks: Sequence[AnyTask], most: int, seed: int = 0) -> list[str]:
    """At most so many different texts, about as many of each task, in an order that the seed decides."""
    rng = np.random.default_rng(seed)
    share = -(-most // max(1, len(tasks)))
    chosen: dict[str, None] = {}
    for task in tasks:
        texts = list(dict.fromkeys(task.texts))
        rows = rng.choice(len(texts), min(share, len(texts)), replace=False)
        chosen.update(dict.fromkeys(texts[row] for row in rows))
    return list(chosen)[:most]


def _check_names(names: Sequence[str], what: str) -> None:
    doubled = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if doubled:
        raise UsageError(f"two {what} are called {doubled[0]}", "llm2comp eval", "leave one of them out")


class _Run:
    """One candidate on its way through the tasks."""

    def __init__(self, column: Column, settings: Settings, kept: KeptScores, watch: Watch) -> None:
        self._column, self._settings, self._kept, self._watch = column, settings, kept, watch
        self._encoder: Embedder | None = None

    def load(self) -> bool:
        """Whether there is now an encoder; a backbone may refuse a pooling, which is no failure."""
        candidate, settings = self._column.candidate, self._settings
        try:
            with quiet_transformers():
                self._encoder = load_encoder(candidate.spec, device=settings.device, dtype=settings.dtype)
        except UnsupportedBackboneError as error:
            if candidate.kind != "pooling":
                raise
            self._column.absent = f"not possible: {error.what}"
            return False
        card = self._encoder.card
        self._column.card = {key: card[key] for key in _CARD_KEYS if key in card}
        return True

    def unload(self) -> None:
        """Lets go of the encoder and its memory."""
        self._encoder = None
        gc.collect()

    def score_baseline(self, tasks: Sequence[AnyTask]) -> None:
        """Scores what works on the texts themselves; public tasks hand out none."""
        score = score_lsa if self._column.candidate.title == "lsa" else score_bm25
        for number, task in enumerate(tasks, 1):
            found = None if isinstance(task, PublicTask) else score(task)
            if found is not None:
                self._column.scores[task.name] = found
                self._watch(self._moment(task, number, len(tasks), score=found, is_done=True))

    def score(self, tasks: Sequence[AnyTask]) -> None:
        """Scores the encoder on every task, or takes what was kept."""
        for number, task in enumerate(tasks, 1):
            key = self._key(task)
            cell = self._kept.find(*key)
            if cell is None:
                cell = self._measured(task, number, len(tasks))
                self._kept.keep(cell, *key)
            else:
                self._column.kept += 1
            if isinstance(task, PublicTask) and not task.texts:
                task.texts += cell["texts"]
            effort = Effort(**cell["effort"])
            self._column.scores[task.name] = cell["score"]
            self._column.effort.add(effort)
            done = self._moment(
                task, number, len(tasks), texts=effort.texts, score=cell["score"], is_done=True
            )
            self._watch(done)

    def measure(self, texts: Sequence[str]) -> None:
        """Measures the embedding space on texts taken as documents, or takes what was kept."""
        assert self._encoder is not None
        digest = hashlib.sha256(json.dumps(list(texts)).encode("utf-8", "surrogatepass")).hexdigest()
        key = [*self._identity(), "spectrum", digest]
        self._column.spectrum = self._kept.find(*key)
        if self._column.spectrum is None and texts:
            self._column.spectrum = _spectrum(self._encoder, texts)
            self._kept.keep(self._column.spectrum, *key)

    def _measured(self, task: AnyTask, number: int, tasks: int) -> dict[str, Any]:
        """A score and what it took, as it is kept."""
        assert self._encoder is not None

        def report(texts: int) -> None:
            self._watch(self._moment(task, number, tasks, texts=texts))

        report(0)
        measured = MeasuredEncoder(self._encoder, self._settings.instruction, report)
        if isinstance(task, PublicTask):
            # Its texts are those of this run: a second candidate must not add its own.
            task.texts.clear()
            score = score_public(task, measured, own_instructions=self._settings.own_instructions)
        else:
            score = score_task(task, measured)
        texts = task.texts if isinstance(task, PublicTask) else ()
        return {"score": score, "effort": asdict(measured.effort), "texts": list(texts)}

    def _key(self, task: AnyTask) -> list[Any]:
        """All that decides a score."""
        measured_by = [_PROTOCOL, *(version(name) for name in _DECIDING)]
        asked: list[Any] = [self._settings.instruction, measured_by]
        if isinstance(task, PublicTask):
            return [*self._identity(), *asked, self._settings.own_instructions, task.version]
        return [*self._identity(), *asked, content_sha256(task)]

    def _identity(self) -> list[Any]:
        assert self._encoder is not None
        return [self._encoder.fingerprint, self._encoder.card.get("computed_on", "")]

    def _moment(self, task: AnyTask, number: int, tasks: int, **more: Any) -> Moment:
        return Moment(self._column.candidate.title, task.name, number, tasks, **more)


def _spectrum(encoder: Any, texts: Sequence[str]) -> dict[str, Any]:
    """The measures as JSON, without the long lists; memory states [N, M, D] give the embeddings [N, D] too."""
    if getattr(encoder, "n_memory", 0):
        memory_NMD = encoder.encode_memory(texts)
        diagnosis = diagnose(memory_NMD.mean(axis=1), memory=memory_NMD)
    else:
        diagnosis = diagnose(encoder.encode_document(texts))
    return {key: value for key, value in diagnosis_to_json(diagnosis).items() if key not in _NOT_REPORTED}
