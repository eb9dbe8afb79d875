"""Any sentence-transformers model as an encoder (`st:`), so that people index with what they have.

Shapes: N texts, D embedding dimension.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from encoder.batching import cut_batches
from encoder.config import FILE_NAME
from encoder.device import Placement
from encoder.embedder import Progress
from encoder.errors import CheckpointError
from encoder.fingerprint import combine, weights_sha256
from encoder.model import shorten
from encoder.pooling import normalise
from encoder.prompt import TextTokenizer, check_texts, replace_surrogates
from encoder.stats import EncodingStats
from encoder.weights import first_line, not_downloaded

_WINDOW_TEXTS = 1024
_NO_BOUND = 1 << 20
_PROMPT_NAMES = {"query": ("query",), "document": ("document", "passage", "corpus")}


def load_foreign(
    place: str, *, name: str, placement: Placement, only_cached: bool = False
) -> "ForeignEncoder":
    """The sentence-transformers model at a path or on the Hub.

    Args:
        place: a folder, or `org/name`.
        name: the spec, for people.
        placement: device and precision.
        only_cached: download nothing.

    Raises:
        CheckpointError: it is not downloaded yet, cannot be loaded, or works on something other than text.
    """
    from sentence_transformers import SentenceTransformer

    if (Path(place) / FILE_NAME).exists():
        raise CheckpointError(
            f"{place} is an encoder directory of llm2comp", name, f"write {place} without st:"
        )
    try:
        model = SentenceTransformer(
            place,
            device=str(placement.device),
            trust_remote_code=False,
            local_files_only=only_cached,
            model_kwargs={"use_safetensors": True},
        )
    except Exception as error:  # the library raises whatever its many modules raise
        if only_cached and not Path(place).is_dir():
            raise not_downloaded(name) from error
        raise CheckpointError(
            f"sentence-transformers cannot load it: {first_line(error)}", name, "check the name or the folder"
        ) from error
    return ForeignEncoder(model, name=name, placement=placement)


class ForeignEncoder:
    """A `SentenceTransformer` behind the interface that the indexer needs.

    Raises:
        CheckpointError: the model has no fast tokenizer.
    """

    def __init__(self, model: Any, *, name: str, placement: Placement) -> None:
        tokenizer = model.tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
        if not hasattr(backend, "encode_batch_fast"):
            raise CheckpointError(
                "the model has no fast tokenizer",
                name,
                "choose a text model whose folder has a tokenizer.json",
            )
        # Half precision on a GPU as for our own encoders; on a processor by autocast.
        self._model = model.to(placement.weights).eval()
        self._placement = placement
        self._name = name
        self._tokenizer = TextTokenizer(backend, None)
        self._max_tokens = _text_tokens(model)
        self._fingerprint = _fingerprint(model, self._tokenizer, self._max_tokens)

    @property
    def name(self) -> str:
        """The spec it was loaded by."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Sha256 hex over weights, tokenizer, modules, prompts and longest length."""
        return self._fingerprint

    @property
    def dimension(self) -> int:
        """Numbers per vector, D."""
        return int(self._model.get_embedding_dimension())

    @property
    def max_tokens(self) -> int:
        """Most text tokens that one vector can take in; 1,048,576 for a model without a bound."""
        return self._max_tokens

    @property
    def n_memory(self) -> int:
        """Memory tokens: none."""
        return 0

    @property
    def hybrid_weight(self) -> float:
        """Weight of the dense part in hybrid search: even, since nothing is known."""
        return 0.5

    @property
    def card(self) -> dict[str, Any]:
        """What is known of the encoder, JSON types only."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "architecture": [type(module).__name__ for module in self._model],
            "computed_on": self._placement.label,
            "dimension": self.dimension,
            "max_tokens": self.max_tokens,
            "prompts": dict(self._model.prompts),
        }

    def tokenize(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Character offsets of each text's own tokens, untruncated: one int64 [T, 2] array a text."""
        return self._tokenizer.offsets(texts)

    def encode_query(
        self,
        texts: Sequence[str],
        *,
        instruction: str | None = None,
        batch_tokens: int | None = None,
        truncate_dim: int | None = None,
        progress: Progress | None = None,
        stats: EncodingStats | None = None,
    ) -> NDArray[np.float32]:
        """Unit rows for queries; an instruction becomes the prefix `instruction: `.

        Returns:
            float32 [N, D] in the order given.
        """
        prefix = None if instruction is None else (f"{instruction}: " if instruction else "")
        return shorten(self._encode(texts, "query", prefix, batch_tokens, progress, stats), truncate_dim)

    def encode_document(
        self,
        texts: Sequence[str],
        *,
        batch_tokens: int | None = None,
        truncate_dim: int | None = None,
        progress: Progress | None = None,
        stats: EncodingStats | None = None,
    ) -> NDArray[np.float32]:
        """Unit rows for documents.

        Returns:
            float32 [N, D] in the order given.
        """
        return shorten(self._encode(texts, "document", None, batch_tokens, progress, stats), truncate_dim)

    def _encode(
        self,
        texts: Sequence[str],
        role: str,
        prefix: str | None,
        batch_tokens: int | None,
        progress: Progress | None,
        stats: EncodingStats | None,
    ) -> NDArray[np.float32]:
        """Unit rows, float32 [N, D]."""
        stats = EncodingStats() if stats is None else stats
        texts = check_texts(texts)
        if prefix is None:
            stored = (self._model.prompts.get(name) for name in _PROMPT_NAMES[role])
            prefix = next((prompt for prompt in stored if prompt), "")
        budget = batch_tokens or self._placement.batch_tokens
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        done = tokens = 0
        first = stats.texts
        for start in range(0, len(texts), _WINDOW_TEXTS):
            window = [replace_surrogates(text) for text in texts[start : start + _WINDOW_TEXTS]]
            found = self._tokenizer.ids(window, prefix=prefix, longest=self.max_tokens)
            stats.count_cuts(found, first + start)
            for rows in cut_batches(found.length, budget):
                vectors[start + rows] = self._forward([window[row] for row in rows], role, prefix)
                batch_size = int(found.length[rows].sum())
                done, tokens = done + len(rows), tokens + batch_size
                stats.texts, stats.tokens = stats.texts + len(rows), stats.tokens + batch_size
                if progress is not None:
                    progress(done, len(texts), tokens)
        return vectors

    def _forward(self, texts: list[str], role: str, prefix: str) -> NDArray[np.float32]:
        """Unit rows of one batch, float32 [B, D]."""
        encode = self._model.encode_query if role == "query" else self._model.encode_document
        with torch.inference_mode(), self._placement.autocast():
            found = encode(
                texts, prompt=prefix, batch_size=len(texts), show_progress_bar=False, convert_to_tensor=True
            )
        return normalise(found).cpu().numpy()


def _text_tokens(model: Any) -> int:
    """Text tokens that fit beside the model's own special tokens."""
    bound = model.max_seq_length
    if bound is None or bound > _NO_BOUND:
        return _NO_BOUND
    count = getattr(model.tokenizer, "num_special_tokens_to_add", None)
    special = count(False) if count is not None else 0
    return max(1, int(bound) - int(special))


def _fingerprint(model: Any, tokenizer: TextTokenizer, max_tokens: int) -> str:
    state = model.state_dict().items()
    modules: list[Any] = [[type(each).__name__, getattr(each, "get_config_dict", dict)()] for each in model]
    return combine(
        weights=weights_sha256((key, value.detach().float().cpu().numpy()) for key, value in state),
        tokenizer=tokenizer.sha256,
        # Module settings hold library types now and then; their text is stable enough to tell models apart.
        modules=repr(modules),
        prompts=dict(model.prompts),
        max_tokens=max_tokens,
    )
