"""An encoder that counts what it does while it is scored: texts, tokens, seconds, texts that were cut.

Shapes: N texts, D embedding dimension.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.embedder import Embedder
from encoder.stats import EncodingStats


@dataclass
class Effort:
    """What encoding took; loading and scoring are not counted."""

    texts: int = 0
    tokens: int = 0  # of the texts as read, cut ones counted as cut
    truncated: int = 0
    seconds: float = 0.0

    def add(self, other: "Effort") -> None:
        """Counts the other's work too."""
        self.texts += other.texts
        self.tokens += other.tokens
        self.truncated += other.truncated
        self.seconds += other.seconds

    @property
    def tokens_per_s(self) -> float | None:
        """None before anything was encoded."""
        return self.tokens / self.seconds if self.seconds > 0 and self.tokens else None


@dataclass
class MeasuredEncoder:
    """Texts and their role to unit rows, counted; what `train.evaluation.scoring` calls `embed`."""

    embedder: Embedder
    instruction: str | None = None  # of queries; None for the prompt stored with the encoder
    progress: Callable[[int], None] | None = None  # called with the texts encoded so far
    effort: Effort = field(default_factory=Effort)

    def __call__(
        self, texts: Sequence[str], role: str, instruction: str | None = None
    ) -> NDArray[np.float32]:
        """Unit rows for texts of one role.

        Args:
            texts: of the same role.
            role: "query" or "document".
            instruction: what is asked for, instead of this encoder's own; only for queries.

        Returns:
            float32 [N, D] in the order given.
        """
        began, stats = time.perf_counter(), EncodingStats()
        embedder: Any = self.embedder  # both kinds of encoder count, which the protocol does not ask for
        if role == "query":
            instruction = self.instruction if instruction is None else instruction
            vectors = embedder.encode_query(texts, instruction=instruction, stats=stats)
        else:
            vectors = embedder.encode_document(texts, progress=self._report, stats=stats)
        done = Effort(len(texts), stats.tokens, stats.truncated, time.perf_counter() - began)
        self.effort.add(done)
        if self.progress is not None:
            self.progress(self.effort.texts)
        return vectors

    def _report(self, done: int, total: int, tokens: int) -> None:
        if self.progress is not None:
            self.progress(self.effort.texts + done)
