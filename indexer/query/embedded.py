"""What those need who look at vectors and ask their encoder again, and do not search."""

from typing import Protocol

from encoder.embedder import Embedder
from indexer.query.snapshot import Snapshot


class Embedded(Protocol):
    """A published version and the encoder that made its vectors: a `Searcher`, or what takes turns at its encoder."""

    @property
    def snapshot(self) -> Snapshot:
        """The version to look at."""

    @property
    def embedder(self) -> Embedder:
        """The encoder of the collection.

        Raises:
            CheckpointError: it is gone or damaged.
        """
