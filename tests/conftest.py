"""Shared by the tests: a library of their own, and an encoder of words that needs no weights."""

import hashlib
import re

import numpy as np
import pytest
from hypothesis import settings

from encoder.embedder import Embedder

# How long an example takes depends on the machine, and tests never time anything.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


class WordEmbedder:
    """Texts as bags of hashed words: deterministic, and texts that share words are near each other."""

    _TOKEN = re.compile(r"\w+|[^\w\s]")

    def __init__(self, name="words", dimension=32, max_tokens=64):
        self.name = name
        self.dimension = dimension
        self.max_tokens = max_tokens
        self.hybrid_weight = 0.5
        self.card = {"name": name, "kind": "hashed words"}
        self.n_encoded = 0  # documents and queries so far, for tests that nothing is encoded twice
        self._directions = {}

    @property
    def fingerprint(self):
        return hashlib.sha256(f"{self.name} {self.dimension} {self.max_tokens}".encode()).hexdigest()

    def tokenize(self, texts):
        return [
            np.array([match.span() for match in self._TOKEN.finditer(text)], dtype=np.int64).reshape(-1, 2)
            for text in texts
        ]

    def encode_query(self, texts, *, instruction=None, stats=None):
        return self._encode(texts)

    def encode_document(self, texts, *, progress=None, stats=None):
        embeddings = self._encode(texts)
        if progress:
            progress(len(texts), len(texts), sum(map(len, self.tokenize(texts))))
        return embeddings

    def _encode(self, texts):
        self.n_encoded += len(texts)
        embeddings = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(embeddings, texts, strict=True):
            for word in self._TOKEN.findall(text.lower())[: self.max_tokens]:
                row += self._direction(word)
            norm = np.linalg.norm(row)
            row[:] = row / norm if norm > 1e-6 else np.eye(1, self.dimension)[0]
        return embeddings

    def _direction(self, word):
        if word not in self._directions:
            digest = hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()
            rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
            self._directions[word] = rng.standard_normal(self.dimension).astype(np.float32)
        return self._directions[word]


@pytest.fixture(scope="session", autouse=True)
def no_library_of_the_user(tmp_path_factory):
    """Keeps tests, and the processes that they start, out of the library of whoever runs them."""
    folder = tmp_path_factory.mktemp("user")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLM2COMP_HOME", str(folder / "library"))
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))  # where it lies when that is taken away
        yield folder


@pytest.fixture
def word_embedder() -> Embedder:
    return WordEmbedder()
