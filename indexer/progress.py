"""How far a long job is; whoever runs it decides how to show that."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobProgress:
    """One report of a running job.

    Attributes:
        stage: what is being done, in a word or two: "indexing", "word index", "segments".
        documents: read so far.
        passages: encoded so far.
        tokens: encoded so far.
        fraction: share of the source that was read, 0 to 1; None when unknown.
    """

    stage: str
    documents: int = 0
    passages: int = 0
    tokens: int = 0
    fraction: float | None = None


Report = Callable[[JobProgress], None]


def silent(_progress: JobProgress) -> None:
    """Shows nothing."""
