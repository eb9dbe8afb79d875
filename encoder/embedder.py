"""What the indexer needs of an encoder, free of torch, so that tests and foreign models can be one."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from encoder.stats import EncodingStats

# Called with (texts done, texts in all, tokens done) as a long call goes on.
Progress = Callable[[int, int, int], None]


class Embedder(Protocol):
    """Turns texts into unit vectors, and says by which tokens it counts their length."""

    @property
    def name(self) -> str:
        """The spec it was loaded by (`default`, a path, `st:...`), for people."""
        ...

    @property
    def fingerprint(self) -> str:
        """Sha256 hex over all that decides the vectors; equal fingerprints, comparable vectors."""
        ...

    @property
    def dimension(self) -> int:
        """Numbers per vector, D."""
        ...

    @property
    def max_tokens(self) -> int:
        """Most text tokens that one vector can take in; what is beyond is cut off."""
        ...

    @property
    def hybrid_weight(self) -> float:
        """Weight of the dense part in hybrid search, 0 to 1; tuned on held-back training pairs."""
        ...

    @property
    def card(self) -> dict[str, Any]:
        """What is known of the encoder, JSON types only."""
        ...

    def tokenize(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Character offsets of each text's own tokens (no special ones), untruncated.

        Returns:
            One int64 [T, 2] array a text: start and end of each token, T may be 0.
        """
        ...

    def encode_query(
        self, texts: Sequence[str], *, instruction: str | None = None, stats: EncodingStats | None = None
    ) -> NDArray[np.float32]:
        """Unit rows for queries, float32 [N, D]; what was cut or unknown is added to `stats`."""
        ...

    def encode_document(
        self,
        texts: Sequence[str],
        *,
        progress: Progress | None = None,
        stats: EncodingStats | None = None,
    ) -> NDArray[np.float32]:
        """Unit rows for documents in the order given, float32 [N, D]; `stats` as for queries."""
        ...
