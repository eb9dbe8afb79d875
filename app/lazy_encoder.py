"""The encoders of the opened collections: loaded at the first query that needs one, once for all collections."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from encoder.stats import EncodingStats

_LOADED_ENCODERS = 2


class LazyEncoder:
    """Stands for a collection's encoder until a query is encoded, and survives the collection's next version.

    Args:
        collection: names the encoder and knows its fingerprint.
    """

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    @property
    def fingerprint(self) -> str:
        """That of the collection; the loaded encoder's own is compared with it before it is used."""
        return self._collection.settings.encoder_fingerprint

    def encode_query(
        self, texts: Sequence[str], *, instruction: str | None = None, stats: EncodingStats | None = None
    ) -> NDArray[np.float32]:
        """Unit rows for queries, float32 [N, D].

        Raises:
            Llm2CompError: the encoder is missing, damaged, or another one by now.
        """
        return self._loaded().encode_query(texts, instruction=instruction, stats=stats)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loaded(), name)

    def _loaded(self) -> Any:
        encoder = _load(self._collection.settings.encoder_spec, self.fingerprint, self._collection)
        self._collection.check_encoder(encoder)
        return encoder


@st.cache_resource(max_entries=_LOADED_ENCODERS, show_spinner="Loading the encoder, the first time only …")
def _load(spec: str, fingerprint: str, _collection: Any) -> Any:
    """The encoder with the collection's transformation.

    The fingerprint, which covers both, is part of what it is kept by, so that one trained anew is loaded anew.
    """
    return _collection.load_encoder()
