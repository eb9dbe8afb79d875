"""Small evaluation sets of every kind, as a folder, for the word encoder of the tests."""

import pyarrow as pa
import pyarrow.parquet as pq

# Pairs that share from all to none of their words; the training pair contradicts and must not count.
PAIRS = [
    ("old wizards read books", "old wizards read books", 5.0, "test/a"),
    ("old wizards read books", "old wizards read maps", 3.5, "test/a"),
    ("old wizards read books", "old wizards sell bread", 2.0, "test/b"),
    ("old wizards read books", "seven foxes jump far", 0.0, "test/b"),
    ("old wizards read books", "green rivers flow south", 5.0, "train"),
]
CORPUS = [
    ("d1", "Roads", "tolls and taxes pay for the roads"),
    ("d2", None, "a bridge carries a road over water"),
    ("d3", "Bread", "flour water salt and time make bread"),
    ("d4", "Rivers", "a river carries sand to the sea"),
]
QUERIES = [("q1", "who pay for the roads"), ("q2", "flour and salt for bread"), ("q3", "not judged in test")]
QRELS = [
    ("q1", "d1", 2, "test"),
    ("q1", "d2", 1, "test"),
    ("q1", "d3", 0, "test"),
    ("q2", "d3", 1, "test"),
    ("q3", "d4", 1, "train"),
]
_TOPICS = {"bread": ("flour", "salt", "oven", "dough"), "sea": ("wave", "sand", "tide", "boat")}
LABELLED = [
    (f"{a} {b}", label, "train" if (i + j) % 2 else "test")
    for label, words in _TOPICS.items()
    for i, a in enumerate(words)
    for j, b in enumerate(words)
    if a != b
]


def write(path, columns, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = zip(*rows, strict=True) if rows else [[]] * len(columns)
    pq.write_table(pa.table({name: list(values) for name, values in zip(columns, cells, strict=True)}), path)


def write_sts(folder, rows=PAIRS):
    write(folder / "pairs.parquet", ("sentence1", "sentence2", "score", "split"), rows)


def write_retrieval(folder, corpus=CORPUS, queries=QUERIES, qrels=QRELS):
    write(folder / "roads" / "corpus.parquet", ("id", "title", "text"), corpus)
    write(folder / "roads" / "queries.parquet", ("id", "text"), queries)
    write(folder / "roads" / "qrels.parquet", ("query_id", "corpus_id", "score", "split"), qrels)


def write_classification(folder, rows=LABELLED):
    write(folder / "topics.parquet", ("text", "label", "split"), rows)


def write_clustering(folder, rows=LABELLED):
    write(folder / "groups.parquet", ("text", "label"), [row[:2] for row in rows])


def write_all(folder):
    """One set of every kind; returns the folder."""
    write_sts(folder)
    write_retrieval(folder)
    write_classification(folder)
    write_clustering(folder)
    return folder
