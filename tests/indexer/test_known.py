"""Which documents are known: the same answers as a dictionary, and the rows that a kill left doubled."""

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
from hypothesis import given

from indexer.ingest import known
from indexer.ingest.known import KnownDocuments, document_hash

ids = st.text(st.sampled_from("ab#"), max_size=3)
states = st.tuples(ids, st.integers(0, 2), st.integers(0, 2), st.sampled_from("xy"))


def batch_of(rows):
    """Rows as (document id, content, metadata, source, row id)."""
    return pa.record_batch(
        {
            "doc_id": pa.array([row[0] for row in rows], pa.string()),
            "doc_hash": [document_hash(str(row[1])) for row in rows],
            "meta_hash": [document_hash(str(row[2])) for row in rows],
            "_rowid": pa.array([row[4] for row in rows], pa.uint64()),
            "source": pa.array([row[3] for row in rows], pa.string()),
        }
    )


@given(stored=st.lists(states, max_size=12), met=st.lists(states, max_size=20), recent=st.integers(1, 4))
def test_documents_are_compared_as_a_dictionary_would(stored, met, recent):
    rows = [(*state, number) for number, state in enumerate(stored)]
    truth = {name: (content, meta) for name, content, meta, *_ in rows}
    labels = {row[0]: row[3] for row in rows}
    expected_old = {row[4] for row in rows if truth[row[0]] != row[1:3]}
    before, known._RECENT = known._RECENT, recent
    try:
        documents, superseded = KnownDocuments.from_rows(
            [batch_of(rows[:5]), batch_of(rows[5:])] if rows else []
        )
        assert set(superseded.tolist()) == expected_old and len(documents) == len(truth)
        seen = set()
        for name, content, meta, label in met:
            old = truth.get(name)
            expected = (
                "again"
                if name in seen
                else "new"
                if old is None
                else "same"
                if old == (content, meta)
                else "metadata"
                if old[0] == content
                else "changed"
                if labels[name] == label
                else "foreign"
            )
            hashes = document_hash(str(content)), document_hash(str(meta))
            assert documents.meet(name, *hashes, label) == expected
            if expected != "foreign":
                seen.add(name)
        assert all(documents.was_met(name) == (name in seen) for name in {*truth, *seen, "zz"})
    finally:
        known._RECENT = before


def test_lists_of_texts_are_not_confused_by_where_they_are_split():
    hashes = {document_hash(*parts) for parts in (["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""], [])}
    assert len(hashes) == 5 and document_hash("\ud800") != document_hash("\ufffd")


def test_row_ids_beyond_32_bits_are_kept_whole():
    rows = [("a", 0, 0, "x", 2**40 + 1), ("a", 1, 0, "x", 2**40 + 2)]
    _, superseded = KnownDocuments.from_rows([batch_of(rows)])
    assert superseded.tolist() == [2**40 + 1] and superseded.dtype == np.uint64
