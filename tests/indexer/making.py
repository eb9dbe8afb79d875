"""Small collections, sources in memory, and damage, for the tests of the engine."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from indexer.collection import Collection
from indexer.documents import Document
from indexer.search import Searcher
from indexer.sources.source import Source
from tests.conftest import WordEmbedder

COLUMNS = {"topic": "string", "year": "int64", "score": "float64", "day": "date", "tags": "list<string>"}
ROOT = Path(__file__).resolve().parents[2]


class ListSource(Source):
    """Documents that a test wrote down."""

    def __init__(self, documents, name="list", columns=None, batch=2048, fails_at=None, skips=False):
        self.name = name
        self.columns = dict(COLUMNS if columns is None else columns)
        self.guessed = {}
        self.counts = Counter()
        self.misfits = Counter()
        self.bad_rows, self.notes = [], []
        self.skips_bad_rows = skips
        self._documents = list(documents)
        self._batch = batch
        self._fails_at = fails_at  # (number of the document, error)

    def batches(self, rows=2048):
        for at in range(0, len(self._documents), self._batch):
            if self._fails_at and at >= self._fails_at[0]:
                raise self._fails_at[1]
            yield self._documents[at : at + self._batch]

    def fraction_read(self):
        return 0.5


class PresetEmbedder(WordEmbedder):
    """The text "row 7" has the vector 7 of a given array; other texts are bags of words."""

    def __init__(self, vectors, name="preset"):
        super().__init__(name, dimension=vectors.shape[1])
        self.vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def _encode(self, texts):
        self.n_encoded += len(texts)
        return np.stack([self.vectors[int(text.split()[1])] for text in texts]).astype(np.float32)


def doc(name, text=None, title="", **metadata):
    return Document(str(name), title, text or f"words about number {name}", metadata, f"row {name}")


def numbered(count, start=0, **metadata):
    return [doc(f"d{i}", year=i, **metadata) for i in range(start, start + count)]


def new_collection(path, documents=None, *, encoder=None, index=None, columns=None, **options):
    """A collection of these documents, published, with its encoder."""
    encoder = encoder or WordEmbedder(dimension=16)
    columns = COLUMNS if columns is None else columns
    options.setdefault("words", "plain")
    collection = Collection.create(path, encoder=encoder, columns=columns, **options)
    if documents is not None:
        collection.add(ListSource(documents, columns=columns), encoder=encoder, index=index)
    return collection, encoder


def stored_rows(collection):
    """Every live row as a dictionary, by passage id; doubled ids would show as a smaller count."""
    store = collection.open_rows()
    rows = [row for batch in store.scan(store.schema.names) for row in batch.to_pylist()]
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row for row in rows}


def stored_ids(collection):
    """Document ids with their number of passages."""
    return Counter(row["doc_id"] for row in stored_rows(collection).values())


def answers(collection, encoder, *queries, **options):
    """Hits of several queries as plain tuples, for comparing two searches."""
    searcher = Searcher(collection, encoder)
    found = searcher.search_batch(list(queries or ("words about number 7",)), **options)
    return [[(h.id, h.document_id, round(h.score, 6), h.text) for h in result.hits] for result in found]


def segment_folders(collection):
    return sorted(collection.path / entry.path for entry in collection.publication().segments)


def flip(file, at=None):
    """Turns over one byte, in the middle unless said otherwise."""
    content = bytearray(file.read_bytes())
    at = len(content) // 2 if at is None else at
    content[at] ^= 0xFF
    file.write_bytes(content)


def truncate(file):
    with file.open("r+b") as stream:
        stream.truncate(max(0, file.stat().st_size // 2))


def run_child(code, *arguments, timeout=120):
    """Runs Python code in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment,
        check=False,
        cwd=ROOT,
    )
