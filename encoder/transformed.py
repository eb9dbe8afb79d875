"""An encoder whose vectors pass a transformation, on both sides alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.embedder import Embedder
from encoder.errors import ShapeError
from encoder.fingerprint import combine
from encoder.spectrum.transforms import Transform


class TransformedEncoder:
    """Queries and documents of another encoder, transformed; all else is that encoder's.

    `encode_memory`, where the encoder has it, gives the memory states as they are: a transformation follows pooling.

    Args:
        base: makes the vectors.
        transform: fitted to vectors of `base`.

    Raises:
        ShapeError: it was fitted to vectors of another width.
    """

    def __init__(self, base: Embedder, transform: Transform) -> None:
        if base.dimension != len(transform.mean):
            raise ShapeError(
                f"the transformation {transform.spec} takes {len(transform.mean)} numbers, {base.name} makes {base.dimension}",
                "TransformedEncoder",
                "use the encoder whose vectors it was fitted to",
            )
        self.base = base
        self.transform = transform

    @property
    def name(self) -> str:
        """Name of the encoder with the steps, for people."""
        return transformed_name(self.base.name, self.transform)

    @property
    def fingerprint(self) -> str:
        """Over that of the encoder and the numbers of the transformation."""
        return transformed_fingerprint(self.base.fingerprint, self.transform)

    @property
    def dimension(self) -> int:
        """Numbers per vector after it."""
        return self.transform.dimension

    @property
    def max_tokens(self) -> int:
        """Most text tokens that one vector can take in."""
        return self.base.max_tokens

    @property
    def hybrid_weight(self) -> float:
        """The encoder's own: hybrid search sets scores into a range of their own first."""
        return self.base.hybrid_weight

    @property
    def card(self) -> dict[str, Any]:
        """What is known of the encoder, with the transformation."""
        return {**self.base.card, "name": self.name, "transform": self.transform.spec}

    def tokenize(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Character offsets of each text's own tokens, one int64 [T, 2] array a text."""
        return self.base.tokenize(texts)

    def encode_query(
        self, texts: Sequence[str], *, instruction: str | None = None, **options: Any
    ) -> NDArray[np.float32]:
        """Unit rows for queries, float32 [N, E]; the options are those of the encoder."""
        return self.transform.apply(self.base.encode_query(texts, instruction=instruction, **options))

    def encode_document(self, texts: Sequence[str], **options: Any) -> NDArray[np.float32]:
        """Unit rows for documents in the order given, float32 [N, E]; the options are those of the encoder."""
        return self.transform.apply(self.base.encode_document(texts, **options))

    def __getattr__(self, name: str) -> Any:
        # Only what is not defined above; `base` itself is missing while a copy is being made.
        if name in ("base", "transform") or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.base, name)


def transformed_name(base_name: str, transform: Transform) -> str:
    """The name under which vectors of this encoder, transformed, are shown."""
    return f"{base_name} ({transform.spec})"


def transformed_fingerprint(base_fingerprint: str, transform: Transform) -> str:
    """Sha256 hex; equal only for vectors that can be compared."""
    return combine(encoder=base_fingerprint, transform=transform.sha256)
