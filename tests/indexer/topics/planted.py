"""Collections with topics that were planted, for the tests of topics."""

import numpy as np

from indexer.search import Searcher
from tests.indexer.making import PresetEmbedder, doc, new_collection

VOCABULARIES = (
    "river water flood bridge boat",
    "bread flour oven yeast dough",
    "guitar chord melody concert drum",
    "planet orbit telescope comet moon",
)


def planted_vectors(per_topic=30, topics=4, dimension=16, spread=0.15, seed=0):
    """Unit vectors [topics * per_topic, D] around random directions, and the topic of each."""
    rng = np.random.default_rng(seed)
    centres = np.linalg.qr(rng.standard_normal((dimension, dimension)))[0][:topics]
    truth = np.repeat(np.arange(topics), per_topic)
    vectors = centres[truth] + spread * rng.standard_normal((truth.size, dimension)) / np.sqrt(dimension)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), truth


class SpokenEmbedder(PresetEmbedder):
    """Vector 7 for "row 7 ...", whatever follows."""


def text(number, topic, rng):
    """A sentence with the vocabulary of its topic and with words that all share."""
    words = rng.permutation(VOCABULARIES[topic % len(VOCABULARIES)].split())[:3]
    return f"row {number} says, {words[0]} and {words[1]} and the {words[2]} of everything"


def planted_collection(path, vectors, truth, extra=0, **metadata):
    """A published collection of these vectors, and its searcher; `extra` rows come later, see `add_rest`."""
    rng = np.random.default_rng(1)
    embedder = SpokenEmbedder(vectors)
    documents = [
        doc(f"d{i:05d}", text(i, topic, rng), topic=f"t{topic}", day=_day(i)) for i, topic in enumerate(truth)
    ]
    first = documents[: len(documents) - extra]
    collection, _ = new_collection(path, first, encoder=embedder, words="english", window=32)
    return collection, Searcher(collection, embedder), documents[len(documents) - extra :]


def _day(number):
    import datetime

    return datetime.date(2020, 1, 1) + datetime.timedelta(days=31 * (number % 12))


def truth_of(searcher, row_ids, truth):
    """The planted topic of each row."""
    names = searcher.snapshot.store.take(row_ids, ["doc_id"])["doc_id"].to_pylist()
    return np.array([truth[int(name[1:])] for name in names])


def same_groups(numbers, truth):
    """Adjusted Rand index of two groupings."""
    from sklearn.metrics import adjusted_rand_score

    return adjusted_rand_score(truth, numbers)
