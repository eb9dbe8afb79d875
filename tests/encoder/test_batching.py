import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from encoder.batching import batch_rows, cut_batches


@given(st.lists(st.integers(0, 500), max_size=60), st.integers(1, 2000))
def test_every_text_is_in_one_batch_within_the_budget(lengths, budget):
    lengths = np.array(lengths, dtype=np.int64)
    batches = list(cut_batches(lengths, budget))
    taken = [row for batch in batches for row in batch.tolist()]
    assert sorted(taken) == list(range(len(lengths)))
    assert (np.diff(lengths[taken]) <= 0).all()
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget


def test_a_batch_holds_at_least_one_text():
    assert batch_rows(100, 10) == 1
    assert batch_rows(0, 10) == 10
