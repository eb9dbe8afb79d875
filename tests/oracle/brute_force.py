"""The slow obvious search: every passage, every condition, one by one. The oracle of the fast one."""

import re

import numpy as np

from indexer.query.filters import parse_filter
from indexer.query.keywords import parse_keywords
from tests.oracle.filter_truth import matches


def truth_of(collection):
    """Live rows as stored, in the order of their row ids."""
    store = collection.open_rows(collection.publication().rows_version)
    fields = collection.settings.column_fields
    rows = []
    for batch in store.scan(store.schema.names):
        for row in batch.to_pylist():
            row["metadata"] = {name: row[stored] for name, stored in fields.items()}
            rows.append(row)
    return sorted(rows, key=lambda row: row["_rowid"])


def passing(rows, where, columns):
    if not where:
        return rows
    tree = parse_filter(where, columns)
    return [row for row in rows if matches(tree, row["metadata"])]


def holding(rows, query, *, needs_word):
    """Rows that a keyword query allows; `needs_word`: plain words alone must occur, too."""
    asked = parse_keywords(query)
    return [row for row in rows if _allows(asked, _words(row["content"]), needs_word)]


def _words(text):
    return re.findall(r"\w+", text.lower())


def _holds(words, term):
    part = _words(term.text)
    return any(words[at : at + len(part)] == part for at in range(len(words)))


def _allows(asked, words, needs_word):
    if any(_holds(words, term) for term in asked.excluded):
        return False
    if not all(any(_holds(words, term) for term in group) for group in asked.required):
        return False
    return not needs_word or bool(asked.required) or any(_holds(words, term) for term in asked.words)


def exact_ranking(rows, vector, by):
    """Pairs (row, score) by falling score, ties by row id; of each document only the best when by document."""
    if not rows:
        return []
    vectors = np.array([row["vec"] for row in rows], np.float16).astype(np.float32)
    scores = (vectors * vector).sum(axis=1, dtype=np.float32)
    order = sorted(range(len(rows)), key=lambda at: (-scores[at], rows[at]["_rowid"]))
    ranked, seen = [], set()
    for at in order:
        name = rows[at]["doc_id"]
        if by == "document" and name in seen:
            continue
        seen.add(name)
        ranked.append((rows[at], float(scores[at])))
    return ranked


def unit_count(rows, by):
    return len(rows) if by == "passage" else len({row["doc_id"] for row in rows})
