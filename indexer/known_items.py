"""Queries with a known right answer out of a collection without judgements, for before-and-after comparisons.

Where at least half of the documents have a title, the query is the title and the right answer the passage without it.
Elsewhere the query is the first sentence of a passage, and the right answer what follows. Either way the answer is
encoded anew without what is asked, since the stored vectors have seen it. The other candidates are stored vectors
of other documents, which do hold their titles. So the numbers compare transformations of one encoder; they say
little of how well it finds what people look for.

Shapes: Q queries, C candidates, D embedding dimension.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from encoder.errors import InputError
from encoder.spectrum.what_if import KnownPairs
from indexer.passages.sentences import sentence_starts
from indexer.progress import JobProgress, Report, silent
from indexer.query.embedded import Embedded
from indexer.query.snapshot import Snapshot
from indexer.storage.row_schema import WORD_COLUMN

MOST_ITEMS = 500
MOST_CANDIDATES = 20_000
_LEAST_CHARACTERS = 15  # of a question and of an answer: less says nothing
_SPARE = 4  # passages looked at for each item that is wanted
_ENCODED = 32


@dataclass(frozen=True, eq=False)
class KnownItems:
    """Known items of a collection.

    Attributes:
        kind: "title" or "first sentence": what is asked.
        texts: the queries, [Q].
        answers: the texts that are looked for, [Q].
        row_ids: uint64 [Q] of the passages they were made from.
        pairs: their vectors; the first Q documents are the answers.
    """

    kind: str
    texts: list[str]
    answers: list[str]
    row_ids: NDArray[np.uint64]
    pairs: KnownPairs


def known_items(
    searcher: Embedded, *, most: int = MOST_ITEMS, seed: int = 0, report: Report = silent
) -> KnownItems:
    """Draws passages of different documents and encodes questions and answers by the collection's encoder.

    Args:
        searcher: of the collection.
        most: items, fewer where the collection is small.
        seed: of the draw.
        report: called as passages are encoded.

    Raises:
        InputError: no passage can be asked for.
        CollectionError: the collection is damaged.
        CheckpointError: its encoder is gone.
    """
    snapshot = searcher.snapshot
    random = np.random.default_rng(seed)
    rows = _first_of_documents(snapshot, random.permutation(snapshot.row_ids())[: most * _SPARE])
    kind = "title" if np.mean([bool(row["title"]) for row in rows] or [False]) >= 0.5 else "first sentence"
    split = _title_and_text if kind == "title" else _sentence_and_rest
    found = [(row["_rowid"], *parts) for row in rows if (parts := split(row))][:most]
    if not found:
        raise InputError(
            "no passage has a title or a second sentence, so nothing can be asked whose answer is known",
            str(snapshot.collection.path),
            "give pairs of questions and passages of your own",
        )
    row_ids = np.array([row_id for row_id, _, _ in found], np.uint64)
    texts, answers = [text for _, text, _ in found], [answer for _, _, answer in found]
    queries = searcher.embedder.encode_query(texts)
    encoded = _encoded(searcher, answers, report)
    others = snapshot.vectors(_of_other_documents(snapshot, row_ids, random))
    documents = np.concatenate([encoded, others])
    return KnownItems(kind, texts, answers, row_ids, KnownPairs(queries, documents, np.arange(len(texts))))


def _first_of_documents(snapshot: Snapshot, row_ids: NDArray[np.uint64]) -> list[dict[str, Any]]:
    """Rows [n] in the order given, without further passages of a document."""
    if not row_ids.size:
        return []
    fields = ["title", WORD_COLUMN, "text_at"]
    table = snapshot.store.take(row_ids, fields).append_column("_rowid", pa.array(row_ids))
    first = np.sort(np.unique(snapshot.documents(row_ids), return_index=True)[1])
    return table.take(pa.array(first)).to_pylist()


def _title_and_text(row: dict[str, Any]) -> tuple[str, str] | None:
    title, text = row["title"].strip(), row[WORD_COLUMN][row["text_at"] :].strip()
    return (title, text) if title and len(text) >= _LEAST_CHARACTERS else None


def _sentence_and_rest(row: dict[str, Any]) -> tuple[str, str] | None:
    text = row[WORD_COLUMN][row["text_at"] :].strip()
    starts = sentence_starts(text)
    if not starts.size:
        return None
    sentence, rest = text[: starts[0]].strip(), text[starts[0] :].strip()
    return (sentence, rest) if min(len(sentence), len(rest)) >= _LEAST_CHARACTERS else None


def _encoded(searcher: Embedded, answers: list[str], report: Report) -> NDArray[np.float32]:
    """Vectors of the answers, float32 [Q, D]."""
    parts = []
    for start in range(0, len(answers), _ENCODED):
        parts.append(searcher.embedder.encode_document(answers[start : start + _ENCODED]))
        done = min(start + _ENCODED, len(answers))
        report(JobProgress("encoding known items", passages=done, fraction=done / len(answers)))
    return np.concatenate(parts)


def _of_other_documents(
    snapshot: Snapshot, row_ids: NDArray[np.uint64], random: np.random.Generator
) -> NDArray[np.uint64]:
    """Rows of documents that none of these rows [Q] belongs to, uint64 [n], at most `MOST_CANDIDATES`.

    Other passages of the same document may hold the very words that are asked for, and would be no wrong answer.
    """
    every = snapshot.row_ids()
    others = every[~np.isin(snapshot.documents(every), snapshot.documents(row_ids))]
    return np.sort(random.permutation(others)[:MOST_CANDIDATES])
